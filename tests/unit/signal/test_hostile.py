"""Random but well-formed requests: whatever a client sends concerns that client alone, and is never a fault of ours."""

from __future__ import annotations

import base64
import random
from typing import Any

import aiohttp
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from livekit.protocol import models, rtc

from sfu import seam
from tests.unit.signal.harness import Call

_TEXTS = ("", "mic", "cam", "TR_unknown", "x" * 300, "v=0\r\nm=audio", "\u2603", "PA_1", "bob")


def fill(message: Message, rng: random.Random, depth: int = 0) -> None:
    """Sets some fields to likely, odd or extreme values."""
    fields: list[Any] = list(message.DESCRIPTOR.fields)
    for field in rng.sample(fields, k=rng.randint(0, min(len(fields), 6))):
        repeated = field.is_repeated
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            continue
        if field.message_type is not None:
            if depth < 4:
                target = getattr(message, field.name)
                for _ in range(rng.randint(1, 3) if repeated else 1):
                    child = target.add() if repeated else target
                    child.SetInParent()
                    fill(child, rng, depth + 1)
            continue
        values = [scalar(field, rng) for _ in range(rng.randint(1, 4))]
        if repeated:
            getattr(message, field.name).extend(values)
        else:
            setattr(message, field.name, values[0])


def scalar(field: Any, rng: random.Random) -> Any:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING:
            return (
                rng.choice(_TEXTS) if field.type == FieldDescriptor.TYPE_STRING else rng.randbytes(rng.randint(0, 40))
            )
        case FieldDescriptor.CPPTYPE_BOOL:
            return rng.random() < 0.5
        case FieldDescriptor.CPPTYPE_ENUM:
            # Open enums carry numbers that we have no name for.
            return rng.choice([*(value.number for value in field.enum_type.values), 77])
        case FieldDescriptor.CPPTYPE_FLOAT | FieldDescriptor.CPPTYPE_DOUBLE:
            return rng.choice([0.0, -1.0, float("nan"), 1e30])
        case FieldDescriptor.CPPTYPE_UINT32 | FieldDescriptor.CPPTYPE_UINT64:
            return rng.choice([0, 1, 2**31, 2**32 - 1])
        case _:
            return rng.choice([0, 1, -1, 2**31 - 1, -(2**31)])


@pytest.mark.parametrize("seed", range(12))
async def test_random_requests_never_fault(call: Call, seed: int) -> None:
    rng = random.Random(seed)
    bystander = await call.join("bystander")
    kinds = [field.name for field in rtc.SignalRequest.DESCRIPTOR.fields]
    for round_number in range(6):
        grants = {"can_update_own_metadata": True}
        mallory = await call.join("mallory", v1=round_number % 2 == 0, grants=grants)
        await mallory.publish("video", "cam", rids=("q", "h", "f"))
        for _ in range(30):
            request = rtc.SignalRequest()
            kind = rng.choice(kinds)
            if kind == "ping":
                continue
            if kind == "leave" and rng.random() < 0.8:
                continue
            getattr(request, kind).SetInParent()
            fill(getattr(request, kind), rng)
            if not mallory.ws.closed:
                await mallory.ws.send_bytes(request.SerializeToString())
        await bystander.settle()
    # `Call.close` fails on anything logged as an error.


@pytest.mark.parametrize("seed", range(8))
async def test_random_join_requests_never_fault(call: Call, seed: int) -> None:
    rng = random.Random(seed)
    bystander = await call.join("bystander")
    statuses = set[int]()
    headers = {"Authorization": f"Bearer {call.token('mallory', grants={'can_update_own_metadata': True})}"}
    for _ in range(20):
        request = rtc.JoinRequest()
        fill(request, rng)
        wrapped = rtc.WrappedJoinRequest(join_request=request.SerializeToString())
        query = {"join_request": base64.urlsafe_b64encode(wrapped.SerializeToString()).decode()}
        try:
            socket = await call.http.ws_connect(call.url + "/rtc/v1", params=query, headers=headers)
        except aiohttp.WSServerHandshakeError as error:
            statuses.add(error.status)
            continue
        first = await socket.receive(timeout=3)
        assert rtc.SignalResponse.FromString(first.data).WhichOneof("message") in ("join", "reconnect", "leave")
        await socket.close()
    assert statuses <= {400}
    await bystander.settle()


@pytest.mark.parametrize("seed", range(4))
async def test_random_data_packets_never_fault(call: Call, seed: int) -> None:
    rng = random.Random(seed)
    alice, _bob = await call.join("alice"), await call.join("bob")
    for _ in range(100):
        packet = models.DataPacket()
        fill(packet, rng)
        payload = packet.SerializeToString() if rng.random() < 0.8 else rng.randbytes(rng.randint(0, 200))
        label = rng.choice(["_reliable", "_lossy", "_data_track", "x"])
        call.engine.emit(seam.DataReceived(call.transport_of(alice), label, payload))
    await alice.settle()
    for sent in call.engine.sent:
        assert models.DataPacket.FromString(sent.payload).participant_identity == "alice"

"""What signalling and rooms count shows in `/metrics`, and rooms and people add no series."""

from __future__ import annotations

import pytest
from livekit.protocol import models

from control.metrics import JOIN_STAGES
from control.signal.session import SILENCE_TIMEOUT_S
from sfu import seam
from tests.unit.signal.harness import Call


async def test_five_hundred_rooms_leave_the_number_of_series_unchanged(call: Call) -> None:
    async def one_of_everything(room: str, identity: str) -> None:
        alice = await call.join(identity, room=room)
        await alice.publish("audio", f"mic-{room}")
        await alice.ws.send_bytes(b"\xff\xff")
        await alice.settle()
        call.engine.emit(seam.DataReceived(next(reversed(call.engine.transports)), f"label-{room}", b"x"))
        await alice.settle()
        await alice.close()

    await one_of_everything("first", "ada")
    before = call.scrape().keys()
    for number in range(500):
        call.server.rooms.create(f"room-{number}", 0.0)  # type: ignore[arg-type]
    for number in range(20):
        await one_of_everything(f"room-{number}", f"somebody-{number}")
    after = call.scrape()
    assert after["sfu_rooms"] == 501
    assert after.keys() == before
    assert not [series for series in after if "room-" in series or "somebody" in series or "label" in series]


async def test_dropped_data_is_counted_by_reason_also_of_rooms_that_ended(call: Call) -> None:
    alice, _bob = await call.join("alice"), await call.join("bob")
    transport = call.transport_of(alice)
    packet = models.DataPacket(user=models.UserPacket(payload=b"x")).SerializeToString()
    call.engine.emit(
        seam.DataReceived(transport, "_reliable", b"\xff"), *[seam.DataReceived(transport, "other", packet)] * 2
    )
    await alice.settle()
    expected = {"malformed": 1, "unknown_channel": 2, "not_allowed": 0, "slow_reader": 0}
    for ended in (False, True):
        if ended:
            call.room().close(models.DisconnectReason.ROOM_DELETED, 0)
        samples = call.scrape()
        assert {reason: samples[f'sfu_data_dropped_total{{reason="{reason}"}}'] for reason in expected} == expected
    assert call.scrape()["sfu_rooms"] == 0


async def test_refusals_of_the_engine_are_counted_by_command(call: Call) -> None:
    alice = await call.join("alice")
    call.engine.emit(seam.Refused("OpenDataChannel", call.transport_of(alice), "channel_taken"))
    await alice.settle()
    samples = call.scrape()
    assert samples['sfu_refusals_total{command="OpenDataChannel"}'] == 1
    assert samples['sfu_refusals_total{command="SetRemote"}'] == 0


@pytest.mark.parametrize("v1", [True, False])
async def test_every_join_passes_every_stage_once(call: Call, v1: bool) -> None:
    alice = await call.join("alice", v1=v1)
    await alice.settle()
    await alice.offer_with_ufrag("another")
    await alice.settle()
    samples = call.scrape()
    counts = {stage: samples[f'sfu_join_stage_seconds_count{{stage="{stage}"}}'] for stage in JOIN_STAGES}
    assert counts == dict.fromkeys(JOIN_STAGES, 1)


async def test_what_goes_wrong_on_signalling_is_counted_by_reason(call: Call) -> None:
    def count(reason: str) -> float:
        return call.scrape().get(f'sfu_signal_errors_total{{reason="{reason}"}}', 0)

    alice = await call.join("alice", automatic=False)
    await alice.ws.send_bytes(b"\xff\xff")
    await alice.settle()
    assert count("bad_frame") == 1
    call.tick(SILENCE_TIMEOUT_S + 1)
    assert count("silent") == 1
    bob = await call.join("bob")
    await bob.ws.send_bytes(b"\x00" * (2 * 1024 * 1024 + 1))
    await bob.closed.wait()
    cleo = await call.join("cleo")
    cleo.sdp.sections.clear()
    await cleo.offer()
    await cleo.closed.wait()
    assert (count("oversize_frame"), count("invalid_sdp")) == (1, 1)

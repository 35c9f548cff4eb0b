"""Data between SDK clients: reliable is complete and in order, lossy arrives, targeted reaches its target only, a big stream is intact."""

from __future__ import annotations

import asyncio
import hashlib
import random
import struct
import time

import pytest
from livekit import rtc

from tests.interop.call import MODES, call
from tests.interop.client import eventually, join
from tests.support.server import Server

EVERY_MODE = pytest.mark.parametrize("modes", MODES.values(), ids=MODES.keys())


@EVERY_MODE
async def test_reliable_data_is_complete_and_in_order(server: Server, modes: tuple[bool, bool]) -> None:
    async with call(server, f"reliable-{modes}", modes) as (ada, bob):
        for number in range(500):
            payload = struct.pack(">I", number) + b"x" * (number * 7 % 1500)
            await ada.room.local_participant.publish_data(payload, reliable=True, topic="numbers")
        await eventually(lambda: len(bob.data_on("numbers")) >= 500, "500 reliable messages arrive")
        got = bob.data_on("numbers")
        assert [struct.unpack(">I", each.payload[:4])[0] for each in got] == list(range(500))
        assert [len(each.payload) - 4 for each in got] == [number * 7 % 1500 for number in range(500)]
        assert {each.sender for each in got} == {"ada"}
        assert all(each.reliable for each in got)


@EVERY_MODE
async def test_lossy_data_arrives(server: Server, modes: tuple[bool, bool]) -> None:
    async with call(server, f"lossy-{modes}", modes) as (ada, bob):
        for number in range(100):
            await ada.room.local_participant.publish_data(bytes([number]), reliable=False, topic="cursor")
            await asyncio.sleep(0.01)
        await eventually(
            lambda: len(bob.data_on("cursor")) >= 95, "at least 95 of 100 lossy messages arrive on loopback"
        )
        assert not any(each.reliable for each in bob.data_on("cursor"))


async def test_targeted_data_reaches_only_its_target(server: Server) -> None:
    async with (
        call(server, "targeted") as (ada, bob),
        join(server.url, server.token("targeted", "eve"), "eve", single=False) as eve,
    ):
        await ada.room.local_participant.publish_data(b"for bob", topic="private", destination_identities=["bob"])
        await ada.room.local_participant.publish_data(b"for all", topic="public")
        await eventually(lambda: bob.data_on("public") and eve.data_on("public"), "the public message arrives")
        assert [each.payload for each in bob.data_on("private")] == [b"for bob"]
        assert eve.data_on("private") == []


@pytest.mark.slow
@pytest.mark.timeout(180)
@EVERY_MODE
async def test_a_byte_stream_of_20_mb_is_intact(server: Server, modes: tuple[bool, bool]) -> None:
    content = random.Random(2).randbytes(20_000_000)
    async with call(server, f"stream-{modes}", modes) as (ada, bob):
        digest: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

        async def read(reader: rtc.ByteStreamReader) -> None:
            whole, size = hashlib.sha256(), 0
            async for chunk in reader:
                whole.update(chunk)
                size += len(chunk)
            digest.set_result((size, whole.hexdigest()))

        tasks = []
        bob.room.register_byte_stream_handler(
            "file", lambda reader, _identity: tasks.append(asyncio.create_task(read(reader)))
        )
        started = time.monotonic()
        writer = await ada.room.local_participant.stream_bytes("big.bin", total_size=len(content), topic="file")
        for offset in range(0, len(content), 150_000):
            await writer.write(content[offset : offset + 150_000])
        await writer.aclose()
        size, received = await asyncio.wait_for(digest, 120)
        print(f"20 MB in {time.monotonic() - started:.1f} s")
        assert size == len(content)
        assert received == hashlib.sha256(content).hexdigest()


async def test_a_text_stream_and_rpc_pass_through(server: Server) -> None:
    async with call(server, "text-and-rpc", MODES["v1-v0"]) as (ada, bob):
        text: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def read(reader: rtc.TextStreamReader) -> None:
            text.set_result(await reader.read_all())

        tasks = []
        bob.room.register_text_stream_handler(
            "chat", lambda reader, _identity: tasks.append(asyncio.create_task(read(reader)))
        )
        await ada.room.local_participant.send_text("Grüße aus dem Raum 🎧" * 2000, topic="chat")
        assert await asyncio.wait_for(text, 10) == "Grüße aus dem Raum 🎧" * 2000

        @bob.room.local_participant.register_rpc_method("shout")  # type: ignore[arg-type]
        async def shout(call: rtc.RpcInvocationData) -> str:
            return f"{call.caller_identity}: {call.payload.upper()}"

        answer = await ada.room.local_participant.perform_rpc(destination_identity="bob", method="shout", payload="hi")
        assert answer == "ada: HI"

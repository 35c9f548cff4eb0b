"""Joining and leaving two hundred times leaves nothing behind in the server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from tests.interop.call import AUDIO
from tests.interop.client import eventually, join
from tests.support.server import Server

#: Caches fill, and the heap grows in steps of 2 MiB.
WARM_UP = 120
ROUNDS = 200
MAX_BYTES_PER_JOIN = 10 * 1024

PENDING = 'sfu_tcp_connections{state="pending"}'
#: What must be the same after as before: gauges of `/metrics`.
HELD = (
    "sfu_rooms", "sfu_participants", "sfu_tracks", "sfu_engine_objects", "sfu_room_engine_objects", "sfu_tasks",
    "turn_join_credentials", "turn_allocations", "turn_permissions",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Snapshot:
    held: dict[str, float]
    descriptors: int
    threads: int


def _snapshot(server: Server) -> Snapshot:
    footprint = server.footprint()  # first: the request for the metrics is a descriptor, too
    held = {name: value for name, value in server.metrics().items() if name.split("{")[0] in HELD}
    return Snapshot(held, footprint.descriptors, footprint.threads)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_two_hundred_joins_leave_nothing_behind(server: Server) -> None:
    token = server.token("revolving-door", "guest")
    async with join(server.url, server.token("revolving-door", "host"), "host") as host:
        await host.publish_tone()  # every guest gets a consumer

        async def visit(number: int) -> None:
            async with join(server.url, token, "guest", single=number % 2 == 0) as guest:
                await guest.track_of("host", AUDIO)
                await guest.publish_tone()  # and is a producer
                await host.track_of("guest", AUDIO)
                await guest.room.local_participant.publish_data(b"hello", topic=str(number))
                await eventually(lambda: host.data_on(str(number)), "the guest's message arrives")
            await eventually(lambda: "guest" not in host.room.remote_participants, "the guest is gone")
            host.data.clear()

        for number in range(WARM_UP):
            await visit(number)
        before = await _settled(server)
        assert before.held['sfu_engine_objects{object="timers"}'] > 0, "the engine says nothing about its timers"
        resident = server.footprint().resident_bytes
        for number in range(ROUNDS):
            await visit(number)
        after = await _settled(server)
        grown = server.footprint().resident_bytes - resident
        print(before, f"{grown / ROUNDS:.0f} bytes per join", sep="\n")
        assert after == before
        assert grown / ROUNDS < MAX_BYTES_PER_JOIN


async def _settled(server: Server) -> Snapshot:
    """The counts once they have stopped moving: the engine posts them once a second and departures take a moment.

    A client opens a TCP connection to each candidate; those that it never uses are closed ten seconds later.
    """
    last = _snapshot(server)
    for _ in range(20):
        await asyncio.sleep(1.5)
        now = _snapshot(server)
        if now == last and not server.metrics()[PENDING]:
            return now
        last = now
    return last

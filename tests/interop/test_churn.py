"""Two hours of coming and going in six minutes: joins, leaves, mutes, other networks, broken connections, abandoned ones.

Meanwhile the server's memory is flat; afterwards who is still there is served, and when all have gone nothing is left.
`CHURN_SECONDS` makes it shorter or longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import statistics
from collections.abc import Coroutine
from typing import Any

import pytest
from aiortc import RTCCertificate

from tests.interop.call import AUDIO, VIDEO, tone_is_heard
from tests.interop.client import Client, eventually, join
from tests.interop.on_path import OnPath, on_path
from tests.interop.stranger import joined
from tests.support.server import Server

SECONDS = float(os.environ.get("CHURN_SECONDS", "360"))
ROOM = "marketplace"
#: What the server may have grown by from a third of the time to its end. Pools and arenas breathe.
MAX_GROWTH_BYTES = 8 << 20
#: Gauges that are zero when nobody is there.
HELD = ("sfu_rooms", "sfu_participants", "sfu_tracks", "sfu_engine_objects", "sfu_room_engine_objects")


class Churn:
    """Everybody's coming and going, from one seed."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.rng = random.Random(7)
        self.over = asyncio.Event()
        self.count: dict[str, int] = {}
        self._names = itertools.count(1)

    def counted(self, what: str) -> None:
        self.count[what] = self.count.get(what, 0) + 1

    async def pause(self, least_s: float, most_s: float) -> bool:
        """False when it is over."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.over.wait(), self.rng.uniform(least_s, most_s))
        return not self.over.is_set()

    async def visits(self) -> None:
        """Comes, speaks or shows something, mutes, and leaves; on one peer connection or two."""
        while await self.pause(0.1, 1.0):
            name = f"visitor-{next(self._names)}"
            single = self.rng.random() < 0.5
            async with join(self.server.url, self.server.token(ROOM, name), name, single=single) as guest:
                self.counted("visits")
                if self.rng.random() < 0.3:
                    await guest.publish_video(320, 180, 8, simulcast=self.rng.random() < 0.5)
                tone = await guest.publish_tone()
                for _ in range(self.rng.randint(1, 3)):
                    await self.pause(0.3, 1.0)
                    (tone.unmute if tone.muted else tone.mute)()
                    self.counted("mutes")
                for other in list(guest.room.remote_participants.values()):
                    for publication in list(other.track_publications.values()):
                        publication.set_subscribed(self.rng.random() < 0.7)
                await guest.room.local_participant.publish_data(b"hello", topic="market")
                await self.pause(0.3, 1.0)

    async def abandons(self) -> None:
        """Joins over signalling alone, or as far as a check, and is never heard of again."""
        certificate = RTCCertificate.generateCertificate()
        while await self.pause(0.2, 0.6):
            async with joined(self.server, f"nobody-{next(self._names)}", certificate, ROOM) as stranger:
                self.counted("abandoned")
                if self.rng.random() < 0.5:
                    await stranger.check()

    async def unsettles(self, path: OnPath) -> None:
        """Another network or a broken signalling connection, every few seconds, for somebody who stays."""
        while await self.pause(2.0, 5.0):
            if self.rng.random() < 0.5:
                path.relay.move()
                self.counted("networks")
            else:
                path.cut()
                self.counted("cuts")


async def _until(churn: Churn, seconds: float, sizes: list[int]) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        await asyncio.sleep(2)
        sizes.append(churn.server.footprint().resident_bytes)
    churn.over.set()


def held(server: Server) -> dict[str, float]:
    return {name: value for name, value in server.metrics().items() if name.split("{")[0] in HELD and value}


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 240)
async def test_two_hours_of_churn_leave_flat_memory_and_nothing_behind(server: Server) -> None:
    idle, descriptors = held(server), server.footprint().descriptors
    churn, sizes = Churn(server), list[int]()
    async with (
        on_path(server) as first,
        on_path(server) as second,
        join(first.url, server.token(ROOM, "ada"), "ada") as ada,
        join(second.url, server.token(ROOM, "bob"), "bob", single=False) as bob,
    ):
        for resident in (ada, bob):
            await resident.publish_tone()
            await resident.publish_video(320, 180, 8, simulcast=False)
        work: list[Coroutine[Any, Any, None]] = [churn.visits() for _ in range(3)]
        work += [churn.abandons(), churn.unsettles(first), churn.unsettles(second)]
        async with asyncio.TaskGroup() as tasks:
            for each in work:
                tasks.create_task(each)
            tasks.create_task(_until(churn, SECONDS, sizes))
        print(churn.count, [size >> 20 for size in sizes[:: max(1, len(sizes) // 20)]])
        await _are_served(ada, bob)
        await _are_served(bob, ada)
        async with join(server.url, server.token(ROOM, "cyd"), "cyd") as cyd:
            await cyd.track_of("ada", VIDEO)
            await cyd.track_of("bob", VIDEO)
            await tone_is_heard(cyd, ada)
        await eventually(lambda: len(ada.room.remote_participants) == 1, "only bob is left", 40)
    third = len(sizes) // 3
    grown = statistics.median(sizes[-third:]) - statistics.median(sizes[third : 2 * third])
    await eventually(lambda: held(server) == idle, f"nothing is left of {held(server)}", 60)
    await eventually(lambda: server.footprint().descriptors <= descriptors + 2, "descriptors are closed", 10)
    assert grown < MAX_GROWTH_BYTES, f"{grown / 2**20:.1f} MiB more: {[size >> 20 for size in sizes]}"


async def _are_served(listener: Client, sender: Client) -> None:
    """Sound and picture come, after all that has happened to both."""
    for kind in (AUDIO, VIDEO):
        await listener.track_of(sender.identity, kind, 20)

    async def packets() -> dict[int, int]:
        found: dict[int, int] = {}
        for kind in (AUDIO, VIDEO):
            stats = await listener.subscribed[sender.identity, kind].get_stats()
            inbound = [each.inbound_rtp for each in stats if each.WhichOneof("stats") == "inbound_rtp"]
            found[kind] = sum(each.received.packets_received for each in inbound)
        return found

    before = await packets()

    async def both_rise() -> bool:
        now = await packets()
        return all(now[kind] > before[kind] + 5 for kind in now)

    await eventually(both_rise, f"{listener.identity} receives {sender.identity}", 20)

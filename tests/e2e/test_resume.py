"""Two pages in a call: one's WebSocket is cut, the server fails in the ways of livekit-client's simulations, or restarts."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.browser import Browser
from tests.e2e.call import Participant, join, videos
from tests.interop.gaps import MAX_GAP_S, longest_gaps
from tests.interop.on_path import OnPath, on_path
from tests.support.ports import free_ports
from tests.support.server import Server

SMALL = {"width": 320, "height": 180, "frameRate": 15}
EVERY_SIDE = pytest.mark.parametrize("single", [True, False], ids=["v1", "v0"])
#: What livekit-client does of each: a resume leaves the session, a full reconnect makes a new one.
SCENARIOS = (
    "signal-reconnect",
    "resume-reconnect",
    "disconnect-signal-on-resume",
    "disconnect-signal-on-resume-no-messages",
    "full-reconnect",
    "leave-full-reconnect",
    "migration",
    "node-failure",
)


@dataclass(frozen=True, slots=True)
class Pair:
    """Ada sends picture and sound to bob; each is on a path that can be cut."""

    ada: Participant
    bob: Participant
    paths: tuple[OnPath, OnPath]


@contextlib.asynccontextmanager
async def pair(browser: Browser, client_page: str, server: Server, room: str, *, single: bool) -> AsyncIterator[Pair]:
    async with on_path(server) as first, on_path(server) as second:
        made = []
        for identity, path in (("ada", first), ("bob", second)):
            via = _Via(server, path.url)
            made.append(await join(browser, client_page, via, room, identity, single=single))  # type: ignore[arg-type]
        await made[0].publish("vp8", SMALL, simulcast=False)
        await made[0].page.run("client.publishAudio")
        await _plays(made[1])
        yield Pair(made[0], made[1], (first, second))


@dataclass(frozen=True, slots=True)
class _Via:
    """The server by another way."""

    server: Server
    url: str

    def token(self, room: str, identity: str) -> str:
        return self.server.token(room, identity)


async def _plays(bob: Participant, timeout_s: float = 20) -> None:
    """Picture and sound of ada arrive, anew."""

    async def received() -> dict[str, int]:
        inbound = (await bob.sample())["inbound"]
        found = {"audio": sum(each["packetsReceived"] for each in inbound if each["kind"] == "audio")}
        return found | {"video": sum(each["framesDecoded"] for each in videos(inbound))}

    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    before = await received()
    while True:
        await asyncio.sleep(0.2)
        now = await received()
        # Tracks of a new session count from zero.
        before = {kind: min(now[kind], before[kind]) for kind in now}
        if all(now[kind] > before[kind] + 8 for kind in now):
            return
        assert loop.time() < deadline, f"nothing new within {timeout_s} s: {before} -> {now}"


async def _told(participant: Participant) -> list[str]:
    told: list[str] = await participant.page.value("client.told")
    return told


@pytest.mark.timeout(90)
@EVERY_SIDE
@pytest.mark.parametrize("cut", ["sender", "receiver"])
async def test_media_goes_on_while_a_page_resumes(
    browser: Browser, client_page: str, server: Server, single: bool, cut: str
) -> None:
    async with pair(browser, client_page, server, f"cut-{single}-{cut}", single=single) as call:
        arrivals, departures = call.paths[1].relay.watch_arrivals(), call.paths[0].relay.watch_departures()
        await asyncio.sleep(0.5)
        one, path = (call.ada, call.paths[0]) if cut == "sender" else (call.bob, call.paths[1])
        ports, started = path.relay.ports(), time.monotonic()
        path.cut()
        await one.page.until("client.told.includes('reconnected')", f"the {cut} is back", 20)
        await asyncio.sleep(1)
        found = longest_gaps(arrivals, departures)
        took = time.monotonic() - started - 1
        print(f"{cut}, v{int(single)}: {[f'{1000 * gap:.0f} ms' for gap in found]}, back after {took:.2f} s")
        assert max(found) < MAX_GAP_S
        moved = path.relay.ports() - ports
        used = {each.port for each in (departures if cut == "sender" else arrivals) if each.at > time.time() - 0.5}
        assert used and used <= moved, "the ICE restart took the media to sockets of its own"
        for participant in (call.ada, call.bob):
            assert not {"participantDisconnected", "trackUnsubscribed", "disconnected"} & set(await _told(participant))
        await _plays(call.bob)


@pytest.mark.slow
@pytest.mark.timeout(300)
@EVERY_SIDE
async def test_every_simulated_failure_ends_in_the_same_call(
    browser: Browser, client_page: str, server: Server, single: bool
) -> None:
    async with pair(browser, client_page, server, f"simulated-{single}", single=single) as call:
        for scenario in SCENARIOS:
            for one in (call.ada, call.bob):
                await one.page.value("client.told.length = 0")
                started = time.monotonic()
                await one.page.run("client.simulate", scenario)
                await one.page.until("client.told.includes('reconnected')", f"{one.identity} after {scenario}", 30)
                print(f"{scenario} of {one.identity}: back after {time.monotonic() - started:.1f} s")
                await _plays(call.bob)
        await call.ada.page.run("client.simulate", "server-leave")
        await call.ada.page.until("client.told.includes('disconnected')", "ada is sent away")
        await call.bob.page.until("!client.room.remoteParticipants.size", "bob is alone")


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("goodbye", [True, False], ids=["stopped", "killed"])
async def test_pages_are_back_after_a_restart(
    browser: Browser, client_page: str, tmp_path: Path, goodbye: bool
) -> None:
    ports = free_ports()
    old = Server(tmp_path / "old", port=ports.tcp, udp_port=ports.udp)
    new: Server | None = None
    try:
        ada = await join(browser, client_page, old, "restart", "ada", single=True)
        bob = await join(browser, client_page, old, "restart", "bob", single=False)
        await ada.publish("vp8", SMALL, simulcast=False)
        await ada.page.run("client.publishAudio")
        await _plays(bob)
        if goodbye:
            assert await asyncio.to_thread(old.stop) == 0
        else:
            old.kill()
        new = await asyncio.to_thread(Server, tmp_path / "new", port=ports.tcp, udp_port=ports.udp)
        ready = time.monotonic()
        await _plays(bob)
        print(f"picture and sound {time.monotonic() - ready:.1f} s after the new server was ready")
        # Without a goodbye livekit-client first tries to resume, is told to join anew, and waits its next delay (up to 7.2 s) for that.
        assert time.monotonic() - ready < (5 if goodbye else 12)
    finally:
        old.stop()
        if new is not None:
            assert new.stop() == 0

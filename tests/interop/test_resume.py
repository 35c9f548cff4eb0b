"""A signalling connection that breaks in a call: the client resumes with an ICE restart, and the media goes on meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import AsyncIterator

import pytest
from livekit import rtc

from tests.interop.call import AUDIO, VIDEO, tone_is_heard
from tests.interop.client import decoded_video, eventually, join
from tests.interop.gaps import MAX_GAP_S, Side, longest_gaps, side
from tests.support.server import Server

EVERY_SIDE = pytest.mark.parametrize("single", [True, False], ids=["v1", "v0"])
#: The same, of which `make test` runs the first.
V1_FIRST = pytest.mark.parametrize("single", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["v1", "v0"])
SCENARIOS = ("SIGNAL_RECONNECT", "DISCONNECT_SIGNAL_ON_RESUME", "FULL_RECONNECT", "NODE_FAILURE", "MIGRATION")


@contextlib.asynccontextmanager
async def two(server: Server, room: str, *, single: bool) -> AsyncIterator[tuple[Side, Side]]:
    """Ada sends a picture and a tone to bob; both are on paths that can be cut."""
    async with (
        side(server, room, "ada", single=single) as ada,
        side(server, room, "bob", single=single) as bob,
    ):
        await ada.client.publish_video(320, 180, 15, simulcast=False)
        await ada.client.publish_tone()
        await bob.client.track_of("ada", AUDIO)
        await bob.client.track_of("ada", VIDEO)
        await _moves(bob)
        yield ada, bob


async def _moves(bob: Side, timeout_s: float = 20) -> None:
    """Ada's picture is decoded, anew."""
    start: dict[str, int] = {}

    async def more() -> bool:
        video = bob.client.subscribed.get(("ada", VIDEO))
        if video is None:
            return False
        frames = (await decoded_video(video)).frames_decoded
        return frames > start.setdefault(video.sid, frames) + 10

    await eventually(more, "ada's picture moves at bob's", timeout_s)


@EVERY_SIDE
@pytest.mark.parametrize("cut", ["sender", "receiver"])
async def test_media_goes_on_while_a_client_resumes(server: Server, single: bool, cut: str) -> None:
    async with two(server, f"resume-{single}-{cut}", single=single) as (ada, bob):
        arrivals, departures = bob.path.relay.watch_arrivals(), ada.path.relay.watch_departures()
        await asyncio.sleep(0.5)
        one, other = (ada, bob) if cut == "sender" else (bob, ada)
        ports, started = one.path.relay.ports(), time.time()
        one.path.cut()
        await eventually(lambda: one.count("reconnected"), f"the {cut} is back", 15)
        await asyncio.sleep(1)
        found = longest_gaps(arrivals, departures)
        took = dict(one.events)["reconnected"] - started
        print(f"{cut}, v{int(single)}: {[f'{1000 * gap:.0f} ms' for gap in found]}, back after {took:.2f} s")
        assert max(found) < MAX_GAP_S
        # The ICE restart took it to a socket of its own, and that carries the media now.
        moved = one.path.relay.ports() - ports
        used = {each.port for each in (departures if cut == "sender" else arrivals) if each.at > time.time() - 0.5}
        assert used and used <= moved
        assert other.events == []
        assert one.count("track_unsubscribed") == one.count("disconnected") == 0
        await _moves(bob)


@V1_FIRST
async def test_a_client_whose_network_is_gone_comes_back_on_another(server: Server, single: bool) -> None:
    """From one network to the next: the old sockets are dead, for signalling and media alike."""
    async with two(server, f"networks-{single}", single=single) as (ada, bob):
        for one in (ada, bob):
            one.path.relay.kill(one.path.relay.ports())
            one.path.cut()
            started = time.time()
            await eventually(lambda one=one: one.count("reconnected"), "the client is back", 20)  # type: ignore[misc]
            await _moves(bob)
            print(f"pictures again after {time.time() - started:.1f} s")
        assert ada.count("disconnected") == bob.count("disconnected") == 0
        assert ada.count("participant_disconnected") == bob.count("participant_disconnected") == 0


@pytest.mark.slow
@pytest.mark.timeout(120)
@EVERY_SIDE
async def test_a_client_whose_media_path_dies_alone_comes_back(server: Server, single: bool) -> None:
    """The peer connection is lost while the WebSocket is well: the client resumes by itself when ICE gives up."""
    async with two(server, f"path-{single}", single=single) as (ada, bob):
        for one in (ada, bob):
            one.path.relay.kill(one.path.relay.ports())
            started = time.time()
            await _moves(bob, 40)
            print(f"pictures again after {time.time() - started:.1f} s; {[name for name, _ in one.events]}")
        assert ada.count("disconnected") == bob.count("disconnected") == 0


@V1_FIRST
async def test_reliable_data_is_complete_and_in_order_across_resumes(server: Server, single: bool) -> None:
    async with two(server, f"data-{single}", single=single) as (ada, bob):

        async def send(one: Side) -> None:
            for number in range(300):
                await one.client.room.local_participant.publish_data(struct.pack(">I", number), topic="numbers")
                await asyncio.sleep(0.01)

        sending = asyncio.gather(send(ada), send(bob))
        await asyncio.sleep(0.7)
        ada.path.cut()
        await asyncio.sleep(0.7)
        bob.path.cut()
        await sending
        for one in (ada, bob):
            await eventually(lambda one=one: len(one.client.data_on("numbers")) >= 300, "all numbers arrive", 15)  # type: ignore[misc]
        for one in (ada, bob):
            await eventually(lambda one=one: one.count("reconnected"), "the client is back", 15)  # type: ignore[misc]
            assert [struct.unpack(">I", each.payload)[0] for each in one.client.data_on("numbers")] == list(range(300))


@EVERY_SIDE
async def test_a_greeting_reaches_one_that_has_only_just_joined(server: Server, single: bool) -> None:
    """Sent as soon as the joiner is announced, long before its channel is open."""
    room = f"greeting-{single}"
    async with join(server.url, server.token(room, "ada"), "ada", single=single) as ada:
        tasks = []

        async def greet() -> None:
            for number in range(50):
                await ada.room.local_participant.publish_data(bytes([number]), topic="hello")

        ada.room.on("participant_connected", lambda _: tasks.append(asyncio.create_task(greet())))
        async with join(server.url, server.token(room, "bob"), "bob", single=single) as bob:
            await eventually(lambda: len(bob.data_on("hello")) >= 50, "the greeting arrives")
            assert [each.payload[0] for each in bob.data_on("hello")] == list(range(50))
        await asyncio.gather(*tasks)


@pytest.mark.slow
@EVERY_SIDE
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_a_simulated_failure_ends_in_the_same_call(server: Server, single: bool, scenario: str) -> None:
    await _survives(server, scenario, single=single)


async def test_a_full_reconnect_ends_in_the_same_call(server: Server) -> None:
    await _survives(server, "FULL_RECONNECT", single=True)


async def _survives(server: Server, scenario: str, *, single: bool) -> None:
    async with two(server, f"{scenario}-{single}", single=single) as (ada, bob):
        for one in (ada, bob):
            started = time.time()
            await one.client.room.simulate_scenario(rtc.SimulateScenarioKind.Value(f"SIMULATE_{scenario}"))
            await eventually(lambda one=one: one.count("reconnected"), "the client is back", 25)  # type: ignore[misc]
            took = dict(one.events)["reconnected"] - started
            print(f"{scenario} of {one.client.identity}: back after {took:.2f} s")
            await eventually(lambda: ("ada", VIDEO) in bob.client.subscribed, "bob has the track", 15)
            await _moves(bob)
            await tone_is_heard(bob.client, ada.client)
        assert ada.count("disconnected") == bob.count("disconnected") == 0


async def test_a_simulated_leave_of_the_server_ends_the_call_of_the_one_that_asked(server: Server) -> None:
    async with two(server, "server-leave", single=True) as (ada, bob):
        await ada.client.room.simulate_scenario(rtc.SimulateScenarioKind.SIMULATE_SERVER_LEAVE)
        await eventually(lambda: ada.count("disconnected"), "ada is told")
        await eventually(lambda: "ada" not in bob.client.room.remote_participants, "bob sees it")
        assert bob.count("disconnected") == bob.count("reconnecting") == 0


async def test_a_simulated_speaker_is_seen(server: Server) -> None:
    async with side(server, "speaker", "ada", single=True) as ada:
        heard: list[int] = []
        ada.client.room.on("active_speakers_changed", lambda speakers: heard.append(len(speakers)))
        await ada.client.room.simulate_scenario(rtc.SimulateScenarioKind.SIMULATE_SPEAKER)
        await eventually(lambda: 1 in heard, "ada speaks")
        await eventually(lambda: heard[-1] == 0, "ada is silent", 15)

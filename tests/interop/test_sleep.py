"""A laptop whose lid is closed: its process stands still, and is back in the call when it goes on."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator

import pytest
from livekit import rtc

from tests.interop.call import AUDIO
from tests.interop.client import Client, eventually, join
from tests.support.server import ROOT, Server

EVERY_SIDE = pytest.mark.parametrize("mode", ["v1", "v0"])


class Sleeper:
    """Made by `sleeper`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.words: list[str] = []

    async def listen(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.words.append(line.decode().strip())

    async def hears(self, what: str) -> None:
        """Anew."""
        start = len(self.words)
        await eventually(lambda: "heard" in self.words[start:], what, 20)


@contextlib.asynccontextmanager
async def sleeper(server: Server, room: str, mode: str) -> AsyncIterator[Sleeper]:
    token = server.token(room, "sleeper")
    command = [sys.executable, "-m", "tests.interop.sleeper", server.url, token, mode]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe)
    made = Sleeper(process)
    listening = asyncio.create_task(made.listen())
    try:
        await eventually(lambda: "joined" in made.words, "the sleeper has joined", 30)
        yield made
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.kill()
        await process.wait()
        await listening


async def _asleep(sleeper: Sleeper, seconds: float) -> None:
    sleeper.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    sleeper.process.send_signal(signal.SIGCONT)


def _watched(bob: Client) -> list[tuple[str, float]]:
    """What bob is told of others, with times."""
    seen: list[tuple[str, float]] = []

    def note(name: str) -> None:
        seen.append((name, time.monotonic()))

    bob.room.on("participant_connected", lambda _: note("came"))
    bob.room.on("participant_disconnected", lambda _: note("went"))
    bob.room.on("connection_quality_changed", lambda _, quality: note(rtc.ConnectionQuality(quality).name))
    return seen


@pytest.mark.timeout(90)
async def test_a_short_sleep_is_no_leave(server: Server) -> None:
    async with join(server.url, server.token("nap", "bob"), "bob") as bob:
        seen = _watched(bob)
        await bob.publish_tone()
        async with sleeper(server, "nap", "v1") as laptop:
            await laptop.hears("the call is up")
            await _asleep(laptop, 6)
            await laptop.hears("the laptop hears bob again")
            assert len(await bob.hear(await bob.track_of("sleeper", AUDIO), 0.2))
            assert [name for name, _ in seen if name in ("came", "went")] == ["came"]


@pytest.mark.slow
@pytest.mark.timeout(180)
@EVERY_SIDE
async def test_after_a_minute_asleep_it_is_back_in_the_call(server: Server, mode: str) -> None:
    room = f"sleep-{mode}"
    async with join(server.url, server.token(room, "bob"), "bob") as bob:
        seen = _watched(bob)
        await bob.publish_tone()
        async with sleeper(server, room, mode) as laptop:
            await laptop.hears("the call is up")
            started = time.monotonic()
            await _asleep(laptop, 60)
            woken = time.monotonic()
            await laptop.hears("the laptop hears bob again")
            assert len(await bob.hear(await bob.track_of("sleeper", AUDIO), 0.2))
            print(f"heard {time.monotonic() - woken:.1f} s after waking; {laptop.words[-8:]}")
            told = {name: at - started for name, at in seen}
            print({name: round(at, 1) for name, at in told.items()})
            # Bob saw it go, once and while it was away, and come back.
            assert [name for name, _ in seen if name in ("came", "went")] == ["came", "went", "came"]
            assert 5 < told["went"] < 40
            assert told["QUALITY_LOST"] < told["went"]

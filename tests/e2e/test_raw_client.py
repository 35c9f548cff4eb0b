"""Chromium in a call with participants that use no WebRTC library of a browser: aiortc on the raw protocol.

Every picture from aiortc carries its number, which Chromium reads back through a canvas and a second aiortc client through PyAV.
"""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from aiortc import MediaStreamTrack
from av import AudioFrame, VideoFrame

from tests.e2e.browser import Browser
from tests.e2e.call import join
from tests.interop.numbered import NumberedVideo, Tone, missing, read_track
from tests.interop.raw_client import raw_join
from tests.support.server import Server

MAX_MISSING = 0.01


@pytest.mark.timeout(90)
async def test_numbers_of_aiortc_reach_chromium_and_its_camera_aiortc(
    browser: Browser, client_page: str, server: Server
) -> None:
    await _call(browser, client_page, server, "vp8", single=True, seconds=8)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("codec", ["vp8", "h264"])
@pytest.mark.parametrize("single", [True, False], ids=["v1", "v0"])
async def test_numbers_over_thirty_seconds(
    browser: Browser, client_page: str, server: Server, codec: str, single: bool
) -> None:
    await _call(browser, client_page, server, codec, single=single, seconds=30)


async def _call(
    browser: Browser, client_page: str, server: Server, codec: str, *, single: bool, seconds: float
) -> None:
    room = f"numbers-{codec}-{single}"
    bob = await join(browser, client_page, server, room, "bob", single=single)
    async with (
        raw_join(server.url, server.token(room, "ada"), "ada", single=single) as ada,
        raw_join(server.url, server.token(room, "cleo"), "cleo", single=not single) as cleo,
    ):
        await ada.publish(NumberedVideo(), f"video/{codec}")
        await ada.publish(Tone(), "audio/opus")
        await bob.publish(codec)
        await bob.page.run("client.publishAudio")
        await bob.page.until("client.pictureHeight('ada') === 240", "ada's picture")
        in_chromium, in_aiortc, pictures, loudness = await asyncio.gather(
            bob.page.run("client.numbersOf", "ada", seconds),
            read_track(await cleo.track_of("ada", "video"), seconds),
            _pictures(await ada.track_of("bob", "video"), seconds),
            _loudness(await ada.track_of("bob", "audio"), seconds),
        )
        heard = [each["audioEnergy"] for each in (await bob.sample())["inbound"] if each["kind"] == "audio"]
    for place, numbers in {"Chromium": in_chromium, "aiortc": in_aiortc}.items():
        share = missing(numbers, least=int(10 * seconds))
        print(f"{codec} at {place}: {len(numbers)} of {numbers[-1] - numbers[0] + 1} numbers, {share:.2%} missing")
        assert share <= MAX_MISSING, f"{place}: {numbers}"
    print(f"{codec} at aiortc: {len(pictures)} pictures of Chromium's camera, {len(set(pictures))} different")
    assert len(set(pictures)) > 5 * seconds
    assert loudness > 100, "Chromium's microphone is silent at aiortc"
    assert heard[0] > 0.01, "aiortc's tone is silent in Chromium"


async def _pictures(track: MediaStreamTrack, seconds: float) -> list[int]:
    """A checksum of each picture that is decoded."""
    seen: list[int] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                frame = await track.recv()
                assert isinstance(frame, VideoFrame)
                seen.append(hash(frame.to_ndarray(format="gray").tobytes()))
    return seen


async def _loudness(track: MediaStreamTrack, seconds: float) -> float:
    """The loudest sample that is decoded; the full scale is 32767."""
    loudest = 0.0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                frame = await track.recv()
                assert isinstance(frame, AudioFrame)
                loudest = max(loudest, float(abs(frame.to_ndarray().astype(int)).max()))
    return loudest

"""What a call between two participants must do, measured at the other side; shared by the tests of this folder."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from livekit import rtc

from tests.interop.client import TONE_HZ, Client, decoded_video, eventually, join, sent_encodings, tone_of
from tests.support.server import Server

VIDEO, AUDIO = rtc.TrackKind.KIND_VIDEO, rtc.TrackKind.KIND_AUDIO

#: Which signalling the two clients speak: True is v1 (one peer connection), False is v0 (two).
MODES = {"v1-v1": (True, True), "v0-v0": (False, False), "v1-v0": (True, False)}


@dataclass(frozen=True, slots=True)
class Share:
    """How much of what one side encoded the other has decoded over a stretch of time."""

    sender: str
    encoded: int
    decoded: int
    packets_lost: int
    frames_dropped: int
    height: int

    @property
    def ratio(self) -> float:
        return self.decoded / max(self.encoded, 1)


@contextlib.asynccontextmanager
async def call(
    server: Server, room: str, modes: tuple[bool, bool] = (True, True), **options: Any
) -> AsyncIterator[tuple[Client, Client]]:
    """Two participants, ada and bob, in one room. `options`: `rtc.RoomOptions`."""
    async with (
        join(server.url, server.token(room, "ada"), "ada", single=modes[0], **options) as ada,
        join(server.url, server.token(room, "bob"), "bob", single=modes[1], **options) as bob,
    ):
        yield ada, bob


async def publish_everything(*clients: Client, fps: int = 20, **video: Any) -> dict[str, rtc.LocalVideoTrack]:
    """Video (simulcast unless `video` says otherwise) and the tone from each; returns the video tracks by identity."""
    videos = {}
    for client in clients:
        videos[client.identity] = await client.publish_video(fps=fps, **video)
        await client.publish_tone()
    return videos


async def frames_arrive(
    ada: Client, bob: Client, videos: dict[str, rtc.LocalVideoTrack], seconds: float
) -> list[Share]:
    """Compares both directions over `seconds`, counted from a second after the best encoding is what arrives."""
    directions = [(ada, bob), (bob, ada)]
    tracks = {receiver.identity: await receiver.track_of(sender.identity, VIDEO) for sender, receiver in directions}

    async def best_everywhere() -> bool:
        for sender, receiver in directions:
            sent = await sent_encodings(videos[sender.identity])
            got = await decoded_video(tracks[receiver.identity])
            if got.frames_decoded == 0 or got.height != max(each.height for each in sent.values()):
                return False
        return True

    await eventually(best_everywhere, "the best encoding is decoded at both sides", 20)
    await asyncio.sleep(1)

    async def measure() -> list[tuple[int, int, int, int, int]]:
        return list(await asyncio.gather(*(_counts(videos[s.identity], tracks[r.identity]) for s, r in directions)))

    before = await measure()
    await asyncio.sleep(seconds)
    after = await measure()
    return [
        Share(sender.identity, a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3], a[4])
        for (sender, _), b, a in zip(directions, before, after, strict=True)
    ]


async def _counts(video: rtc.LocalVideoTrack, arriving: rtc.Track) -> tuple[int, int, int, int, int]:
    """(frames encoded on the encoding that arrives, frames decoded, packets lost, frames dropped, height)"""
    sent, got = await asyncio.gather(sent_encodings(video), decoded_video(arriving))
    encoded = [each.frames_encoded for each in sent.values() if each.height == got.height]
    assert len(encoded) == 1, f"{got.height} lines arrive; sent are {sent}"
    return encoded[0], got.frames_decoded, got.packets_lost, got.frames_dropped, got.height


async def tone_is_heard(listener: Client, sender: Client) -> None:
    """For a whole second. The machine of a test may be too busy to play or to hear one without a hole at once."""
    track = await listener.track_of(sender.identity, AUDIO)
    await listener.hear(track, 0.5)  # the jitter buffer fills
    heard: list[tuple[float, float]] = []

    async def is_tone() -> bool:
        hz, share = tone_of(await listener.hear(track, 1.0))
        heard.append((round(hz, 1), round(share, 2)))
        return abs(hz - TONE_HZ) < 5 and share > 0.8

    try:
        await eventually(is_tone, "a tone", 10)
    except AssertionError:
        raise AssertionError(f"no tone of {TONE_HZ} Hz; {listener.identity} hears (Hz, share) {heard}") from None


def server_candidate(stats: rtc.RtcStats) -> tuple[str, int]:
    """Address and port of the server that a client's media goes to."""
    for entry in [*stats.publisher_stats, *stats.subscriber_stats]:
        if entry.WhichOneof("stats") == "remote_candidate":
            candidate = entry.remote_candidate.candidate
            return candidate.address, candidate.port
    raise AssertionError("no remote candidate in the statistics")

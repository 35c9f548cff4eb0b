"""A LiveKit Python SDK client (real libwebrtc) that publishes a moving picture and a tone, and watches the others.

Everything a test asks about arrives at a *second* client: frames decoded, tone heard, data received.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from livekit import rtc

SAMPLE_RATE = 48_000
TONE_HZ = 440.0


@dataclass(frozen=True, slots=True)
class Sent:
    """One outbound encoding, as the publisher's stats tell it."""

    rid: str
    width: int
    height: int
    frames_encoded: int
    active: bool


@dataclass(frozen=True, slots=True)
class Decoded:
    """One inbound video, as the subscriber's stats tell it."""

    width: int
    height: int
    frames_decoded: int
    key_frames_decoded: int
    frames_dropped: int
    packets_lost: int
    freeze_count: int
    mime_type: str


@dataclass(slots=True)
class Data:
    sender: str
    topic: str
    payload: bytes
    reliable: bool


@dataclass(slots=True)
class Client:
    """One participant. Made by `join`, which also ends it."""

    identity: str
    room: rtc.Room
    subscribed: dict[tuple[str, int], rtc.Track] = field(default_factory=dict)
    data: list[Data] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _closing: list[Callable[[], Any]] = field(default_factory=list)

    # --------------------------------------------------------------------------------------------- publish

    async def publish_video(
        self,
        width: int = 960,
        height: int = 540,
        fps: int = 20,
        *,
        simulcast: bool = True,
        codec: int | None = None,
        noise: int = 0,
    ) -> rtc.LocalVideoTrack:
        """Simulcast of 180, 360 and 540 lines. (Of 640 x 360 the SDK makes two encodings of the same size.)

        `noise` in the luma makes the picture as hard to encode as a camera's: several packets a frame.
        """
        source = rtc.VideoSource(width, height)
        track = rtc.LocalVideoTrack.create_video_track("camera", source)
        options = rtc.TrackPublishOptions(
            source=rtc.TrackSource.SOURCE_CAMERA,
            simulcast=simulcast,
            video_codec=rtc.VideoCodec.VP8 if codec is None else codec,  # type: ignore[arg-type]
        )
        options.video_encoding.max_framerate = fps
        options.video_encoding.max_bitrate = 1_200_000
        self._start(_play_video(source, width, height, fps, noise))
        await self.room.local_participant.publish_track(track, options)
        self._closing.append(source.aclose)
        return track

    async def publish_tone(self, hz: float = TONE_HZ, *, red: bool = True) -> rtc.LocalAudioTrack:
        source = rtc.AudioSource(SAMPLE_RATE, 1)
        track = rtc.LocalAudioTrack.create_audio_track("tone", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False, red=red)
        self._start(_play_tone(source, hz))
        await self.room.local_participant.publish_track(track, options)
        self._closing.append(source.aclose)
        return track

    # ----------------------------------------------------------------------------------------------- watch

    async def track_of(self, identity: str, kind: int, timeout_s: float = 15.0) -> rtc.Track:
        """The subscribed track of another participant, once it is there. `kind` is `rtc.TrackKind.KIND_...`."""
        await eventually(
            lambda: (identity, kind) in self.subscribed, f"{self.identity} subscribes to {identity}/{kind}", timeout_s
        )
        return self.subscribed[identity, kind]

    async def hear(self, track: rtc.Track, seconds: float = 1.0) -> np.ndarray[Any, np.dtype[np.int16]]:
        """That much of the sound that arrives now, mono at `SAMPLE_RATE`."""
        stream = rtc.AudioStream(track, sample_rate=SAMPLE_RATE, num_channels=1)
        chunks: list[np.ndarray[Any, np.dtype[np.int16]]] = []
        missing = int(seconds * SAMPLE_RATE)
        try:
            async for event in stream:
                samples = np.frombuffer(event.frame.data, dtype=np.int16)
                chunks.append(samples)
                missing -= len(samples)
                if missing <= 0:
                    break
        finally:
            await stream.aclose()
        return np.concatenate(chunks)

    async def see(self, track: rtc.Track) -> rtc.VideoFrame:
        """The next picture that is drawn."""
        async with contextlib.aclosing(self.pictures(track)) as pictures:
            async for picture in pictures:
                return picture
        raise AssertionError("the video ended before a picture came")

    async def pictures(self, track: rtc.Track) -> AsyncGenerator[rtc.VideoFrame]:
        """Everything that is drawn from now on."""
        stream = rtc.VideoStream(track, format=rtc.VideoBufferType.I420)
        try:
            async for event in stream:
                yield event.frame
        finally:
            await stream.aclose()

    def data_on(self, topic: str) -> list[Data]:
        return [each for each in self.data if each.topic == topic]

    def _start(self, work: Any) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.room.disconnect()
        for close in self._closing:
            await close()


@contextlib.asynccontextmanager
async def join(url: str, token: str, identity: str, *, single: bool = True, **options: Any) -> AsyncIterator[Client]:
    """Connects as `identity`: over /rtc/v1 (`single`) or over /rtc with two peer connections. `options`: `rtc.RoomOptions`."""
    client = Client(identity, rtc.Room())
    watch(client)
    await client.room.connect(url, token, rtc.RoomOptions(single_peer_connection=single, **options))
    try:
        yield client
    finally:
        await client.close()


def watch(client: Client) -> None:
    room = client.room

    def subscribed(track: rtc.Track, _publication: Any, participant: rtc.RemoteParticipant) -> None:
        client.subscribed[participant.identity, track.kind] = track

    def unsubscribed(track: rtc.Track, _publication: Any, participant: rtc.RemoteParticipant) -> None:
        client.subscribed.pop((participant.identity, track.kind), None)

    def received(packet: rtc.DataPacket) -> None:
        sender = packet.participant.identity if packet.participant else ""
        reliable = packet.kind == rtc.DataPacketKind.KIND_RELIABLE
        client.data.append(Data(sender, packet.topic or "", packet.data, reliable))

    room.on("track_subscribed", subscribed)
    room.on("track_unsubscribed", unsubscribed)
    room.on("data_received", received)


# ------------------------------------------------------------------------------------------------------- stats


async def sent_encodings(track: rtc.LocalVideoTrack) -> dict[str, Sent]:
    """By rid; a track without simulcast has the empty rid."""
    found = {}
    for entry in await track.get_stats():
        if entry.WhichOneof("stats") == "outbound_rtp":
            out = entry.outbound_rtp.outbound
            found[out.rid] = Sent(out.rid, out.frame_width, out.frame_height, out.frames_encoded, out.active)
    return found


async def decoded_video(track: rtc.Track) -> Decoded:
    stats = await track.get_stats()
    codecs = {entry.codec.rtc.id: entry.codec.codec.mime_type for entry in stats if entry.HasField("codec")}
    for entry in stats:
        if entry.WhichOneof("stats") == "inbound_rtp":
            inbound, received, stream = entry.inbound_rtp.inbound, entry.inbound_rtp.received, entry.inbound_rtp.stream
            return Decoded(
                inbound.frame_width,
                inbound.frame_height,
                inbound.frames_decoded,
                inbound.key_frames_decoded,
                inbound.frames_dropped,
                received.packets_lost,
                inbound.freeze_count,
                codecs.get(stream.codec_id, ""),
            )
    return Decoded(0, 0, 0, 0, 0, 0, 0, "")


def tone_of(samples: np.ndarray[Any, np.dtype[np.int16]]) -> tuple[float, float]:
    """(strongest frequency in Hz, share of the energy within 20 Hz of it)."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    peak = float(frequencies[int(np.argmax(spectrum))])
    near = np.abs(frequencies - peak) <= 20
    return peak, float(spectrum[near].sum() / max(spectrum.sum(), 1e-9))


def difference(picture: rtc.VideoFrame) -> float:
    """How far an I420 picture's luma is from the gradient that `publish_video` plays: the mean over the pixels, of 255.

    The square that moves over it makes 9 at most, compression little; plain grey is about 37 away.
    """
    luma = np.frombuffer(picture.data, dtype=np.uint8)[: picture.width * picture.height]
    return float(np.abs(luma.reshape(picture.height, picture.width) - _gradient(picture.width)).mean())


async def eventually(condition: Callable[[], Any], what: str, timeout_s: float = 10.0) -> None:
    """Waits until `condition` (plain or async) is true; fails with `what` in a sentence."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while True:
        result = condition()
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return
        if loop.time() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        await asyncio.sleep(0.05)


# ------------------------------------------------------------------------------------------------------ sources


async def _play_video(source: rtc.VideoSource, width: int, height: int, fps: int, noise: int) -> None:
    """A bright square that moves over a gradient: motion enough for every frame to differ."""
    frames = [_picture(width, height, step / 40, noise) for step in range(40)]
    loop = asyncio.get_running_loop()
    due, step = loop.time(), 0
    while True:
        source.capture_frame(frames[step % len(frames)], timestamp_us=int(loop.time() * 1e6))
        step += 1
        due += 1 / fps
        await asyncio.sleep(max(0.0, due - loop.time()))


def _gradient(width: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.linspace(40, 160, width)


def _picture(width: int, height: int, phase: float, noise: int) -> rtc.VideoFrame:
    luma = np.tile(_gradient(width).astype(np.uint8), (height, 1))
    side = height // 4
    x, y = int(phase * (width - side)), int(abs(0.5 - phase) * 2 * (height - side))
    luma[y : y + side, x : x + side] = 235
    if noise:
        luma += np.random.default_rng(int(phase * 1e6)).integers(0, noise, luma.shape, dtype=np.uint8)
    chroma = np.full((height // 2, width // 2), 110, dtype=np.uint8)
    data = luma.tobytes() + chroma.tobytes() + chroma.tobytes()
    return rtc.VideoFrame(width, height, rtc.VideoBufferType.I420, data)


async def _play_tone(source: rtc.AudioSource, hz: float) -> None:
    per_frame = SAMPLE_RATE // 100
    phase = 0
    while True:
        at = (np.arange(per_frame) + phase) / SAMPLE_RATE
        samples = (8000 * np.sin(2 * np.pi * hz * at)).astype(np.int16)
        await source.capture_frame(rtc.AudioFrame(samples.tobytes(), SAMPLE_RATE, 1, per_frame))
        phase = (phase + per_frame) % SAMPLE_RATE

"""What the load generator replays: packets as browsers send them, which a decoder understands."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

import av
import pytest
from aiortc.codecs.h264 import h264_depayload
from aiortc.codecs.vpx import VpxPayloadDescriptor
from av import AudioFrame, VideoFrame
from av.video.codeccontext import VideoCodecContext

from bench.calls import clip, encode, media, packetize, rtpfile
from bench.calls.encode import LAYERS, OpusEncoder, Size
from bench.calls.rtpfile import Packet

COUNT, INTERVAL = 32, 3_000
SIZE = Size("q", 320, 180, 300_000)
#: The generator overwrites the last 20 bytes of payloads from this length on.
STAMPED = 40


@dataclass(frozen=True)
class Filmed:
    """32 pictures through one encoder."""

    frames: list[bytes]
    packets: list[Packet]


@pytest.fixture(scope="module")
def vp8() -> Filmed:
    return film(encode.vp8(SIZE), packetize.vp8)


@pytest.fixture(scope="module")
def h264() -> Filmed:
    return film(encode.h264(SIZE), packetize.h264)


@pytest.fixture(params=["vp8", "h264"])
def filmed(request: pytest.FixtureRequest) -> Filmed:
    found: Filmed = request.getfixturevalue(request.param)
    return found


def film(encoder: encode.VideoEncoder, cut: Callable[[Iterable[bytes], int], Iterator[Packet]]) -> Filmed:
    frames = [encoder.encode(picture) for picture in clip.pictures(SIZE.width, SIZE.height, COUNT)]
    return Filmed(frames, list(cut(frames, INTERVAL)))


def by_frame(packets: Sequence[Packet]) -> list[list[Packet]]:
    return [list(frame) for _, frame in groupby(packets, lambda packet: packet.timestamp)]


def decoded(codec: str, frames: Iterable[bytes]) -> list[VideoFrame]:
    decoder = av.CodecContext.create(codec, "r")
    assert isinstance(decoder, VideoCodecContext)
    packets = [*map(av.Packet, frames), None]
    return [picture for packet in packets for picture in decoder.decode(packet)]


def digest(frame: VideoFrame) -> str:
    return hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest()


def descriptor(packet: Packet) -> VpxPayloadDescriptor:
    return VpxPayloadDescriptor.parse(packet.payload)[0]


# ------------------------------------------------------------------------------------------------ every codec


def test_it_begins_with_the_only_keyframe(filmed: Filmed) -> None:
    assert [packet.keyframe for packet in filmed.packets] == [True, *[False] * (len(filmed.packets) - 1)]


def test_every_picture_is_a_frame_whose_last_packet_is_marked(filmed: Filmed) -> None:
    frames = by_frame(filmed.packets)
    assert [frame[0].timestamp for frame in frames] == list(range(0, COUNT * INTERVAL, INTERVAL))
    for frame in frames:
        assert [packet.marker for packet in frame] == [*[False] * (len(frame) - 1), True]


def test_packets_are_small_enough_and_of_about_one_size_within_a_frame(filmed: Filmed) -> None:
    keyframe = [len(packet.payload) for packet in by_frame(filmed.packets)[0] if len(packet.payload) > STAMPED]
    assert len(keyframe) > 2
    assert max(keyframe) - min(keyframe) <= 1
    assert all(0 < len(packet.payload) <= packetize.LIMIT for packet in filmed.packets)


def test_the_encoder_keeps_to_its_rate(filmed: Filmed) -> None:
    rest = sum(map(len, filmed.frames[1:])) * 8 / (COUNT - 1) * clip.FRAME_RATE
    assert 0.6 * SIZE.bps < rest < 1.3 * SIZE.bps


# ------------------------------------------------------------------------------------------------------- VP8


def test_vp8_packets_decode_to_as_many_pictures(vp8: Filmed) -> None:
    frames = [
        b"".join(VpxPayloadDescriptor.parse(packet.payload)[1] for packet in frame) for frame in by_frame(vp8.packets)
    ]
    pictures = decoded("vp8", frames)
    assert len(pictures) == COUNT
    assert {(picture.width, picture.height) for picture in pictures} == {(SIZE.width, SIZE.height)}


def test_vp8_descriptors_count_pictures_and_base_layers(vp8: Filmed) -> None:
    base = -1
    for number, frame in enumerate(by_frame(vp8.packets)):
        layer = LAYERS[number % 4]
        base += layer == 0
        for at, packet in enumerate(frame):
            found = descriptor(packet)
            assert packet.payload[2] & 0x80, "a picture id of 15 bits"
            assert found.partition_start == (at == 0)
            assert (found.picture_id, found.tl0picidx) == (number, base)
            assert found.tid is not None and found.tid[0] == layer


def test_vp8_frames_need_no_higher_layer(vp8: Filmed) -> None:
    whole = [digest(picture) for picture in decoded("vp8", vp8.frames)]
    for highest in (0, 1):
        kept = [number for number in range(COUNT) if LAYERS[number % 4] <= highest]
        thinned = decoded("vp8", [vp8.frames[number] for number in kept])
        assert [digest(picture) for picture in thinned] == [whole[number] for number in kept]


def test_a_vp8_layer_can_be_joined_where_the_descriptor_says_so(vp8: Filmed) -> None:
    """The Y bit: such a frame decodes with nothing but base layers before it."""
    whole = [digest(picture) for picture in decoded("vp8", vp8.frames)]
    syncs = [
        number
        for number, frame in enumerate(by_frame(vp8.packets))
        if LAYERS[number % 4] and (descriptor(frame[0]).tid or (0, 0))[1]
    ]
    assert len(syncs) == COUNT // 2
    for number in syncs:
        kept = [each for each in range(number) if LAYERS[each % 4] == 0]
        joined = decoded("vp8", [vp8.frames[each] for each in (*kept, number)])
        assert digest(joined[-1]) == whole[number]


# ----------------------------------------------------------------------------------------------------- H.264


def test_h264_packets_decode_to_as_many_pictures(h264: Filmed) -> None:
    frames = [b"".join(h264_depayload(packet.payload) for packet in frame) for frame in by_frame(h264.packets)]
    pictures = decoded("h264", frames)
    assert len(pictures) == COUNT
    assert {(picture.width, picture.height) for picture in pictures} == {(SIZE.width, SIZE.height)}


def test_h264_parameter_sets_come_first_and_are_never_stamped(h264: Filmed) -> None:
    sets, *rest = h264.packets
    assert sets.payload[0] & 0x1F == packetize.STAP_A
    assert len(sets.payload) < STAMPED
    kinds = {packet.payload[0] & 0x1F for packet in rest}
    assert kinds == {packetize.SLICE, packetize.FU_A}


def test_h264_is_constrained_baseline(h264: Filmed) -> None:
    sps = h264.packets[0].payload[3:]
    assert sps[0] & 0x1F == packetize.SPS
    assert sps[1] == 66 and sps[2] & 0x40


# ------------------------------------------------------------------------------------------------------ Opus


def test_opus_packets_of_20_ms_decode_to_as_much_sound() -> None:
    encoder = OpusEncoder(32_000)
    packets = list(packetize.opus([encoder.encode(frame) for frame in clip.sound(50)], clip.SAMPLES_PER_FRAME))
    assert [packet.timestamp for packet in packets] == list(range(0, 48_000, 960))
    assert all(STAMPED <= len(packet.payload) <= 200 for packet in packets)
    decoder = av.CodecContext.create("libopus", "r")
    samples = 0
    for packet in packets:
        for frame in decoder.decode(av.Packet(packet.payload)):
            assert isinstance(frame, AudioFrame)
            samples += frame.samples
    # The decoder leaves out what the encoder looked ahead.
    assert 48_000 - 960 <= samples <= 48_000


# ------------------------------------------------------------------------------------------------- directory


def test_a_directory_has_what_its_description_says_and_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media, "SIZES", (Size("q", 64, 36, 50_000), Size("f", 128, 72, 100_000)))
    monkeypatch.setattr(media, "SECONDS", 1)
    directory = media.make(tmp_path / "media")
    described = json.loads((directory / "media.json").read_text())
    assert described.keys() == {"vp8", "h264", "opus", "vp9", "av1"}
    for codec in described.values():
        for stream in codec["streams"]:
            packets = rtpfile.read(directory / stream["file"])
            assert packets[0].timestamp == 0 and packets[0].keyframe
            assert packets[-1].timestamp < codec["duration"]
            seconds = codec["duration"] / codec["clock_rate"]
            assert stream["bps"] == round(sum(len(packet.payload) for packet in packets) * 8 / seconds)
    assert [stream["rid"] for stream in described["vp8"]["streams"]] == ["q", "f"]
    before = (directory / "media.json").stat().st_mtime_ns
    media.make(directory)
    assert (directory / "media.json").stat().st_mtime_ns == before
    (directory / "version").write_text("an older one")
    media.make(directory)
    assert (directory / "media.json").stat().st_mtime_ns > before


def test_the_clip_moves_and_is_the_same_every_time() -> None:
    first, again = ([digest(picture) for picture in clip.pictures(64, 36, 4)] for _ in range(2))
    assert first == again
    assert all(one != other for one, other in pairwise(first))

"""The recordings of Chromium: what the committed files hold."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from itertools import groupby, pairwise

import av
import pytest
from av.video.codeccontext import VideoCodecContext

from bench.calls import rtpfile
from bench.calls.media import RECORDED
from bench.calls.rtpfile import Packet
from tests.unit.bench import depacketize

CODECS = ["vp9", "av1"]
DESCRIBED = json.loads((RECORDED / "media.json").read_text())


def packets_of(codec: str) -> list[Packet]:
    return rtpfile.read(RECORDED / DESCRIBED[codec]["streams"][0]["file"])


def frame_number(packet: Packet) -> int:
    return int.from_bytes(packet.extension[1:3], "big")


@pytest.mark.parametrize("codec", CODECS)
def test_a_recording_is_short_and_small(codec: str) -> None:
    described = DESCRIBED[codec]
    assert (RECORDED / f"{codec}.rtp").stat().st_size < 300_000
    assert 3.5 * 90_000 <= described["duration"] <= 5 * 90_000
    assert described["mime"] == f"video/{codec.upper()}"
    assert described["scalability_mode"] == "L3T3_KEY"


@pytest.mark.parametrize("codec", CODECS)
def test_it_begins_with_the_keyframe_that_carries_the_structure(codec: str) -> None:
    packets = packets_of(codec)
    assert packets[0].keyframe and packets[0].timestamp == 0
    assert sum(packet.keyframe for packet in packets) == 1
    assert all(0 < len(packet.payload) <= rtpfile.MAX_PAYLOAD for packet in packets)


@pytest.mark.parametrize("codec", CODECS)
def test_times_go_on_evenly_and_every_picture_is_marked(codec: str) -> None:
    packets = packets_of(codec)
    times = sorted({packet.timestamp for packet in packets})
    assert [packet.timestamp for packet in packets] == sorted(packet.timestamp for packet in packets)
    assert sum(packet.marker for packet in packets) == len(times)
    assert max(later - earlier for earlier, later in pairwise(times)) < 90_000 // 4


@pytest.mark.parametrize("codec", CODECS)
def test_no_frame_is_missing(codec: str) -> None:
    """A frame is one spatial layer of a picture; its packets carry one number, and numbers go on without a gap."""
    packets = packets_of(codec)
    steps = [(frame_number(later) - frame_number(earlier)) & 0xFFFF for earlier, later in pairwise(packets)]
    assert set(steps) == {0, 1}
    for step, (earlier, later) in zip(steps, pairwise(packets), strict=True):
        starts, ends = later.extension[0] & 0x80 > 0, earlier.extension[0] & 0x40 > 0
        assert starts == ends == (step == 1)


@pytest.mark.parametrize("codec", CODECS)
def test_all_three_spatial_layers_go_on_to_the_end(codec: str) -> None:
    packets = packets_of(codec)
    last = [packet for packet in packets if packet.timestamp > packets[-1].timestamp - 90_000]
    frames = [frame_number(packet) for packet in last if packet.extension[0] & 0x80]
    pictures = {packet.timestamp for packet in last}
    assert len(frames) == 3 * len(pictures)


def test_vp9_decodes_in_all_three_sizes() -> None:
    packets = packets_of("vp9")
    pictures = [list(picture) for _, picture in groupby(packets, lambda packet: packet.timestamp)]
    sizes = decoded_sizes("vp9", [frame for picture in pictures for frame in depacketize.vp9(picture)])
    assert sizes == {(240, 136): len(pictures), (480, 270): len(pictures), (960, 540): len(pictures)}


def test_av1_decodes_in_the_largest_size() -> None:
    packets = packets_of("av1")
    units = [depacketize.av1(picture) for _, picture in groupby(packets, lambda packet: packet.timestamp)]
    assert decoded_sizes("libdav1d", units) == {(960, 540): len(units)}


def decoded_sizes(codec: str, frames: Sequence[bytes]) -> Counter[tuple[int, int]]:
    decoder = av.CodecContext.create(codec, "r")
    assert isinstance(decoder, VideoCodecContext)
    pictures = (picture for packet in [*map(av.Packet, frames), None] for picture in decoder.decode(packet))
    return Counter((picture.width, picture.height) for picture in pictures)

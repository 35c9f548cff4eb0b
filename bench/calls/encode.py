"""Encoders as browsers set them: real time, no look-ahead, one keyframe at the start."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
from av import AudioFrame, VideoFrame
from av.video.codeccontext import VideoCodecContext

from bench.calls.clip import FRAME_RATE, SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Size:
    """One encoding of a camera, with the rid that livekit-client gives it."""

    rid: str
    width: int
    height: int
    bps: int


class VideoEncoder:
    """Made by `vp8` and `h264`."""

    def __init__(self, name: str, size: Size, options: dict[str, str]) -> None:
        codec = cast("VideoCodecContext", av.CodecContext.create(name, "w"))
        codec.width, codec.height, codec.pix_fmt, codec.bit_rate = size.width, size.height, "yuv420p", size.bps
        codec.framerate, codec.time_base = Fraction(FRAME_RATE), Fraction(1, FRAME_RATE)
        # Slices and partitions come with threads; browsers send one of each.
        codec.thread_count = 1
        rate = {"minrate": str(size.bps), "maxrate": str(size.bps), "bufsize": str(size.bps)}
        codec.options = {**rate, "g": "100000", **options}
        self.size = size
        self._codec = codec

    def encode(self, picture: VideoFrame) -> bytes:
        """The picture in this encoder's size, encoded."""
        return b"".join(map(bytes, self._codec.encode(picture.reformat(self.size.width, self.size.height))))


class OpusEncoder:
    """Frames of 20 ms."""

    def __init__(self, bps: int) -> None:
        codec = av.CodecContext.create("libopus", "w")
        codec.sample_rate, codec.layout, codec.format, codec.bit_rate = SAMPLE_RATE, "mono", "s16", bps
        codec.options = {"application": "voip", "frame_duration": "20"}
        self._codec = codec

    def encode(self, frame: AudioFrame) -> bytes:
        return b"".join(map(bytes, self._codec.encode(frame)))


def vp8(size: Size) -> VideoEncoder:
    """In three temporal layers (`LAYERS`)."""
    layers = {
        "ts_number_layers": "3",
        "ts_target_bitrate": ",".join(str(size.bps * share // 100_000) for share in LAYER_SHARES),
        "ts_rate_decimator": "4,2,1",
        "ts_periodicity": str(len(LAYERS)),
        "ts_layer_id": ",".join(map(str, LAYERS)),
        "ts_layering_mode": "3",
    }
    options = {
        "deadline": "realtime",
        "cpu-used": "8",
        "lag-in-frames": "0",
        "error-resilient": "default",
        "ts-parameters": ":".join(f"{name}={value}" for name, value in layers.items()),
    }
    return VideoEncoder("libvpx", size, options)


def h264(size: Size) -> VideoEncoder:
    """Access units in Annex B: constrained baseline, one slice each, parameter sets in the first."""
    options = {"profile": "baseline", "preset": "veryfast", "tune": "zerolatency", "x264-params": "scenecut=0"}
    return VideoEncoder("libx264", size, options)


#: Temporal layer of each VP8 frame, over and over (L1T3).
LAYERS = (0, 2, 1, 2)
#: Per cent of the bits up to each layer: libwebrtc's.
LAYER_SHARES = (40, 60, 100)

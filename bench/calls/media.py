"""`python -m bench.calls.media DIR` makes the media that the load generator replays: `*.rtp` and `media.json`.

VP8 and H.264 in three sizes and Opus are encoded from the generated clip; VP9 and AV1 come from `recorded/`. Made once: a directory
of the same `VERSION` is left as it is.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.calls import clip, encode, packetize, rtpfile
from bench.calls.encode import OpusEncoder, Size
from bench.calls.rtpfile import Packet

DEFAULT = Path(__file__).resolve().parent.parent / "out" / "media"
RECORDED = Path(__file__).resolve().parent / "recorded"


def make(directory: Path = DEFAULT) -> Path:
    """Makes the directory unless it is there; gives it back."""
    stamp = directory / "version"
    if stamp.exists() and stamp.read_text() == VERSION:
        return directory
    directory.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    media = {**_cameras(directory, SIZES, SECONDS), "opus": _microphone(directory, SECONDS), **_recordings(directory)}
    (directory / "media.json").write_text(json.dumps(media, indent=2) + "\n")
    # Last: what was interrupted is made again.
    stamp.write_text(VERSION)
    return directory


def stream(file: str, packets: Sequence[Packet], seconds: float, **about: Any) -> dict[str, Any]:
    """What media.json says of a stream: `bps` is what it measures, payloads alone."""
    total = sum(len(packet.payload) for packet in packets)
    return {"file": file, **about, "bps": round(total * 8 / seconds)}


def _cameras(directory: Path, sizes: Sequence[Size], seconds: int) -> dict[str, Any]:
    """Every picture goes through all encoders at once: drawing it takes longer than encoding it."""
    codecs = {"vp8": (encode.vp8, packetize.vp8, "video/VP8"), "h264": (encode.h264, packetize.h264, "video/H264")}
    encoders = {(codec, size): codecs[codec][0](size) for codec in codecs for size in sizes}
    frames: dict[tuple[str, Size], list[bytes]] = {key: [] for key in encoders}
    for picture in clip.pictures(sizes[-1].width, sizes[-1].height, seconds * clip.FRAME_RATE):
        for key, encoder in encoders.items():
            frames[key].append(encoder.encode(picture))
    described: dict[str, Any] = {}
    for codec, (_, cut, mime) in codecs.items():
        streams = []
        for size in sizes:
            packets = list(cut(frames[codec, size], VIDEO_CLOCK // clip.FRAME_RATE))
            about = {"rid": size.rid, "width": size.width, "height": size.height}
            streams.append(_save(directory / f"{codec}-{size.rid}.rtp", packets, seconds, **about))
        described[codec] = _codec(mime, VIDEO_CLOCK, seconds * VIDEO_CLOCK, streams)
    return described


def _microphone(directory: Path, seconds: int) -> dict[str, Any]:
    encoder = OpusEncoder(OPUS_BPS)
    frames = [encoder.encode(frame) for frame in clip.sound(seconds * clip.SAMPLE_RATE // clip.SAMPLES_PER_FRAME)]
    packets = list(packetize.opus(frames, clip.SAMPLES_PER_FRAME))
    saved = _save(directory / "opus.rtp", packets, seconds)
    return _codec("audio/opus", clip.SAMPLE_RATE, seconds * clip.SAMPLE_RATE, [saved])


def _recordings(directory: Path) -> dict[str, Any]:
    for file in RECORDED.glob("*.rtp"):
        shutil.copy(file, directory)
    recorded: dict[str, Any] = json.loads((RECORDED / "media.json").read_text())
    return recorded


def _save(path: Path, packets: Sequence[Packet], seconds: float, **about: Any) -> dict[str, Any]:
    rtpfile.write(path, packets)
    return stream(path.name, packets, seconds, **about)


def _codec(mime: str, clock_rate: int, duration: int, streams: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {"mime": mime, "clock_rate": clock_rate, "duration": duration, "streams": list(streams)}


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.calls.media", description="Makes what is replayed.")
    parser.add_argument("directory", nargs="?", type=Path, default=DEFAULT)
    directory = make(parser.parse_args(argv).directory)
    for codec, described in json.loads((directory / "media.json").read_text()).items():
        for each in described["streams"]:
            print(f"{codec:5} {each['file']:12} {each['bps'] / 1000:6.0f} kbit/s")


#: Raise it when the same call would make something else, recordings included.
VERSION = "1"
SECONDS = 10
VIDEO_CLOCK = 90_000
#: As livekit-client sends a camera of 720 lines, from the smallest.
SIZES = (
    Size("q", 320, 180, 130_000),
    Size("h", 640, 360, 450_000),
    Size("f", 1280, 720, 1_700_000),
)
OPUS_BPS = 32_000

if __name__ == "__main__":
    main(sys.argv[1:])

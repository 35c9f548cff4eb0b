"""Media for the load generator that no decoder would take: VP8 and Opus by their looks, which is all that a server reads.

`bench/calls` makes real media; this is made in a millisecond and needs no encoder.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

FRAME_RATE = 30
#: Of a loop, which begins with a keyframe.
SECONDS = 1


def make(directory: Path) -> Path:
    """Writes `media.json` and its streams: a camera in three sizes, and a microphone. Gives the directory back."""
    sizes = [_size(directory, *size) for size in (("q", 320, 180, 1), ("h", 640, 360, 2), ("f", 1280, 720, 5))]
    duration = SECONDS * _VIDEO_CLOCK
    camera = {"clock_rate": _VIDEO_CLOCK, "mime": "video/VP8", "duration": duration, "streams": sizes}
    packets = [(index * _AUDIO_FRAME, _KEYFRAME, bytes(80)) for index in range(SECONDS * _AUDIO_CLOCK // _AUDIO_FRAME)]
    stream = _write(directory / "opus.rtp", packets)
    duration = SECONDS * _AUDIO_CLOCK
    microphone = {"clock_rate": _AUDIO_CLOCK, "mime": "audio/opus", "duration": duration, "streams": [stream]}
    (directory / "media.json").write_text(json.dumps({"vp8": camera, "opus": microphone}))
    return directory


def _size(directory: Path, rid: str, width: int, height: int, packets_per_frame: int) -> dict[str, object]:
    packets = []
    for frame in range(SECONDS * FRAME_RATE):
        for index in range(packets_per_frame):
            flags = (index == packets_per_frame - 1) * _MARKER | (frame == 0) * _KEYFRAME
            start = b"\x90" if index == 0 else b"\x80"
            # RFC 7741: picture id of 15 bits, TL0PICIDX, TID; then the start of a frame.
            payload = start + struct.pack(">BHBB", 0xE0, 0x8000 | frame, frame, 0) + bytes([frame != 0])
            payload += b"\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height)
            packets.append((frame * _VIDEO_CLOCK // FRAME_RATE, flags, payload.ljust(1000, b"\xaa")))
    return _write(directory / f"vp8-{rid}.rtp", packets) | {"rid": rid, "width": width, "height": height}


def _write(path: Path, packets: list[tuple[int, int, bytes]]) -> dict[str, object]:
    records = (struct.pack(">IBBH", time, flags, 0, len(data)) + data for time, flags, data in packets)
    path.write_bytes(b"BEEPRTP1" + b"".join(records))
    return {"file": path.name, "bps": sum(len(data) for _, _, data in packets) * 8 // SECONDS}


_VIDEO_CLOCK, _AUDIO_CLOCK, _AUDIO_FRAME = 90_000, 48_000, 960
_MARKER, _KEYFRAME = 1, 2

"""From decrypted RTP packets to a recording that can be replayed. Pure."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from aiortc.rtp import unpack_header_extensions

from bench.calls.rtpfile import Packet

CLOCK_RATE = 90_000


class UnusableError(Exception):
    """What was received is no recording; another try may give one."""


@dataclass(frozen=True, slots=True)
class Received:
    """An RTP packet in the clear, with its Dependency Descriptor."""

    sequence: int
    timestamp: int
    marker: bool
    ssrc: int
    #: Empty in padding, by which a sender probes the path.
    descriptor: bytes
    payload: bytes

    @classmethod
    def parse(cls, data: bytes, descriptor_id: int) -> Received:
        first, second, sequence, timestamp, ssrc = struct.unpack_from(">BBHII", data)
        at, end = 12 + 4 * (first & 0x0F), len(data)
        descriptor = b""
        if first & 0x10:
            profile, words = struct.unpack_from(">HH", data, at)
            extensions = unpack_header_extensions(profile, data[at + 4 : at + 4 + 4 * words])
            descriptor = dict(extensions).get(descriptor_id, b"")
            at += 4 + 4 * words
        if first & 0x20:
            end -= data[-1]
        return cls(sequence, timestamp, bool(second & 0x80), ssrc, descriptor, data[at:end])

    @property
    def starts_frame(self) -> bool:
        """A frame is one spatial layer of a picture."""
        return self.descriptor[0] & 0x80 > 0

    @property
    def starts_keyframe(self) -> bool:
        """With the structure of the stream attached, which keyframes have and nothing else."""
        return self.starts_frame and len(self.descriptor) > 3 and self.descriptor[3] & 0x80 > 0


def cut(received: Sequence[Received], seconds: float, least_pictures: int) -> list[Packet]:
    """So many seconds from the first keyframe on, all three spatial layers of every picture. Raises `UnusableError`."""
    start = next((at for at, packet in enumerate(received) if packet.starts_keyframe), len(received))
    ahead = [(packet.timestamp - received[start].timestamp) & 0xFFFF_FFFF for packet in received[start:]]
    end = next((start + at for at, ticks in enumerate(ahead) if ticks >= seconds * CLOCK_RATE), None)
    if end is None:
        raise UnusableError(f"less than {seconds} s from a keyframe on")
    whole = received[start:end]
    numbers = [packet.sequence for packet in whole]
    if numbers != [(numbers[0] + at) & 0xFFFF for at in range(len(numbers))]:
        raise UnusableError("packets are missing or out of order")
    frames, pictures = sum(packet.starts_frame for packet in whole), len({packet.timestamp for packet in whole})
    if frames != 3 * pictures:
        raise UnusableError(f"{frames} frames in {pictures} pictures: Chromium left out layers")
    if pictures < least_pictures:
        raise UnusableError(f"{pictures} pictures: the machine is too slow, or too busy")
    return [
        Packet(ticks, packet.marker, packet.starts_keyframe, packet.payload, packet.descriptor)
        for ticks, packet in zip(ahead, whole, strict=False)
    ]


def loop_length(packets: Sequence[Packet]) -> int:
    """In RTP units: the next round begins when the next picture would."""
    times = sorted({packet.timestamp for packet in packets})
    return times[-1] * len(times) // (len(times) - 1)

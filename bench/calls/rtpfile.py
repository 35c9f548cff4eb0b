"""`*.rtp`: one RTP stream to replay. The magic, then a record for each packet: u32 timestamp (RTP units from 0), u8 flags, u8 length
of the extension, u16 length of the payload (big endian), extension, payload.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Packet:
    """What of an RTP packet is not the player's: it has its own sequence numbers, SSRC and payload type."""

    timestamp: int
    marker: bool
    #: A decoder can start with this packet.
    keyframe: bool
    payload: bytes
    #: The Dependency Descriptor, where there is one.
    extension: bytes = b""


def write(path: Path, packets: Iterable[Packet]) -> None:
    """Raises `ValueError` for a payload that a browser would not send in one packet."""
    path.write_bytes(b"".join((MAGIC, *(_record(packet) for packet in packets))))


def read(path: Path) -> list[Packet]:
    """Raises `ValueError` for anything but such a file."""
    data = path.read_bytes()
    if not data.startswith(MAGIC):
        raise ValueError(f"{path} does not start with {MAGIC.decode()}")
    try:
        return list(_records(data))
    except struct.error as error:
        raise ValueError(f"{path} ends in the middle of a packet") from error


def _record(packet: Packet) -> bytes:
    if not 0 < len(packet.payload) <= MAX_PAYLOAD:
        raise ValueError(f"a payload of {len(packet.payload)} bytes; 1 to {MAX_PAYLOAD} are allowed")
    flags = packet.marker * MARKER | packet.keyframe * KEYFRAME
    head = _HEAD.pack(packet.timestamp, flags, len(packet.extension), len(packet.payload))
    return head + packet.extension + packet.payload


def _records(data: bytes) -> Iterator[Packet]:
    at = len(MAGIC)
    while at < len(data):
        timestamp, flags, extension_len, payload_len = _HEAD.unpack_from(data, at)
        extension, payload = struct.unpack_from(f"{extension_len}s{payload_len}s", data, at + _HEAD.size)
        yield Packet(timestamp, bool(flags & MARKER), bool(flags & KEYFRAME), payload, extension)
        at += _HEAD.size + extension_len + payload_len


MAGIC = b"BEEPRTP1"
MARKER, KEYFRAME = 1, 2
#: No browser sends more in one packet.
MAX_PAYLOAD = 1_200
_HEAD = struct.Struct(">IBBH")

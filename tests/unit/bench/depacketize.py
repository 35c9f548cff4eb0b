"""From RTP payloads of one picture to what a decoder takes: VP9 (RFC 9628) and AV1, as far as Chromium sends them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bench.calls.rtpfile import Packet


def vp9(picture: Iterable[Packet]) -> Iterator[bytes]:
    """Its frames, one of each spatial layer."""
    frame = b""
    for packet in picture:
        frame += packet.payload[vp9_descriptor_length(packet.payload) :]
        if packet.payload[0] & 0x04:
            yield frame
            frame = b""


def vp9_descriptor_length(payload: bytes) -> int:
    """In flexible mode, with picture id and layers."""
    flags, at = payload[0], 1
    assert flags & 0xB0 == 0xB0
    at += 2 if payload[at] & 0x80 else 1
    at += 1
    if flags & 0x40:
        while payload[at] & 1:
            at += 1
        at += 1
    return at + (structure_length(payload[at:]) if flags & 0x02 else 0)


def structure_length(structure: bytes) -> int:
    layers = (structure[0] >> 5) + 1
    at = 1 + (4 * layers if structure[0] & 0x10 else 0)
    if structure[0] & 0x08:
        pictures, at = structure[at], at + 1
        for _ in range(pictures):
            at += 1 + (structure[at] >> 2 & 3)
    return at


def av1(picture: Iterable[Packet]) -> bytes:
    """A temporal unit: OBUs with their sizes, behind a temporal delimiter."""
    obus: list[bytes] = []
    for packet in picture:
        for number, element in enumerate(av1_elements(packet.payload)):
            if number == 0 and packet.payload[0] & 0x80:
                obus[-1] += element
            else:
                obus.append(element)
    return b"\x12\x00" + b"".join(map(with_size, obus))


def av1_elements(payload: bytes) -> Iterator[bytes]:
    count, at, number = payload[0] >> 4 & 3, 1, 0
    while at < len(payload):
        number += 1
        length = len(payload) - at
        if number != count:
            length, at = read_leb128(payload, at)
        yield payload[at : at + length]
        at += length


def with_size(obu: bytes) -> bytes:
    if obu[0] & 0x02:
        return obu
    header = 2 if obu[0] & 0x04 else 1
    return bytes([obu[0] | 0x02]) + obu[1:header] + leb128(len(obu) - header) + obu[header:]


def read_leb128(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte, at = data[at], at + 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at


def leb128(value: int) -> bytes:
    if value < 0x80:
        return bytes([value])
    return bytes([value & 0x7F | 0x80]) + leb128(value >> 7)

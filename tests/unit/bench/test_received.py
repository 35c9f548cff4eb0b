"""What becomes of the packets that a browser sent to the recorder."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from bench.calls.recorder.received import Received, UnusableError, cut, loop_length
from bench.calls.rtpfile import Packet

INTERVAL = 6_000
KEY, START, MIDDLE = b"\xc0\x00\x01\x80structure", b"\xc0\x00\x02", b"\x00\x00\x02"


def pictures(count: int, sequence: int = 65_530) -> list[Received]:
    """Three frames each, of one packet; the first picture is a keyframe. Numbers and times wrap."""
    start = 2**32 - 9_000
    return [
        Received(
            sequence=(sequence + 3 * at + layer) & 0xFFFF,
            timestamp=(start + at * INTERVAL) & 0xFFFF_FFFF,
            marker=layer == 2,
            ssrc=1,
            descriptor=KEY if at == layer == 0 else START,
            payload=bytes([at, layer]),
        )
        for at in range(count)
        for layer in range(3)
    ]


def rtp(first: int, extension: bytes, payload: bytes) -> bytes:
    return struct.pack(">BBHII", first, 0xE2, 7, 8, 9) + extension + payload


def test_the_descriptor_is_found_in_extensions_of_either_form() -> None:
    one_byte = struct.pack(">HH", 0xBEDE, 1) + b"\xd2\x80\x01\x02"
    two_byte = struct.pack(">HH", 0x1000, 2) + b"\x0d\x04\x80\x01\x02\x03\x00\x00"
    assert Received.parse(rtp(0x90, one_byte, b"payload"), 13).descriptor == b"\x80\x01\x02"
    assert Received.parse(rtp(0x90, two_byte, b"payload"), 13).descriptor == b"\x80\x01\x02\x03"
    assert Received.parse(rtp(0x90, two_byte, b"payload"), 12).descriptor == b""


def test_padding_is_no_payload() -> None:
    parsed = Received.parse(rtp(0xA0, b"", b"payload\x00\x00\x03"), 13)
    assert parsed == Received(7, 8, marker=True, ssrc=9, descriptor=b"", payload=b"payload")


def test_a_recording_begins_at_the_keyframe_with_time_zero() -> None:
    received = [replace(packet, descriptor=START) for packet in pictures(4)] + pictures(20, sequence=6)
    packets = cut(received, seconds=1, least_pictures=15)
    assert len(packets) == 15 * 3
    assert packets[0] == Packet(0, marker=False, keyframe=True, payload=b"\x00\x00", extension=KEY)
    assert packets[-1] == Packet(14 * INTERVAL, marker=True, keyframe=False, payload=b"\x0e\x02", extension=START)
    assert loop_length(packets) == 15 * INTERVAL


@pytest.mark.parametrize(
    ("received", "reason"),
    [
        (pictures(14), "less than 1 s"),
        (pictures(20)[1:], "less than 1 s"),
        (pictures(20)[:10] + pictures(20)[11:], "missing or out of order"),
        (
            [replace(packet, descriptor=MIDDLE) if at == 4 else packet for at, packet in enumerate(pictures(20))],
            "left out",
        ),
    ],
)
def test_what_is_incomplete_is_no_recording(received: list[Received], reason: str) -> None:
    with pytest.raises(UnusableError, match=reason):
        cut(received, seconds=1, least_pictures=1)


def test_too_few_pictures_are_no_recording() -> None:
    with pytest.raises(UnusableError, match="15 pictures"):
        cut(pictures(20), seconds=1, least_pictures=16)

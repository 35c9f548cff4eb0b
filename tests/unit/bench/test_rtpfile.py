"""The file that the load generator replays."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.calls import rtpfile
from bench.calls.rtpfile import Packet

PACKETS = [
    Packet(0, marker=False, keyframe=True, payload=b"key", extension=b"\x80\x01\x02\x03"),
    Packet(0, marker=True, keyframe=False, payload=bytes(range(256))),
    Packet(3_000, marker=True, keyframe=False, payload=b"x" * rtpfile.MAX_PAYLOAD),
]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    rtpfile.write(tmp_path / "a.rtp", PACKETS)
    assert rtpfile.read(tmp_path / "a.rtp") == PACKETS


def test_its_bytes_are_those_that_the_generator_expects(tmp_path: Path) -> None:
    rtpfile.write(tmp_path / "a.rtp", [Packet(0x01020304, marker=True, keyframe=True, payload=b"pay", extension=b"e")])
    assert (tmp_path / "a.rtp").read_bytes() == b"BEEPRTP1\x01\x02\x03\x04\x03\x01\x00\x03epay"


@pytest.mark.parametrize("length", [0, rtpfile.MAX_PAYLOAD + 1])
def test_no_payload_is_empty_or_too_long_for_a_packet(tmp_path: Path, length: int) -> None:
    with pytest.raises(ValueError, match=f"{length} bytes"):
        rtpfile.write(tmp_path / "a.rtp", [Packet(0, marker=True, keyframe=True, payload=bytes(length))])


def test_another_file_and_one_that_was_cut_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"RIFF....")
    with pytest.raises(ValueError, match="BEEPRTP1"):
        rtpfile.read(tmp_path / "other")
    rtpfile.write(tmp_path / "a.rtp", PACKETS)
    whole = (tmp_path / "a.rtp").read_bytes()
    for cut in (1, 1_100, 1_105):
        (tmp_path / "cut").write_bytes(whole[:-cut])
        with pytest.raises(ValueError, match="middle of a packet"):
            rtpfile.read(tmp_path / "cut")

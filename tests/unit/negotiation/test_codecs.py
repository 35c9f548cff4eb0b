"""Which formats are the same codec."""

from __future__ import annotations

import pytest

from sfu.negotiation.codecs import CodecTable, h264_profile, parse_fmtp


def table(kind: str = "video", **lines: list[str]) -> CodecTable:
    formats = [line.split()[0] for line in lines["rtpmap"]]
    return CodecTable.parse(kind, formats, {name.replace("_", "-"): values for name, values in lines.items()})


@pytest.mark.parametrize(
    ("level_id", "profile"),
    [
        ("42e01f", "constrained-baseline"),
        ("42C02A", "constrained-baseline"),
        ("4de01f", "constrained-baseline"),
        ("42001f", "baseline"),
        ("4d001f", "main"),
        ("640c1f", "constrained-high"),
        ("64001f", "high"),
        ("f4001f", ""),
        ("nonsense", "constrained-baseline"),
        ("", "constrained-baseline"),
    ],
)
def test_h264_profiles_are_told_from_their_constraint_flags(level_id: str, profile: str) -> None:
    assert h264_profile(level_id) == profile


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("a=1;b=2", {"a": "1", "b": "2"}),
        (" A = 1 ; b ", {"a": "1", "b": ""}),
        ("111/111", {"111/111": ""}),
        (";;=;=x;", {}),
    ],
)
def test_format_parameters(text: str, expected: dict[str, str]) -> None:
    assert parse_fmtp(text) == expected


def test_a_stream_goes_to_the_closest_decoder() -> None:
    fmtp = [
        f"{number} packetization-mode=1;profile-level-id={level}"
        for number, level in ((100, "64001f"), (101, "4d001f"))
    ]
    codecs = table(rtpmap=["100 H264/90000", "101 H264/90000"], fmtp=fmtp)
    found = codecs.find("video/H264", "packetization-mode=1;profile-level-id=42e01f")
    assert found is not None
    assert found.payload_type == 101
    assert codecs.find("video/H264", "packetization-mode=1;profile-level-id=42001f") is None


def test_a_single_nal_stream_may_go_where_fragments_are_understood() -> None:
    codecs = table(rtpmap=["100 H264/90000"], fmtp=["100 packetization-mode=1;profile-level-id=42e01f"])
    assert codecs.find("video/H264", "profile-level-id=42e01f") is not None


@pytest.mark.parametrize(("name", "key"), [("VP9", "profile-id"), ("AV1", "profile")])
def test_profiles_of_vp9_and_av1_must_be_equal(name: str, key: str) -> None:
    codecs = table(rtpmap=[f"98 {name}/90000", f"100 {name}/90000"], fmtp=[f"100 {key}=2"])
    zero, two = codecs.find(f"video/{name}", ""), codecs.find(f"video/{name}", f"{key}=2;x=y")
    assert (zero and zero.payload_type, two and two.payload_type) == (98, 100)
    assert codecs.find(f"video/{name}", f"{key}=1") is None


@pytest.mark.parametrize(
    "rtpmap",
    ["96 VP8/48000", "96 VP8", "96 VP8/\u0669", "64 VP8/90000", "72 VP8/90000", "128 VP8/90000", "x VP8/90000", "96"],
)
def test_an_impossible_mapping_is_passed_over(rtpmap: str) -> None:
    assert table(rtpmap=[rtpmap]).codecs == ()


def test_a_codec_of_the_other_kind_is_passed_over() -> None:
    assert table("audio", rtpmap=["96 VP8/90000"]).codecs == ()
    assert table("video", rtpmap=["111 opus/48000/2"]).codecs == ()


def test_a_format_listed_twice_is_one_codec() -> None:
    codecs = CodecTable.parse("video", ["96", "96"], {"rtpmap": ["96 VP8/90000", "96 vp8/90000"]})
    assert len(codecs.codecs) == 1


def test_unknown_profiles_are_not_forwarded() -> None:
    assert table(rtpmap=["98 VP9/90000"], fmtp=["98 profile-id=77"]).codecs == ()


def test_nothing_is_chosen_from_nothing() -> None:
    assert table(rtpmap=[]).choose("video/VP8") is None

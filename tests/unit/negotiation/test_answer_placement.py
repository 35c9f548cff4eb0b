"""Which section carries which track that we send, over the life of a connection."""

from __future__ import annotations

from collections import Counter

import pytest

from sfu.negotiation import Answer, Answerer, OutboundTrack, SessionDescription
from tests.unit.negotiation.support import (
    LOCAL,
    answer,
    audio,
    grow,
    load,
    replace_section,
    sections,
    set_direction,
    video,
)

JOIN = load("chromium-v1-join.offer.sdp")
PYTHON_JOIN = load("python-v1-join.offer.sdp")


def mids(result: Answer) -> dict[str, str]:
    return {track.track_sid: track.mid for track in result.placed}


@pytest.mark.parametrize("offer", [JOIN, PYTHON_JOIN], ids=["chromium", "python"])
def test_tracks_fill_the_free_sections_of_their_kind_in_order(offer: str) -> None:
    result = answer(offer, video(1), audio(1), video(2), audio(2))
    assert mids(result) == {"TR_a1": "0", "TR_a2": "1", "TR_v1": "3", "TR_v2": "4"}
    assert result.mid_to_track_id == {"0": "TR_a1", "1": "TR_a2", "3": "TR_v1", "4": "TR_v2"}
    directions = {mid: section.direction for mid, section in sections(result.sdp).items()}
    assert [mid for mid, direction in directions.items() if direction == "sendonly"] == ["0", "1", "3", "4"]
    assert (directions["2"], directions["5"]) == ("inactive", "inactive")


def test_a_sent_track_says_who_and_what_it_is() -> None:
    section = sections(answer(JOIN, video(1)).sdp)["3"]
    assert section.attributes["msid"] == ["PA_alice|TR_v1 TR_v1"]
    assert section.attributes["ssrc-group"] == ["FID 20001 30001"]
    assert section.attributes["ssrc"] == ["20001 cname:alice", "30001 cname:alice"]


def test_a_track_without_an_rtx_ssrc_has_no_rtx() -> None:
    result = answer(JOIN, video(1, rtx_ssrc=None))
    assert result.placed[0].rtx_payload_type is None
    section = sections(result.sdp)["3"]
    assert section.formats == [str(result.placed[0].payload_type)]
    assert "ssrc-group" not in section.attributes


def test_rtx_needs_the_client() -> None:
    offer = JOIN
    for mid in "345":
        offer = replace_section(offer, mid, r"^a=rtpmap:\d+ rtx/90000\r\n", "")
    result = answer(offer, video(1))
    assert result.placed[0].rtx_payload_type is None
    assert sections(result.sdp)["3"].attributes["ssrc"] == ["20001 cname:alice"]


@pytest.mark.parametrize("codec", ["VP8", "VP9", "AV1", "H264"])
@pytest.mark.parametrize("offer", [JOIN, PYTHON_JOIN], ids=["chromium", "python"])
def test_payload_types_are_the_clients(offer: str, codec: str) -> None:
    fmtp = "packetization-mode=1;profile-level-id=42e01f" if codec == "H264" else ""
    result = answer(offer, video(1, f"video/{codec}", fmtp))
    (placed,) = result.placed
    theirs, ours = sections(offer)[placed.mid], sections(result.sdp)[placed.mid]
    assert f"{placed.payload_type} {codec}/90000" in theirs.attributes["rtpmap"]
    assert f"a=fmtp:{placed.rtx_payload_type} apt={placed.payload_type}" in theirs.lines
    assert ours.formats == [str(placed.payload_type), str(placed.rtx_payload_type)]
    theirs_fmtp = [line for line in theirs.lines if line.startswith(f"a=fmtp:{placed.payload_type} ")]
    assert [line for line in ours.lines if line.startswith(f"a=fmtp:{placed.payload_type} ")] == theirs_fmtp


@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize("profile", ["42e01f", "42001f", "4d001f"])
def test_h264_goes_to_the_payload_type_of_its_profile_and_packetization_mode(profile: str, mode: int) -> None:
    result = answer(JOIN, video(1, "video/H264", f"profile-level-id={profile};packetization-mode={mode}"))
    (fmtp, _apt) = sections(result.sdp)["3"].attributes["fmtp"]
    assert f"packetization-mode={mode}" in fmtp
    assert f"profile-level-id={profile}" in fmtp


def test_a_level_does_not_matter_for_h264() -> None:
    assert answer(JOIN, video(1, "video/H264", "profile-level-id=42e034;packetization-mode=1")).placed


def test_more_tracks_than_sections_are_missing_sections() -> None:
    tracks = [*map(audio, range(5)), *map(video, range(4))]
    answerer = Answerer(LOCAL)
    first = answer(JOIN, *tracks, answerer=answerer)
    assert len(first.placed) == 6
    assert first.missing == Counter(audio=2, video=1)
    assert first.waiting == ("TR_a3", "TR_a4", "TR_v3")
    second = answer(grow(JOIN, 2, 1), *tracks, answerer=answerer)
    assert mids(first).items() <= mids(second).items()
    assert mids(second) == mids(first) | {"TR_a3": "7", "TR_a4": "8", "TR_v3": "9"}
    assert (second.missing, second.waiting) == (Counter(), ())


def test_a_client_without_receiving_sections_is_asked_for_some() -> None:
    result = answer(load("chromium-v0-vp8.offer.sdp"), audio(1), video(1), video(2, "video/H265"))
    assert result.missing == Counter(audio=1, video=2)
    assert result.unsupported == ()


def test_a_codec_that_no_section_has_is_unsupported() -> None:
    result = answer(
        JOIN, video(1), video(2, "video/H265"), video(3, "video/H264", "packetization-mode=1;profile-level-id=64001f")
    )
    assert result.unsupported == ("TR_v2", "TR_v3")
    assert (result.missing, result.waiting) == (Counter(), ())
    assert mids(result) == {"TR_v1": "3"}


def test_a_packetization_mode_beyond_the_client_is_unsupported() -> None:
    offer = JOIN
    for mid in "345":
        offer = replace_section(offer, mid, "packetization-mode=1", "packetization-mode=0")
    fmtp = "packetization-mode={};profile-level-id=42e01f"
    assert answer(offer, video(1, "video/H264", fmtp.format(1))).unsupported == ("TR_v1",)
    assert answer(offer, video(1, "video/H264", fmtp.format(0))).placed


def test_a_codec_is_still_supported_while_all_its_sections_are_taken() -> None:
    offer = JOIN
    for mid in "45":
        offer = replace_section(offer, mid, r"^a=rtpmap:\d+ AV1/90000\r\n", "")
    result = answer(offer, video(1, "video/AV1"), video(2, "video/AV1"))
    assert (result.unsupported, result.waiting) == ((), ("TR_v2",))
    assert result.missing == Counter(video=1)


def test_a_freed_section_is_inactive_once_and_then_used_again() -> None:
    answerer = Answerer(LOCAL)
    answer(JOIN, video(1), video(2), video(3), answerer=answerer)
    freed = answer(JOIN, video(2), video(3), video(4), answerer=answerer)
    assert sections(freed.sdp)["3"].direction == "inactive"
    assert "msid" not in sections(freed.sdp)["3"].attributes
    assert freed.waiting == ("TR_v4",)
    assert freed.missing == Counter(), "no new section is needed, only another offer"
    reused = answer(JOIN, video(2), video(3), video(4), answerer=answerer)
    assert mids(reused) == {"TR_v4": "3", "TR_v2": "4", "TR_v3": "5"}


def test_a_section_may_carry_another_codec_when_used_again() -> None:
    answerer = Answerer(LOCAL)
    answer(JOIN, video(1), answerer=answerer)
    answer(JOIN, answerer=answerer)
    result = answer(JOIN, video(2, "video/AV1"), answerer=answerer)
    assert mids(result) == {"TR_v2": "3"}
    assert "AV1" in sections(result.sdp)["3"].attributes["rtpmap"][0]


def test_tracks_stay_in_place_whatever_the_order_asked_for() -> None:
    answerer = Answerer(LOCAL)
    first = answer(JOIN, audio(1), audio(2), video(1), answerer=answerer)
    second = answer(JOIN, video(2), video(1), audio(2), audio(1), answerer=answerer)
    assert mids(first).items() <= mids(second).items()


@pytest.mark.parametrize("direction", ["inactive", "sendonly", "sendrecv"])
def test_a_track_moves_when_the_client_takes_its_section_away(direction: str) -> None:
    answerer = Answerer(LOCAL)
    answer(JOIN, video(1), answerer=answerer)
    result = answer(set_direction(JOIN, "3", direction), video(1), answerer=answerer)
    assert mids(result) == {"TR_v1": "4"}


def test_a_track_moves_when_the_client_rejects_its_section() -> None:
    answerer = Answerer(LOCAL)
    answer(JOIN, video(1), answerer=answerer)
    result = answer(replace_section(JOIN, "3", r"^m=video \d+", "m=video 0"), video(1), answerer=answerer)
    assert mids(result) == {"TR_v1": "4"}
    assert SessionDescription.parse(result.sdp).sections[3].rejected


def test_a_track_moves_when_the_client_recycles_its_section() -> None:
    answerer = Answerer(LOCAL)
    answer(JOIN, video(1), answerer=answerer)
    recycled = replace_section(JOIN, "3", "^a=mid:3", "a=mid:new").replace("BUNDLE 0 1 2 3", "BUNDLE 0 1 2 new")
    result = answer(recycled, video(1), answerer=answerer)
    assert mids(result) == {"TR_v1": "new"}
    assert [section.mid for section in SessionDescription.parse(result.sdp).sections][3] == "new"


def test_a_failed_offer_changes_nothing() -> None:
    answerer = Answerer(LOCAL)
    before = answer(JOIN, video(1), answerer=answerer)
    with pytest.raises(Exception, match="fingerprint"):
        answer(JOIN.replace("a=fingerprint:sha-256", "a=fingerprint:sha-1"), answerer=answerer)
    after = answer(JOIN, video(1), answerer=answerer)
    assert mids(before) == mids(after)
    assert after.sdp.split("\r\n")[1].split()[2] == "2"


def test_what_the_client_publishes_between_does_not_move_what_it_receives() -> None:
    answerer = Answerer(LOCAL)
    first = answer(JOIN, audio(1), video(1), answerer=answerer)
    for name in ("second", "microphone", "vp8", "unpublished"):
        result = answer(load(f"chromium-v1-{name}.offer.sdp"), audio(1), video(1), answerer=answerer)
        assert result.placed == first.placed


def test_stereo_is_announced_to_receivers() -> None:
    stereo = answer(JOIN, audio(1, fmtp="minptime=10;stereo=1"))
    assert stereo.sdp.count("sprop-stereo=1") == 1
    assert "sprop-stereo" not in answer(JOIN, audio(1)).sdp


def test_no_text_of_the_publisher_reaches_the_subscriber() -> None:
    secret = "profile-level-id=42e01f;packetization-mode=1;x-note=hello\r\na=evil:1"
    assert "hello" not in answer(JOIN, video(1, "video/H264", secret)).sdp


def test_an_answer_depends_on_nothing_but_its_inputs() -> None:
    tracks: list[OutboundTrack] = [*map(audio, range(3)), *map(video, range(3))]
    assert len({answer(JOIN, *tracks).sdp for _ in range(3)}) == 1

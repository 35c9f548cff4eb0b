"""Redundant audio (RED, RFC 2198): taken from publishers that may send it, offered to subscribers that know it."""

from __future__ import annotations

import pytest
from livekit.protocol import models

from sfu.negotiation import Answer, Answerer, AudioOptions, Offerer
from sfu.negotiation.codecs import CodecTable
from sfu.policy.clients import knows_red
from tests.unit.negotiation.support import LOCAL, answer, audio, first_choice, load, replace_section, sections
from tests.unit.negotiation.test_offerer import accept

PUBLISH = load("chromium-v1-vp8.offer.sdp")
JOIN = load("chromium-v1-join.offer.sdp")


def publish(offer: str, options: AudioOptions) -> Answer:
    return Answerer(LOCAL).answer(offer, (), first_choice, lambda _cid: options)


@pytest.mark.parametrize("name", ["chromium-v1-vp8", "chromium-v0-vp8", "python-v1-vp8", "python-v0-vp8"])
def test_a_publisher_that_may_send_red_is_told_to_prefer_it(name: str) -> None:
    result = publish(load(f"{name}.offer.sdp"), AudioOptions(red=True))
    (track,) = (track for track in result.inbound if track.kind == "audio")
    assert (track.payload_type, track.red_payload_type) == (111, 63)
    ours = sections(result.sdp)[track.mid]
    assert ours.formats == ["63", "111"]
    assert "63 red/48000/2" in ours.attributes["rtpmap"]
    assert "63 111/111" in ours.attributes["fmtp"]


@pytest.mark.parametrize("name", ["chromium-v1-vp8", "chromium-v0-vp8", "python-v1-vp8", "python-v0-vp8"])
def test_who_knows_red_is_told_to_repair_sound_by_nack_as_well(name: str) -> None:
    offer = load(f"{name}.offer.sdp")
    assert "a=rtcp-fb:111 nack\r\n" not in offer
    result = publish(offer, AudioOptions())
    (track,) = (track for track in result.inbound if track.kind == "audio")
    assert (track.nack, track.rtx_payload_type) == (True, None)
    assert "111 nack" in sections(result.sdp)[track.mid].attributes["rtcp-fb"]


def test_who_does_not_know_red_gets_the_feedback_that_it_offers() -> None:
    result = publish(replace_section(PUBLISH, "0", "a=rtpmap:63 red/48000/2\r\n", ""), AudioOptions())
    assert "111 nack" not in sections(result.sdp)["0"].attributes["rtcp-fb"]


def test_nobody_is_asked_for_red_unasked() -> None:
    for result in (publish(PUBLISH, AudioOptions()), answer(PUBLISH)):
        assert all(track.red_payload_type is None for track in result.inbound)
        assert "red/48000" not in result.sdp


@pytest.mark.parametrize(
    ("rtpmap", "fmtp"),
    [
        ("red/8000", "111/111"),
        ("red/48000", "111/111"),
        ("red/48000/2", "111/9"),
        ("red/48000/2", ""),
        ("red/48000/2", "x"),
    ],
)
def test_red_that_is_not_opus_alone_is_passed_over(rtpmap: str, fmtp: str) -> None:
    attributes = {"rtpmap": ["111 opus/48000/2", f"63 {rtpmap}"], "fmtp": [f"63 {fmtp}"]}
    assert CodecTable.parse("audio", ["111", "63"], attributes).red == {}


def test_red_of_video_is_passed_over() -> None:
    attributes = {"rtpmap": ["96 VP8/90000", "97 red/90000"], "fmtp": ["97 96/96"]}
    assert CodecTable.parse("video", ["96", "97"], attributes).red == {}


def test_a_subscriber_gets_red_under_its_own_payload_types() -> None:
    offer = replace_section(JOIN, "0", r"\b63\b", "50")
    offer = replace_section(offer, "0", r"\b111\b", "125")
    result = answer(offer, audio(1, red=True))
    (placed,) = result.placed
    assert (placed.mid, placed.payload_type, placed.red_payload_type) == ("0", 125, 50)
    assert "50 125/125" in sections(result.sdp)["0"].attributes["fmtp"]
    (without,) = answer(offer, audio(1)).placed
    assert without.red_payload_type is None


def test_a_subscriber_without_red_gets_plain_audio() -> None:
    offer = JOIN
    for mid, section in sections(JOIN).items():
        if section.kind == "audio":
            offer = replace_section(offer, mid, r"^a=rtpmap:63 .*\r\n", "")
    (placed,) = answer(offer, audio(1, red=True)).placed
    assert (placed.payload_type, placed.red_payload_type) == (111, None)


def test_our_offer_has_red_only_for_tracks_that_may_come_redundantly() -> None:
    offerer = Offerer(LOCAL)
    offer = offerer.offer((audio(1, red=True), audio(2)))
    by_track = {sid: sections(offer.sdp)[mid] for mid, sid in offer.mid_to_track_id.items()}
    assert by_track["TR_a1"].codecs.red == {111: 63}
    assert by_track["TR_a2"].codecs.red == {}
    placed = {track.track_sid: track for track in offerer.handle_answer(accept(offer)).placed}
    assert (placed["TR_a1"].red_payload_type, placed["TR_a2"].red_payload_type) == (63, None)


def test_an_answer_without_red_means_plain_audio() -> None:
    offerer = Offerer(LOCAL)
    text = accept(offerer.offer((audio(1, red=True),)))
    text = text.replace("a=rtpmap:63 red/48000/2\r\n", "").replace("a=fmtp:63 111/111\r\n", "").replace(" 63 ", " ")
    (placed,) = offerer.handle_answer(text).placed
    assert (placed.payload_type, placed.red_payload_type) == (111, None)


def test_firefox_and_safari_are_spared() -> None:
    assert all(knows_red(models.ClientInfo(browser=name)) for name in ("", "Chrome", "Edge"))
    assert not any(knows_red(models.ClientInfo(browser=name)) for name in ("Firefox", "Safari", "firefox mobile"))

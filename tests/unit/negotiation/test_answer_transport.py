"""ICE, DTLS, bundle and data section of an answer, and the offers that cannot have one."""

from __future__ import annotations

import re
from dataclasses import replace

import aiortc.sdp
import pytest

from sfu.negotiation import Answerer, Candidate, SdpError, SessionDescription
from tests.unit.negotiation.support import LOCAL, OFFERS, answer, first_choice, load, replace_section, sections

JOIN = load("chromium-v1-join.offer.sdp")
PUBLISH = load("chromium-v1-vp8.offer.sdp")


@pytest.mark.parametrize("name", OFFERS)
def test_the_sections_of_a_real_offer_are_answered_in_its_order(name: str) -> None:
    offer, result = SessionDescription.parse(load(name)), answer(load(name))
    ours = SessionDescription.parse(result.sdp)
    assert [section.mid for section in ours.sections] == [section.mid for section in offer.sections]
    assert [section.kind for section in ours.sections] == [section.kind for section in offer.sections]
    assert ours.bundle == offer.bundle
    assert not any(section.rejected for section in ours.sections)


@pytest.mark.parametrize("name", OFFERS)
def test_another_implementation_reads_the_answer(name: str) -> None:
    theirs = aiortc.sdp.SessionDescription.parse(answer(load(name)).sdp)
    assert {media.dtls.role for media in theirs.media if media.dtls} == {"server"}
    assert {media.ice.iceLite for media in theirs.media if media.ice} == {True}
    assert {media.ice.usernameFragment for media in theirs.media if media.ice} == {LOCAL.ufrag}
    assert [media.direction for media in theirs.media] == [
        section.direction for section in SessionDescription.parse(answer(load(name)).sdp).sections
    ]


def test_the_answer_is_lite_and_passive_on_every_section() -> None:
    result = SessionDescription.parse(answer(PUBLISH).sdp)
    assert "ice-lite" in result.attributes
    assert result.allows_mixed_extensions
    for section in result.sections:
        assert section.first("ice-ufrag") == LOCAL.ufrag
        assert section.first("ice-pwd") == LOCAL.password
        assert section.first("fingerprint") == LOCAL.fingerprint
        assert section.first("setup") == "passive"


def test_candidates_are_written_once_on_the_tagged_section() -> None:
    first, *others = SessionDescription.parse(answer(PUBLISH).sdp).sections
    assert first.attributes["candidate"] == [
        "1 1 udp 2130706431 192.0.2.10 7882 typ host",
        "2 1 udp 2130706175 2001:db8::10 7882 typ host",
    ]
    assert "end-of-candidates" in first.attributes
    assert not any("candidate" in section.attributes for section in others)


def test_tcp_candidates_are_passive_and_come_after_udp() -> None:
    local = replace(LOCAL, candidates=(Candidate("192.0.2.10", 7882), Candidate("192.0.2.10", 7881, "tcp")))
    sdp = Answerer(local).answer(JOIN, (), first_choice).sdp
    assert "a=candidate:2 1 tcp 1526726399 192.0.2.10 7881 typ host tcptype passive\r\n" in sdp


def test_the_remote_side_is_read_from_the_offer() -> None:
    remote = answer(PUBLISH).remote
    offered = sections(PUBLISH)["0"]
    assert remote.ufrag == offered.first("ice-ufrag")
    assert remote.password == offered.first("ice-pwd")
    assert remote.fingerprint == offered.first("fingerprint")
    assert remote.sctp_port == 5000


def test_the_data_section_is_answered() -> None:
    data = sections(answer(JOIN).sdp)["6"]
    assert data.lines[0] == "m=application 9 UDP/DTLS/SCTP webrtc-datachannel"
    assert data.first("sctp-port") == "5000"
    assert data.first("max-message-size") == "262144"


def test_without_a_data_section_there_is_no_sctp() -> None:
    assert answer(load("chromium-v0-microphone.offer.sdp")).remote.sctp_port is None


@pytest.mark.parametrize("port", ["0", "65536", "many", "-1", "\u0665\u0660"])
def test_a_bad_sctp_port_is_refused(port: str) -> None:
    with pytest.raises(SdpError, match="sctp-port"):
        answer(replace_section(JOIN, "6", "^a=sctp-port:5000", f"a=sctp-port:{port}"))


@pytest.mark.parametrize("name", ["ice-ufrag", "ice-pwd", "fingerprint"])
def test_an_offer_without_transport_parameters_is_refused(name: str) -> None:
    with pytest.raises(SdpError, match=f"a={name} is missing"):
        answer(re.sub(rf"(?m)^a={name}:.*\r\n", "", JOIN))


@pytest.mark.parametrize("name", ["ice-ufrag", "ice-pwd"])
@pytest.mark.parametrize("value", ["ab", "\u00e9" * 30, "a" * 300, "has a space in it, does it not"])
def test_odd_ice_credentials_are_refused(name: str, value: str) -> None:
    with pytest.raises(SdpError, match=f"bad a={name}"):
        answer(re.sub(rf"(?m)^a={name}:.*\r$", f"a={name}:{value}\r", JOIN))


def test_transport_parameters_may_stand_on_the_session_level() -> None:
    expected = answer(JOIN).remote
    names = ("ice-ufrag", "ice-pwd", "fingerprint", "setup")
    lines = [f"a={name}:{sections(JOIN)['0'].first(name)}\r\n" for name in names]
    bare = re.sub(rf"(?m)^a=(?:{'|'.join(names)}):.*\r\n", "", JOIN)
    head, first, rest = bare.partition("m=audio")
    assert answer(head + "".join(lines) + first + rest).remote == expected


def test_a_fingerprint_that_is_only_sha_1_is_refused() -> None:
    offer = re.sub(r"(?m)^a=fingerprint:.*\r$", "a=fingerprint:sha-1 " + ":".join(["AB"] * 20) + "\r", JOIN)
    with pytest.raises(SdpError, match="sha-256"):
        answer(offer)


def test_the_sha_256_fingerprint_is_taken_among_several() -> None:
    weak = "a=fingerprint:sha-1 " + ":".join(["AB"] * 20)
    offer = re.sub(r"(?m)^a=fingerprint:(.*)\r$", lambda found: f"{weak}\r\na=fingerprint:{found[1].lower()}\r", JOIN)
    assert answer(offer).remote == answer(JOIN).remote


@pytest.mark.parametrize("digest", ["", "AB", ":".join(["AB"] * 31), ":".join(["GG"] * 32), "AB" * 32])
def test_a_mangled_fingerprint_is_refused(digest: str) -> None:
    with pytest.raises(SdpError, match="32 bytes"):
        answer(re.sub(r"(?m)^a=fingerprint:.*\r$", f"a=fingerprint:sha-256 {digest}\r", JOIN))


@pytest.mark.parametrize("setup", ["passive", "holdconn", "?"])
def test_a_client_that_wants_to_be_the_dtls_server_is_refused(setup: str) -> None:
    with pytest.raises(SdpError, match="setup"):
        answer(re.sub(r"(?m)^a=setup:.*\r$", f"a=setup:{setup}\r", JOIN))


def test_a_rejected_section_stays_rejected_and_leaves_the_bundle() -> None:
    offer = replace_section(JOIN, "1", "^m=audio [0-9]+", "m=audio 0").replace("BUNDLE 0 1 2", "BUNDLE 0 2")
    result = SessionDescription.parse(answer(offer).sdp)
    assert result.sections[1].lines[0].startswith("m=audio 0 UDP/TLS/RTP/SAVPF ")
    assert result.sections[1].mid == "1"
    assert result.bundle == ["0", "2", "3", "4", "5", "6"]


def test_the_bundle_moves_to_the_next_section_when_its_first_is_rejected() -> None:
    offer = replace_section(JOIN, "0", "^m=audio [0-9]+", "m=audio 0")
    result = answer(offer)
    assert "candidate" in sections(result.sdp)["1"].attributes
    assert SessionDescription.parse(result.sdp).bundle == ["1", "2", "3", "4", "5", "6"]


def test_a_bundle_only_section_is_not_rejected() -> None:
    offer = replace_section(JOIN, "1", r"^m=audio [0-9]+ (.*)\r$", "m=audio 0 \\1\r\na=bundle-only\r")
    assert sections(answer(offer).sdp)["1"].port == 9


def test_what_is_outside_the_bundle_is_rejected() -> None:
    result = SessionDescription.parse(answer(JOIN.replace("BUNDLE 0 1 2 3 4 5 6", "BUNDLE 0 3 6")).sdp)
    assert [section.mid for section in result.sections if not section.rejected] == ["0", "3", "6"]
    assert result.bundle == ["0", "3", "6"]


def test_without_a_bundle_only_one_section_is_taken() -> None:
    result = SessionDescription.parse(answer(re.sub(r"(?m)^a=group:.*\r\n", "", JOIN)).sdp)
    assert [section.mid for section in result.sections if not section.rejected] == ["0"]
    assert result.bundle is None


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        ("^a=rtcp-mux\r\n", ""),
        ("UDP/TLS/RTP/SAVPF", "RTP/AVP"),
        ("^m=audio", "m=text"),
        (r"^a=rtpmap:111 opus/48000/2", "a=rtpmap:111 speex/16000"),
    ],
)
def test_a_section_that_we_cannot_carry_is_rejected(pattern: str, replacement: str) -> None:
    result = SessionDescription.parse(answer(replace_section(JOIN, "1", pattern, replacement)).sdp)
    assert [section.mid for section in result.sections if section.rejected] == ["1"]


def test_an_offer_of_which_nothing_can_be_taken_is_refused() -> None:
    with pytest.raises(SdpError, match="no section"):
        answer(JOIN.replace("a=rtcp-mux\r\n", "").replace("webrtc-datachannel", "5000"))


def test_the_same_offer_twice_gets_the_same_answer_with_the_next_version() -> None:
    answerer = Answerer(LOCAL)
    first, second = (answerer.answer(PUBLISH, (), first_choice) for _ in range(2))
    versions = [re.search(r"o=- (\d+) (\d+) ", text.sdp) for text in (first, second)]
    assert [found[2] for found in versions if found] == ["1", "2"]
    assert re.sub("(?m)^o=.*$", "", first.sdp) == re.sub("(?m)^o=.*$", "", second.sdp)
    assert first.inbound == second.inbound


def test_the_session_id_outlives_an_ice_restart() -> None:
    answerer = Answerer(LOCAL)
    before = answerer.answer(JOIN, (), first_choice).sdp
    assert not answerer.restarts_ice(JOIN)
    restart = re.sub(r"(?m)^a=ice-ufrag:.*\r$", "a=ice-ufrag:fresh\r", JOIN)
    assert answerer.restarts_ice(restart)
    answerer.local = replace(LOCAL, ufrag="Serv0002", password="another" * 4)
    after = answerer.answer(restart, (), first_choice)
    assert after.remote.ufrag == "fresh"
    assert "a=ice-ufrag:Serv0002\r\n" in after.sdp
    assert before.split("\r\n")[1].split()[1] == after.sdp.split("\r\n")[1].split()[1]
    assert not answerer.restarts_ice(restart)


def test_the_first_offer_is_no_restart() -> None:
    assert not Answerer(LOCAL).restarts_ice(JOIN)

"""Subscriber offers of the two-connection protocol, and what clients answer to them."""

from __future__ import annotations

import re
from dataclasses import replace

import aiortc.sdp
import pytest

from sfu.negotiation import Offer, Offerer, OfferResult, OutboundTrack, SdpError, SessionDescription
from sfu.negotiation.extensions import DEPENDENCY_DESCRIPTOR, MID, OFFERED, RID, TRANSPORT_CC
from tests.unit.negotiation.support import LOCAL, audio, load, sections, uris, video

ANSWERS = ["chromium-v0-subscriber.answer.sdp", "python-v0-subscriber.answer.sdp"]
REMOTE = ["a=ice-ufrag:abcd", "a=ice-pwd:" + "p" * 24, "a=fingerprint:sha-256 " + ":".join(["CD"] * 32)]


def accept(offer: Offer, *, refuse: tuple[str, ...] = (), setup: str = "active") -> str:
    """A minimal client: takes every section as offered, but rejects the mids in `refuse`."""
    lines: list[str] = []
    for line in offer.sdp.split("\r\n"):
        name, _, value = line.partition(":")
        if name == "a=mid" and value in refuse:
            start = max(number for number, text in enumerate(lines) if text.startswith("m="))
            lines[start] = re.sub(r"^(m=\w+) \d+", r"\1 0", lines[start])
        if name in (
            "a=candidate",
            "a=end-of-candidates",
            "a=msid",
            "a=ssrc",
            "a=ssrc-group",
            "a=ice-lite",
            "a=ice-pwd",
        ):
            continue
        if name == "a=ice-ufrag":
            lines += REMOTE[:2]
        elif name == "a=fingerprint":
            lines.append(REMOTE[2])
        elif name == "a=setup":
            lines.append(f"a=setup:{setup}")
        else:
            lines.append("a=recvonly" if line == "a=sendonly" else line)
    return "\r\n".join(lines)


def exchange(offerer: Offerer, *tracks: OutboundTrack, refuse: tuple[str, ...] = ()) -> tuple[Offer, OfferResult]:
    offer = offerer.offer(tracks)
    return offer, offerer.handle_answer(accept(offer, refuse=refuse))


def mids(result: OfferResult) -> dict[str, str]:
    return {track.track_sid: track.mid for track in result.placed}


def test_the_data_section_comes_first_even_without_tracks() -> None:
    offer = Offerer(LOCAL).offer(())
    (data,) = SessionDescription.parse(offer.sdp).sections
    assert (data.kind, data.mid, data.first("setup"), data.first("sctp-port")) == (
        "application",
        "0",
        "actpass",
        "5000",
    )
    assert len(data.attributes["candidate"]) == 2
    assert offer.mid_to_track_id == {}


def test_every_track_has_a_section() -> None:
    offer = Offerer(LOCAL).offer([audio(1), video(1)])
    ours = sections(offer.sdp)
    assert offer.mid_to_track_id == {"1": "TR_a1", "2": "TR_v1"}
    assert ours["1"].attributes["msid"] == ["PA_alice|TR_a1 TR_a1"]
    assert ours["2"].attributes["ssrc-group"] == ["FID 20001 30001"]
    assert {ours[mid].direction for mid in "12"} == {"sendonly"}
    assert SessionDescription.parse(offer.sdp).bundle == ["0", "1", "2"]


def test_another_implementation_reads_the_offer() -> None:
    offer = Offerer(LOCAL).offer([audio(1), video(1), video(2, "video/H264", "packetization-mode=1")])
    theirs = aiortc.sdp.SessionDescription.parse(offer.sdp)
    assert [media.kind for media in theirs.media] == ["application", "audio", "video", "video"]
    assert [[codec.mimeType for codec in media.rtp.codecs] for media in theirs.media[1:]] == [
        ["audio/opus"],
        ["video/VP8", "video/rtx"],
        ["video/H264", "video/rtx"],
    ]


@pytest.mark.parametrize("name", ANSWERS)
def test_real_answers_place_both_tracks(name: str) -> None:
    offerer = Offerer(LOCAL)
    offerer.offer([audio(1), video(1)])
    result = offerer.handle_answer(load(name))
    assert mids(result) == {"TR_a1": "1", "TR_v1": "2"}
    assert [(track.payload_type, track.rtx_payload_type) for track in result.placed] == [(111, None), (96, 97)]
    assert result.rejected == ()
    assert result.remote.sctp_port == 5000
    assert result.remote.fingerprint == sections(load(name))["0"].first("fingerprint")
    assert {MID, TRANSPORT_CC, DEPENDENCY_DESCRIPTOR} <= set(result.remote.extensions)


@pytest.mark.parametrize("name", ANSWERS)
def test_real_answers_take_the_ids_that_we_offer(name: str) -> None:
    offerer = Offerer(LOCAL)
    offerer.offer([audio(1), video(1)])
    ids = offerer.handle_answer(load(name)).remote.extensions
    assert ids.items() <= (dict(OFFERED["audio"]) | dict(OFFERED["video"])).items()


def test_a_subscriber_offer_has_no_rid() -> None:
    assert all(RID not in uris(section) for section in sections(Offerer(LOCAL).offer([video(1)]).sdp).values())


def test_an_offer_is_outstanding_until_its_answer() -> None:
    offerer = Offerer(LOCAL)
    states = [offerer.outstanding]
    offer = offerer.offer(())
    states.append(offerer.outstanding)
    offerer.handle_answer(accept(offer))
    assert [*states, offerer.outstanding] == [False, True, False]


def test_only_one_offer_may_be_outstanding() -> None:
    offerer = Offerer(LOCAL)
    offerer.offer(())
    with pytest.raises(RuntimeError):
        offerer.offer(())


def test_an_answer_without_an_offer_is_refused() -> None:
    with pytest.raises(SdpError, match="without an offer"):
        Offerer(LOCAL).handle_answer(load(ANSWERS[0]))


def test_a_bad_answer_leaves_the_offer_outstanding() -> None:
    offerer = Offerer(LOCAL)
    offer = offerer.offer([audio(1)])
    for bad in (
        "",
        "v=0\r\n",
        load(ANSWERS[0]),
        accept(offer, setup="passive"),
        accept(offer).replace("sha-256", "sha-1"),
    ):
        with pytest.raises(SdpError):
            offerer.handle_answer(bad)
        assert offerer.outstanding
    assert mids(offerer.handle_answer(accept(offer))) == {"TR_a1": "1"}


def test_mids_are_stable_while_tracks_come_and_go() -> None:
    offerer = Offerer(LOCAL)
    _, first = exchange(offerer, audio(1), video(1))
    _, second = exchange(offerer, video(2), video(1), audio(2), audio(1))
    assert mids(first).items() <= mids(second).items()
    assert mids(second) == {"TR_a1": "1", "TR_v1": "2", "TR_v2": "3", "TR_a2": "4"}


def test_a_freed_section_is_inactive_then_rejected_then_recycled_under_a_new_mid() -> None:
    offerer = Offerer(LOCAL)
    exchange(offerer, audio(1), video(1))
    offer, result = exchange(offerer, audio(1), video(2))
    assert (sections(offer.sdp)["2"].direction, sections(offer.sdp)["2"].rejected) == ("inactive", False)
    assert mids(result) == {"TR_a1": "1", "TR_v2": "3"}
    offer, _ = exchange(offerer, audio(1), video(2))
    assert sections(offer.sdp)["2"].rejected
    offer, result = exchange(offerer, audio(1), video(2), video(3, "video/VP9"))
    assert mids(result) == {"TR_a1": "1", "TR_v3": "4", "TR_v2": "3"}
    assert [section.mid for section in SessionDescription.parse(offer.sdp).sections] == ["0", "1", "4", "3"]
    assert "VP9" in sections(offer.sdp)["4"].attributes["rtpmap"][0]


def test_an_inactive_section_whose_offer_is_lost_is_offered_inactive_again() -> None:
    offerer = Offerer(LOCAL)
    exchange(offerer, audio(1), video(1))
    offerer.offer([audio(1)])
    offerer.abandon()
    offer, _ = exchange(offerer, audio(1))
    assert (sections(offer.sdp)["2"].direction, sections(offer.sdp)["2"].rejected) == ("inactive", False)


def test_coming_and_going_does_not_grow_the_offer() -> None:
    offerer = Offerer(LOCAL)
    for number in range(40):
        exchange(offerer, *(() if number % 2 else (audio(number), video(number))))
    # Two of each kind: one carries or falls silent while the other is on its way to be recycled.
    assert len(SessionDescription.parse(offerer.offer(()).sdp).sections) == 5


def test_a_section_that_the_client_rejects_is_reported_and_recycled() -> None:
    offerer = Offerer(LOCAL)
    _, result = exchange(offerer, audio(1), video(1, "video/AV1"), refuse=("2",))
    assert (result.rejected, mids(result)) == (("TR_v1",), {"TR_a1": "1"})
    offer, _ = exchange(offerer, audio(1), refuse=("2",))
    dead = SessionDescription.parse(offer.sdp).sections[2]
    assert (dead.rejected, dead.mid) == (True, "2")
    assert SessionDescription.parse(offer.sdp).bundle == ["0", "1"]
    offer, result = exchange(offerer, audio(1), audio(2))
    recycled = SessionDescription.parse(offer.sdp).sections[2]
    assert (recycled.kind, recycled.mid) == ("audio", "3")
    assert mids(result) == {"TR_a1": "1", "TR_a2": "3"}


def test_a_client_that_answers_inactive_does_not_take_the_track() -> None:
    offerer = Offerer(LOCAL)
    offer = offerer.offer([audio(1)])
    assert offerer.handle_answer(accept(offer).replace("a=recvonly", "a=inactive")).rejected == ("TR_a1",)


def test_a_client_that_declines_rtx_gets_none() -> None:
    offerer = Offerer(LOCAL)
    offer = offerer.offer([video(1)])
    plain = re.sub(r"(?m)^a=(rtpmap:97|fmtp:97).*\r\n", "", accept(offer)).replace("SAVPF 96 97", "SAVPF 96")
    assert offerer.handle_answer(plain).placed[0].rtx_payload_type is None


def test_a_payload_type_means_one_format_in_the_whole_bundle() -> None:
    offerer = Offerer(LOCAL)
    forms = [("VP8", ""), ("VP9", "profile-id=0"), ("VP9", "profile-id=2"), ("AV1", ""), ("VP8", "")]
    forms += [
        ("H264", f"packetization-mode={mode};profile-level-id={level}")
        for mode in (0, 1)
        for level in ("42e01f", "4d0032", "640c1f", "64001f", "42001f")
    ]
    _, result = exchange(
        offerer, *(video(number, f"video/{codec}", fmtp) for number, (codec, fmtp) in enumerate(forms))
    )
    types = [track.payload_type for track in result.placed]
    assert len(types) == len(forms)
    assert len(set(types)) == len(forms) - 1
    assert types[0] == types[4]
    assert not set(types) & {track.rtx_payload_type for track in result.placed}


def test_stereo_is_announced() -> None:
    offer = Offerer(LOCAL).offer([audio(1), audio(2, fmtp="stereo=1")])
    assert ["sprop-stereo=1" in str(sections(offer.sdp)[mid].attributes["fmtp"]) for mid in "12"] == [False, True]


def test_an_ice_restart_is_an_offer_with_other_credentials() -> None:
    offerer = Offerer(LOCAL)
    first, _ = exchange(offerer, audio(1))
    offerer.local = replace(LOCAL, ufrag="Serv0002")
    second, _ = exchange(offerer, audio(1))
    assert "a=ice-ufrag:Serv0002\r\n" in second.sdp
    assert first.sdp.split("\r\n")[1].split()[1:3] == [second.sdp.split("\r\n")[1].split()[1], "1"]


def test_an_answer_that_says_the_same_again_means_the_same() -> None:
    offerer = Offerer(LOCAL)
    tracks = (audio(1), video(1))
    (first, placed), (second, again) = exchange(offerer, *tracks), exchange(offerer, *tracks)
    assert again == placed
    assert sections(second.sdp)["1"].lines == sections(first.sdp)["1"].lines


def test_the_same_answer_for_another_track_is_read_anew() -> None:
    offerer = Offerer(LOCAL)
    _, without = exchange(offerer, video(1, rtx_ssrc=None))
    offer, with_rtx = exchange(offerer, video(1))
    assert [track.rtx_payload_type for result in (without, with_rtx) for track in result.placed] == [None, 97]
    assert sections(offer.sdp)["1"].attributes["ssrc-group"] == ["FID 20001 30001"]


def test_the_same_section_may_inherit_something_else() -> None:
    offerer = Offerer(LOCAL)

    def answer(direction: str) -> OfferResult:
        text = accept(offerer.offer([audio(1)])).replace("a=recvonly\r\n", "")
        return offerer.handle_answer(text.replace("m=", f"a={direction}\r\nm=", 1))

    assert mids(answer("recvonly")) == {"TR_a1": "1"}
    refused = answer("inactive")
    assert (refused.placed, refused.rejected) == ((), ("TR_a1",))


def test_an_ice_restart_writes_every_section_anew() -> None:
    offerer = Offerer(LOCAL)
    exchange(offerer, audio(1))
    offerer.local = replace(LOCAL, ufrag="Serv0002")
    offer, _ = exchange(offerer, audio(1))
    assert [section.first("ice-ufrag") for section in sections(offer.sdp).values()] == ["Serv0002"] * 2

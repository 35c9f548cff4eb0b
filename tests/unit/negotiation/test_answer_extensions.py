"""One extension set per kind on every section: libwebrtc refuses simulcast after any section without RID."""

from __future__ import annotations

import pytest

from sfu.negotiation import SessionDescription
from sfu.negotiation.extensions import (
    ABS_SEND_TIME,
    DEPENDENCY_DESCRIPTOR,
    MID,
    REPAIRED_RID,
    RID,
    TAKEN,
    TRANSPORT_CC,
    parse_extmap,
)
from tests.unit.negotiation.support import OFFERS, answer, audio, load, replace_section, sections, uris, video

JOIN = load("chromium-v1-join.offer.sdp")


@pytest.mark.parametrize("outbound", [(), (audio(1), video(1))])
@pytest.mark.parametrize("name", OFFERS)
def test_every_section_takes_all_that_we_use_of_what_it_offers(name: str, outbound: tuple[()]) -> None:
    ours = sections(answer(load(name), *outbound).sdp)
    for mid, theirs in sections(load(name)).items():
        if theirs.kind in ("audio", "video"):
            wanted = TAKEN["audio" if theirs.kind == "audio" else "video"]
            assert uris(ours[mid]) == [uri for uri in uris(theirs) if uri in wanted]


@pytest.mark.parametrize("name", [name for name in OFFERS if "-v1-" in name])
def test_inactive_and_sending_sections_take_rid_too(name: str) -> None:
    ours = sections(answer(load(name), video(1)).sdp)
    videos = [section for section in ours.values() if section.kind == "video"]
    assert {"inactive", "sendonly"} <= {section.direction for section in videos}
    assert all({MID, RID, REPAIRED_RID} <= set(uris(section)) for section in videos)


@pytest.mark.parametrize("codec", ["vp8", "h264", "vp9", "av1"])
def test_a_published_camera_has_the_dependency_descriptor(codec: str) -> None:
    for client in ("chromium-v1", "chromium-v0", "python-v1"):
        ours = sections(answer(load(f"{client}-{codec}.offer.sdp")).sdp)
        receiving = [
            section for section in ours.values() if section.kind == "video" and section.direction == "recvonly"
        ]
        assert all(DEPENDENCY_DESCRIPTOR in uris(section) for section in receiving)
        assert len(receiving) == 1


@pytest.mark.parametrize("codec", ["VP9", "AV1"])
def test_a_chromium_subscriber_gets_the_dependency_descriptor(codec: str) -> None:
    result = answer(JOIN, video(1, f"video/{codec}"))
    assert DEPENDENCY_DESCRIPTOR in uris(sections(result.sdp)[result.placed[0].mid])
    assert DEPENDENCY_DESCRIPTOR in result.remote.extensions


def test_the_bundle_has_one_map_of_ids() -> None:
    result = answer(JOIN)
    offered = {
        uri: number for value in sections(JOIN)["3"].attributes["extmap"] for number, uri, _ in [parse_extmap(value)]
    }
    assert {uri: result.remote.extensions[uri] for uri in TAKEN["video"] & set(offered)} == {
        uri: offered[uri] for uri in TAKEN["video"] & set(offered)
    }


def test_an_id_with_two_meanings_is_taken_only_the_first_time() -> None:
    taken = next(value for value in sections(JOIN)["0"].attributes["extmap"] if value.endswith(ABS_SEND_TIME))
    clash = taken.split()[0] + " " + TRANSPORT_CC
    offer = replace_section(JOIN, "3", f"^a=extmap:{taken}", f"a=extmap:{clash}")
    offer = replace_section(offer, "3", rf"^a=extmap:(?!{taken.split()[0]} )\d+ {TRANSPORT_CC}\r\n", "")
    result = answer(offer)
    assert result.remote.extensions[ABS_SEND_TIME] == int(taken.split()[0])
    assert TRANSPORT_CC not in uris(sections(result.sdp)["3"])
    assert "a=rtcp-fb:96 goog-remb" in sections(result.sdp)["3"].lines


@pytest.mark.parametrize("number", ["0", "15", "256", "-1", "1x", "\u0661", ""])
def test_an_impossible_id_is_passed_over(number: str) -> None:
    offer = replace_section(JOIN, "0", rf"^a=extmap:\d+ {MID}", f"a=extmap:{number} {MID}")
    assert MID not in uris(sections(answer(offer).sdp)["0"])


def test_two_byte_ids_need_extmap_allow_mixed() -> None:
    offer = JOIN
    for mid in "012345":
        offer = replace_section(offer, mid, rf"^a=extmap:\d+ {MID}", f"a=extmap:16 {MID}")
    assert answer(offer).remote.extensions[MID] == 16
    assert MID not in answer(offer.replace("a=extmap-allow-mixed\r\n", "")).remote.extensions


def test_mixed_forms_are_allowed_only_where_the_client_allows_them() -> None:
    refused = answer(JOIN.replace("a=extmap-allow-mixed\r\n", ""))
    assert not SessionDescription.parse(refused.sdp).allows_mixed_extensions


def test_the_direction_of_an_extension_is_turned_round() -> None:
    offer = replace_section(JOIN, "0", rf"^a=extmap:(\d+) {MID}", rf"a=extmap:\1/sendonly {MID}")
    assert any(value.endswith(f"/recvonly {MID}") for value in sections(answer(offer).sdp)["0"].attributes["extmap"])

"""What a client sends: track id, codec, encodings, feedback; and what the answer says about it."""

from __future__ import annotations

import re

import pytest

from sfu.negotiation import Answerer, AudioOptions, InboundTrack
from sfu.seam import EncodingParameters
from tests.unit.negotiation.support import (
    LOCAL,
    answer,
    audio,
    first_choice,
    load,
    replace_section,
    sections,
    set_direction,
    video,
)

PUBLISH = load("chromium-v1-vp8.offer.sdp")
CAMERA = "8"


def camera(offer: str, codec: str | None = None) -> InboundTrack:
    (track,) = (track for track in answer(offer, codec=codec).inbound if track.kind == "video")
    return track


def microphone(offer: str) -> InboundTrack:
    (track,) = (track for track in answer(offer).inbound if track.kind == "audio")
    return track


@pytest.mark.parametrize("client", ["chromium-v1", "chromium-v0", "python-v1"])
@pytest.mark.parametrize("codec", ["VP8", "H264", "VP9", "AV1"])
def test_a_camera_is_sent_in_the_codec_asked_for(client: str, codec: str) -> None:
    offer = load(f"{client}-{codec.lower()}.offer.sdp")
    track = camera(offer, f"video/{codec}")
    assert track == camera(offer), "the offer itself tells which codec is wanted"
    assert (track.mime_type, track.clock_rate) == (f"video/{codec}", 90000)
    ours = sections(answer(offer, codec=f"video/{codec}").sdp)[track.mid]
    formats = [track.payload_type] if track.rtx_payload_type is None else [track.payload_type, track.rtx_payload_type]
    assert ours.formats == [str(number) for number in formats]
    assert ours.attributes["rtpmap"][0] == f"{track.payload_type} {codec}/90000"


def test_the_track_id_of_both_clients_is_the_second_word_of_msid() -> None:
    for name in ("chromium-v1-vp8", "python-v1-vp8"):
        offer = load(f"{name}.offer.sdp")
        for track in answer(offer).inbound:
            stream, cid = (sections(offer)[track.mid].first("msid") or "").split()
            assert (track.stream_id, track.cid) == (stream, cid)


def test_the_track_id_may_stand_at_the_ssrc() -> None:
    offer = replace_section(PUBLISH, "7", "^a=msid:.*\r\n", "")
    offer = replace_section(offer, "7", r"^(a=ssrc:\d+) cname:.*\r$", "\\1 cname:c\r\n\\1 msid:stream track-id\r")
    assert (microphone(offer).stream_id, microphone(offer).cid) == ("stream", "track-id")


def test_without_a_track_id_the_track_is_still_there() -> None:
    offer = re.sub("(?m)^a=(msid|ssrc):.*\r\n", "", PUBLISH)
    assert microphone(offer).cid == ""
    assert microphone(offer).encodings == (EncodingParameters(rid=None),)


def test_the_codec_is_asked_for_by_track_id() -> None:
    asked: list[str] = []
    Answerer(LOCAL).answer(PUBLISH, (), asked.append)
    assert asked == [track.cid for track in answer(PUBLISH).inbound]


def test_a_codec_that_is_not_offered_leaves_the_clients_first_choice() -> None:
    offer = replace_section(PUBLISH, CAMERA, r"^a=rtpmap:\d+ AV1/90000\r\n", "")
    assert camera(offer, "video/AV1").mime_type == "video/VP8"


def test_rids_are_ordered_by_name_whatever_their_order() -> None:
    qhf = camera(PUBLISH)
    fhq = camera(load("python-v1-vp8.offer.sdp"))
    assert [encoding.rid for encoding in qhf.encodings] == ["q", "h", "f"]
    assert [encoding.rid for encoding in fhq.encodings] == ["q", "h", "f"]


@pytest.mark.parametrize(("name", "order"), [("chromium-v1-vp8", "q;h;f"), ("python-v1-vp8", "f;h;q")])
def test_the_answer_keeps_the_clients_order_of_rids(name: str, order: str) -> None:
    ours = sections(answer(load(f"{name}.offer.sdp")).sdp)[CAMERA]
    assert ours.attributes["simulcast"] == [f"recv {order}"]
    assert ours.attributes["rid"] == [f"{rid} recv" for rid in order.split(";")]


def test_two_rids_are_two_encodings() -> None:
    assert [encoding.rid for encoding in camera(load("chromium-v1-screen.offer.sdp")).encodings] == ["q", "h"]


def test_unknown_rids_keep_the_clients_order() -> None:
    offer = replace_section(PUBLISH, CAMERA, "^a=rid:f send", "a=rid:x send").replace("send q;h;f", "send x;h;q")
    assert [encoding.rid for encoding in camera(offer).encodings] == ["x", "h", "q"]


def test_paused_and_alternative_streams_of_simulcast_are_understood() -> None:
    offer = PUBLISH.replace("a=simulcast:send q;h;f", "a=simulcast:recv x send q,z;~h;f")
    assert [encoding.rid for encoding in camera(offer).encodings] == ["q", "h", "f"]


def test_more_than_three_streams_are_cut() -> None:
    rids = [f"r{number}" for number in range(50)]
    lines = "".join(f"a=rid:{rid} send\r\n" for rid in rids) + f"a=simulcast:send {';'.join(rids)}"
    offer = PUBLISH.replace("a=simulcast:send q;h;f", lines)
    assert [encoding.rid for encoding in camera(offer).encodings] == ["r0", "r1", "r2"]
    assert sections(answer(offer).sdp)[CAMERA].attributes["simulcast"] == ["recv r0;r1;r2"]


def test_a_rid_that_is_no_token_is_passed_over() -> None:
    offer = replace_section(PUBLISH, CAMERA, "^a=rid:f send", "a=rid:f\u00e9 send").replace("q;h;f", "q;h;f\u00e9")
    assert [encoding.rid for encoding in camera(offer).encodings] == ["q", "h"]
    assert "\u00e9" not in answer(offer).sdp


def test_without_the_rid_extension_rids_are_of_no_use() -> None:
    offer = replace_section(PUBLISH, CAMERA, "^a=extmap:.*:rtp-stream-id\r\n", "")
    assert camera(offer).encodings == (EncodingParameters(rid=None),)
    assert "rid" not in sections(answer(offer).sdp)[CAMERA].attributes


def test_scalable_video_is_one_encoding_with_its_ssrcs() -> None:
    offer = load("chromium-v1-vp9.offer.sdp")
    group = (sections(offer)[CAMERA].first("ssrc-group") or "").split()
    assert group[0] == "FID"
    assert camera(offer).encodings == (EncodingParameters(None, int(group[1]), int(group[2])),)


def test_simulcast_by_ssrc_group_is_understood() -> None:
    lines = ["a=ssrc-group:SIM 1 2 3", "a=ssrc-group:FID 1 11", "a=ssrc-group:FID 3 13"]
    lines += [f"a=ssrc:{ssrc} cname:c" for ssrc in (1, 2, 3, 11, 13)]
    offer = replace_section(PUBLISH, CAMERA, "^a=(rid|simulcast):.*\r\n", "")
    offer = replace_section(offer, CAMERA, "^a=sendonly\r$", "\r\n".join(["a=sendonly", *lines]) + "\r")
    assert camera(offer).encodings == (
        EncodingParameters(None, 1, 11),
        EncodingParameters(None, 2, None),
        EncodingParameters(None, 3, 13),
    )


@pytest.mark.parametrize("ssrc", ["0", "4294967296", "-5", "x", "\u0661"])
def test_an_impossible_ssrc_is_passed_over(ssrc: str) -> None:
    offer = replace_section(PUBLISH, "7", r"^a=ssrc:\d+", f"a=ssrc:{ssrc}")
    assert microphone(offer).encodings == (EncodingParameters(None),)


def test_feedback_is_what_both_sides_have() -> None:
    track = camera(PUBLISH)
    assert (track.nack, track.transport_cc, track.remb) == (True, True, False)
    ours = sections(answer(PUBLISH).sdp)[CAMERA].attributes["rtcp-fb"]
    assert ours == [f"{track.payload_type} {value}" for value in ("transport-cc", "ccm fir", "nack", "nack pli")]


def test_remb_is_taken_where_transport_cc_is_not_offered() -> None:
    track = camera(re.sub("(?m)^a=rtcp-fb:.* transport-cc\r\n", "", PUBLISH))
    assert (track.transport_cc, track.remb) == (False, True)


def test_transport_cc_without_its_header_extension_is_of_no_use() -> None:
    track = camera(re.sub("(?m)^a=extmap:.*transport-wide-cc.*\r\n", "", PUBLISH))
    assert (track.transport_cc, track.remb) == (False, True)


def test_feedback_for_all_payload_types_counts() -> None:
    offer = replace_section(PUBLISH, CAMERA, "^a=rtcp-fb:.*\r\n", "")
    offer = replace_section(offer, CAMERA, "^a=sendonly", "a=rtcp-fb:* nack\r\na=sendonly")
    assert camera(offer).nack


def test_rtx_is_the_one_whose_apt_is_the_codec() -> None:
    track = camera(PUBLISH)
    assert f"a=fmtp:{track.rtx_payload_type} apt={track.payload_type}" in sections(PUBLISH)[CAMERA].lines
    assert camera(load("python-v1-vp8.offer.sdp")).rtx_payload_type is None


def test_without_nack_there_is_no_rtx() -> None:
    assert camera(re.sub("(?m)^a=rtcp-fb:.* nack.*\r\n", "", PUBLISH)).rtx_payload_type is None


def test_h264_is_taken_in_the_form_most_receivers_decode() -> None:
    for client in ("chromium-v1", "python-v1"):
        track = camera(load(f"{client}-h264.offer.sdp"))
        assert "packetization-mode=1" in track.fmtp
        assert "profile-level-id=42e01f" in track.fmtp


def test_the_start_bitrate_hint_survives_the_choice_of_another_h264_variant() -> None:
    offer = load("chromium-v1-h264.offer.sdp")
    assert "x-google-start-bitrate=1000" in camera(offer).fmtp
    assert camera(offer).fmtp.count("x-google-start-bitrate") == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (AudioOptions(), "minptime=10;useinbandfec=1;usedtx=1"),
        (AudioOptions(dtx=False), "minptime=10;useinbandfec=1"),
        (
            AudioOptions(stereo=True),
            "minptime=10;useinbandfec=1;usedtx=1;stereo=1;maxaveragebitrate=510000",
        ),
    ],
)
@pytest.mark.parametrize("name", ["chromium-v1-vp8", "python-v1-vp8"])
def test_opus_follows_what_the_publisher_asked_for(name: str, options: AudioOptions, expected: str) -> None:
    result = Answerer(LOCAL).answer(load(f"{name}.offer.sdp"), (), first_choice, lambda _cid: options)
    (track,) = (track for track in result.inbound if track.kind == "audio")
    assert track.fmtp == expected
    assert sections(result.sdp)[track.mid].attributes["fmtp"] == [f"{track.payload_type} {expected}"]
    assert (track.mime_type, track.clock_rate) == ("audio/opus", 48000)


def test_red_is_not_negotiated() -> None:
    assert " red/" in PUBLISH
    assert " red/" not in answer(PUBLISH, audio(1), video(1)).sdp


def test_an_unpublished_camera_is_gone_and_its_section_inactive() -> None:
    answerer = Answerer(LOCAL)
    answer(PUBLISH, answerer=answerer)
    result = answer(load("chromium-v1-unpublished.offer.sdp"), answerer=answerer)
    assert [track.kind for track in result.inbound] == ["audio"]
    assert sections(result.sdp)[CAMERA].direction == "inactive"


def test_a_client_that_offers_both_directions_is_received_only() -> None:
    offer = set_direction(PUBLISH, "7", "sendrecv")
    result = answer(offer, audio(1))
    assert sections(result.sdp)["7"].direction == "recvonly"
    assert "7" in [track.mid for track in result.inbound]
    assert [track.mid for track in result.placed] == ["0"]


def test_an_offer_may_come_before_its_track_is_announced() -> None:
    """livekit-client sends AddTrack and the offer in parallel: the codec is settled by the next offer."""
    answerer = Answerer(LOCAL)
    before = answer(PUBLISH, answerer=answerer)
    after = answer(PUBLISH, answerer=answerer, codec="video/VP9")
    assert [track.mime_type for track in before.inbound] == ["audio/opus", "video/VP8"]
    assert [track.mime_type for track in after.inbound] == ["audio/opus", "video/VP9"]

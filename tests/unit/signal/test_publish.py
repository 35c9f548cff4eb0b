"""Publishing, seen from a second client."""

from __future__ import annotations

import pytest
from livekit.protocol import models, rtc

from sfu import seam
from tests.unit.signal.harness import Call
from tests.unit.signal.sdp import Section, attribute, sections

REASON = rtc.RequestResponse.Reason


async def test_a_published_track_reaches_a_second_client(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    track = await alice.publish("audio", "mic")
    seen = await bob.expect_participant("alice", lambda info: bool(info.tracks))
    assert seen.is_publisher
    assert seen.tracks[0].sid == track.sid
    assert seen.tracks[0].sid.startswith("TR_")
    assert seen.tracks[0].source == models.TrackSource.MICROPHONE
    answer = await bob.expect("answer", lambda message: track.sid in message.answer.mid_to_track_id.values())
    await bob.settle()
    (consumer,) = call.consumers_of(bob)
    mids = {sid: mid for mid, sid in answer.answer.mid_to_track_id.items()}
    assert consumer.mid == mids[track.sid]
    section = sections(answer.answer.sdp)[int(consumer.mid)]
    assert attribute(section, "msid") == f"{alice.joined.participant.sid}|{track.sid} {track.sid}"
    assert any(line.startswith(f"a=ssrc:{consumer.ssrc} cname:") for line in section)
    assert "a=sendonly" in section
    assert (await alice.expect("track_subscribed")).track_subscribed.track_sid == track.sid


async def test_the_update_precedes_the_description_that_carries_the_track(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    track = await alice.publish("audio", "mic")
    await bob.expect("answer", lambda message: track.sid in message.answer.mid_to_track_id.values())
    news = [
        message.WhichOneof("message")
        for message in bob.messages
        if any(info.tracks for info in message.update.participants)
        or track.sid in message.answer.mid_to_track_id.values()
    ]
    assert news[:2] == ["update", "answer"]


async def test_a_consumer_starts_only_after_its_answer_was_sent(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob", automatic=False)
    await alice.publish("audio", "mic")
    await bob.expect("media_sections_requirement")
    await bob.settle()
    assert call.consumers_of(bob) == []
    await bob.offer()
    await bob.settle()
    assert len(call.consumers_of(bob)) == 1


async def test_simulcast_becomes_one_producer_with_its_encodings_lowest_first(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    track = await alice.publish("video", "cam", rids=("f", "h", "q"))
    await bob.expect_participant("alice", lambda info: bool(info.tracks))
    await bob.settle()
    (producer,) = call.engine.producers.values()
    assert [encoding.rid for encoding in producer.encodings] == ["q", "h", "f"]
    assert producer.mime_type == "video/VP8"
    assert producer.transport_cc
    answer = alice.answers[-1].sdp
    assert "a=simulcast:recv f;h;q" in answer
    (consumer,) = call.consumers_of(bob)
    assert consumer.encoding == 2
    assert consumer.rtx_payload_type is not None
    info = call.room().participants["alice"].info().tracks[0]  # type: ignore[index]
    assert info.sid == track.sid
    assert info.simulcast
    assert info.codecs[0].mime_type == info.mime_type == "video/VP8"
    assert info.codecs[0].cid == "cam"
    assert [layer.quality for layer in info.codecs[0].layers] == [2, 1, 0]


async def test_track_published_names_the_codec_that_was_asked_for(call: Call) -> None:
    alice = await call.join("alice")
    track = await alice.publish("video", "cam", codec="h264")
    assert track.codecs[0].mime_type == "video/H264"
    await alice.settle()
    (producer,) = call.engine.producers.values()
    assert producer.mime_type == "video/H264"
    assert producer.payload_type == 102


async def test_the_offer_may_come_before_add_track(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    alice.sdp.sections.append(Section("audio", "sendonly", "mic"))
    await alice.offer()
    await alice.settle()
    assert not call.engine.producers
    await alice.add_track("audio", "mic")
    seen = await bob.expect_participant("alice", lambda info: bool(info.tracks))
    published = (await alice.expect("track_published")).track_published
    assert seen.tracks[0].sid == published.track.sid
    assert len(call.engine.producers) == 1


async def test_a_track_without_media_is_not_shown_to_others(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    await alice.add_track("audio", "mic")
    await alice.expect("track_published")
    await bob.settle()
    assert not any(info.tracks for message in bob.received("update") for info in message.update.participants)


async def test_the_cid_of_a_codec_matches_too(call: Call) -> None:
    alice = await call.join("alice")
    await alice.add_track("video", "cam", simulcast_codecs=[rtc.SimulcastCodec(codec="vp9", cid="cam-vp9")])
    alice.sdp.sections.append(Section("video", "sendonly", "cam-vp9"))
    await alice.offer()
    await alice.settle()
    (producer,) = call.engine.producers.values()
    assert producer.mime_type == "video/VP9"


async def test_a_lone_section_of_another_name_belongs_to_the_lone_request(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    await alice.add_track("audio", "{firefox-track}")
    alice.sdp.sections.append(Section("audio", "sendonly", "{another-name}"))
    await alice.offer()
    await bob.expect_participant("alice", lambda info: bool(info.tracks))


async def test_two_sections_of_other_names_are_not_guessed(call: Call) -> None:
    alice = await call.join("alice")
    await alice.add_track("audio", "{firefox-track}")
    alice.sdp.sections += [Section("audio", "sendonly", "{one}"), Section("audio", "sendonly", "{two}")]
    await alice.offer()
    await alice.settle()
    assert not call.engine.producers


async def test_a_late_joiner_gets_the_tracks_with_its_first_answer(call: Call) -> None:
    alice = await call.join("alice")
    tracks = [await alice.publish("audio", "mic"), await alice.publish("video", "cam")]
    bob = await call.join("bob")
    answer = (await bob.expect("answer")).answer
    assert set(answer.mid_to_track_id.values()) == {track.sid for track in tracks}
    await bob.settle()
    assert len(call.consumers_of(bob)) == 2
    assert not bob.received("media_sections_requirement")


async def test_unpublish_by_renegotiation_reaches_the_second_client(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    await alice.publish("audio", "mic")
    await bob.expect_participant("alice", lambda info: bool(info.tracks))
    await bob.settle()
    answers = len(bob.answers)
    await alice.unpublish("mic")
    await bob.expect_participant("alice", lambda info: not info.tracks and info.version > 2)
    await bob.settle()
    assert len(bob.answers) > answers
    assert not bob.answers[-1].mid_to_track_id
    assert call.engine.open_ids() == {"transports": 2, "producers": 0, "consumers": 0}


async def test_a_section_freed_by_one_track_carries_the_next(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob", spare=1)
    await alice.publish("audio", "one")
    await bob.expect_participant("alice", lambda info: bool(info.tracks))
    await bob.settle()
    await alice.unpublish("one")
    await alice.settle()
    await bob.settle()
    await alice.publish("audio", "two")
    await bob.settle()
    await bob.settle()
    (consumer,) = call.consumers_of(bob)
    assert consumer.mid == "0"
    assert len(bob.sdp.sections) == 3


async def test_a_leaver_takes_its_tracks_along(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    await alice.publish("audio", "mic")
    await bob.settle()
    await alice.close()
    await bob.expect_participant("alice", lambda info: info.state == models.ParticipantInfo.State.DISCONNECTED)
    await bob.settle()
    assert call.engine.open_ids() == {"transports": 1, "producers": 0, "consumers": 0}


async def test_the_same_cid_twice_is_answered_queued(call: Call) -> None:
    alice = await call.join("alice")
    await alice.add_track("audio", "mic")
    await alice.add_track("audio", "mic")
    refusal = (await alice.expect("request_response")).request_response
    assert refusal.reason == REASON.QUEUED
    assert refusal.add_track.cid == "mic"


async def test_a_track_is_republished_when_the_offer_ends_its_present_publication(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    first = await alice.publish("audio", "mic")
    await bob.settle()
    await alice.add_track("audio", "mic")
    assert (await alice.expect("request_response")).request_response.reason == REASON.QUEUED
    alice.sdp.sections[-1].direction = "inactive"
    alice.sdp.sections.append(Section("audio", "sendonly", "mic"))
    await alice.offer()
    second = (await alice.expect("track_published")).track_published.track
    assert second.sid != first.sid
    await bob.expect_participant("alice", lambda info: [track.sid for track in info.tracks] == [second.sid])
    await bob.settle()
    await bob.settle()
    assert [item.mid for item in call.engine.producers.values()] == [str(len(alice.sdp.sections) - 1)]
    assert len(call.consumers_of(bob)) == 1


async def test_at_most_twenty_tracks_wait_for_media(call: Call) -> None:
    alice = await call.join("alice")
    for number in range(21):
        await alice.add_track("audio", f"mic{number}")
    refusal = (await alice.expect("request_response")).request_response
    assert refusal.reason == REASON.LIMIT_EXCEEDED
    assert len(alice.received("track_published")) == 20


@pytest.mark.parametrize(
    ("grants", "source", "allowed"),
    [
        ({"can_publish": False}, "MICROPHONE", False),
        ({"can_publish_sources": ("microphone",)}, "MICROPHONE", True),
        ({"can_publish_sources": ("camera",)}, "MICROPHONE", False),
        ({"can_publish_sources": ("screen_share_audio",)}, "SCREEN_SHARE_AUDIO", True),
        ({"can_publish": False, "can_publish_sources": ("screen_share_audio",)}, "SCREEN_SHARE_AUDIO", False),
        ({"can_publish_sources": ("a_source_of_the_future",)}, "MICROPHONE", False),
    ],
)
async def test_the_token_decides_which_sources_may_be_published(
    call: Call, grants: dict[str, object], source: str, allowed: bool
) -> None:
    alice = await call.join("alice", grants=grants)
    await alice.add_track("audio", "mic", source=source)
    if allowed:
        await alice.expect("track_published")
        return
    assert (await alice.expect("request_response")).request_response.reason == REASON.NOT_ALLOWED
    alice.sdp.sections.append(Section("audio", "sendonly", "mic"))
    await alice.offer()
    await alice.settle()
    assert not call.engine.producers


async def test_data_is_not_a_track_type(call: Call) -> None:
    alice = await call.join("alice")
    await alice.send(add_track=rtc.AddTrackRequest(cid="x", type="DATA"))
    assert (await alice.expect("request_response")).request_response.reason == REASON.UNSUPPORTED_TYPE


async def test_tracks_announced_in_the_join_request_are_published_with_it(call: Call) -> None:
    bob = await call.join("bob")
    alice = await call.join("alice", v1=False)
    track = await alice.publish("audio", "mic")
    seen = await bob.expect_participant("alice", lambda info: bool(info.tracks))
    assert seen.tracks[0].sid == track.sid
    assert len(call.engine.submitted(seam.AddProducer)) == 1

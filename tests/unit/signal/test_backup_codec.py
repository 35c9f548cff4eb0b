"""A track in two codecs: the backup is asked for when somebody needs it, reaches those who do, and ends with the last of them."""

from __future__ import annotations

from typing import Any

import pytest
from livekit.protocol import models, rtc

from sfu import seam
from sfu.publication import BACKUP_TIMEOUT_S
from tests.unit.signal.harness import Call, Client
from tests.unit.signal.sdp import Section

CODECS = [rtc.SimulcastCodec(codec="av1", cid="cam"), rtc.SimulcastCodec(codec="vp8", cid="")]
#: How the two signalling generations say that they have no AV1.
WITHOUT_AV1 = pytest.mark.parametrize(
    "without_av1",
    [{"codecs": ("VP8", "H264")}, {"v1": False, "refuse": ("AV1",)}],
    ids=["v1", "v0"],
)


async def publish_av1(alice: Client, **fields: Any) -> models.TrackInfo:
    return await alice.publish("video", "cam", simulcast_codecs=CODECS, **fields)


async def publish_backup(alice: Client, track: models.TrackInfo, codec: str = "vp8") -> models.TrackInfo:
    """As livekit-client does it: AddTrack with the sid and another cid, then the offer."""
    await alice.add_track(
        "video", "cam-backup", sid=track.sid, simulcast_codecs=[rtc.SimulcastCodec(codec=codec, cid="cam-backup")]
    )
    published = await alice.expect("track_published", lambda message: message.track_published.cid == "cam-backup")
    alice.sdp.sections.append(Section("video", "sendonly", "cam-backup", ("q", "h")))
    await alice.offer()
    await alice.settle()
    return published.track_published.track


def wanted(message: rtc.SignalResponse) -> dict[str, list[bool]]:
    return {
        codec.codec: [quality.enabled for quality in codec.qualities]
        for codec in message.subscribed_quality_update.subscribed_codecs
    }


async def until_wanted(alice: Client, codec: str, qualities: list[bool]) -> rtc.SubscribedQualityUpdate:
    message = await alice.expect("subscribed_quality_update", lambda message: wanted(message).get(codec) == qualities)
    return message.subscribed_quality_update


def received(call: Call, client: Client) -> list[str]:
    """The codecs in which a client receives video."""
    return [call.engine.producers[consumer.producer].mime_type for consumer in call.consumers_of(client)]


async def settle(*clients: Client) -> None:
    for _ in range(2):
        for client in clients:
            await client.settle()


@WITHOUT_AV1
async def test_a_subscriber_without_the_first_codec_gets_the_backup_and_others_the_first(
    call: Call, without_av1: dict[str, Any]
) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    carol = await call.join("carol", **without_av1)
    track = await publish_av1(alice)
    update = await until_wanted(alice, "vp8", [True, True, True])
    assert update.track_sid == track.sid
    assert [codec.codec for codec in update.subscribed_codecs] == ["av1", "vp8"]
    assert update.subscribed_qualities == update.subscribed_codecs[0].qualities
    await settle(bob, carol)
    assert received(call, carol) == []
    await publish_backup(alice, track)
    await settle(bob, carol)
    assert received(call, bob) == ["video/AV1"]
    assert received(call, carol) == ["video/VP8"]
    assert not carol.received("subscription_response")
    assert carol.received("update")[-1].update.participants[0].tracks[0].codecs[1].mime_type == "video/VP8"


@WITHOUT_AV1
async def test_who_comes_later_gets_the_backup_that_is_there(call: Call, without_av1: dict[str, Any]) -> None:
    alice, bob = await call.join("alice"), await call.join("bob", **without_av1)
    track = await publish_av1(alice)
    await until_wanted(alice, "vp8", [True, True, True])
    await publish_backup(alice, track)
    await settle(bob)
    carol = await call.join("carol", **without_av1)
    await settle(carol)
    await settle(carol)
    assert received(call, bob) == received(call, carol) == ["video/VP8"]


async def test_both_codecs_are_described_from_the_start(call: Call) -> None:
    alice, _bob = await call.join("alice"), await call.join("bob", codecs=("VP8",))
    track = await publish_av1(alice)
    assert [(codec.mime_type, codec.cid, codec.mid) for codec in track.codecs] == [
        ("video/AV1", "cam", ""),
        ("video/VP8", "", ""),
    ]
    published = await publish_backup(alice, track)
    assert (published.sid, published.codecs[1].cid) == (track.sid, "cam-backup")
    (info,) = call.room().participants["alice"].info().tracks  # type: ignore[index]
    assert info.mime_type == "video/AV1"
    assert [(codec.cid, codec.mid) for codec in info.codecs] == [("cam", "7"), ("cam-backup", "8")]


async def test_the_backup_ends_five_seconds_after_its_last_subscriber(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    carol = await call.join("carol", codecs=("VP8",))
    track = await publish_av1(alice)
    await publish_backup(alice, track)
    await settle(bob, carol)
    await carol.close()
    await bob.settle()
    call.tick(4)
    await alice.settle()
    assert wanted(alice.received("subscribed_quality_update")[-1])["vp8"] == [True, True, True]
    call.tick(2)
    await alice.settle()
    update = alice.received("subscribed_quality_update")[-1].subscribed_quality_update
    assert [quality.enabled for quality in update.subscribed_codecs[1].qualities] == [False, False, False]
    assert all(quality.enabled for quality in update.subscribed_qualities)
    assert received(call, bob) == ["video/AV1"]


async def test_the_quality_of_the_backup_is_that_of_its_own_subscribers(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    carol = await call.join("carol", codecs=("VP8",))
    track = await publish_av1(alice)
    await publish_backup(alice, track)
    await settle(bob, carol)
    await carol.send(track_setting=rtc.UpdateTrackSettings(track_sids=[track.sid], quality="LOW"))
    await carol.settle()
    (consumer,) = call.consumers_of(carol)
    assert consumer.encoding == 0
    call.tick(6)
    update = await until_wanted(alice, "vp8", [True, False, False])
    assert all(quality.enabled for quality in update.subscribed_qualities)


async def test_nobody_is_told_of_a_backup_that_nobody_needs(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    await publish_av1(alice)
    await settle(bob)
    call.tick(20)
    await alice.settle()
    assert all(not any(wanted(message)["vp8"]) for message in alice.received("subscribed_quality_update"))
    assert received(call, bob) == ["video/AV1"]


async def test_a_backup_that_is_sent_unasked_is_switched_off(call: Call) -> None:
    alice = await call.join("alice")
    await publish_backup(alice, await publish_av1(alice))
    await until_wanted(alice, "vp8", [False, False, False])


async def test_a_backup_that_does_not_come_is_told_and_may_come_later(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob", codecs=("VP8",))
    track = await publish_av1(alice)
    await until_wanted(alice, "vp8", [True, True, True])
    await settle(bob)
    call.tick(BACKUP_TIMEOUT_S + 1)
    refusal = (await bob.expect("subscription_response")).subscription_response
    assert (refusal.track_sid, refusal.err) == (track.sid, models.SubscriptionError.SE_CODEC_UNSUPPORTED)
    await publish_backup(alice, track)
    await settle(bob)
    assert received(call, bob) == ["video/VP8"]


async def test_a_subscriber_with_neither_codec_is_told_at_once(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob", codecs=("H264",))
    track = await publish_av1(alice)
    await publish_backup(alice, track)
    refusal = (await bob.expect("subscription_response")).subscription_response
    assert (refusal.track_sid, refusal.err) == (track.sid, models.SubscriptionError.SE_CODEC_UNSUPPORTED)
    assert len(bob.received("subscription_response")) == 1
    assert received(call, bob) == []


async def test_a_backup_that_stops_leaves_its_subscribers_waiting_for_it(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob", codecs=("VP8",))
    track = await publish_av1(alice)
    await publish_backup(alice, track)
    await settle(bob)
    await alice.unpublish("cam-backup")
    await settle(alice, bob)
    assert received(call, bob) == []
    assert [producer.mime_type for producer in call.engine.producers.values()] == ["video/AV1"]
    alice.sdp.sections[-1].direction = "sendonly"
    await alice.offer()
    await settle(alice, bob)
    assert received(call, bob) == ["video/VP8"]


async def test_unpublishing_the_track_ends_both_codecs(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob", codecs=("VP8",))
    track = await publish_av1(alice)
    await publish_backup(alice, track)
    await settle(bob)
    for section in alice.sdp.sections:
        if section.cid:
            section.direction = "inactive"
    await alice.offer()
    await settle(alice, bob)
    assert call.engine.open_ids()["producers"] == call.engine.open_ids()["consumers"] == 0


async def test_a_backup_that_the_engine_refuses_ends_alone(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    carol = await call.join("carol", codecs=("VP8",))
    track = await publish_av1(alice)
    await publish_backup(alice, track)
    await settle(bob, carol)
    (backup,) = (number for number, each in call.engine.producers.items() if each.mime_type == "video/VP8")
    call.engine.emit(seam.Refused("AddProducer", backup, "test"))
    await settle(alice, bob, carol)
    assert received(call, bob) == ["video/AV1"]
    assert received(call, carol) == []


async def test_with_regression_everybody_moves_to_the_backup_without_another_section(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    track = await publish_av1(alice, backup_codec_policy="REGRESSION")
    await settle(bob)
    first = call.consumers_of(bob)[0]
    carol = await call.join("carol", codecs=("VP8",))
    await until_wanted(alice, "vp8", [True, True, True])
    await publish_backup(alice, track)
    await settle(bob, carol)
    assert received(call, bob) == received(call, carol) == ["video/VP8"]
    moved = call.consumers_of(bob)[0]
    assert (moved.mid, moved.ssrc != first.ssrc) == (first.mid, True)
    assert bob.received("media_sections_requirement")[-1].media_sections_requirement.num_videos == 0
    call.tick(6)
    await until_wanted(alice, "av1", [False, False, False])


async def test_a_lone_section_of_another_cid_is_the_backup_that_is_awaited(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob", codecs=("VP8",))
    track = await publish_av1(alice)
    backup = rtc.SimulcastCodec(codec="vp8", cid="the-track-of-the-page")
    await alice.add_track("video", "the-track-of-the-page", sid=track.sid, simulcast_codecs=[backup])
    alice.sdp.sections.append(Section("video", "sendonly", "the-track-of-the-browser"))
    await alice.offer()
    await settle(alice, bob)
    assert received(call, bob) == ["video/VP8"]


async def test_who_asks_again_for_what_it_cannot_decode_is_answered_again(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob", codecs=("H264",))
    track = await alice.publish("video", "cam", codec="av1")
    await bob.expect("subscription_response")
    await bob.send(subscription=rtc.UpdateSubscription(track_sids=[track.sid], subscribe=True))
    refusal = (await bob.expect("subscription_response")).subscription_response
    assert refusal.err == models.SubscriptionError.SE_CODEC_UNSUPPORTED


async def test_what_those_got_who_lack_a_codec_is_counted_also_of_rooms_that_ended(call: Call) -> None:
    alice = await call.join("alice")
    bob, carol = await call.join("bob", codecs=("VP8",)), await call.join("carol", codecs=("H264",))
    await publish_backup(alice, await publish_av1(alice))
    await settle(bob, carol)
    for ended in (False, True):
        if ended:
            call.room().close(models.DisconnectReason.ROOM_DELETED, 0)
        samples = call.scrape()
        assert {
            result: samples[f'sfu_codec_fallbacks_total{{result="{result}"}}'] for result in ("backup", "none")
        } == {
            "backup": 1,
            "none": 1,
        }


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"sid": "TR_unknown"}, "NOT_FOUND"),
        ({"codec": "av1"}, "UNSUPPORTED_TYPE"),
        ({"codec": "h265"}, "UNSUPPORTED_TYPE"),
        ({"codec": ""}, "UNSUPPORTED_TYPE"),
        ({"cid": ""}, "UNSUPPORTED_TYPE"),
        ({"cid": "x" * 300}, "LIMIT_EXCEEDED"),
    ],
)
async def test_a_second_codec_that_makes_no_sense_is_refused(call: Call, fields: dict[str, str], reason: str) -> None:
    alice = await call.join("alice")
    track = await publish_av1(alice)
    request = {"sid": track.sid, "codec": "vp8", "cid": "cam-backup", **fields}
    codecs = [rtc.SimulcastCodec(codec=request["codec"], cid=request["cid"])]
    await alice.add_track("video", request["cid"], sid=request["sid"], simulcast_codecs=codecs)
    refusal = (await alice.expect("request_response")).request_response
    assert rtc.RequestResponse.Reason.Name(refusal.reason) == reason


async def test_a_third_codec_is_refused(call: Call) -> None:
    alice = await call.join("alice")
    track = await publish_av1(alice)
    await publish_backup(alice, track)
    codecs = [rtc.SimulcastCodec(codec="h264", cid="third")]
    await alice.add_track("video", "third", sid=track.sid, simulcast_codecs=codecs)
    assert (await alice.expect("request_response")).request_response.reason == rtc.RequestResponse.UNSUPPORTED_TYPE


async def test_a_second_codec_of_an_audio_track_is_refused(call: Call) -> None:
    alice = await call.join("alice")
    track = await alice.publish("audio", "mic")
    await alice.add_track("audio", "again", sid=track.sid, simulcast_codecs=[rtc.SimulcastCodec(codec="vp8", cid="x")])
    assert (await alice.expect("request_response")).request_response.reason == rtc.RequestResponse.UNSUPPORTED_TYPE


async def test_a_backup_that_nobody_announced_can_still_be_added(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob", codecs=("VP8",))
    track = await alice.publish("video", "cam", codec="av1")
    await bob.expect("subscription_response")
    await publish_backup(alice, track)
    await settle(bob)
    assert received(call, bob) == ["video/VP8"]


async def test_the_wish_for_the_backup_is_told_again_after_a_resume(call: Call) -> None:
    alice, _bob = await call.join("alice"), await call.join("bob", codecs=("VP8",))
    await publish_av1(alice)
    await until_wanted(alice, "vp8", [True, True, True])
    await alice.drop()
    again = Client(call, "alice", reconnect_sid=alice.joined.participant.sid)
    call.clients.append(again)
    await again.connect()
    await until_wanted(again, "vp8", [True, True, True])

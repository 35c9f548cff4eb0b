"""Subscribing: wishes, settings, rights and codecs, each by its effect on the consumer."""

from __future__ import annotations

import pytest
from livekit.protocol import models, rtc

from sfu.subscription import Subscription
from tests.unit.signal.harness import Call

SE = models.SubscriptionError


async def test_v1_without_auto_subscribe_gets_nothing_until_it_asks(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob", auto_subscribe=False)
    track = await alice.publish("audio", "mic")
    await bob.expect_participant("alice", lambda info: bool(info.tracks))
    await bob.settle()
    assert call.consumers_of(bob) == []
    await bob.send(subscription=rtc.UpdateSubscription(track_sids=[track.sid], subscribe=True))
    await bob.expect("answer", lambda message: track.sid in message.answer.mid_to_track_id.values())
    await bob.settle()
    assert len(call.consumers_of(bob)) == 1


async def test_unsubscribing_frees_the_section_and_subscribing_again_uses_a_new_ssrc(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    track = await alice.publish("audio", "mic")
    await bob.expect("answer", lambda message: track.sid in message.answer.mid_to_track_id.values())
    await bob.settle()
    first = call.consumers_of(bob)[0].ssrc
    wish = models.ParticipantTracks(participant_sid=alice.joined.participant.sid, track_sids=[track.sid])
    await bob.send(subscription=rtc.UpdateSubscription(participant_tracks=[wish], subscribe=False))
    await bob.settle()
    await bob.settle()
    assert call.consumers_of(bob) == []
    assert not bob.answers[-1].mid_to_track_id
    await bob.send(subscription=rtc.UpdateSubscription(track_sids=[track.sid], subscribe=True))
    await bob.settle()
    await bob.settle()
    assert call.consumers_of(bob)[0].ssrc != first


async def test_v0_receives_by_our_offers_one_at_a_time(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob", v1=False, automatic=False)
    await bob.expect("offer")
    first = await alice.publish("audio", "one")
    second = await alice.publish("audio", "two")
    await bob.settle()
    assert len(bob.offers) == 1
    await bob.answer_last()
    offer = (await bob.expect("offer")).offer
    assert set(offer.mid_to_track_id.values()) == {first.sid, second.sid}
    assert offer.id == bob.offers[0].id + 1
    await bob.settle()
    assert call.consumers_of(bob) == []
    await bob.answer_last()
    await bob.settle()
    assert len(call.consumers_of(bob)) == 2


async def test_v0_auto_subscribe_is_on_by_default_and_can_be_off(call: Call) -> None:
    alice = await call.join("alice")
    bob = await call.join("bob", v1=False)
    carol = await call.join("carol", v1=False, auto_subscribe=False)
    await alice.publish("audio", "mic")
    for client in (bob, carol):
        await client.settle()
        await client.settle()
    assert len(call.consumers_of(bob)) == 1
    assert call.consumers_of(carol) == []


async def test_many_tracks_ask_for_sections_once(call: Call) -> None:
    publishers = [await call.join(f"p{number}", auto_subscribe=False) for number in range(5)]
    for publisher in publishers:
        await publisher.publish("audio", "mic")
        await publisher.publish("video", "cam")
    bob = await call.join("bob", spare=1)
    requirement = (await bob.expect("media_sections_requirement")).media_sections_requirement
    assert (requirement.num_audios, requirement.num_videos) == (4, 4)
    await bob.settle()
    await bob.settle()
    assert len(bob.received("media_sections_requirement")) == 1
    assert len(call.consumers_of(bob)) == 10


async def test_a_requirement_that_was_lost_is_repeated(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob", automatic=False)
    await alice.publish("audio", "mic")
    await bob.expect("media_sections_requirement")
    call.tick(6)
    await bob.expect("media_sections_requirement")


async def test_tracks_that_appear_while_a_request_is_out_wait_for_its_offer(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob", spare=1, automatic=False)
    for cid in ("one", "two", "three"):
        await alice.publish("audio", cid)
        await bob.settle()
    assert len(bob.received("media_sections_requirement")) == 1
    await bob.offer()
    await bob.settle()
    assert len(call.consumers_of(bob)) == 1
    more = bob.received("media_sections_requirement")[1:]
    assert [message.media_sections_requirement.num_audios for message in more] == [2]


async def test_an_offer_already_under_way_does_not_ask_for_the_same_sections_again(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob", spare=0, automatic=False)
    await alice.publish("audio", "mic")
    requirement = (await bob.expect("media_sections_requirement")).media_sections_requirement
    assert requirement.num_audios == 1
    await bob.offer()
    await bob.settle()
    assert len(bob.received("media_sections_requirement")) == 1


async def test_an_unknown_track_is_answered_not_found(call: Call) -> None:
    bob = await call.join("bob")
    await bob.send(subscription=rtc.UpdateSubscription(track_sids=["TR_nope"], subscribe=True))
    assert (await bob.expect("subscription_response")).subscription_response.err == SE.SE_TRACK_NOTFOUND


async def test_a_track_that_ended_is_forgotten_also_by_those_who_did_not_take_it(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob", auto_subscribe=False)
    track = await alice.publish("audio", "mic")
    await alice.unpublish("mic")
    await alice.settle()
    await bob.send(subscription=rtc.UpdateSubscription(track_sids=[track.sid], subscribe=True))
    assert (await bob.expect("subscription_response")).subscription_response.err == SE.SE_TRACK_NOTFOUND


async def test_a_codec_that_the_subscriber_lacks_is_answered_not_silence(call: Call) -> None:
    alice = await call.join("alice")
    bob = await call.join("bob", codecs=("VP8",))
    carol = await call.join("carol", v1=False, refuse=("VP9",))
    track = await alice.publish("video", "cam", codec="vp9")
    for client in (bob, carol):
        refusal = (await client.expect("subscription_response")).subscription_response
        assert (refusal.track_sid, refusal.err) == (track.sid, SE.SE_CODEC_UNSUPPORTED)
        assert call.consumers_of(client) == []


async def test_a_token_without_can_subscribe_receives_nothing(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob", grants={"can_subscribe": False})
    track = await alice.publish("audio", "mic")
    await bob.send(subscription=rtc.UpdateSubscription(track_sids=[track.sid], subscribe=True))
    await bob.settle()
    await bob.settle()
    assert call.consumers_of(bob) == []


async def test_settings_choose_the_encoding_by_quality_and_by_size(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    track = await alice.publish("video", "cam", rids=("q", "h", "f"))
    await bob.settle()
    await bob.settle()

    async def encoding(**setting: object) -> tuple[bool, int]:
        await bob.send(track_setting=rtc.UpdateTrackSettings(track_sids=[track.sid], **setting))  # type: ignore[arg-type]
        await bob.settle()
        (consumer,) = call.consumers_of(bob)
        return consumer.paused, consumer.encoding

    assert await encoding(quality="LOW") == (False, 0)
    assert await encoding(quality="MEDIUM") == (False, 1)
    assert await encoding(quality="HIGH") == (False, 2)
    assert await encoding(width=600, height=340) == (False, 1)
    assert await encoding(width=4000, height=3000) == (False, 2)
    assert await encoding(disabled=True) == (True, 0)
    assert await encoding(quality="HIGH") == (False, 2)


async def test_settings_from_before_the_consumer_hold_when_it_starts(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob", auto_subscribe=False)
    track = await alice.publish("video", "cam", rids=("q", "h", "f"))
    await bob.send(track_setting=rtc.UpdateTrackSettings(track_sids=[track.sid], quality="LOW"))
    await bob.send(subscription=rtc.UpdateSubscription(track_sids=[track.sid], subscribe=True))
    await bob.settle()
    await bob.settle()
    assert call.consumers_of(bob)[0].encoding == 0


async def test_dynacast_raises_at_once_and_lowers_after_five_seconds(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    track = await alice.publish("video", "cam", rids=("q", "h", "f"))
    await bob.settle()
    await bob.settle()

    def enabled(message: rtc.SignalResponse) -> list[bool]:
        update = message.subscribed_quality_update
        assert update.track_sid == track.sid
        assert update.subscribed_codecs[0].codec == "vp8"
        assert [q.enabled for q in update.subscribed_codecs[0].qualities] == [
            q.enabled for q in update.subscribed_qualities
        ]
        return [quality.enabled for quality in update.subscribed_qualities]

    assert enabled(await alice.expect("subscribed_quality_update")) == [True, True, True]
    await bob.send(track_setting=rtc.UpdateTrackSettings(track_sids=[track.sid], quality="LOW"))
    await bob.settle()
    call.tick(4)
    await alice.settle()
    assert len(alice.received("subscribed_quality_update")) == 1
    call.tick(2)
    assert enabled(await alice.expect("subscribed_quality_update")) == [True, False, False]
    await bob.send(track_setting=rtc.UpdateTrackSettings(track_sids=[track.sid], quality="MEDIUM"))
    assert enabled(await alice.expect("subscribed_quality_update")) == [True, True, False]
    await bob.close()
    call.tick(6)
    assert enabled(await alice.expect("subscribed_quality_update")) == [False, False, False]


async def test_a_publish_in_a_full_room_asks_every_subscriber_a_constant_number_of_times(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    ask = Subscription.wanted_quality

    def counting(self: Subscription) -> int:
        nonlocal asked
        asked += 1
        return ask(self)

    monkeypatch.setattr(Subscription, "wanted_quality", counting)
    for number in range(20):
        await call.join(f"bob{number}")
    alice = await call.join("alice")
    await alice.publish("video", "cam", rids=("q", "h", "f"))
    for client in call.clients:
        await client.settle()
        await client.settle()
    assert all(call.consumers_of(client) for client in call.clients[:20])
    # Once for the publisher's layers, once for the consumer's settings.
    assert asked <= 20 * 3


async def test_a_publisher_restricts_and_allows_subscribers(call: Call) -> None:
    alice, bob, carol = await call.join("alice"), await call.join("bob"), await call.join("carol")
    track = await alice.publish("audio", "mic")
    for client in (bob, carol):
        await client.expect("answer", lambda message: track.sid in message.answer.mid_to_track_id.values())
        await client.settle()
    rule = rtc.TrackPermission(participant_identity="carol", all_tracks=True)
    await alice.send(subscription_permission=rtc.SubscriptionPermission(track_permissions=[rule]))
    update = (await bob.expect("subscription_permission_update")).subscription_permission_update
    assert (update.track_sid, update.allowed) == (track.sid, False)
    await bob.settle()
    assert call.consumers_of(bob) == []
    assert len(call.consumers_of(carol)) == 1
    await alice.send(subscription_permission=rtc.SubscriptionPermission(all_participants=True))
    update = (await bob.expect("subscription_permission_update")).subscription_permission_update
    assert update.allowed
    await bob.settle()
    await bob.settle()
    assert len(call.consumers_of(bob)) == 1


async def test_rights_taken_away_end_tracks_and_subscriptions(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    track = await alice.publish("audio", "mic")
    await bob.expect_participant("alice", lambda info: bool(info.tracks))
    participant = call.room().participants["alice"]  # type: ignore[index]
    rights = models.ParticipantPermission(can_subscribe=True)
    participant.handle_permission(type(participant.permission).from_proto(rights))
    assert (await alice.expect("track_unpublished")).track_unpublished.track_sid == track.sid
    seen = await bob.expect_participant("alice", lambda info: not info.permission.can_publish)
    assert not seen.tracks
    await bob.settle()
    assert call.engine.open_ids()["producers"] == 0


@pytest.mark.parametrize(
    ("config", "delay"),
    [
        ({}, None),
        ({"minPlayoutDelay": 100}, (10, 1_000)),
        ({"minPlayoutDelay": 300, "maxPlayoutDelay": 200}, (30, 30)),
        ({"maxPlayoutDelay": 4_000_000_000}, (0, 4_095)),
    ],
)
async def test_pictures_are_held_back_as_the_room_was_configured(
    call: Call, config: dict[str, int], delay: tuple[int, int] | None
) -> None:
    alice, bob = await call.join("alice", room_config=config), await call.join("bob")
    await alice.publish("audio", "mic")
    await alice.publish("video", "cam")
    await bob.settle()
    delays = {consumer.mid: consumer.playout_delay for consumer in call.consumers_of(bob)}
    video = next(consumer.mid for consumer in call.consumers_of(bob) if consumer.rtx_ssrc is not None)
    assert len(delays) == 2
    assert delays.pop(video) == delay
    assert set(delays.values()) == {None}

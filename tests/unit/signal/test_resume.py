"""Losing and regaining the signalling connection while the media goes on."""

from __future__ import annotations

import pytest
from livekit.protocol import models, rtc

from sfu import seam
from tests.unit.signal.harness import Call, Client

ACTION = rtc.LeaveRequest.Action
REASON = models.DisconnectReason


async def resume(call: Call, client: Client, *, sid: str | None = None, **options: object) -> Client:
    """A new socket for the same identity, with the state of the old client."""
    known = client.joined.participant.sid if sid is None else sid
    again = Client(call, client.identity, v1=client.v1, reconnect_sid=known, **options)  # type: ignore[arg-type]
    again.sdp, again._offer_id, again.joined = client.sdp, client._offer_id, client.joined
    call.clients.append(again)
    await again.connect()
    return again


@pytest.mark.parametrize("v1", [True, False])
async def test_a_known_participant_goes_on_without_anyone_noticing(call: Call, v1: bool) -> None:
    alice, bob = await call.join("alice", v1=v1), await call.join("bob")
    track = await bob.publish("audio", "mic")
    await alice.settle()
    await alice.settle()
    consumers = call.consumers_of(alice)
    assert len(consumers) == 1
    await alice.drop()
    again = await resume(call, alice)
    await again.expect("reconnect")
    assert again.messages[0].WhichOneof("message") == "reconnect"
    assert again.messages[0].reconnect.server_info.protocol == 17
    everybody = (await again.expect("update")).update.participants
    assert {info.identity for info in everybody} == {"alice", "bob"}
    assert track.sid in [item.sid for info in everybody for item in info.tracks]
    await again.expect("room_update")
    await again.settle()
    await bob.settle()
    assert call.consumers_of(again) == consumers
    assert not any(
        info.state == info.State.DISCONNECTED for m in bob.received("update") for info in m.update.participants
    )


async def test_v1_answers_the_restart_offer_with_new_credentials_of_ours(call: Call) -> None:
    alice = await call.join("alice")
    await alice.settle()
    await alice.drop()
    again = await resume(call, alice)
    await again.expect("reconnect")
    await again.send(sync_state=rtc.SyncState())
    again.sdp.ufrag = "restarted"
    offer_id = await again.offer()
    answer = (await again.expect("answer", lambda message: message.answer.id == offer_id)).answer
    (restart,) = call.engine.submitted(seam.RestartIce)
    assert f"a=ice-ufrag:{restart.ufrag}" in answer.sdp
    assert call.engine.remotes[restart.transport].ufrag == "restarted"


async def test_v0_restarts_its_subscriber_connection_by_itself(call: Call) -> None:
    alice = await call.join("alice", v1=False)
    await alice.settle()
    await alice.drop()
    again = await resume(call, alice)
    offer = (await again.expect("offer")).offer
    (restart,) = call.engine.submitted(seam.RestartIce)
    assert f"a=ice-ufrag:{restart.ufrag}" in offer.sdp
    await again.settle()
    publisher_offer = await again.offer_with_ufrag("pubone")
    await again.expect("answer", lambda message: message.answer.id == publisher_offer)
    publisher_offer = await again.offer_with_ufrag("pubtwo")
    await again.expect("answer", lambda message: message.answer.id == publisher_offer)
    assert len(call.engine.submitted(seam.RestartIce)) == 2


async def test_what_changed_meanwhile_is_told(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    await bob.settle()
    await alice.drop()
    await bob.close()
    carol = await call.join("carol")
    await carol.publish("audio", "mic")
    again = await resume(call, alice)
    states = {info.identity: info.state for info in (await again.expect("update")).update.participants}
    assert states["bob"] == models.ParticipantInfo.State.DISCONNECTED
    assert states["carol"] == models.ParticipantInfo.State.ACTIVE
    await again.offer()
    await again.settle()
    await again.settle()
    assert len(call.consumers_of(again)) == 1


async def test_what_the_owner_of_a_track_missed_is_told_again(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob", auto_subscribe=False)
    track = await alice.publish("video", "cam", rids=("q", "h", "f"))
    call.tick(6)
    await alice.expect("subscribed_quality_update")
    await alice.drop()
    await bob.send(subscription=rtc.UpdateSubscription(track_sids=[track.sid], subscribe=True))
    await bob.settle()
    call.room().mute_track("alice", track.sid, True)  # type: ignore[arg-type]
    again = await resume(call, alice)
    update = (await again.expect("subscribed_quality_update")).subscribed_quality_update
    assert [quality.enabled for quality in update.subscribed_qualities] == [True, True, True]
    mute = (await again.expect("mute")).mute
    assert (mute.sid, mute.muted) == (track.sid, True)


@pytest.mark.parametrize("sid", ["PA_unknown", None])
async def test_an_unknown_participant_is_told_to_join_anew(call: Call, sid: str | None) -> None:
    alice = await call.join("alice")
    await alice.close()
    again = await resume(call, alice, sid=sid)
    leave = (await again.expect("leave")).leave
    assert again.messages[0].WhichOneof("message") == "leave"
    assert (leave.action, leave.reason) == (ACTION.RECONNECT, REASON.STATE_MISMATCH)
    await again.closed.wait()


@pytest.mark.parametrize("socket_first", [True, False])
async def test_who_closed_its_socket_and_its_transport_has_left_and_cannot_resume(
    call: Call, socket_first: bool
) -> None:
    """Some SDKs drop their leave when they are quick about it."""
    alice, bob = await call.join("alice"), await call.join("bob")
    closed = seam.TransportClosed(call.transport_of(alice), "peer_closed")
    if socket_first:
        await alice.drop()
        call.engine.emit(closed)
    else:
        call.engine.emit(closed)
        await alice.drop()
    await bob.expect_participant("alice", lambda info: info.state == info.State.DISCONNECTED)
    again = await resume(call, alice)
    assert (await again.expect("leave")).leave.action == ACTION.RECONNECT


async def test_a_track_that_we_do_not_know_forces_a_full_reconnect(call: Call) -> None:
    alice = await call.join("alice")
    await alice.drop()
    again = await resume(call, alice)
    published = rtc.TrackPublishedResponse(cid="mic", track=models.TrackInfo(sid="TR_unknown"))
    await again.send(sync_state=rtc.SyncState(publish_tracks=[published]))
    leave = (await again.expect("leave")).leave
    assert (leave.action, leave.reason) == (ACTION.RECONNECT, REASON.STATE_MISMATCH)


async def test_sync_state_brings_wishes_that_were_lost(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    one, two = await bob.publish("audio", "one"), await bob.publish("audio", "two")
    await alice.settle()
    await alice.settle()
    await alice.drop()
    again = await resume(call, alice)
    state = rtc.SyncState(
        subscription=rtc.UpdateSubscription(track_sids=[one.sid], subscribe=False), track_sids_disabled=[two.sid]
    )
    await again.send(sync_state=state)
    await again.settle()
    (consumer,) = call.consumers_of(again)
    assert consumer.paused


async def test_without_a_resume_the_participant_ends_after_a_while(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    await alice.drop()
    await bob.settle()
    call.tick(14)
    assert call.server.rooms.counts()["participants"] == 2
    call.tick(2)
    await bob.expect_participant("alice", lambda info: info.state == info.State.DISCONNECTED)


async def test_the_last_reliable_sequence_is_reported(call: Call) -> None:
    alice = await call.join("alice")
    packet = models.DataPacket(sequence=41, user=models.UserPacket(payload=b"x"))
    call.engine.emit(seam.DataReceived(call.transport_of(alice), "_reliable", packet.SerializeToString()))
    await alice.settle()
    await alice.drop()
    again = await resume(call, alice)
    assert (await again.expect("reconnect")).reconnect.last_message_seq == 41


async def test_what_a_publisher_was_told_is_told_again(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    track = await alice.publish("audio", "mic")
    await bob.settle()
    await bob.settle()
    await alice.add_track("video", "waiting")
    await alice.expect("track_published", lambda message: message.track_published.cid == "waiting")
    await alice.drop()
    again = await resume(call, alice)
    assert (await again.expect("track_subscribed")).track_subscribed.track_sid == track.sid
    assert (await again.expect("track_published")).track_published.cid == "waiting"


async def test_permissions_that_changed_meanwhile_are_told(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    track = await bob.publish("audio", "mic")
    await alice.settle()
    await alice.settle()
    await alice.drop()
    await bob.send(subscription_permission=rtc.SubscriptionPermission(all_participants=False))
    await bob.settle()
    again = await resume(call, alice)
    told = (await again.expect("subscription_permission_update")).subscription_permission_update
    assert (told.track_sid, told.allowed) == (track.sid, False)
    await again.drop()
    await bob.send(subscription_permission=rtc.SubscriptionPermission(all_participants=True))
    await bob.settle()
    third = await resume(call, again)
    told = (await third.expect("subscription_permission_update")).subscription_permission_update
    assert (told.track_sid, told.allowed) == (track.sid, True)
    # One that never knew otherwise is not told that it may.
    assert bob.received("subscription_permission_update") == []


async def test_a_codec_that_was_refused_meanwhile_is_told(call: Call) -> None:
    alice, bob = await call.join("alice", codecs=("VP8",)), await call.join("bob")
    await alice.settle()
    track = await bob.publish("video", "cam", codec="av1")
    await alice.settle()
    await alice.settle()
    await alice.expect("subscription_response")
    await alice.drop()
    again = await resume(call, alice)
    told = (await again.expect("subscription_response")).subscription_response
    assert (told.track_sid, told.err) == (track.sid, models.SubscriptionError.SE_CODEC_UNSUPPORTED)


async def test_who_speaks_now_is_told(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    await bob.publish("audio", "mic")
    await alice.settle()
    await alice.settle()
    await bob.send(simulate=rtc.SimulateScenario(speaker_update=3))
    await bob.settle()
    call.tick(1)
    heard = (await alice.expect("speakers_changed")).speakers_changed.speakers
    assert [(each.sid, each.active) for each in heard] == [(bob.joined.participant.sid, True)]
    await alice.drop()
    call.tick(4)
    again = await resume(call, alice)
    heard = (await again.expect("speakers_changed")).speakers_changed.speakers
    assert {each.sid: (each.active, each.level) for each in heard} == {
        alice.joined.participant.sid: (False, 0),
        bob.joined.participant.sid: (False, 0),
    }


async def test_a_wish_that_was_lost_is_taken_from_what_the_state_does_not_list(call: Call) -> None:
    """The client took the track again on a socket that was dead already."""
    alice, bob = await call.join("alice"), await call.join("bob")
    track = await bob.publish("audio", "mic")
    await alice.settle()
    await alice.send(subscription=rtc.UpdateSubscription(track_sids=[track.sid], subscribe=False))
    await alice.settle()
    assert call.consumers_of(alice) == []
    await alice.drop()
    again = await resume(call, alice)
    await again.send(sync_state=rtc.SyncState(subscription=rtc.UpdateSubscription(subscribe=False)))
    await again.offer()
    await again.settle()
    await again.settle()
    assert len(call.consumers_of(again)) == 1


async def test_without_auto_subscribe_the_state_lists_what_is_wanted(call: Call) -> None:
    alice, bob = await call.join("alice", auto_subscribe=False), await call.join("bob")
    one, two = await bob.publish("audio", "one"), await bob.publish("audio", "two")
    await alice.settle()
    await alice.send(subscription=rtc.UpdateSubscription(track_sids=[one.sid], subscribe=True))
    await alice.settle()
    await alice.drop()
    again = await resume(call, alice)
    wish = rtc.UpdateSubscription(track_sids=[two.sid, "TR_unknown"], subscribe=True)
    await again.send(sync_state=rtc.SyncState(subscription=wish))
    await again.offer()
    await again.settle()
    await again.settle()
    subscriber = call.room().participants["alice"]  # type: ignore[index]
    publications = call.room().participants["bob"].publishing.publications  # type: ignore[index]
    receiving = {
        sid for sid, track in publications.items() if any(s.subscriber is subscriber for s in track.subscriptions)
    }
    assert receiving == {two.sid}
    assert again.received("subscription_response") == []


async def test_a_device_that_was_replaced_stays_out(call: Call) -> None:
    laptop = await call.join("alice")
    await laptop.drop()
    phone = await call.join("alice")
    again = await resume(call, laptop)
    leave = (await again.expect("leave")).leave
    assert (leave.action, leave.reason) == (ACTION.DISCONNECT, REASON.DUPLICATE_IDENTITY)
    await again.closed.wait()
    await phone.settle()
    assert phone.received("leave") == []


async def test_a_socket_that_was_given_up_is_closed_by_the_next(call: Call) -> None:
    """Impatient clients leave sockets behind that keep pinging."""
    alice = await call.join("alice")
    await alice.settle()
    second = await resume(call, alice)
    await second.expect("reconnect")
    third = await resume(call, alice)
    await third.expect("reconnect")
    await alice.closed.wait()
    await second.closed.wait()
    await third.settle()
    assert call.server.rooms.counts()["participants"] == 1
    fourth = await call.join("alice")
    await third.expect("leave")
    await third.closed.wait()
    await fourth.settle()


@pytest.mark.parametrize("silent", [False, True])
async def test_a_simulated_cut_of_the_next_resume_happens_once(call: Call, silent: bool) -> None:
    alice = await call.join("alice")
    if silent:
        scenario = rtc.SimulateScenario(disconnect_signal_on_resume_no_messages=True)
    else:
        scenario = rtc.SimulateScenario(disconnect_signal_on_resume=True)
    await alice.send(simulate=scenario)
    await alice.settle()
    await alice.drop()
    again = await resume(call, alice)
    await again.closed.wait()
    kinds = [message.WhichOneof("message") for message in again.messages]
    assert kinds[:1] == ([] if silent else ["reconnect"])
    third = await resume(call, alice)
    await third.expect("reconnect")
    await third.settle()


@pytest.mark.parametrize(
    ("scenario", "action"),
    [
        ({"server_leave": True}, ACTION.DISCONNECT),
        ({"migration": True}, ACTION.RECONNECT),
        ({"leave_request_full_reconnect": True}, ACTION.RECONNECT),
        ({"node_failure": True}, None),
    ],
)
async def test_a_simulated_end_concerns_only_the_one_that_asked(
    call: Call, scenario: dict[str, bool], action: int | None
) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    await alice.send(simulate=rtc.SimulateScenario(**scenario))  # type: ignore[arg-type]
    if action is not None:
        assert (await alice.expect("leave")).leave.action == action
    await alice.closed.wait()
    await bob.expect_participant("alice", lambda info: info.state == info.State.DISCONNECTED)
    await bob.settle()


async def test_a_pretended_speech_ends(call: Call) -> None:
    alice = await call.join("alice")
    await alice.send(simulate=rtc.SimulateScenario(speaker_update=5))
    await alice.settle()
    call.tick(1)
    assert (await alice.expect("speakers_changed")).speakers_changed.speakers[0].active
    call.tick(7)
    last = await alice.expect("speakers_changed", lambda message: not message.speakers_changed.speakers[0].active)
    assert last.speakers_changed.speakers[0].level == 0

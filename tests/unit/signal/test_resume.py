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


async def test_a_participant_whose_transport_closed_cannot_resume(call: Call) -> None:
    alice = await call.join("alice")
    await alice.drop()
    call.engine.emit(seam.TransportClosed(call.transport_of(alice), "peer_closed"))
    await (await call.join("bob")).settle()
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

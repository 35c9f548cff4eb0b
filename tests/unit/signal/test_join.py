"""Joining: the first messages in both protocols, and what others see of it."""

from __future__ import annotations

import itertools

from livekit.protocol import models, rtc

from sfu import seam
from tests.unit.signal.harness import Call


async def test_join_response_has_what_clients_require(call: Call) -> None:
    alice = await call.join("alice", name="Alice", metadata="m", attributes={"a": "b"})
    joined = alice.joined
    assert joined.participant.sid.startswith("PA_")
    assert joined.room.sid.startswith("RM_")
    assert joined.room.name == "r"
    assert joined.ping_interval > 0
    assert joined.ping_timeout > joined.ping_interval
    assert joined.server_info.version == "1.13.5"
    assert joined.server_info.protocol == 17
    assert (joined.participant.name, joined.participant.metadata) == ("Alice", "m")
    assert joined.participant.attributes["a"] == "b"
    assert {codec.mime for codec in joined.enabled_publish_codecs} >= {"audio/opus", "video/VP8", "video/H264"}


async def test_join_is_the_first_message_and_the_offer_of_the_request_is_answered(call: Call) -> None:
    alice = await call.join("alice")
    answer = (await alice.expect("answer")).answer
    assert alice.messages[0].WhichOneof("message") == "join"
    assert answer.id == 1
    assert not alice.joined.subscriber_primary
    assert "a=ice-lite" in answer.sdp


async def test_candidates_have_the_advertised_port_plus_the_shard_or_the_sockets_own() -> None:
    call = Call(shards=2, advertise=["203.0.113.7:40000", "203.0.113.8", "2001:db8::7"])
    await call.start()
    try:
        told = set()
        for room in ("first", "second"):
            sdp = (await (await call.join("alice", room=room)).expect("answer")).answer.sdp
            lines = [line.split() for line in sdp.splitlines() if line.startswith("a=candidate")]
            told.add(tuple(":".join(line[4:6]) for line in lines if line[2] == "udp"))
    finally:
        await call.close()
    # The sockets of this engine are IPv4 only, at 7882 plus the shard.
    assert told == {("203.0.113.7:40000", "203.0.113.8:7882"), ("203.0.113.7:40001", "203.0.113.8:7883")}


async def test_addresses_without_a_port_are_offered_over_tcp_too_after_all_of_udp() -> None:
    call = Call(shards=2, advertise=["203.0.113.7:40000", "203.0.113.8", "2001:db8::7"])
    call.engine.tcp += [seam.Address("0.0.0.0", 7881), seam.Address("::", 7881)]
    await call.start()
    try:
        sdp = (await (await call.join("alice")).expect("answer")).answer.sdp
    finally:
        await call.close()
    lines = [line.split() for line in sdp.splitlines() if line.startswith("a=candidate")]
    assert [line[2] for line in lines] == ["udp", "udp", "tcp", "tcp"]
    assert [line[4:] for line in lines[2:]] == [
        [host, "7881", "typ", "host", "tcptype", "passive"] for host in ("203.0.113.8", "2001:db8::7")
    ]
    assert min(int(line[3]) for line in lines[:2]) > max(int(line[3]) for line in lines[2:])


async def test_a_client_of_protocol_18_gets_negotiated_channels(call: Call) -> None:
    alice = await call.join("alice", protocol=18)
    assert alice.joined.server_info.protocol == 18
    await alice.settle()
    opened = call.engine.channels[call.transport_of(alice)]
    assert [(item.label, item.stream) for item in opened] == [("_reliable", 100), ("_lossy", 101), ("_data_track", 102)]


async def test_a_client_of_protocol_17_opens_its_channels_itself(call: Call) -> None:
    alice = await call.join("alice", protocol=17)
    await alice.settle()
    assert call.transport_of(alice) not in call.engine.channels


async def test_v0_gets_our_offer_with_the_data_section_first_and_server_opened_channels(call: Call) -> None:
    alice = await call.join("alice", v1=False)
    offer = (await alice.expect("offer")).offer
    await alice.settle()
    assert alice.joined.subscriber_primary
    assert alice.joined.server_info.protocol == 17
    assert [line for line in offer.sdp.splitlines() if line.startswith("m=")][0].startswith("m=application")
    opened = call.engine.channels[call.transport_of(alice)]
    assert [(item.label, item.ordered, item.max_retransmits, item.stream) for item in opened] == [
        ("_reliable", True, None, None),
        ("_lossy", False, 0, None),
        ("_data_track", False, 0, None),
    ]


async def test_others_learn_of_a_joiner_and_of_its_connection(call: Call) -> None:
    alice = await call.join("alice")
    bob = await call.join("bob")
    active = await alice.expect_participant("bob", lambda info: info.state == models.ParticipantInfo.State.ACTIVE)
    assert active.sid == bob.joined.participant.sid
    assert [info.identity for info in bob.joined.other_participants] == ["alice"]


async def test_others_learn_of_a_leaver(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    await bob.close()
    gone = await alice.expect_participant("bob", lambda info: info.state == models.ParticipantInfo.State.DISCONNECTED)
    assert gone.disconnect_reason == models.DisconnectReason.CLIENT_INITIATED


async def test_a_hidden_participant_is_seen_by_nobody_but_sees_all(call: Call) -> None:
    alice = await call.join("alice")
    ghost = await call.join("ghost", grants={"hidden": True})
    await alice.settle()
    assert [info.identity for info in ghost.joined.other_participants] == ["alice"]
    assert all(info.identity != "ghost" for m in alice.received("update") for info in m.update.participants)
    late = await call.join("late")
    assert [info.identity for info in late.joined.other_participants] == ["alice"]


async def test_the_tracks_of_a_hidden_participant_reach_nobody_whenever_they_join(call: Call) -> None:
    early = await call.join("early")
    ghost = await call.join("ghost", grants={"hidden": True})
    track = await ghost.publish("audio", "mic")
    late = await call.join("late")
    await late.send(subscription=rtc.UpdateSubscription(track_sids=[track.sid], subscribe=True))
    for client in (early, late):
        await client.settle()
        assert call.consumers_of(client) == []


async def test_the_older_session_of_an_identity_is_told_and_its_socket_closed(call: Call) -> None:
    older = await call.join("alice")
    bob = await call.join("bob")
    newer = await call.join("alice")
    leave = (await older.expect("leave")).leave
    assert leave.reason == models.DisconnectReason.DUPLICATE_IDENTITY
    assert leave.action == leave.DISCONNECT
    await older.closed.wait()
    sids = [older.joined.participant.sid, newer.joined.participant.sid]
    await bob.expect_participant("alice", lambda info: info.sid == sids[1])
    told = [info for message in bob.messages for info in message.update.participants if info.identity == "alice"]
    assert [sid for sid, _ in itertools.groupby(info.sid for info in told)] == sids
    gone = [info.state for info in told if info.sid == sids[0]][-1]
    assert gone == models.ParticipantInfo.State.DISCONNECTED


async def test_set_remote_carries_what_the_offer_said(call: Call) -> None:
    alice = await call.join("alice")
    await alice.settle()
    remote = call.engine.remotes[call.transport_of(alice)]
    assert remote.ufrag == "clientufrag"
    assert remote.sctp_port == 5000
    assert "urn:ietf:params:rtp-hdrext:sdes:mid" in remote.extensions
    assert len(call.engine.submitted(seam.SetRemote)) == 1


async def test_a_second_offer_without_changes_is_answered_with_its_own_id(call: Call) -> None:
    alice = await call.join("alice")
    offer_id = await alice.offer()
    answer = await alice.expect("answer", lambda message: message.answer.id == offer_id)
    assert answer.answer.id == 2
    assert not alice.received("media_sections_requirement")

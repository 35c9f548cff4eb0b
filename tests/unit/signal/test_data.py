"""Data packets: who gets them, what is overwritten, who may send, and slow readers."""

from __future__ import annotations

import pytest
from livekit.protocol import models

from sfu import seam
from tests.unit.signal.harness import Call, Client

PACKETS = {
    "user": models.DataPacket(user=models.UserPacket(payload=b"hi", topic="t")),
    "chat": models.DataPacket(chat_message=models.ChatMessage(id="1", message="hi")),
    "stream header": models.DataPacket(
        stream_header=models.DataStream.Header(stream_id="s", byte_header=models.DataStream.ByteHeader(name="f"))
    ),
    "stream chunk": models.DataPacket(stream_chunk=models.DataStream.Chunk(stream_id="s", content=b"x" * 15_000)),
    "stream trailer": models.DataPacket(stream_trailer=models.DataStream.Trailer(stream_id="s")),
    "rpc request": models.DataPacket(rpc_request=models.RpcRequest(id="1", method="m", payload="p")),
    "rpc ack": models.DataPacket(rpc_ack=models.RpcAck(request_id="1")),
    "rpc response": models.DataPacket(rpc_response=models.RpcResponse(request_id="1", payload="p")),
}


async def say(call: Call, sender: Client, packet: models.DataPacket | bytes, label: str = "_reliable") -> None:
    payload = packet if isinstance(packet, bytes) else packet.SerializeToString()
    call.engine.emit(seam.DataReceived(call.transport_of(sender), label, payload))
    await sender.settle()


def heard(call: Call) -> list[tuple[set[seam.TransportId], str, models.DataPacket]]:
    return [(set(sent.transports), sent.label, models.DataPacket.FromString(sent.payload)) for sent in call.engine.sent]


@pytest.mark.parametrize("name", PACKETS)
async def test_packets_of_every_kind_pass_unchanged_but_for_the_sender(call: Call, name: str) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    packet = models.DataPacket()
    packet.CopyFrom(PACKETS[name])
    packet.participant_identity, packet.participant_sid, packet.sequence = "mallory", "PA_mallory", 7
    await say(call, alice, packet)
    ((transports, label, got),) = heard(call)
    assert transports == {call.transport_of(bob)}
    assert label == "_reliable"
    assert (got.participant_identity, got.participant_sid) == ("alice", alice.joined.participant.sid)
    expected = models.DataPacket()
    expected.CopyFrom(packet)
    expected.participant_identity, expected.participant_sid = "alice", alice.joined.participant.sid
    if name == "user":
        expected.user.participant_identity, expected.user.participant_sid = "alice", alice.joined.participant.sid
    assert got == expected


async def test_the_label_decides_not_the_kind(call: Call) -> None:
    alice, _bob = await call.join("alice"), await call.join("bob")
    await say(call, alice, models.DataPacket(kind="RELIABLE", user=models.UserPacket(payload=b"x")), "_lossy")
    assert call.engine.sent[0].label == "_lossy"


async def test_targeted_data_reaches_only_those_named(call: Call) -> None:
    alice, bob, carol = await call.join("alice"), await call.join("bob"), await call.join("carol", v1=False)
    await say(call, alice, models.DataPacket(destination_identities=["carol"], user=models.UserPacket(payload=b"x")))
    by_sid = models.UserPacket(payload=b"x", destination_sids=[bob.joined.participant.sid])
    await say(call, alice, models.DataPacket(user=by_sid))
    await say(call, alice, models.DataPacket(destination_identities=["nobody"], user=models.UserPacket(payload=b"x")))
    assert [transports for transports, *_ in heard(call)] == [{call.transport_of(carol)}, {call.transport_of(bob)}]


async def test_without_can_publish_data_nothing_is_forwarded(call: Call) -> None:
    alice, _bob = await call.join("alice", grants={"can_publish_data": False}), await call.join("bob")
    await say(call, alice, PACKETS["user"])
    assert call.engine.sent == []
    assert call.room().data.dropped == {"not_allowed": 1}


async def test_garbage_and_unknown_channels_are_counted_drops(call: Call) -> None:
    alice, _bob = await call.join("alice"), await call.join("bob")
    await say(call, alice, b"\xff\xff\xff")
    await say(call, alice, PACKETS["user"], "_data_track")
    await say(call, alice, PACKETS["user"], "other")
    assert call.engine.sent == []
    assert call.room().data.dropped == {"malformed": 1, "unknown_channel": 2}


async def test_only_agents_transcribe(call: Call) -> None:
    alice, _bob = await call.join("alice"), await call.join("bob")
    agent = await call.join("agent", grants={"agent": True})
    words = models.DataPacket(transcription=models.Transcription(track_id="TR_x"))
    await say(call, alice, words)
    assert call.engine.sent == []
    await say(call, agent, words)
    assert len(call.engine.sent) == 1


async def test_a_slow_reader_pauses_those_who_send_to_it_until_it_has_drained(call: Call) -> None:
    alice, bob, carol = await call.join("alice"), await call.join("bob"), await call.join("carol")
    await say(call, alice, PACKETS["user"])
    await say(call, carol, models.DataPacket(destination_identities=["alice"], user=models.UserPacket(payload=b"x")))
    call.engine.emit(seam.DataOverflow(call.transport_of(bob)))
    await bob.settle()
    assert call.engine.paused == {call.transport_of(alice)}
    await say(call, carol, PACKETS["user"])
    assert call.engine.paused == {call.transport_of(alice), call.transport_of(carol)}
    call.engine.emit(seam.DataLow(call.transport_of(bob)))
    await bob.settle()
    assert call.engine.paused == set()


async def test_a_reader_that_stays_slow_loses_its_reliable_data_and_frees_the_others(call: Call) -> None:
    alice, bob, carol = await call.join("alice"), await call.join("bob"), await call.join("carol")
    await say(call, alice, PACKETS["user"])
    call.engine.emit(seam.DataOverflow(call.transport_of(bob)))
    await bob.settle()
    call.tick(6)
    await alice.settle()
    assert call.engine.paused == set()
    call.engine.sent.clear()
    await say(call, alice, PACKETS["user"])
    await say(call, alice, PACKETS["user"], "_lossy")
    both = {call.transport_of(bob), call.transport_of(carol)}
    assert [transports for transports, *_ in heard(call)] == [{call.transport_of(carol)}, both]
    assert call.room().data.dropped == {"slow_reader": 1}
    call.engine.emit(seam.DataLow(call.transport_of(bob)))
    await bob.settle()
    await say(call, alice, PACKETS["user"])
    assert heard(call)[-1][0] == both


async def test_a_slow_reader_that_leaves_frees_the_senders(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    await say(call, alice, PACKETS["user"])
    call.engine.emit(seam.DataOverflow(call.transport_of(bob)))
    await bob.settle()
    assert call.engine.paused
    await bob.close()
    await alice.settle()
    assert not call.engine.paused

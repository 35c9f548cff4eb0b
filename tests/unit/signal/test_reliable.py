"""Reliable data reaches those whose channel is not open yet and those who come back, once and in order."""

from __future__ import annotations

import pytest
from livekit.protocol import models, rtc

from sfu import replay, seam
from tests.unit.signal.harness import Call, Client


async def say(call: Call, sender: Client, sequence: int, *to: str, label: str = "_reliable") -> None:
    user = models.UserPacket(payload=str(sequence).encode())
    packet = models.DataPacket(sequence=sequence, destination_identities=to, user=user)
    call.engine.emit(seam.DataReceived(call.transport_of(sender), label, packet.SerializeToString()))
    await sender.settle()


def heard_by(call: Call, client: Client) -> list[int]:
    transport = call.transport_of(client)
    sent = [each for each in call.engine.sent if transport in each.transports]
    return [models.DataPacket.FromString(each.payload).sequence for each in sent]


async def opens(call: Call, client: Client) -> None:
    call.engine.open_channels(call.transport_of(client))
    await client.settle()


@pytest.mark.parametrize("v1", [True, False])
async def test_a_joiner_gets_what_was_sent_while_its_channel_was_opening(call: Call, v1: bool) -> None:
    alice = await call.join("alice")
    await say(call, alice, 1)
    call.engine.auto_open = False
    bob = await call.join("bob", v1=v1)
    for sequence in (2, 3):
        await say(call, alice, sequence)
    assert heard_by(call, bob) == []
    await opens(call, bob)
    await say(call, alice, 4)
    assert heard_by(call, bob) == [2, 3, 4]
    await opens(call, bob)
    assert heard_by(call, bob) == [2, 3, 4]
    assert call.room().data.replayed == 2


async def test_what_is_kept_goes_only_to_those_it_is_for(call: Call) -> None:
    alice, _carol = await call.join("alice"), await call.join("carol")
    call.engine.auto_open = False
    bob = await call.join("bob")
    await say(call, alice, 1, "carol")
    await say(call, alice, 2, "bob")
    await say(call, alice, 3, label="_lossy")
    await say(call, bob, 1)
    await opens(call, bob)
    # Lossy packets are not kept: the engine skips a channel that is not open.
    assert heard_by(call, bob) == [3, 2]


async def test_a_full_reconnect_misses_nothing_that_was_said_meanwhile(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    await say(call, alice, 1)
    await bob.close()
    await say(call, alice, 2)
    again = await call.join("bob")
    await again.settle()
    await say(call, alice, 3)
    assert heard_by(call, again) == [2, 3]


async def test_one_that_comes_back_later_starts_anew(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    await bob.close()
    await say(call, alice, 1)
    call.tick(replay.RETURN_S + 1)
    again = await call.join("bob")
    await say(call, alice, 2)
    assert heard_by(call, again) == [2]


async def test_one_that_was_removed_does_not_hear_what_was_said_meanwhile(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    call.room().remove("bob")  # type: ignore[arg-type]
    await bob.expect("leave")
    await say(call, alice, 1)
    again = await call.join("bob")
    await say(call, alice, 2)
    assert heard_by(call, again) == [2]


async def test_a_joiner_that_never_opens_its_channel_holds_nothing_for_long(call: Call) -> None:
    alice = await call.join("alice")
    call.engine.auto_open = False
    bob = await call.join("bob")
    await say(call, alice, 1)
    call.tick(replay.KEEP_S - 1)
    await say(call, alice, 2)
    call.tick(2)
    await opens(call, bob)
    assert heard_by(call, bob) == [2]


async def test_packets_that_a_resumed_sender_repeats_are_delivered_once(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    for sequence in (1, 2, 3, 2, 3, 4):
        await say(call, alice, sequence)
    assert heard_by(call, bob) == [1, 2, 3, 4]
    assert call.room().data.dropped == {"repeated": 2}


async def test_packets_without_a_number_always_pass(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    for sequence in (5, 0, 0):
        await say(call, alice, sequence)
    assert heard_by(call, bob) == [5, 0, 0]


async def test_what_a_client_says_it_has_seen_is_no_reason_to_send_it_again(call: Call) -> None:
    """Its SCTP association outlives the socket and delivers by itself whatever we have sent."""
    alice, bob = await call.join("alice"), await call.join("bob")
    for sequence in (1, 2):
        await say(call, alice, sequence)
    state = rtc.DataChannelReceiveState(publisher_sid=alice.joined.participant.sid, last_seq=1)
    await bob.send(sync_state=rtc.SyncState(datachannel_receive_states=[state]))
    await bob.settle()
    assert heard_by(call, bob) == [1, 2]

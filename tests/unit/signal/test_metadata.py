"""Own name, metadata and attributes, with and without the right to change them; the room's metadata."""

from __future__ import annotations

from livekit.protocol import rtc

from tests.unit.signal.harness import Call

REASON = rtc.RequestResponse.Reason
MAY = {"can_update_own_metadata": True}


async def test_changes_reach_a_second_client_and_are_confirmed(call: Call) -> None:
    alice, bob = await call.join("alice", grants=MAY, attributes={"old": "1"}), await call.join("bob")
    await alice.send(
        update_metadata=rtc.UpdateParticipantMetadata(
            name="A", metadata="new", attributes={"mood": "fine", "old": ""}, request_id=9
        )
    )
    seen = await bob.expect_participant("alice", lambda info: info.metadata == "new")
    assert seen.name == "A"
    assert dict(seen.attributes) == {"mood": "fine"}
    response = (await alice.expect("request_response")).request_response
    assert (response.request_id, response.reason) == (9, REASON.OK)


async def test_without_the_grant_nothing_changes(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    await alice.send(update_metadata=rtc.UpdateParticipantMetadata(metadata="new", request_id=1))
    assert (await alice.expect("request_response")).request_response.reason == REASON.NOT_ALLOWED
    await bob.settle()
    assert all(info.metadata == "" for m in bob.received("update") for info in m.update.participants)


async def test_too_much_is_refused_as_a_whole(call: Call) -> None:
    alice = await call.join("alice", grants=MAY)
    for update in (
        rtc.UpdateParticipantMetadata(name="n" * 257),
        rtc.UpdateParticipantMetadata(name="ok", metadata="m" * (512 * 1024 + 1)),
        rtc.UpdateParticipantMetadata(name="ok", attributes={"a": "x" * 65536}),
    ):
        await alice.send(update_metadata=update)
        assert (await alice.expect("request_response")).request_response.reason == REASON.LIMIT_EXCEEDED
    assert call.room().participant("alice").name == ""  # type: ignore[arg-type]


async def test_room_metadata_reaches_everyone(call: Call) -> None:
    alice = await call.join("alice")
    call.room().update_metadata("hello")
    update = await alice.expect("room_update", lambda message: message.room_update.room.metadata == "hello")
    assert update.room_update.room.sid == alice.joined.room.sid


async def test_the_number_of_participants_is_told_within_a_second(call: Call) -> None:
    alice, _bob = await call.join("alice"), await call.join("bob")
    call.tick(1.2)
    await alice.expect("room_update", lambda message: message.room_update.room.num_participants == 2)

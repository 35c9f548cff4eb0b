"""After everybody has left, nothing is left: ids in the engine, tasks, timers, rooms."""

from __future__ import annotations

import asyncio
import gc

from sfu import seam
from tests.unit.signal.harness import Call


def tasks() -> int:
    return sum(1 for task in asyncio.all_tasks() if task.get_name() == "signal-writer")


def timers() -> int:
    scheduled = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    return sum(1 for handle in scheduled if not handle.cancelled())


async def test_joins_and_leaves_give_everything_back(call: Call) -> None:
    keeper = await call.join("keeper")
    await keeper.publish("video", "cam", rids=("q", "h", "f"))
    await keeper.settle()
    start = (call.engine.open_ids(), call.facade.counts(), tasks(), timers())
    for number in range(30):
        guest = await call.join("guest", v1=number % 2 == 0)
        await guest.publish("audio", "mic")
        await guest.settle()
        await (guest.close() if number % 3 else guest.drop())
    call.tick(20)
    await keeper.settle()
    await keeper.settle()
    gc.collect()
    assert (call.engine.open_ids(), call.facade.counts(), tasks(), timers()) == start
    room = call.room()
    assert len(room.participants) == 1
    assert len(call.server._claims) == 1
    assert len(call.server._sessions) == 1
    assert set(room.data._readers) == set(room.participants.values())
    assert not room.data._slow and not room.data._senders
    assert len(room.participants["keeper"].subscriptions._by_track) == 0  # type: ignore[index]


async def test_a_room_ends_some_time_after_the_last_one_left(call: Call) -> None:
    alice = await call.join("alice", room_config={"departureTimeout": 10})
    sid = call.room().sid
    await alice.close()
    call.tick(8)
    assert call.room().sid == sid
    call.tick(3)
    assert call.server.rooms.all() == []


async def test_someone_who_comes_back_in_time_finds_the_same_room(call: Call) -> None:
    alice = await call.join("alice")
    await alice.close()
    call.tick(10)
    again = await call.join("alice")
    assert again.joined.room.sid == alice.joined.room.sid
    call.tick(60)
    assert len(call.server.rooms.all()) == 1


async def test_a_room_of_many_takes_another_shard_and_its_members_are_told_where_theirs_is() -> None:
    call = Call(shards=3, room_spread=1)
    await call.start()
    for shard, name in enumerate(("ada", "bob", "cleo")):
        client = await call.join(name)
        # The fake engine's shard i has port 7882 + i.
        answer = (await client.expect("answer")).answer.sdp
        assert f" 127.0.0.1 {7882 + shard} typ host" in answer
    assert [item.shard for item in call.engine.submitted(seam.OpenTransport)] == [0, 1, 2]
    await call.close()


async def test_new_rooms_go_to_the_least_loaded_shard() -> None:
    call = Call(shards=2)
    await call.start()
    for number, room in enumerate(("a", "b", "a", "a", "c", "d")):
        await call.join(f"p{number}", room=room)
    shards = {room.name: room.home for room in call.server.rooms.all()}
    assert shards == {"a": 0, "b": 1, "c": 1, "d": 1}
    opened = call.engine.submitted(seam.OpenTransport)
    assert [item.shard for item in opened] == [0, 1, 0, 0, 1, 1]
    await call.close()

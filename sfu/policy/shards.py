"""Which shard takes a room, and which each of its participants. Arithmetic on counts per shard."""

from __future__ import annotations

from collections.abc import Sequence


def home_of_room(load: Sequence[int], rooms: Sequence[int]) -> int:
    """The least loaded by transports; among equals those with fewer rooms (empty rooms have no transports yet)."""
    return min(range(len(load)), key=lambda shard: (load[shard], rooms[shard]))


def shard_of_participant(home: int, people: Sequence[int], load: Sequence[int], spread: int) -> int:
    """Where a joiner's transports go, given how many of the room's `people` each shard has.

    What crosses shards is copied once more, so a room stays together on its home until `spread` are there. Then it fills the
    other shards that it is on already, then the least loaded of the rest; when all have `spread`, the one with the fewest.
    """
    free = [shard for shard, count in enumerate(people) if count < spread]
    if free:
        return min(free, key=lambda shard: (shard != home, people[shard] == 0, load[shard]))
    return min(range(len(people)), key=lambda shard: (people[shard], load[shard]))


#: Participants of a room on one shard before it takes another: about what a core carries when all see each other.
DEFAULT_SPREAD = 50

"""A room stays together until it is large; then it takes one shard after another."""

from __future__ import annotations

from collections import Counter

from sfu.policy.shards import home_of_room, shard_of_participant


def test_a_room_goes_where_the_least_is_going_on() -> None:
    assert home_of_room([4, 2, 9], [0, 5, 0]) == 1
    assert home_of_room([0, 0, 0], [2, 1, 1]) == 1


def test_a_room_fills_its_home_first_then_what_it_uses_then_what_is_idle() -> None:
    load = [50, 10, 0]
    assert shard_of_participant(0, [9, 0, 0], load, 10) == 0
    assert shard_of_participant(0, [10, 0, 0], load, 10) == 2
    assert shard_of_participant(0, [10, 3, 0], load, 10) == 1
    assert shard_of_participant(0, [9, 3, 0], load, 10) == 0


def test_when_all_are_full_the_emptiest_takes_more() -> None:
    assert shard_of_participant(0, [12, 11, 10], [0, 0, 90], 10) == 2
    assert shard_of_participant(1, [10, 10, 10], [5, 7, 3], 10) == 2


def test_a_spread_of_one_puts_neighbours_on_different_shards() -> None:
    people = [0, 0, 0]
    for _ in range(9):
        people[shard_of_participant(1, people, people, 1)] += 1
    assert Counter(people) == {3: 3}


def test_one_shard_takes_everybody() -> None:
    assert shard_of_participant(0, [1_000], [2_000], 1) == 0

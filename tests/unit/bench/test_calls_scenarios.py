"""Who is in the rooms."""

from __future__ import annotations

import pytest

from bench.calls import scenarios
from bench.calls.scenarios import GROUPS, Participant, Plan, Subscribe
from bench.calls.servers import SERVERS


@pytest.mark.parametrize(
    ("case", "subscriptions"),
    [
        (scenarios.audio_room(10, 300), 310 * 10 - 10),
        (scenarios.meeting(24), 24 * (23 + 6)),
        (scenarios.meeting(4), 4 * (3 + 3)),  # there are no more to see
        (scenarios.everyday(24), 24 * (23 + 23)),
        (scenarios.livestream(50), 50 * 2),
        (scenarios.churn(20, 50), 20 * 10 * 9),
        (scenarios.data(10, reliable=True), 0),
    ],
)
def test_the_flows_of_a_room_are_counted(case: scenarios.Case, subscriptions: int) -> None:
    assert case.subscriptions == subscriptions


def test_people_are_spread_over_rooms_of_one_size() -> None:
    assert [len(room) for room in scenarios.churn(3, 1).rooms()] == [10, 10, 10]
    assert [len(room) for room in scenarios.everyday(24).rooms()] == [24]


def test_the_whole_plan_covers_every_group() -> None:
    plan = scenarios.full(5, 4.0)
    groups = {case.group for case in plan.cases} | {sweep.group for sweep in plan.sweeps}
    assert groups | ({"memory"} if plan.memory else set()) == GROUPS.keys()
    sizes = [len(case.participants) - 1 for case in plan.cases if case.group == "growth"]
    assert sizes == [10, 50, 200, 1000]
    assert plan.without.keys() <= GROUPS.keys()
    assert {name for names in plan.without.values() for name in names} <= SERVERS.keys()


def test_a_quick_run_takes_less_than_three_minutes() -> None:
    assert _seconds(scenarios.quick(2, 0.6), len(scenarios.QUICK_SERVERS)) < 170


def _seconds(plan: Plan, servers: int) -> float:
    """With what joining and starting have been seen to take at the most."""
    start_s, sample_s = 1.0, 1.0
    rounds = len(plan.cases) * plan.rounds * (plan.warm_up_s + plan.seconds + sample_s)
    return servers * (rounds + len(plan.cases) * start_s + 20)


def test_groups_may_be_left_out() -> None:
    plan = scenarios.only(scenarios.full(1, 1), ["audio", "load"])
    assert {case.group for case in plan.cases} == {"audio"}
    assert plan.sweeps and plan.memory is None


def test_a_sweep_finds_out_how_many_make_a_load() -> None:
    sweep = scenarios.fan_out(first=40, most=300)
    assert (sweep.many(busy=0.2), sweep.many(busy=0.01)) == (140, 300)
    few, many = (40, 0.2), (140, 0.6)
    assert [sweep.listeners(load, few, many) for load in (0.05, 0.2, 0.4, 0.6, 0.9)] == [2, 40, 90, 140, 215]
    assert sweep.listeners(0.01, few, many) == 1
    assert sweep.listeners(0.4, few, (140, 0.1)) == sweep.listeners(0.4, few, few) == 80, "by proportion"
    assert sweep.case(2).participants[1:] == (Participant(subscribe=Subscribe(audio=True, high=1)),) * 2


def test_a_sweep_of_rooms_shares_its_listeners_out() -> None:
    case = scenarios.load(first=40, most=300).case(42)
    rooms = list(case.rooms())
    assert [len(room) for room in rooms] == [6] * 16
    assert all([each.video for each in room] == ["vp8"] * 3 + [None] * 3 for room in rooms)
    # 3 microphones and 3 cameras for a listener, 2 and 2 for a speaker
    assert case.subscriptions == 16 * (3 * 6 + 3 * 4)


def test_beside_a_neighbour_the_call_is_the_same() -> None:
    alone, *beside = scenarios.neighbours(scenarios.everyday(12))
    assert alone.neighbour is None
    assert {each.participants for each in beside} == {alone.participants}
    assert all(each.neighbour is not None for each in beside)

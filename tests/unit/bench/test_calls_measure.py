"""In which order servers, rooms and rounds come. Servers and generator are told, not run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest

from bench.calls import measure, scenarios
from bench.calls.floor import shape_of
from bench.calls.generator import Target
from bench.calls.measure import Bench
from bench.calls.results import Floors
from bench.calls.scenarios import Action, Case, Plan
from bench.calls.statistics import Sample
from bench.loadgen import PeerError
from tests.unit.bench.call_numbers import join_reply, measure_reply


class World:
    """What happened, one word and its server's name at a time."""

    def __init__(self) -> None:
        self.happened: list[tuple[str, str]] = []
        self.rooms: list[str] = []
        #: Whose generator gives up.
        self.broken = ""
        self.listeners: list[int] = []


class FakeServer:
    version = "1"
    pid = 1

    def __init__(self, name: str, world: World) -> None:
        self.url = name
        self._world = world
        self._resident = 50_000_000

    def __enter__(self) -> Self:
        self._world.happened.append(("start", self.url))
        return self

    def __exit__(self, *_: object) -> None:
        self._world.happened.append(("stop", self.url))

    def public_command(self) -> list[str]:
        return [self.url]

    def config(self) -> dict[str, Any]:
        return {"of": self.url}

    def resident_bytes(self) -> int:
        self._resident += 1_000_000
        return self._resident


class FakeGenerator:
    def __init__(self, world: World, target: Target) -> None:
        self._world = world
        self._server = target.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def join(self, case: Case, room: str) -> dict[str, Any]:
        self._say("join")
        self._world.rooms.append(room)
        self._world.listeners.append(len(case.participants) - 1)
        return join_reply()

    def start(self, action: Action, seconds: float) -> None:
        self._say(f"start {action.do}")

    def hear(self, do: str) -> dict[str, Any]:
        self._say(f"hear {do}")
        return measure_reply()

    def run(self, action: Action, seconds: float) -> dict[str, Any]:
        self._say(action.do)
        if self._world.broken == self._server:
            raise PeerError("measure: it gave up")
        # A hundred listeners are half a core.
        return measure_reply(server_s=self._world.listeners[-1] * 0.005)

    def leave(self, count: int) -> None:
        self._say("leave")

    def _say(self, word: str) -> None:
        self._world.happened.append((word, self._server))


class FakeFloor:
    """Half of what ours costs."""

    def __init__(self, world: World, case: Case) -> None:
        self._world = world
        self._case = case
        self._samples: list[Sample] = []

    def measure(self, ours: Sample, seconds: float) -> None:
        self._world.happened.append(("measure", "floor"))
        if self._world.broken == "floor":
            raise PeerError("floor: it gave up")
        self._samples.append(ours)

    @property
    def found(self) -> Floors:
        shapes = tuple(shape_of(sample, self._case) for sample in self._samples)
        return Floors(shapes, tuple(sample.cpu_us / 2 for sample in self._samples))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    told = World()
    servers = {name: lambda _, name=name: FakeServer(name, told) for name in ("livekit", "livekit-batch", "ours")}
    monkeypatch.setattr(measure, "SERVERS", servers)
    monkeypatch.setattr(measure, "Generator", lambda target, _: FakeGenerator(told, target))
    monkeypatch.setattr("bench.calls.measure.time.sleep", lambda _: None)

    @contextmanager
    def beside(case: Case) -> Iterator[FakeFloor]:
        yield FakeFloor(told, case)

    monkeypatch.setattr("bench.calls.floor.beside", beside)
    return told


def bench(names: list[str]) -> Bench:
    return Bench(names, Path("/nowhere"), Path("/media"), lambda _: None)


def plan(*cases: Case, rounds: int = 2, **changed: Any) -> Plan:
    return Plan(cases=cases, sweeps=(), memory=None, rounds=rounds, warm_up_s=1, seconds=1, **changed)


def test_servers_take_turns_and_every_round_has_another_first(world: World) -> None:
    run = bench(["livekit", "ours"])
    results = run.run(plan(scenarios.everyday(4)))
    order = [server for word, server in world.happened if word == "measure"]
    assert order == ["livekit", "ours", "ours", "livekit"]
    assert {name: len(row.samples) for name, row in results.measured[0].rows.items()} == {"livekit": 2, "ours": 2}
    assert run.commands == {"livekit": ["livekit"], "ours": ["ours"]}
    assert run.configurations["ours"] == {"of": "ours"}


def test_everybody_leaves_before_the_other_server_is_measured(world: World) -> None:
    bench(["livekit", "ours"]).run(plan(scenarios.everyday(4), rounds=1))
    words = [word for word, _ in world.happened]
    assert words == ["start", "start", *("join", "measure", "leave") * 2, "stop", "stop"]


def test_no_room_is_used_twice(world: World) -> None:
    bench(["livekit", "ours"]).run(plan(scenarios.livestream(10), scenarios.churn(2, 5)))
    assert len(set(world.rooms)) == len(world.rooms) == 8


def test_a_group_may_leave_a_server_out(world: World) -> None:
    results = bench(["livekit-batch", "ours"]).run(plan(scenarios.churn(2, 5), without={"churn": ("livekit-batch",)}))
    assert list(results.measured[0].rows) == ["ours"]


def test_who_cannot_do_something_is_missing_there_and_the_others_go_on(world: World) -> None:
    world.broken = "livekit"
    results = bench(["livekit", "ours"]).run(plan(scenarios.livestream(10), rounds=3))
    (measured,) = results.measured
    assert {name: len(row.samples) for name, row in measured.rows.items()} == {"ours": 3}
    assert results.failures == ("livekit: livestream, 1 to 10: measure: it gave up",)


@pytest.mark.parametrize("case", [scenarios.livestream(10), scenarios.growth(50)])
def test_the_floor_comes_right_after_ours_in_every_round(world: World, case: Case) -> None:
    (measured,) = bench(["livekit", "ours"]).run(plan(case)).measured
    order = [server for word, server in world.happened if word == "measure"]
    assert order == ["livekit", "ours", "floor", "ours", "floor", "livekit"]
    assert measured.over_floor is not None and measured.over_floor.median == 2


def test_other_groups_have_no_floor_and_nobody_else_has(world: World) -> None:
    for names, case in ((["ours"], scenarios.everyday(4)), (["livekit"], scenarios.livestream(10))):
        (measured,) = bench(names).run(plan(case)).measured
        assert measured.over_floor is None


@pytest.mark.parametrize("broken", ["floor", "ours"])
def test_without_the_floor_or_without_ours_the_rest_goes_on(world: World, broken: str) -> None:
    world.broken = broken
    results = bench(["livekit", "ours"]).run(plan(scenarios.livestream(10)))
    (measured,) = results.measured
    assert measured.over_floor is None and len(measured.rows["livekit"].samples) == 2
    assert [sentence.partition(":")[0] for sentence in results.failures] == [broken]


def test_a_neighbour_is_busy_for_the_whole_window(world: World) -> None:
    _, beside, _ = scenarios.neighbours(scenarios.everyday(4))
    bench(["ours"]).run(plan(beside, rounds=1))
    words = [word for word, _ in world.happened]
    assert words == ["start", "join", "join", "start churn", "measure", "hear churn", "leave", "stop"]


def test_a_sweep_measures_as_many_listeners_as_its_loads_take(world: World) -> None:
    sweep = scenarios.fan_out(first=40, most=1000)
    swept = bench(["ours"]).sweep(sweep, plan(rounds=1))
    assert [listeners for listeners, _ in swept.rows["ours"]] == [10, 40, 100, 140, 180]
    assert [row.median("server_busy") for _, row in swept.rows["ours"]] == pytest.approx(list(sweep.loads))


def test_memory_is_what_people_and_subscriptions_add(world: World) -> None:
    sizes = scenarios.MemoryPlan(idle=(0, 50, 150), everyday=4, fill_s=8)
    (growth,) = bench(["ours"]).memory(replace(plan(), memory=sizes))
    assert [point.participants for point in growth.idle] == [0, 50, 150]
    assert growth.per_participant == pytest.approx(2_000_000 / 150)
    # One with subscriptions and one without, each in a fresh server: the same, here.
    assert growth.per_subscription == 0
    assert world.listeners == [3, 49, 99, 3, 3, 3, 3]

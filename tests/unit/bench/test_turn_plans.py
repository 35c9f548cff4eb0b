"""What is measured, and what the command line says when it cannot be."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from bench.commandline import names_of
from bench.turn import cells, peers, run
from bench.turn.servers import SERVERS, Coturn, Pion


def test_the_whole_plan_covers_what_the_gates_are_about() -> None:
    plan = cells.full(5, 1.2)
    floods = [group for group in plan.groups if group.name == "flood"]
    assert [group.allocations for group in floods] == [1, 10, 200, 1000]
    for group in floods:
        assert {(load.train, load.payload, load.direction) for load in group.loads} == {
            (train, payload, direction)
            for train in (16, 4, 1)
            for payload in (120, 1200)
            for direction in ("to_peers", "to_clients")
        }
    (spread,) = [group for group in plan.groups if group.name == "spread"]
    assert (spread.allocations, {load.rate_pps for load in spread.loads}) == (50, {20_000})
    (tls,) = [group for group in plan.groups if group.name == "tls"]
    assert (tls.allocations, {(load.rate_pps, load.payload) for load in tls.loads}) == (10, {(10_000, 1200)})


@pytest.mark.parametrize("plan", [cells.full(1, 1), cells.quick(1, 1)])
def test_every_server_of_a_plan_exists(plan: cells.Plan) -> None:
    assert {name for group in plan.groups for name in group.servers} <= SERVERS.keys()


def test_a_quick_run_takes_less_than_three_minutes() -> None:
    plan = cells.quick(2, 0.5)
    settle_s = 0.2
    runs = sum(len(group.loads) * len(group.servers) for group in plan.groups) * plan.rounds
    assert runs * (plan.warm_up_s + plan.seconds + settle_s) < 120


def test_a_server_that_is_not_installed_comes_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("bench.turn.servers.PION", tmp_path / "pion_turn")
    assert Coturn.missing() == "apt-get install --yes coturn"
    assert "python -m bench turn --peers" in str(Pion.missing())
    assert run.main(["--servers", "coturn,pion"]) == 2
    assert "apt-get install --yes coturn\n" in capsys.readouterr().out


def test_what_is_not_asked_for_need_not_be_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bench.turn.servers.PION", tmp_path / "pion_turn")
    assert not [line for line in peers.missing(["floor-plain"]) if "pion" in line or "--peers" in line]


def test_a_server_or_a_part_that_does_not_exist_is_refused() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="there is no colibri"):
        names_of(["coturn", "ours"])("coturn,colibri")


def test_parts_may_be_left_out() -> None:
    plan = cells.only(cells.full(rounds=1, seconds=1), ["spread", "zero-hop"])
    assert [group.name for group in plan.groups] == ["spread"]
    assert plan.zero_hop == cells.full(rounds=1, seconds=1).zero_hop and plan.memory_allocations == 0

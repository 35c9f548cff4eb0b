"""Samples and rows that say what a test needs and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.turn.cells import Group, Load
from bench.turn.gates import Measured, ZeroHop
from bench.turn.statistics import Row, Sample


def generator_report(**changed: Any) -> dict[str, Any]:
    """What the generator says of an undisturbed run of one second: 100,000 packets, half a second of CPU."""
    spent = {
        "wall_s": 1.0,
        "server_s": 0.5,
        "server_main_s": 0.01,
        "own_s": 1.0,
        "server_core_other_s": 0.0,
        "server_core_steal_s": 0.0,
        "own_core_other_s": 0.0,
        "own_core_steal_s": 0.0,
    }
    report = {
        "sent": 120_000,
        "received": 120_000,
        "strays": 0,
        "arrived": 100_000,
        "flow_min": 10_000,
        "flow_max": 10_000,
        "busy": 0.3,
        "skipped": 0,
        "held_back": 0,
        "socket_drops": 0,
        "latency_us": [],
        "spent": {**spent, **{key: changed.pop(key) for key in spent if key in changed}},
    }
    return {**report, **changed}


def row(
    server: str, cpu_us: Sequence[float], *, lost: float = 0.0, p99_us: float | None = None, main_busy: float = 0.01
) -> Row:
    latency = () if p99_us is None else (p99_us / 2, p99_us, p99_us, p99_us)
    return Row(
        server, tuple(Sample(each, 100_000, 0.9, main_busy, lost, latency, raw=generator_report()) for each in cpu_us)
    )


def measured(*rows: Row, group: str = "flood", train: int = 16, rate_pps: int = 0) -> Measured:
    load = Load(train, 1200, "to_peers", rate_pps)
    return Measured(Group(group, 10, (load,), ()), load, {each.server: each for each in rows})


def zero_hop(*rows: Row, train: int = 16) -> ZeroHop:
    return ZeroHop(10, Load(train, 1200, "to_peers"), {each.server: each for each in rows})

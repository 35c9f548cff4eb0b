"""What the generator says of calls, and rows made of it, with what a test needs and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.calls.results import Measured
from bench.calls.scenarios import Case, livestream
from bench.calls.statistics import Row, Sample
from tests.unit.bench.numbers import generator_report


def join_reply(**changed: Any) -> dict[str, Any]:
    reply = {
        "joined": 11,
        "failed": [],
        "join_ms": {"p50": 40.0, "p95": 90.0, "max": 120.0},
        "joins_per_s": 25.0,
        "subscriptions": {"audio": 10, "video": 10},
    }
    return {**reply, **changed}


def measure_reply(**changed: Any) -> dict[str, Any]:
    """An undisturbed second: 100,000 packets for half a second of CPU."""
    spent = generator_report()["spent"]
    reply = {
        "sent": 10_000,
        "received": 100_000,
        "expected": 100_000,
        "lost": 0,
        "reordered": 0,
        "duplicated": 0,
        "rtx": 0,
        "bytes": 90_000_000,
        "latency_us": {"p50": 200.0, "p99": 900.0, "p999": 1500.0, "max": 4000.0, "count": 1500},
        "own_busy": 0.4,
        "own_drops": 0,
        "spent": {**spent, **{key: changed.pop(key) for key in spent if key in changed}},
    }
    return {**reply, **changed}


def sample(cpu_us: float = 5.0, **changed: Any) -> Sample:
    """100,000 packets a second, as far as nothing else is said."""
    return Sample.from_reports(join_reply(), measure_reply(**{"server_s": cpu_us / 10, **changed}))


def row(server: str, cpu_us: Sequence[float] = (5.0,), **changed: Any) -> Row:
    return Row(server, tuple(sample(each, **changed) for each in cpu_us))


def measured(*rows: Row, case: Case | None = None) -> Measured:
    return Measured(case or livestream(10), {each.server: each for each in rows})

"""The report is made of the JSON alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench import compare
from bench.report import dump
from bench.turn import gates, report, run
from bench.turn.gates import Memory, Results
from tests.unit.bench.numbers import measured, row, zero_hop

ABOUT = {
    "command": ["python", "-m", "bench", "turn"],
    "date": "2026-01-02",
    "machine": {"cpu": "a CPU", "kernel": "6.18", "cores": 2},
    "versions": {"coturn": "4.6.1", "floor-plain": "", "ours": "abc123"},
    "rounds": 3,
}


def result(*, train_us: float = 1.0) -> dict[str, Any]:
    results = Results(
        (
            measured(row("coturn", [4.5, 5, 6]), row("floor-plain", [3.5] * 3), row("ours", [train_us] * 3)),
            measured(
                row("coturn", [17], p99_us=700), row("ours", [8], p99_us=1500), group="spread", train=1, rate_pps=20_000
            ),
        ),
        (zero_hop(row("coturn", [5]), row("ours", [0.5])),),
        (
            Memory("coturn", 21_800.4, None, {"binding": 0, "allocate": 19_300}),
            Memory("ours", 3_000, 900, {"binding": 0, "allocate": 0}),
        ),
    )
    # Through JSON, as it is read from a file.
    said: dict[str, Any] = json.loads(json.dumps(report.as_json(results, gates.verdicts(results), ABOUT)))
    return said


def test_every_row_has_medians_with_extremes_and_ratios_to_ours() -> None:
    text = report.markdown(result())
    assert "| 5.00 (4.50-6.00) | 3.50 (3.50-3.50) | 1.00 (1.00-1.00) | 5.00 (4.50-6.00) | 3.50 (3.50-3.50) |" in text
    assert (
        "| 17.00 (17.00-17.00) | 8.00 (8.00-8.00) | 350 (350-350) | 750 (750-750) | 700 (700-700) | 1500 (1500-1500) |"
        in text
    )
    assert "| coturn | 21800 | - | 0.0 | 19300.0 |" in text
    assert "| ours | 3000 | 900 | 0.0 | 0.0 |" in text
    assert "coturn 4.6.1, ours abc123" in text
    assert "coturn 4.17.1 was found 5-8 % cheaper" in text


def test_gates_are_told_with_their_worst_row() -> None:
    assert (
        "| coturn's CPU / ours | 3 | 1 | 5 (10 allocations, 1200 B, trains of 16, to peers) | passed |"
        in report.markdown(result())
    )
    missed = report.markdown(result(train_us=2))
    assert "| coturn's CPU / ours | 3 | 1 | 2.5 (10 allocations, 1200 B, trains of 16, to peers) | 1 missed |" in missed


def test_a_ratio_that_an_earlier_run_does_not_repeat_is_marked(tmp_path: Path) -> None:
    new, earlier = tmp_path / "new.json", tmp_path / "earlier.json"
    new.write_text(dump(result(train_us=2)))
    earlier.write_text(dump(result()))
    assert run.main(["--render", str(new), "--compare", str(earlier)]) == 0
    text = new.with_suffix(".md").read_text()
    assert "on 2026-01-02, a CPU: 2 of 4 ratios (50%) are within 10% of that run's." in text
    assert "| 2.50 (2.25-3.00) *earlier 5.00 | 1.75 (1.75-1.75) *earlier 3.50 |" in text
    assert "*earlier" not in report.markdown(compare.beside(result(), result())).partition("## Two runs")[2]


def test_the_json_keeps_every_sample_as_the_generator_told_it() -> None:
    samples = result()["loads"][0]["servers"]["coturn"]["samples"]
    assert len(samples) == 3
    assert samples[0]["spent"]["wall_s"] == 1.0


def test_the_json_file_has_a_line_for_each_load_and_no_false_precision() -> None:
    said = {
        "rounds": 5,
        "loads": [{"us": 1.23456789, "n": 1234567}, {"us": 2.0, "n": 1}],
        "memory": [],
        "commands": {"a": ["b"]},
    }
    text = dump(said)
    assert text.splitlines()[3:5] == ['  {"us": 1.2346, "n": 1234567},', '  {"us": 2.0, "n": 1}']
    assert json.loads(text) == {**said, "loads": [{"us": 1.2346, "n": 1234567}, {"us": 2.0, "n": 1}]}


def test_a_run_without_ours_has_a_report_too() -> None:
    results = Results((measured(row("coturn", [5]), row("floor-plain", [4])),))
    text = report.markdown(report.as_json(results, (), ABOUT))
    assert "No gate applies" in text
    assert "| 5.00 (5.00-5.00) | 4.00 (4.00-4.00) |" in text

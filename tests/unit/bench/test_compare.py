"""Which ratios of two runs agree, and how the report tells of those that do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import compare
from bench.calls import report, run, scenarios
from bench.calls.results import Results
from bench.report import dump
from tests.unit.bench.call_numbers import measured, row
from tests.unit.bench.test_calls_report import ABOUT


def result(**livekit: float) -> dict[str, Any]:
    """LiveKit's CPU per packet, by the case; ours is 1, so that it is the ratio."""
    cases = {
        "small": scenarios.livestream(10),
        "large": scenarios.livestream(200),
        "everyday": scenarios.everyday(24),
    }
    rows = [measured(row("livekit", [ratio]), row("ours", [1.0]), case=cases[name]) for name, ratio in livekit.items()]
    said: dict[str, Any] = json.loads(dump(report.as_json(Results(tuple(rows)), (), ABOUT)))
    return said


@pytest.mark.parametrize(("earlier", "now", "apart"), [(5.0, 5.5, 0), (5.5, 5.0, 0), (5.0, 5.51, 1), (5.51, 5.0, 1)])
def test_a_tenth_apart_is_still_the_same_in_both_directions(earlier: float, now: float, apart: int) -> None:
    both = compare.beside(result(small=now), result(small=earlier))
    assert len(both["two_runs"]["apart"]) == apart


def test_the_report_has_the_share_and_both_values_of_the_others() -> None:
    text = report.markdown(compare.beside(result(small=5.0, large=7.0), result(small=5.1, large=6.0)))
    assert "## Two runs" in text
    assert "1 of 2 ratios (50%) are within 10% of that run's." in text
    assert "| livestream: 1 to 200 | livekit | 6.00 | 7.00 |" in text


def test_the_row_is_marked_as_disturbed_with_both_values() -> None:
    text = report.markdown(compare.beside(result(small=5.0, large=7.0), result(small=5.1, large=6.0)))
    assert "| 1 to 200 | livekit *earlier | 7.00 (7.00-7.00), earlier 6.00 |" in text
    assert "| 1 to 10 | livekit | 5.00 (5.00-5.00) |" in text


def test_ratios_of_one_run_only_are_counted_and_not_judged() -> None:
    both = compare.beside(result(small=5.0, large=7.0), result(small=5.0, everyday=9.0))
    found = both["two_runs"]
    assert (found["ratios"], found["agree"], found["only_earlier"], found["only_now"]) == (1, 1, 1, 1)
    assert "Ratios in one of the runs only: 2." in report.markdown(both)


def test_runs_that_share_nothing_have_no_share() -> None:
    assert "0 of 0 ratios are within" in report.markdown(compare.beside(result(small=5.0), result(large=5.0)))


def test_comparing_again_replaces_what_was_compared_before() -> None:
    once = compare.beside(result(small=5.0), result(small=9.0))
    assert compare.beside(once, result(small=5.0))["two_runs"]["apart"] == []


def test_it_can_be_done_after_the_fact(tmp_path: Path) -> None:
    new, earlier = tmp_path / "new.json", tmp_path / "earlier.json"
    new.write_text(dump(result(small=5.0)))
    earlier.write_text(dump(result(small=6.0)))
    assert run.main(["--render", str(new), "--compare", str(earlier)]) == 0
    assert "earlier 6.00" in new.with_suffix(".md").read_text()
    assert "<h2>Two runs</h2>" in new.with_suffix(".html").read_text()
    # The file keeps it: pages that are written again have it, too.
    assert run.main(["--render", str(new)]) == 0
    assert "earlier 6.00" in new.with_suffix(".md").read_text()


def test_an_earlier_run_that_is_not_there_is_told_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run.main(["--compare", str(tmp_path / "none.json")])
    assert ended.value.code == 2
    assert "none.json" in capsys.readouterr().err

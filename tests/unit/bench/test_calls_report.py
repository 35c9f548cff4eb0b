"""The pages are made of the JSON alone."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from bench.calls import gates, page, report, scenarios
from bench.calls.results import Floors, MemoryGrowth, MemoryPoint, Results, Swept
from bench.floor import Shape
from bench.report import dump
from tests.unit.bench.call_numbers import measured, row

ABOUT = {
    "command": ["python", "-m", "bench", "calls"],
    "date": "2026-01-02",
    "took_s": 120,
    "machine": {"cpu": "a CPU", "kernel": "6.18", "cores": 2},
    "versions": {"livekit": "1.13.11", "ours": "abc123"},
    "commands": {"ours": ["python", "-m", "control.cli", "serve"]},
    "configurations": {"ours": {"rtc": {"shards": 1}}},
    "rounds": 3,
    "seconds": 4.0,
}


def result(**ours: Any) -> dict[str, Any]:
    sweep = scenarios.load(first=10, most=100)
    results = Results(
        (
            measured(row("livekit", [9, 10, 11]), row("ours", [2, 2, 2], **ours), case=scenarios.everyday(24)),
            *(
                measured(row("livekit", [8.0]), row("ours", [1.5]), case=scenarios.growth(size))
                for size in (10, 50, 200)
            ),
        ),
        (Swept(sweep, {"ours": [(number, row("ours")) for number, _ in enumerate(sweep.loads, 1)]}),),
        (MemoryGrowth("ours", (MemoryPoint(0, 60_000_000), MemoryPoint(100, 61_024_000)), 2048.0),),
    )
    # Through JSON, as it is read from a file.
    said: dict[str, Any] = json.loads(dump(report.as_json(results, gates.verdicts(results), ABOUT)))
    return said


def test_every_row_has_medians_with_extremes_and_ratios_to_ours() -> None:
    text = report.markdown(result())
    assert "| case | server | its CPU / ours | us | packets/s per core | packets/s | busy |" in text
    assert "| 24 x 24, everybody sees everybody | livekit ~ | 5.00 (4.50-5.50) | 10.00 (9.00-11.00) | 100000 " in text
    assert (
        "|  | ours | - | 2.00 (2.00-2.00) | 500000 (500000-500000) | 100000 (100000-100000) | 20% (20%-20%) |" in text
    )
    assert "livekit 1.13.11, ours abc123" in text


def test_growth_load_and_memory_have_tables_of_their_own() -> None:
    text = report.markdown(result())
    assert "| ours | 0.00 | 3 |" in text  # as many packets at every size, so that cost does not grow
    assert "| 16 rooms of 3 and their listeners | listeners | busy | p50 us |" in text
    assert "| ours | 5 | 50% (50%-50%) | 200 (200-200) | 900 (900-900) |" in text
    assert "| ours | 60 | 10.0 | 2.0 |" in text


def test_disturbed_rows_are_marked_and_the_json_says_why() -> None:
    said = result(own_drops=3)
    assert "|  | ours *3 |" in report.markdown(said)
    ours = said["cases"][0]["servers"]["ours"]
    assert ours["disturbances"] == ["generator's sockets dropped 3"]
    assert ours["samples"][0]["own_drops"] == 3


def test_who_does_not_do_the_same_is_marked() -> None:
    for received, mark in ((109_000, ""), (111_000, " #"), (89_000, " #")):
        results = Results((measured(row("livekit", received=received), row("ours")),))
        text = report.markdown(report.as_json(results, (), ABOUT))
        assert f"| livekit{mark} |" in text


def test_the_floor_has_a_column_where_there_is_one() -> None:
    floors = Floors((Shape(910, 3, 250.0),) * 2, (1.0, 2.0))
    for busy, words in ((0.4, ""), (0.05, " idle")):
        ours = row("ours", [4.0, 4.0], server_s=busy, received=busy / 4e-6)
        beside = replace(measured(row("livekit", [9, 9]), ours), floors=floors)
        text = report.markdown(report.as_json(Results((beside,)), (), ABOUT))
        assert "| case | server | its CPU / ours | in floors | us |" in text
        assert f"|  | ours | - | 3.00 (2.00-4.00){words}; 1.50 us, 910 B x 3 | 4.00 " in text
        assert "| 2.25 (2.25-2.25) | 6.00 | 9.00 " in text
        assert text.count("In floors: ") == 1
    assert "in floors" not in report.markdown(result())


def test_gates_are_told_with_their_worst_row() -> None:
    assert (
        "| livekit's CPU / ours | 5 | 4 | 5 (everyday: 24 x 24, everybody sees everybody) | passed |"
        in report.markdown(result())
    )


def test_a_run_without_ours_has_a_report_too() -> None:
    results = Results((measured(row("livekit", [5])),))
    text = report.markdown(report.as_json(results, (), ABOUT))
    assert "No gate applies" in text and "| 1 to 10 | livekit | - | 5.00 (5.00-5.00) |" in text


def test_what_could_not_be_measured_is_told() -> None:
    text = report.markdown(report.as_json(Results(failures=("livekit: growth: it gave up",)), (), ABOUT))
    assert "## Not measured\n\n- livekit: growth: it gave up\n- mediasoup: `npm install mediasoup` ends with" in text


def test_the_html_page_has_the_same_tables_and_a_figure_for_each_question() -> None:
    text = page.html(result())
    assert "<td>10.00 (9.00-11.00)</td>" in text
    assert text.count("<svg") == 4
    for figure in (
        "Side by side",
        "Cost per packet against consumers",
        "Latency against load, in rooms",
        "Memory against participants",
    ):
        assert f"<figcaption>{figure}." in text
    for elsewhere in ("src=", "<link", "<script", "@import"):
        assert elsewhere not in text


def test_the_same_numbers_give_the_same_page() -> None:
    assert page.html(result()) == page.html(result())


def test_figures_without_data_are_left_out() -> None:
    results = Results((measured(row("ours", [5])),))
    assert "<svg" not in page.html(report.as_json(results, (), ABOUT))

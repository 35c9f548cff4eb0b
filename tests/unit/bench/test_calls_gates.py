"""Which numbers pass."""

from __future__ import annotations

import pytest

from bench.calls import gates, scenarios
from bench.calls.results import Floors, Measured, MemoryGrowth, MemoryPoint, Results, Swept
from bench.calls.statistics import Row, Sample
from bench.verdict import Verdict
from tests.unit.bench.call_numbers import join_reply, measure_reply, measured, row


def only(results: Results, gate: str) -> Verdict:
    found = [verdict for verdict in gates.verdicts(results) if verdict.gate == gate]
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize(("name", "limit"), [("livekit", 5.0), ("livekit-batch", 5.0), ("janus", 2.0)])
def test_of_each_other_server_so_many_times_our_cpu_is_asked(name: str, limit: float) -> None:
    for ours, passes in ((1.0, True), (1.01, False)):
        results = Results((measured(row(name, [limit] * 3), row("ours", [ours] * 3)),))
        verdict = only(results, f"{name}'s CPU / ours")
        assert (verdict.limit, verdict.passed) == (limit, passes)


def test_the_median_round_decides() -> None:
    results = Results((measured(row("livekit", [5, 5, 5, 1, 1]), row("ours", [1] * 5)),))
    assert only(results, "livekit's CPU / ours").passed


@pytest.mark.parametrize(
    ("floor_us", "busy", "passed"),
    [(1.0, 0.16, [True]), (0.99, 0.16, [False]), (0.5, 0.1, [])],
)
def test_ours_costs_few_floors_where_it_has_something_to_do(floor_us: float, busy: float, passed: list[bool]) -> None:
    ours = row("ours", [1.6] * 3, received=busy * 1e6 / 1.6, server_s=busy)
    beside = Measured(scenarios.livestream(200), {"ours": ours}, Floors((), (floor_us,) * 3))
    found = [verdict.passed for verdict in gates.verdicts(Results((beside,))) if verdict.gate == "CPU in floors"]
    assert found == passed


def test_a_call_loses_nothing_while_the_server_has_time_left() -> None:
    for lost, cpu_us, verdicts in ((0, 5.0, [True]), (1, 5.0, [False]), (1000, 9.9, [])):
        results = Results((measured(row("ours", [cpu_us], lost=lost), case=scenarios.everyday(24)),))
        assert [verdict.passed for verdict in gates.verdicts(results)] == verdicts


def test_joins_are_counted_for_each_second_of_cpu() -> None:
    for rate, passes in ((100.0, True), (99.0, False)):
        rest = measure_reply(server_s=0.25)
        sample = Sample.from_reports(join_reply(joins_per_s=rate), measure_reply(server_s=0.75), rest)
        results = Results((measured(Row("ours", (sample,)), case=scenarios.churn(20, rate)),))
        assert only(results, "joins for each second of CPU beyond the rooms at rest").passed is passes


def test_data_has_a_gate_for_messages_and_one_for_a_stream() -> None:
    messages = measured(row("ours", [5.0]), case=scenarios.data(10, reliable=True))
    assert only(Results((messages,)), "data: CPU us for each receiver").passed
    for seconds, passes in ((0.5, True), (0.54, False)):
        reply = {"seconds": seconds, "bytes": [20_000_000], "spent": measure_reply()["spent"], "own_busy": 0.1}
        sent = measured(
            Row("ours", (Sample.from_reports(join_reply(), reply),)), case=scenarios.stream(1, scenarios.STREAM_BYTES)
        )
        assert only(Results((sent,)), "stream: Mbit/s").passed is passes


def test_cost_may_grow_as_fast_as_subscriptions_and_hardly_faster() -> None:
    def results(exponent: float) -> Results:
        cases = [scenarios.growth(listeners) for listeners in (10, 50, 200, 1000)]
        return Results(
            tuple(measured(row("ours", [0.001 * case.subscriptions**exponent]), case=case) for case in cases)
        )

    assert only(results(1.0), "exponent of total cost").passed
    assert not only(results(1.06), "exponent of total cost").passed


def test_a_server_that_is_full_says_nothing_about_growth() -> None:
    cpu_us = {10: 1.0, 50: 2.0, 200: 3.0, 1000: 9.9}
    cases = [measured(row("ours", [each]), case=scenarios.growth(size)) for size, each in cpu_us.items()]
    fit = gates.growth_fit(Results(tuple(cases)), "ours")
    assert fit is not None and fit.points == 3


def test_latency_is_judged_at_seven_tenths_of_the_load() -> None:
    sweep = scenarios.load(first=10, most=100)

    def results(p99_us: float) -> Results:
        late = {"p50": 1.0, "p99": 5_000.0, "p999": 5_000.0, "max": 5_000.0, "count": 9}
        rows = [
            (10, row("ours", latency_us={**late, "p99": p99_us} if load == gates.GATE_LOAD else late))
            for load in sweep.loads
        ]
        return Results(swept=(Swept(sweep, {"ours": rows}),))

    assert only(results(2_000.0), "added latency p99 in us").passed
    assert not only(results(2_001.0), "added latency p99 in us").passed


def test_memory_of_a_subscription_has_a_gate() -> None:
    def passed(server: str, per_subscription: float) -> list[bool]:
        memory = MemoryGrowth(server, (MemoryPoint(0, 10), MemoryPoint(5, 20)), per_subscription)
        return [verdict.passed for verdict in gates.verdicts(Results(memory=(memory,)))]

    assert passed("ours", 65_536) == [True]
    assert passed("ours", 65_537) == [False]
    assert passed("livekit", 1e9) == []


def test_without_ours_there_is_nothing_to_judge() -> None:
    assert gates.verdicts(Results((measured(row("livekit", [5]), row("janus", [3])),))) == []

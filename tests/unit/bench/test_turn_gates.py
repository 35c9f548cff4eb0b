"""Which numbers pass."""

from __future__ import annotations

import pytest

from bench.turn import gates
from bench.turn.gates import Memory, Results
from bench.verdict import Verdict
from tests.unit.bench.numbers import measured, row, zero_hop


def only(results: Results, gate: str) -> Verdict:
    found = [verdict for verdict in gates.verdicts(results) if verdict.gate == gate]
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize(("train", "limit"), [(16, 3.0), (4, 1.4), (1, 1.1)])
def test_the_longer_the_train_the_more_is_asked(train: int, limit: float) -> None:
    for ours, passes in ((1.0, True), (1.01, False)):
        results = Results((measured(row("coturn", [limit] * 3), row("ours", [ours] * 3), train=train),))
        verdict = only(results, "coturn's CPU / ours")
        assert (verdict.limit, verdict.passed) == (limit, passes)


def test_the_median_round_decides() -> None:
    results = Results((measured(row("coturn", [3, 3, 3, 1, 1]), row("ours", [1] * 5)),))
    assert only(results, "coturn's CPU / ours").passed


def test_we_cost_at_most_a_third_more_than_the_bare_floor() -> None:
    for ours, passes in ((1.3, True), (1.31, False)):
        results = Results((measured(row("floor-plain", [1]), row("ours", [ours])),))
        assert only(results, "our CPU / the floor's").passed is passes


def test_python_rests_while_packets_are_relayed() -> None:
    for share, passes in ((0.02, True), (0.021, False)):
        results = Results((measured(row("ours", [1], main_busy=share)),))
        assert only(results, "Python's share of a core").passed is passes


def test_the_spread_load_has_a_gate_for_cpu_and_one_for_latency() -> None:
    def results(ours_us: float, p99_us: float) -> Results:
        rows = (row("coturn", [10], p99_us=700), row("ours", [ours_us], p99_us=p99_us), row("floor-plain", [0.1]))
        return Results((measured(*rows, group="spread", train=1, rate_pps=20_000),))

    assert [verdict.passed for verdict in gates.verdicts(results(5, 1_999))] == [True, True]
    assert not only(results(5.1, 1_000), "spread: coturn's CPU / ours").passed
    assert not only(results(5, 2_001), "spread: our latency p99 in us").passed


def test_over_tls_not_one_packet_may_be_lost_in_any_round() -> None:
    for lost, passes in ((0, True), (1e-6, False)):
        results = Results((measured(row("coturn", [9], lost=0.15), row("ours", [5], lost=lost), group="tls"),))
        assert only(results, "tls: share of packets we lose").passed is passes


def test_zero_hop_is_measured_by_its_own_gate() -> None:
    for coturn, passes in ((5, True), (4.9, False)):
        verdict = only(
            Results(zero_hop=(zero_hop(row("coturn", [coturn]), row("ours", [1])),)), "zero hop: coturn's CPU / ours"
        )
        assert verdict.passed is passes


def test_memory_is_gated_where_the_engine_tells_its_part() -> None:
    def verdicts(memory: Memory) -> list[bool]:
        return [verdict.passed for verdict in gates.verdicts(Results(memory=(memory,)))]

    assert verdicts(Memory("ours", 9_000, 4_096, {"binding": 0, "allocate": 1})) == [True, True, True]
    assert verdicts(Memory("ours", 9_000, 4_097, {"binding": 20, "allocate": 0})) == [False, False, True]
    assert verdicts(Memory("ours", 9_000, None, {})) == []
    assert verdicts(Memory("coturn", 22_000, None, {"allocate": 19_300})) == []


def test_without_ours_there_is_nothing_to_judge() -> None:
    results = Results((measured(row("coturn", [5]), row("floor-plain", [3])),), (zero_hop(row("coturn", [5])),))
    assert gates.verdicts(results) == []


def test_a_missed_gate_says_which_and_by_how_much() -> None:
    verdict = only(Results((measured(row("coturn", [2]), row("ours", [1])),)), "coturn's CPU / ours")
    assert str(verdict) == (
        "missed: coturn's CPU / ours (10 allocations, 1200 B, trains of 16, to peers): 2, the gate is 3"
    )

"""What a window of a call is worth, and what is made of several."""

from __future__ import annotations

from typing import Any

import pytest

from bench.calls.statistics import LEAST_BUSY, Row, Sample, ratio
from bench.statistics import Spread
from tests.unit.bench.call_numbers import join_reply, measure_reply, row, sample


def test_a_sample_is_cpu_for_each_packet_that_arrived_at_somebody() -> None:
    found = Sample.from_reports(join_reply(), measure_reply(server_s=0.47, received=94_000, lost=6_000))
    assert found.cpu_us == pytest.approx(5.0)
    assert found.pps_per_core == pytest.approx(200_000)
    assert (found.forwarded_pps, found.server_busy, found.lost) == (94_000, 0.47, 0.06)
    assert (found.latency_p50_us, found.latency_p999_us) == (200, 1500)
    assert (found.join_p95_ms, found.joins_per_s) == (90, 25)
    assert found.disturbances == ()


def test_where_nothing_arrived_there_is_no_cost_of_it() -> None:
    with pytest.raises(ValueError, match="nothing arrived"):
        sample(received=0)


def test_where_nobody_joined_the_reasons_are_told_once_and_not_all_of_them() -> None:
    failed = ["refused"] * 40 + [f"load-{number}: no camera" for number in range(9)]
    with pytest.raises(ValueError, match=r"^nothing arrived; 49 joins failed, such as: refused; load-0: no camera$"):
        sample(received=0, failed=failed)


def test_without_a_single_stamp_there_is_no_latency() -> None:
    none = {"p50": 0.0, "p99": 0.0, "p999": 0.0, "max": 0.0, "count": 0}
    assert sample(latency_us=none).latency_p99_us is None


def test_joins_are_those_of_the_churn_where_there_is_one() -> None:
    churned = join_reply(joins_per_s=50.0, join_ms={"p50": 10.0, "p95": 20.0, "max": 30.0})
    found = Sample.from_reports(join_reply(), {**measure_reply(server_s=0.25), **churned})
    assert (found.joins_per_s, found.joins_per_core, found.join_p95_ms) == (50, 200, 20)
    assert found.joins_per_core_alone is None


def test_what_rooms_cost_at_rest_is_not_the_cost_of_joins() -> None:
    rest, churned = measure_reply(server_s=0.25), {**measure_reply(server_s=0.5), **join_reply(joins_per_s=50.0)}
    found = Sample.from_reports(join_reply(), churned, rest)
    assert (found.rest_busy, found.joins_per_core, found.joins_per_core_alone) == (0.25, 100, 200)
    idle = Sample.from_reports(join_reply(), churned, measure_reply(server_s=0.6))
    assert idle.joins_per_core_alone == 50 / LEAST_BUSY, "never negative"
    full = Sample.from_reports(join_reply(), churned, measure_reply(server_s=0.96))
    assert full.joins_per_core_alone is None, "joins take their time from the media"


def test_a_stream_is_as_fast_as_its_slowest_receiver() -> None:
    spent = measure_reply(server_s=0.1)["spent"]
    found = Sample.from_reports(
        join_reply(), {"seconds": 0.5, "bytes": [20_000_000, 15_000_000], "spent": spent, "own_busy": 0.1}
    )
    assert found.stream_bps == 240_000_000


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"server_core_other_s": 0.06}, "server core other 6%"),
        ({"own_core_steal_s": 0.03}, "generator core steal 3%"),
        ({"own_busy": 0.75}, "generator busy 75%"),
        ({"own_drops": 7}, "generator's sockets dropped 7"),
        ({"failed": ["no answer"]}, "joins that failed: 1"),
    ],
)
def test_what_is_not_about_the_server_is_marked(changed: dict[str, Any], sentence: str) -> None:
    assert sample(**changed).disturbances == (sentence,)


def test_a_row_has_the_spread_of_every_figure_that_it_has() -> None:
    found = row("ours", [5, 1, 3])
    assert found.spread("cpu_us") == Spread(1, 3, 5)
    assert found.median("stream_bps") is None
    assert not found.is_full and row("ours", [9.6]).is_full


def test_a_row_counts_its_disturbed_samples() -> None:
    assert Row("ours", (sample(), sample(own_drops=1))).disturbed == 1


def test_a_ratio_is_taken_round_by_round() -> None:
    # Round 2 was slow for both; medians of each alone would say 4.5 / 1.
    found = ratio(row("livekit", [4, 9, 4.5]), row("ours", [1, 2, 1]))
    assert (found.min, found.median, found.max) == pytest.approx((4, 4.5, 4.5))

"""What a sample is worth, and what is made of several."""

from __future__ import annotations

import pytest

from bench.statistics import Spread
from bench.turn.statistics import Sample, ratio
from tests.unit.bench.numbers import generator_report, row


def test_a_sample_is_cpu_for_each_packet_that_arrived() -> None:
    sample = Sample.from_report(generator_report(server_s=0.47, arrived=100_000, sent=200_000, received=150_000))
    assert sample.cpu_us == pytest.approx(4.7)
    assert (sample.arrived_pps, sample.server_busy, sample.main_busy, sample.lost) == (100_000, 0.47, 0.01, 0.25)
    assert sample.disturbances == ()


def test_where_nothing_arrived_there_is_no_cost_of_a_packet() -> None:
    with pytest.raises(ValueError, match="no packet arrived"):
        Sample.from_report(generator_report(arrived=0))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"server_core_other_s": 0.06}, "server core other 6%"),
        ({"server_core_steal_s": 0.03}, "server core steal 3%"),
        ({"own_core_other_s": 0.5}, "generator core other 50%"),
        ({"own_core_steal_s": 0.03}, "generator core steal 3%"),
        ({"latency_us": [1, 2, 3, 4], "busy": 0.95}, "generator busy 95%"),
        ({"skipped": 3}, "trains skipped: 3"),
        ({"socket_drops": 7}, "generator's buffers lost: 7"),
        ({"strays": 1}, "packets astray: 1"),
    ],
)
def test_a_disturbed_machine_is_marked(changed: dict[str, object], sentence: str) -> None:
    assert Sample.from_report(generator_report(**changed)).disturbances == (sentence,)


@pytest.mark.parametrize("changed", [{"server_core_other_s": 0.04}, {"own_core_steal_s": 0.01}, {"busy": 1.0}])
def test_rounding_of_ticks_and_the_spin_of_a_flood_are_no_disturbance(changed: dict[str, object]) -> None:
    assert Sample.from_report(generator_report(**changed)).disturbances == ()


def test_a_spread_keeps_its_extremes() -> None:
    assert Spread.of([5, 1, 2, 9, 3]) == Spread(1, 3, 9)
    with pytest.raises(ValueError, match="nothing was measured"):
        Spread.of([])


def test_a_ratio_is_taken_round_by_round() -> None:
    # Round 2 was slow for both; medians of each alone would say 4.5 / 1.
    assert ratio(row("coturn", [4, 9, 4.5]), row("ours", [1, 2, 1])) == Spread(4, 4.5, 4.5)
    with pytest.raises(ValueError):  # noqa: PT011 -- zip's own words
        ratio(row("coturn", [4, 9]), row("ours", [1]))

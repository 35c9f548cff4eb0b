"""What the floor is asked to send."""

from __future__ import annotations

import pytest

from bench.calls import floor, scenarios
from bench.floor import Shape
from tests.unit.bench.call_numbers import row, sample


def shape(case: scenarios.Case, received: int, **changed: float) -> Shape:
    """In a second."""
    return floor.shape_of(sample(received=received, **changed), case)


def test_each_sink_gets_as_many_packets_as_a_subscriber() -> None:
    assert shape(scenarios.livestream(200), 50_800).rate_pps == pytest.approx(254)


@pytest.mark.parametrize(("each_s", "burst"), [(50, 1), (81, 1), (254, 3), (284, 4)])
def test_a_burst_is_the_mean_of_pictures_and_sound(each_s: int, burst: int) -> None:
    assert shape(scenarios.livestream(10), each_s * 10).burst == burst


def test_packets_are_as_large_as_those_that_came_repeated_ones_included() -> None:
    assert shape(scenarios.livestream(10), 2_400, rtx=100, bytes=2_500_000).datagram_bytes == 1_000


def test_who_only_publishes_gets_nothing() -> None:
    assert floor.subscribers(scenarios.livestream(200)) == 200


def test_a_server_with_nothing_to_do_is_not_compared() -> None:
    assert floor.is_comparable(row("ours", [1.1]))
    assert not floor.is_comparable(row("ours", [0.9]))

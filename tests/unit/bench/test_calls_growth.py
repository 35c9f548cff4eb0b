"""The exponent of growth."""

from __future__ import annotations

import pytest

from bench.calls import growth


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.3])
def test_a_power_law_is_found_again(exponent: float) -> None:
    fit = growth.fit([(size, 0.003 * size**exponent) for size in (20, 100, 400, 2000)])
    assert fit is not None
    assert (fit.exponent, fit.factor, fit.points) == pytest.approx((exponent, 0.003, 4))


def test_what_it_costs_anyway_makes_growth_look_smaller() -> None:
    fit = growth.fit([(size, 0.02 + 0.003 * size) for size in (20, 100, 400, 2000)])
    assert fit is not None and 0.8 < fit.exponent < 1


@pytest.mark.parametrize("points", [[], [(10, 1), (20, 2)], [(10, 1), (10, 2), (10, 3)]])
def test_too_few_sizes_have_no_exponent(points: list[tuple[float, float]]) -> None:
    assert growth.fit(points) is None

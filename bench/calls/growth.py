"""How cost grows with size. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fit:
    """cost = factor * size ** exponent, by least squares over the logarithms of `points` sizes."""

    exponent: float
    factor: float
    points: int


def fit(points: Sequence[tuple[float, float]]) -> Fit | None:
    """Of (size, cost); None with fewer than three of them, through which any line goes."""
    if len(points) < FEWEST:
        return None
    xs, ys = [math.log(size) for size, _ in points], [math.log(cost) for _, cost in points]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((each - x) ** 2 for each in xs)
    if not spread:
        return None
    exponent = sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / spread
    return Fit(exponent, math.exp(y - exponent * x), len(points))


FEWEST = 3

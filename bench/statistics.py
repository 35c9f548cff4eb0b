"""What is said about repeated measurements, and about the machine that they were made on. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """Of repeated measurements."""

    min: float
    median: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Raises `ValueError` without any."""
        if not values:
            raise ValueError("nothing was measured")
        return cls(min(values), statistics.median(values), max(values))


def ratios(above: Sequence[float], below: Sequence[float]) -> Spread:
    """One server's figures divided by another's, round by round: what disturbs a round disturbs both."""
    return Spread.of([one / other for one, other in zip(above, below, strict=True)])


def disturbed_cores(spent: Mapping[str, float]) -> Iterator[str]:
    """Who else had the cores in a window, as far as it is too much; `spent` is the generator's."""
    for core, name in (("server", "server"), ("own", "generator")):
        for what, limit in (("other", MAX_OTHER), ("steal", MAX_STEAL)):
            share = spent[f"{core}_core_{what}_s"] / spent["wall_s"]
            if share > limit:
                yield f"{name} core {what} {share:.0%}"


#: Shares of the window. The kernel counts a core's time in ticks of 10 ms; what is below these is its rounding.
MAX_OTHER = 0.05
MAX_STEAL = 0.02

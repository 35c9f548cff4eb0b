"""Whether a number is what it has to be, and the sentence that says so. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one gate on one row."""

    gate: str
    case: str
    value: float
    limit: float
    passed: bool

    def __str__(self) -> str:
        word = "passed" if self.passed else "missed"
        return f"{word}: {self.gate} ({self.case}): {self.value:.4g}, the gate is {self.limit:g}"


def at_least(gate: str, case: str, value: float, limit: float) -> Verdict:
    return Verdict(gate, case, value, limit, value >= limit)


def at_most(gate: str, case: str, value: float, limit: float) -> Verdict:
    return Verdict(gate, case, value, limit, value <= limit)

"""What a run has measured. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.calls.scenarios import Case, Sweep
from bench.calls.statistics import Row
from bench.floor import Shape
from bench.statistics import Spread, ratios


@dataclass(frozen=True, slots=True)
class Floors:
    """What the packets of ours cost without a server, round by round."""

    shapes: tuple[Shape, ...]
    cpu_us: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """One case on those of its servers that could do it, by name."""

    case: Case
    rows: Mapping[str, Row]
    floors: Floors | None = None

    @property
    def over_floor(self) -> Spread | None:
        """CPU per packet of ours in floors."""
        ours = self.rows.get("ours")
        if ours is None or self.floors is None:
            return None
        return ratios([sample.cpu_us for sample in ours.samples], self.floors.cpu_us)


@dataclass(frozen=True, slots=True)
class Swept:
    """By server, at each load: how many listeners that took, and what was measured."""

    sweep: Sweep
    rows: Mapping[str, Sequence[tuple[int, Row]]]


@dataclass(frozen=True, slots=True)
class MemoryPoint:
    participants: int
    resident_bytes: int


@dataclass(frozen=True, slots=True)
class MemoryGrowth:
    """Of the whole process, kernel's socket memory not included."""

    server: str
    #: People in a room who neither send nor receive, by number.
    idle: tuple[MemoryPoint, ...]
    #: Of one flow to one subscriber, the share of everything around it included.
    per_subscription: float

    @property
    def per_participant(self) -> float:
        """From the first point to the last."""
        first, last = self.idle[0], self.idle[-1]
        return (last.resident_bytes - first.resident_bytes) / (last.participants - first.participants)


@dataclass(frozen=True, slots=True)
class Results:
    measured: tuple[Measured, ...] = ()
    swept: tuple[Swept, ...] = ()
    memory: tuple[MemoryGrowth, ...] = ()
    #: Of servers that could not do something, and are missing there: a sentence each.
    failures: tuple[str, ...] = ()

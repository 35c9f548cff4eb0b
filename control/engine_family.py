"""One row of the tables that make metrics of the engine's counters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class EngineFamily:
    """One metric made of the engine's dotted counters: those of `counters` (with their label values), or all under `prefix`."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    counters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: The rest of the counter's name is the one label.
    prefix: str = ""
    gauge: bool = False
    #: Of the metric's unit in the counter's: microseconds are counted, seconds are shown.
    per_unit: int = 1

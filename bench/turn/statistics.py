"""Samples of one load on one server, and what is said about them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.statistics import Spread, disturbed_cores, ratios


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of the generator."""

    #: CPU microseconds of the server's threads for each packet that arrived.
    cpu_us: float
    arrived_pps: float
    #: Share of the window for which the server had its core.
    server_busy: float
    #: The same of its first thread; in ours, that is Python.
    main_busy: float
    #: Share of the packets that were sent.
    lost: float
    #: p50, p99, p99.9 and the worst; empty in a flood.
    latency_us: tuple[float, ...]
    disturbances: tuple[str, ...] = ()
    #: As the generator reported it.
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_report(cls, report: Mapping[str, Any]) -> Sample:
        """Raises `ValueError` when nothing arrived: then there is no cost of a packet."""
        if not report["arrived"]:
            raise ValueError(f"no packet arrived: {dict(report)}")
        spent = report["spent"]
        return cls(
            cpu_us=spent["server_s"] / report["arrived"] * 1e6,
            arrived_pps=report["arrived"] / spent["wall_s"],
            server_busy=spent["server_s"] / spent["wall_s"],
            main_busy=spent["server_main_s"] / spent["wall_s"],
            lost=1 - report["received"] / report["sent"],
            latency_us=tuple(report["latency_us"]),
            disturbances=tuple(disturbances(report)),
            raw=dict(report),
        )


def disturbances(report: Mapping[str, Any]) -> list[str]:
    """Why a sample may say something about the machine instead of the server."""
    found = [*disturbed_cores(report["spent"])]
    if report["latency_us"] and report["busy"] > MAX_BUSY:
        found.append(f"generator busy {report['busy']:.0%}")
    found += [f"{name} {report[key]}" for key, name in _COUNTS.items() if report[key]]
    return found


@dataclass(frozen=True, slots=True)
class Row:
    """One load on one server, over the rounds."""

    server: str
    samples: tuple[Sample, ...]

    @property
    def cpu_us(self) -> Spread:
        return Spread.of([sample.cpu_us for sample in self.samples])

    @property
    def lost(self) -> Spread:
        return Spread.of([sample.lost for sample in self.samples])

    @property
    def arrived_pps(self) -> Spread:
        return Spread.of([sample.arrived_pps for sample in self.samples])

    @property
    def server_busy(self) -> Spread:
        return Spread.of([sample.server_busy for sample in self.samples])

    @property
    def main_busy(self) -> Spread:
        return Spread.of([sample.main_busy for sample in self.samples])

    @property
    def latency_p50_us(self) -> Spread | None:
        return self._latency(0)

    @property
    def latency_p99_us(self) -> Spread | None:
        return self._latency(1)

    @property
    def disturbed(self) -> int:
        """Samples with a disturbance."""
        return sum(bool(sample.disturbances) for sample in self.samples)

    def _latency(self, index: int) -> Spread | None:
        values = [sample.latency_us[index] for sample in self.samples if sample.latency_us]
        return Spread.of(values) if values else None


def ratio(above: Row, below: Row) -> Spread:
    """CPU per packet of one server divided by another's, round by round: what disturbs a round disturbs both."""
    return ratios([sample.cpu_us for sample in above.samples], [sample.cpu_us for sample in below.samples])


#: Share of a window.
MAX_BUSY = 0.9
_COUNTS = {"skipped": "trains skipped:", "socket_drops": "generator's buffers lost:", "strays": "packets astray:"}

"""Samples of one case on one server, and what is said about them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.statistics import Spread, disturbed_cores, ratios


@dataclass(frozen=True, slots=True)
class Sample:
    """One window. What a case does not have is None."""

    #: CPU microseconds of all threads of the server for each packet, or message, that arrived at somebody.
    cpu_us: float
    forwarded_pps: float
    #: Share of the window for which the server had its core.
    server_busy: float
    #: The same of its first thread; in ours, that is Python.
    main_busy: float
    generator_busy: float
    #: Share of what should have arrived.
    lost: float
    latency_p50_us: float | None = None
    latency_p99_us: float | None = None
    latency_p999_us: float | None = None
    latency_max_us: float | None = None
    join_p50_ms: float | None = None
    join_p95_ms: float | None = None
    joins_per_s: float | None = None
    #: As `server_busy`, just before, when nobody came or went.
    rest_busy: float | None = None
    #: Of a stream, at each receiver.
    stream_bps: float | None = None
    disturbances: tuple[str, ...] = ()
    #: As the generator reported it.
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_reports(
        cls, joined: Mapping[str, Any], report: Mapping[str, Any], rest: Mapping[str, Any] | None = None
    ) -> Sample:
        """`joined` is the reply to join, `rest` that of a window before, in which nothing happened but media.

        Raises `ValueError` when nothing arrived: then there is no cost of it.
        """
        report = {**joined, **report}
        received = _received(report)
        if not received:
            raise ValueError(f"nothing arrived; {_why(report)}")
        spent, latency, join = report["spent"], report.get("latency_us") or {}, report.get("join_ms") or {}
        if not latency.get("count"):
            latency = {}
        return cls(
            cpu_us=spent["server_s"] / received * 1e6,
            forwarded_pps=received / spent["wall_s"],
            server_busy=_server_busy(report),
            main_busy=spent["server_main_s"] / spent["wall_s"],
            generator_busy=report["own_busy"],
            lost=report.get("lost", 0) / (received + report.get("lost", 0)),
            latency_p50_us=latency.get("p50"),
            latency_p99_us=latency.get("p99"),
            latency_p999_us=latency.get("p999"),
            latency_max_us=latency.get("max"),
            join_p50_ms=join.get("p50"),
            join_p95_ms=join.get("p95"),
            joins_per_s=report.get("joins_per_s"),
            rest_busy=None if rest is None else _server_busy(rest),
            stream_bps=_stream_bps(report),
            disturbances=tuple(disturbances(report)),
            raw=report,
        )

    @property
    def pps_per_core(self) -> float:
        """Packets for each second of CPU."""
        return 1e6 / self.cpu_us

    @property
    def joins_per_core(self) -> float | None:
        """Joins for each second of CPU, all that happens meanwhile included."""
        return None if self.joins_per_s is None else self.joins_per_s / self.server_busy

    @property
    def joins_per_core_alone(self) -> float | None:
        """Joins, each with the leave that makes room for it, for each second of CPU beyond what the rooms cost at rest.

        None where these left no time: then joins take theirs from the media.
        """
        if self.joins_per_s is None or self.rest_busy is None or self.rest_busy > FULL:
            return None
        return self.joins_per_s / max(self.server_busy - self.rest_busy, LEAST_BUSY)


def disturbances(report: Mapping[str, Any]) -> list[str]:
    """Why a sample may say something about the machine or the generator instead of the server."""
    found = [*disturbed_cores(report["spent"])]
    if report["own_busy"] > MAX_BUSY:
        found.append(f"generator busy {report['own_busy']:.0%}")
    if report.get("own_drops"):
        found.append(f"generator's sockets dropped {report['own_drops']}")
    if report.get("failed"):
        found.append(f"joins that failed: {len(report['failed'])}")
    return found


@dataclass(frozen=True, slots=True)
class Row:
    """One case on one server, over the rounds."""

    server: str
    samples: tuple[Sample, ...]

    def spread(self, figure: str) -> Spread | None:
        """Of a number of the samples by its name; None where no sample has it."""
        values = [value for sample in self.samples if (value := getattr(sample, figure)) is not None]
        return Spread.of(values) if values else None

    def median(self, figure: str) -> float | None:
        spread = self.spread(figure)
        return None if spread is None else spread.median

    @property
    def is_full(self) -> bool:
        """Whether the server had no time left: what it then costs, and how late things are, is no longer about the load."""
        return (self.median("server_busy") or 0) > FULL

    @property
    def disturbed(self) -> int:
        """Samples with a disturbance."""
        return sum(bool(sample.disturbances) for sample in self.samples)


def ratio(above: Row, below: Row) -> Spread:
    """CPU per packet of one server divided by another's, round by round."""
    return ratios([sample.cpu_us for sample in above.samples], [sample.cpu_us for sample in below.samples])


def _server_busy(report: Mapping[str, Any]) -> float:
    return float(report["spent"]["server_s"] / report["spent"]["wall_s"])


def _why(report: Mapping[str, Any]) -> str:
    """As far as the generator knows."""
    failed: list[str] = report.get("failed") or []
    if not failed:
        return "all had joined"
    reasons = "; ".join(list(dict.fromkeys(failed))[:FEW])
    return f"{len(failed)} joins failed, such as: {reasons}"


def _received(report: Mapping[str, Any]) -> float:
    if "seconds" in report and "received" not in report:
        # A stream is counted in its packets, so that it has a cost like everything else.
        return float(sum(report["bytes"])) / STREAM_PACKET_BYTES
    return float(report["received"])


def _stream_bps(report: Mapping[str, Any]) -> float | None:
    if "seconds" not in report or "received" in report:
        return None
    return float(min(report["bytes"])) * 8 / float(report["seconds"])


#: The generator's own proof (it never sleeps, and tells what it had to do): above, its lateness may be in the figures.
MAX_BUSY = 0.7
FULL = 0.95
#: Less is no difference between two windows.
LEAST_BUSY = 0.001
#: As LiveKit's SDKs cut a stream.
STREAM_PACKET_BYTES = 15_000
#: Reasons that are told.
FEW = 2
#: What reports keep of a row, as names of `Sample`.
FIGURES = (
    "cpu_us",
    "forwarded_pps",
    "pps_per_core",
    "server_busy",
    "main_busy",
    "generator_busy",
    "lost",
    "latency_p50_us",
    "latency_p99_us",
    "latency_p999_us",
    "latency_max_us",
    "join_p50_ms",
    "join_p95_ms",
    "joins_per_s",
    "rest_busy",
    "joins_per_core",
    "joins_per_core_alone",
    "stream_bps",
)

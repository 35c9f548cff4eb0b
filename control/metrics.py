"""`/metrics`: what this node counts. Names, labels and meanings are listed in `docs/metrics.md`, generated from here.

Labels are bounded by the code: never a room, participant, track, address or any text that a client chose. Packets are counted by
the engine; the collector turns its last snapshot into families when somebody asks, so nothing here runs per packet.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from control.engine_metrics import ENGINE_FAMILIES, engine_families
from control.turn.metrics import turn_families
from sfu.data import DROP_REASONS
from sfu.seam import Command, ShardStats, Stats
from turn.server import TurnInventory

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Inventory:
    """What lives on this node now."""

    rooms: int = 0
    #: State of `ParticipantInfo` in lower case -> count.
    participants: Mapping[str, int] = field(default_factory=dict)
    #: `ConnectionQuality` in lower case -> participants connected so.
    qualities: Mapping[str, int] = field(default_factory=dict)
    #: (direction "in"/"out", kind) -> count.
    tracks: Mapping[tuple[str, str], int] = field(default_factory=dict)
    #: "transports", "producers", "consumers" that the room layer holds open.
    engine_objects: Mapping[str, int] = field(default_factory=dict)
    #: Reason -> data packets dropped, and command -> refusals of the engine; both since the start.
    data_dropped: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    #: What subscribers got in place of a codec that they cannot decode, since the start.
    codec_fallbacks: Mapping[str, int] = field(default_factory=dict)


class Sources(Protocol):
    """Where the collector reads; all are called on the event loop's thread."""

    def stats(self) -> Stats: ...
    def inventory(self) -> Inventory: ...
    def turn_inventory(self) -> TurnInventory: ...


class Metrics:
    """Every metric of one node, in a registry of its own."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        self._joins = Counter(
            "sfu_joins",
            "Join requests; the result is joined, resumed or an error code.",
            ["result", "connection", "reconnect"],
            registry=self.registry,
        )
        self._join_stage = Histogram(
            "sfu_join_stage_seconds",
            "Time from the join request until this stage was reached.",
            ["stage"],
            buckets=_JOIN_BUCKETS,
            registry=self.registry,
        )
        self._signal_errors = Counter(
            "sfu_signal_errors",
            "Frames that could not be read, requests that could not be carried out, sessions that were cut off.",
            ["reason"],
            registry=self.registry,
        )
        self._http = Histogram(
            "http_request_duration_seconds",
            "Time to answer a request; for WebSockets, to accept it.",
            ["route", "method", "status_class"],
            buckets=_HTTP_BUCKETS,
            registry=self.registry,
        )
        self._loop_lag = Histogram(
            "sfu_event_loop_lag_seconds",
            "How late the event loop ran a timer that was due.",
            buckets=_LAG_BUCKETS,
            registry=self.registry,
        )
        self._node_state = Gauge(
            "sfu_node_state", "1 for the state this node is in.", ["state"], registry=self.registry
        )
        self._reloads = Counter(
            "sfu_config_reloads",
            "SIGHUPs: new configurations taken, and those that could not be used.",
            ["result"],
            registry=self.registry,
        )
        self.set_state("starting")
        Info("sfu_build", "What is running.", registry=self.registry).info({"version": version})
        ProcessCollector(registry=self.registry)
        for stage in JOIN_STAGES:
            self._join_stage.labels(stage)
        for reason in SIGNAL_ERRORS:
            self._signal_errors.labels(reason)
        for result in RELOADS:
            self._reloads.labels(result)

    def watch(self, sources: Sources) -> None:
        """Adds the engine's and the rooms' numbers, read from `sources` at each scrape."""
        self.registry.register(_NodeCollector(sources))

    def count_join(self, result: str, *, single: bool, reconnect: bool) -> None:
        """`result` is "joined", "resumed" or the code of the error that refused it."""
        self._joins.labels(result, "single" if single else "dual", "yes" if reconnect else "no").inc()

    def count_signal_error(self, reason: str) -> None:
        """`reason` is one of `SIGNAL_ERRORS` or the code of the error that refused a request."""
        self._signal_errors.labels(reason).inc()

    def count_reload(self, result: str) -> None:
        """`result` is one of `RELOADS`."""
        self._reloads.labels(result).inc()

    def observe_join_stage(self, stage: str, seconds: float) -> None:
        """`stage` is one of `JOIN_STAGES`; `seconds` since the request arrived."""
        self._join_stage.labels(stage).observe(seconds)

    def observe_request(self, route: str, method: str, status: int, seconds: float) -> None:
        """`route` is the pattern, not the path."""
        known = method if method in _METHODS else "other"
        self._http.labels(route, known, f"{status // 100}xx").observe(seconds)

    def set_state(self, state: str) -> None:
        """`state` is one of `NODE_STATES`."""
        for known in NODE_STATES:
            self._node_state.labels(known).set(known == state)

    def render(self) -> bytes:
        """The text exposition format. About a millisecond per hundred series."""
        return generate_latest(self.registry)

    async def watch_loop(self) -> None:
        """Measures the loop's lag until cancelled."""
        while True:
            due = time.monotonic() + _LAG_INTERVAL_S
            await asyncio.sleep(_LAG_INTERVAL_S)
            self._loop_lag.observe(max(0.0, time.monotonic() - due))


class _NodeCollector(Collector):
    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def describe(self) -> Iterable[Metric]:
        return [*_inventory_families(Inventory()), *turn_families(TurnInventory()), *engine_families(Stats())]

    def collect(self) -> Iterable[Metric]:
        return [
            *_inventory_families(self._sources.inventory()),
            *turn_families(self._sources.turn_inventory()),
            *engine_families(self._sources.stats()),
        ]


def _inventory_families(inventory: Inventory) -> Iterator[Metric]:
    yield GaugeMetricFamily("sfu_rooms", "Rooms on this node.", value=inventory.rooms)
    participants = GaugeMetricFamily("sfu_participants", "Participants on this node.", labels=["state"])
    for state in PARTICIPANT_STATES:
        participants.add_metric([state], inventory.participants.get(state, 0))
    yield participants
    qualities = GaugeMetricFamily(
        "sfu_connection_quality", "Active participants by the quality that clients are told.", labels=["quality"]
    )
    for quality in CONNECTION_QUALITIES:
        qualities.add_metric([quality], inventory.qualities.get(quality, 0))
    yield qualities
    tracks = GaugeMetricFamily(
        "sfu_tracks", "Tracks published to us (in) and subscriptions (out).", labels=["direction", "kind"]
    )
    for direction in ("in", "out"):
        for kind in ("audio", "video"):
            tracks.add_metric([direction, kind], inventory.tracks.get((direction, kind), 0))
    yield tracks
    objects = GaugeMetricFamily(
        "sfu_room_engine_objects", "What the room layer believes the engine holds.", labels=["object"]
    )
    for name in ENGINE_OBJECTS:
        objects.add_metric([name], inventory.engine_objects.get(name, 0))
    yield objects
    dropped = CounterMetricFamily(
        "sfu_data_dropped",
        "Data packets that the room layer did not pass on; slow_reader counts per reader, repeated is usual after a resume.",
        labels=["reason"],
    )
    for reason in DROP_REASONS:
        dropped.add_metric([reason], inventory.data_dropped.get(reason, 0))
    yield dropped
    refused = CounterMetricFamily(
        "sfu_refusals", "The engine's refusals that the room layer was told of.", labels=["command"]
    )
    for command in COMMANDS:
        refused.add_metric([command], inventory.refused.get(command, 0))
    yield refused
    fallbacks = CounterMetricFamily(
        "sfu_codec_fallbacks",
        "Subscriptions whose client cannot decode the track's first codec; they got its backup codec, or none.",
        labels=["result"],
    )
    for result in CODEC_FALLBACKS:
        fallbacks.add_metric([result], inventory.codec_fallbacks.get(result, 0))
    yield fallbacks
    yield GaugeMetricFamily("sfu_tasks", "Tasks of the event loop.", value=_task_count())


def _task_count() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return 0  # described outside a loop


@dataclass(frozen=True, slots=True)
class Described:
    """One metric, as its documentation lists it."""

    name: str
    type: str
    labels: tuple[str, ...]
    help: str


def describe() -> list[Described]:
    """Every metric by the name it is scraped under."""
    metrics = Metrics("")
    # Labels are read off samples, so every metric gets one.
    metrics.count_join("joined", single=True, reconnect=False)
    metrics.observe_request("/", "GET", 200, 0.0)
    metrics.watch(_Example())
    return sorted((_describe(metric) for metric in metrics.registry.collect()), key=lambda row: row.name)


def _describe(metric: Metric) -> Described:
    suffix = {"counter": "_total", "info": "_info"}.get(metric.type, "")
    labels = [label for label in metric.samples[0].labels if label != "le"] if metric.samples else []
    return Described(metric.name + suffix, metric.type, tuple(labels), metric.documentation)


class _Example:
    def stats(self) -> Stats:
        counters = {f"{family.prefix}example": 1 for family in ENGINE_FAMILIES if family.prefix}
        return Stats((ShardStats({**counters, "example": 1}),))

    def inventory(self) -> Inventory:
        return Inventory()

    def turn_inventory(self) -> TurnInventory:
        return TurnInventory()


RELOADS = ("done", "failed")
NODE_STATES = ("starting", "serving", "draining")
PARTICIPANT_STATES = ("joining", "joined", "active", "disconnected")
CONNECTION_QUALITIES = ("excellent", "good", "poor", "lost")
ENGINE_OBJECTS = ("transports", "producers", "consumers")
SIGNAL_ERRORS = ("bad_frame", "oversize_frame", "slow_reader", "silent", "internal_error")
CODEC_FALLBACKS = ("backup", "none")
COMMANDS = tuple(command.__name__ for command in get_args(Command))
JOIN_STAGES = ("auth", "signal", "offer_answer", "connected")

# `_created` series double the size of a scrape and nobody asks for them.
disable_created_metrics()  # type: ignore[no-untyped-call]

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Each look wakes an idle process.
_LAG_INTERVAL_S = 0.5
_LAG_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)
_JOIN_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_HTTP_BUCKETS = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0)

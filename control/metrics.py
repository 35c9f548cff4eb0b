"""`/metrics`: what this node counts. Names, labels and meanings are listed in `docs/metrics.md`, generated from here.

Labels are bounded by the code: never a room, participant, track, address or any text that a client chose. Packets are counted by
the engine; the collector turns its last snapshot into families when somebody asks, so nothing here runs per packet.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

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
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from sfu.seam import ShardStats, Stats

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Inventory:
    """What lives on this node now."""

    rooms: int = 0
    #: State of `ParticipantInfo` in lower case -> count.
    participants: Mapping[str, int] = field(default_factory=dict)
    #: (direction "in"/"out", kind) -> count.
    tracks: Mapping[tuple[str, str], int] = field(default_factory=dict)
    #: "transports", "producers", "consumers" that the room layer holds open.
    engine_objects: Mapping[str, int] = field(default_factory=dict)


class Sources(Protocol):
    """Where the collector reads; both are called on the event loop's thread."""

    def stats(self) -> Stats: ...
    def inventory(self) -> Inventory: ...


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
        self.set_state("starting")
        Info("sfu_build", "What is running.", registry=self.registry).info({"version": version})
        ProcessCollector(registry=self.registry)
        for stage in JOIN_STAGES:
            self._join_stage.labels(stage)

    def watch(self, sources: Sources) -> None:
        """Adds the engine's and the rooms' numbers, read from `sources` at each scrape."""
        self.registry.register(_NodeCollector(sources))

    def count_join(self, result: str, *, single: bool, reconnect: bool) -> None:
        """`result` is "joined", "resumed" or the code of the error that refused it."""
        self._joins.labels(result, "single" if single else "dual", "yes" if reconnect else "no").inc()

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
        return [*_inventory_families(Inventory()), *_engine_families(Stats())]

    def collect(self) -> Iterable[Metric]:
        return [*_inventory_families(self._sources.inventory()), *_engine_families(self._sources.stats())]


def _inventory_families(inventory: Inventory) -> Iterator[Metric]:
    yield GaugeMetricFamily("sfu_rooms", "Rooms on this node.", value=inventory.rooms)
    participants = GaugeMetricFamily("sfu_participants", "Participants on this node.", labels=["state"])
    for state in PARTICIPANT_STATES:
        participants.add_metric([state], inventory.participants.get(state, 0))
    yield participants
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
    yield GaugeMetricFamily("sfu_tasks", "Tasks of the event loop.", value=_task_count())


def _task_count() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return 0  # described outside a loop


def _engine_families(stats: Stats) -> Iterator[Metric]:
    totals: defaultdict[str, int] = defaultdict(int)
    for shard in stats.shards:
        for name, value in shard.counters.items():
            totals[name] += value
    for family in ENGINE_FAMILIES:
        metric_type = GaugeMetricFamily if family.gauge else CounterMetricFamily
        metric = metric_type(family.name, family.help, labels=family.labels)
        for counter, labels in family.counters.items():
            metric.add_metric(labels, totals.pop(counter, 0))
        for counter in [name for name in totals if family.prefix and name.startswith(family.prefix)]:
            metric.add_metric([counter.removeprefix(family.prefix)], totals.pop(counter))
        yield metric
    other = CounterMetricFamily(
        "sfu_engine_events", "Counters of the engine without a metric of their own.", labels=["name"]
    )
    for counter in sorted(totals):
        other.add_metric([counter], totals[counter])
    yield other
    yield _latency(stats)


def _latency(stats: Stats) -> Metric:
    counts: defaultdict[int, int] = defaultdict(int)
    for shard in stats.shards:
        for bound_us, count in shard.forward_latency_us:
            counts[bound_us] += count
    total_us = sum(shard.forward_latency_sum_us for shard in stats.shards)
    # -1 stands for +Inf and belongs last.
    bounds = sorted(bound for bound in counts if bound >= 0)
    buckets = [(repr(bound / 1e6), float(counts[bound])) for bound in bounds]
    buckets.append(("+Inf", float(counts.get(-1, 0))))
    return HistogramMetricFamily(
        "sfu_forward_latency_seconds",
        "From the kernel's receive time of a packet until it was handed back to the kernel.",
        buckets=buckets,
        sum_value=total_us / 1e6,
    )


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


NODE_STATES = ("starting", "serving", "draining")
PARTICIPANT_STATES = ("joining", "joined", "active", "disconnected")
ENGINE_OBJECTS = ("transports", "producers", "consumers")
JOIN_STAGES = ("auth", "signal", "offer_answer", "connected")

ENGINE_FAMILIES = (
    EngineFamily(
        "sfu_engine_objects",
        "What the engine holds.",
        ("object",),
        {"transports.open": ("transports",), "producers.open": ("producers",), "consumers.open": ("consumers",)},
        gauge=True,
    ),
    EngineFamily(
        "sfu_transports",
        "Transports that finished DTLS (connected), and that ended by themselves (closed).",
        ("event",),
        {"transports.connected": ("connected",), "transports.closed": ("closed",)},
    ),
    EngineFamily(
        "sfu_datagrams",
        "UDP datagrams of any protocol.",
        ("direction",),
        {"datagrams.in": ("in",), "datagrams.out": ("out",)},
    ),
    EngineFamily(
        "sfu_datagram_bytes",
        "Their payload in bytes.",
        ("direction",),
        {"datagrams.in_bytes": ("in",), "datagrams.out_bytes": ("out",)},
    ),
    EngineFamily(
        "sfu_packets",
        "Authenticated packets; outgoing RTP includes retransmissions, incoming RTP padding.",
        ("direction", "class"),
        {"rtp.in": ("in", "rtp"), "rtp.out": ("out", "rtp"), "rtcp.in": ("in", "rtcp"), "rtcp.out": ("out", "rtcp")},
    ),
    EngineFamily(
        "sfu_bytes",
        "Bytes of RTP packets: in without, out with the SRTP tag.",
        ("direction",),
        {"rtp.in_bytes": ("in",), "rtp.out_bytes": ("out",)},
    ),
    EngineFamily(
        "sfu_padding_packets",
        "Padding-only packets, which are counted and never forwarded.",
        counters={"rtp.padding_in": ()},
    ),
    EngineFamily("sfu_packets_dropped", "Packets dropped.", ("reason",), prefix="drop."),
    EngineFamily(
        "sfu_nacks",
        "Sequence numbers missed by subscribers (in) and by us (out), and how the latter ended.",
        ("direction", "result"),
        {
            "nack.in": ("in", "requested"),
            "nack.out": ("out", "requested"),
            "nack.recovered": ("out", "recovered"),
            "nack.abandoned": ("out", "abandoned"),
        },
    ),
    EngineFamily(
        "sfu_retransmissions",
        "Retransmissions: useful ones from publishers (in); towards subscribers (out) sent, or why not.",
        ("direction", "result"),
        {
            "rtx.in": ("in", "received"),
            "rtx.out": ("out", "sent"),
            "rtx.missing": ("out", "missing"),
            "rtx.repeated": ("out", "repeated"),
            "rtx.over_budget": ("out", "over_budget"),
            "rtx.unavailable": ("out", "not_negotiated"),
        },
    ),
    EngineFamily(
        "sfu_retransmitted_bytes", "Bytes of retransmissions sent to subscribers.", counters={"rtx.out_bytes": ()}
    ),
    EngineFamily(
        "sfu_keyframe_requests",
        "PLI and FIR from subscribers (in), PLI to publishers (out).",
        ("direction",),
        {"keyframe.requests_in": ("in",), "keyframe.requests_out": ("out",)},
    ),
    EngineFamily("sfu_keyframes", "Keyframes that arrived.", counters={"keyframe.in": ()}),
    EngineFamily(
        "sfu_feedback_packets",
        "Congestion control feedback.",
        ("direction", "type"),
        {"twcc.feedback_in": ("in", "twcc"), "twcc.feedback_out": ("out", "twcc"), "remb.out": ("out", "remb")},
    ),
    EngineFamily(
        "sfu_reported_lost_packets", "Packets that subscribers reported as lost.", counters={"twcc.reported_lost": ()}
    ),
    EngineFamily(
        "sfu_layer_switches",
        "Switches of a consumer to another encoding.",
        counters={"consumers.layer_switches": ()},
    ),
    EngineFamily(
        "sfu_data_messages",
        "Data channel messages; outgoing ones count once per receiver.",
        ("direction", "result"),
        {"data.in": ("in", "received"), "data.out": ("out", "queued"), "data.skipped": ("out", "skipped")},
    ),
    EngineFamily("sfu_commands_refused", "Commands that the engine refused.", counters={"commands.refused": ()}),
    EngineFamily(
        "sfu_udp_kernel_drops",
        "Datagrams that the kernel dropped because our receive buffer was full.",
        counters={"udp.kernel_drops": ()},
    ),
    EngineFamily(
        "sfu_udp_receive_buffer_bytes",
        "What the kernel granted as receive buffers, all shards together.",
        counters={"udp.receive_buffer_bytes": ()},
        gauge=True,
    ),
    EngineFamily(
        "sfu_udp_calls",
        "System calls that received or sent a batch.",
        ("direction",),
        {"udp.receive_calls": ("in",), "udp.send_calls": ("out",)},
    ),
    EngineFamily(
        "sfu_udp_send_runs",
        "Messages handed to the kernel, each a run of datagrams to one address.",
        counters={"udp.send_messages": ()},
    ),
    EngineFamily("sfu_udp_sent_datagrams", "Datagrams that the kernel took.", counters={"udp.sent": ()}),
    EngineFamily("sfu_udp_sent_bytes", "Their payload in bytes.", counters={"udp.sent_bytes": ()}),
    EngineFamily(
        "sfu_udp_trouble",
        "Failed calls, datagrams cut short or without room in the send queue, runs sent one by one.",
        ("direction", "kind"),
        {
            "udp.receive_errors": ("in", "error"),
            "udp.truncated": ("in", "truncated"),
            "udp.send_errors": ("out", "error"),
            "udp.send_overflow": ("out", "overflow"),
            "udp.gso_fallbacks": ("out", "gso_fallback"),
        },
    ),
    EngineFamily(
        "sfu_shard_turns",
        "Turns of the shards' loops; crowded ones left handshakes for the next turn.",
        ("kind",),
        {"shard.turns": ("all",), "shard.crowded_turns": ("crowded",)},
    ),
)

# `_created` series double the size of a scrape and nobody asks for them.
disable_created_metrics()  # type: ignore[no-untyped-call]

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_LAG_INTERVAL_S = 0.1
_LAG_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)
_JOIN_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_HTTP_BUCKETS = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0)

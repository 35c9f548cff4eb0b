"""The engine's dotted counters as Prometheus families: one table, and the code that reads it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from control.engine_family import EngineFamily
from control.turn.engine_counters import LATENCY_PREFIX, LATENCY_SUM, TURN_FAMILIES, relay_latency
from sfu.seam import Stats


def engine_families(stats: Stats) -> Iterator[Metric]:
    """Every family, shards added up; a counter that the table lacks appears in `sfu_engine_events`."""
    totals: defaultdict[str, int] = defaultdict(int)
    for shard in stats.shards:
        for name, value in shard.counters.items():
            totals[name] += value
    latency = {name: totals.pop(name) for name in [*totals] if name.startswith(LATENCY_PREFIX) or name == LATENCY_SUM}
    for family in ENGINE_FAMILIES:
        metric_type = GaugeMetricFamily if family.gauge else CounterMetricFamily
        metric = metric_type(family.name, family.help, labels=family.labels)
        for counter, labels in family.counters.items():
            metric.add_metric(labels, totals.pop(counter, 0) / family.per_unit)
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
    yield relay_latency(latency)
    yield _shards(stats)


def _shards(stats: Stats) -> Metric:
    return GaugeMetricFamily("sfu_shards", "Shards (packet threads) that report.", value=len(stats.shards))


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


MEDIA_FAMILIES = (
    EngineFamily(
        "sfu_engine_objects",
        "What the engine holds.",
        ("object",),
        {
            "transports.open": ("transports",),
            "producers.open": ("producers",),
            "consumers.open": ("consumers",),
            "timers.open": ("timers",),
        },
        gauge=True,
    ),
    EngineFamily(
        "sfu_transports",
        "Transports that finished DTLS (connected), and that ended by themselves, by why.",
        ("event",),
        {
            "transports.connected": ("connected",),
            "transports.dtls_failed": ("dtls_failed",),
            "transports.fingerprint_mismatch": ("fingerprint_mismatch",),
            "transports.consent_expired": ("consent_expired",),
            "transports.peer_closed": ("peer_closed",),
            "transports.internal_error": ("internal_error",),
        },
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
    EngineFamily(
        "sfu_padding_sent_bytes",
        "Padding that made the packets of a picture equally long, so that they leave in one message.",
        counters={"rtp.pad_bytes_out": ()},
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
        "sfu_retransmission_probes",
        "Of the retransmissions sent to subscribers, last packets of frames repeated before anybody asked.",
        counters={"rtx.probes": ()},
    ),
    EngineFamily(
        "sfu_red_packets",
        "Redundant audio (RED): packets received and passed on as such, and lost packets that it brought back.",
        ("result",),
        {"red.in": ("received",), "red.out": ("sent",), "red.recovered": ("recovered",)},
    ),
    EngineFamily(
        "sfu_keyframe_requests",
        "PLI and FIR from subscribers (in) and those of them held back (held), PLI to publishers (out).",
        ("direction",),
        {"keyframe.requests_in": ("in",), "keyframe.requests_held": ("held",), "keyframe.requests_out": ("out",)},
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
    EngineFamily(
        "sfu_pipes",
        "Ends of pipes: a producer handed to another shard (out), and taken from one (in), because it has consumers there.",
        ("direction",),
        {"pipes.in": ("in",), "pipes.out": ("out",)},
        gauge=True,
    ),
    EngineFamily(
        "sfu_pipe_packets",
        "Packets handed to other shards (out) and taken from them (in).",
        ("direction",),
        {"pipe.packets_in": ("in",), "pipe.packets_out": ("out",)},
    ),
    EngineFamily(
        "sfu_pipe_batches",
        "Batches that they went in; each wakes a shard once.",
        counters={"pipe.batches_out": ()},
    ),
    EngineFamily(
        "sfu_pipe_demands",
        "Times that consumers on another shard changed what they want of a producer, keyframe requests included.",
        counters={"pipe.demands": ()},
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
        "sfu_paths_selected",
        "Paths that transports connected over or changed to.",
        ("protocol",),
        {"paths.selected_udp": ("udp",), "paths.selected_tcp": ("tcp",), "paths.selected_relay": ("relay",)},
    ),
    EngineFamily(
        "sfu_tcp_connections",
        "TCP connections that are open: of clients that have shown who they are, and of those that have not yet.",
        ("state",),
        {"tcp.open": ("verified",), "tcp.pending": ("pending",)},
        gauge=True,
    ),
    EngineFamily(
        "sfu_tcp_connection_events",
        "What became of TCP connections: accepted, handed to a shard, closed for silence, refused for another reason.",
        ("event",),
        {
            "tcp.accepted": ("accepted",),
            "tcp.adopted": ("adopted",),
            "tcp.closed_idle": ("idle",),
            "tcp.accept_errors": ("accept_error",),
            "tcp.refused_source": ("too_many_of_source",),
            "tcp.refused_total": ("too_many",),
            "tcp.refused_late": ("late",),
            "tcp.refused_no_check": ("no_check",),
            "tcp.refused_unknown_ufrag": ("unknown_ufrag",),
            "tcp.refused_unverified": ("unverified",),
        },
    ),
    EngineFamily(
        "sfu_tcp_frames",
        "Frames received and queued; dropped ones found their connection's queue full, oversize ones were skipped.",
        ("direction", "result"),
        {
            "tcp.received": ("in", "received"),
            "tcp.oversize": ("in", "oversize"),
            "tcp.sent": ("out", "queued"),
            "tcp.dropped": ("out", "dropped"),
        },
    ),
    EngineFamily(
        "sfu_tcp_bytes",
        "Bytes read from connections, and payload bytes queued for them.",
        ("direction",),
        {"tcp.received_bytes": ("in",), "tcp.sent_bytes": ("out",)},
    ),
    EngineFamily(
        "sfu_shard_turns",
        "Turns of the shards' loops; crowded ones left handshakes for the next turn.",
        ("kind",),
        {"shard.turns": ("all",), "shard.crowded_turns": ("crowded",)},
    ),
    EngineFamily(
        "sfu_shard_busy_seconds",
        "Time that the shards worked and did not wait, all together; beside `sfu_shards` it says how full they are.",
        counters={"shard.busy_us": ()},
        per_unit=1_000_000,
    ),
)

ENGINE_FAMILIES = (*MEDIA_FAMILIES, *TURN_FAMILIES)

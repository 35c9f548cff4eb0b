"""The engine's counters that begin with `turn.`, as Prometheus families."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.metrics_core import HistogramMetricFamily, Metric

from control.engine_family import EngineFamily


def relay_latency(counters: Mapping[str, int]) -> Metric:
    """From the engine's cumulative counts `turn.relay_latency_us_<bound>`."""
    bounds = {
        name.removeprefix(LATENCY_PREFIX): value for name, value in counters.items() if name.startswith(LATENCY_PREFIX)
    }
    total = bounds.pop("inf", 0)
    buckets = [(repr(bound / 1e6), float(bounds[str(bound)])) for bound in sorted(int(name) for name in bounds)]
    return HistogramMetricFamily(
        "turn_relay_latency_seconds",
        "From the arrival of a packet to be relayed until it was handed to the kernel or to media; waiting for others included.",
        buckets=[*buckets, ("+Inf", float(total))],
        sum_value=counters.get(LATENCY_SUM, 0) / 1e6,
    )


TURN_FAMILIES = (
    EngineFamily("turn_permissions", "Permissions of all allocations.", counters={"turn.permissions": ()}, gauge=True),
    EngineFamily("turn_channels", "Channels of all allocations.", counters={"turn.channels": ()}, gauge=True),
    EngineFamily(
        "turn_relay_sockets",
        "Relay sockets that are bound: allocations with a permission for a peer that is not our own media.",
        counters={"turn.relay_sockets": ()},
        gauge=True,
    ),
    EngineFamily(
        "turn_engine_objects",
        "What the relay holds.",
        ("object",),
        {
            "turn.allocations": ("allocations",),
            "turn.clients": ("clients",),
            "turn.sockets": ("sockets",),
            "turn.requests_waiting": ("requests_waiting",),
            "turn.remembered_bytes": ("remembered_bytes",),
        },
        gauge=True,
    ),
    EngineFamily(
        "turn_client_packets",
        "Packets relayed from clients (in) and to them (out); what media sends to clients on UDP is in `sfu_packets`.",
        ("direction", "transport"),
        {
            f"turn.{way}_{transport}_packets": (direction, transport)
            for way, direction in (("from", "in"), ("to", "out"))
            for transport in ("udp", "tcp", "tls")
        },
    ),
    EngineFamily(
        "turn_client_bytes",
        "Their application data in bytes.",
        ("direction", "transport"),
        {
            f"turn.{way}_{transport}_bytes": (direction, transport)
            for way, direction in (("from", "in"), ("to", "out"))
            for transport in ("udp", "tcp", "tls")
        },
    ),
    EngineFamily(
        "turn_relayed_packets",
        "Of what was relayed: to peers by relay sockets, and to and from our own media in memory.",
        ("direction",),
        {
            "turn.to_peer_packets": ("to_peer",),
            "turn.to_media_packets": ("to_media",),
            "turn.from_media_packets": ("from_media",),
        },
    ),
    EngineFamily(
        "turn_relayed_bytes",
        "Their application data in bytes.",
        ("direction",),
        {
            "turn.to_peer_bytes": ("to_peer",),
            "turn.to_media_bytes": ("to_media",),
            "turn.from_media_bytes": ("from_media",),
        },
    ),
    EngineFamily(
        "turn_messages",
        "STUN messages: Binding answered, keepalives, 401 and 438 to strangers, 400 and 420 before credentials, requests that were "
        "decided on, sent again, answered, and not answered in time.",
        ("kind",),
        {
            "turn.bindings": ("binding",),
            "turn.keepalives": ("keepalive",),
            "turn.challenges": ("challenge",),
            "turn.stale_nonces": ("stale_nonce",),
            "turn.bad_requests": ("bad_request",),
            "turn.requests": ("request",),
            "turn.retransmissions": ("retransmission",),
            "turn.replies": ("reply",),
            "turn.unanswered": ("unanswered",),
        },
    ),
    EngineFamily(
        "turn_packets_dropped",
        "Messages and relayed packets dropped; rate_packets, rate_bytes and rate_peers are quotas.",
        ("reason",),
        prefix="turn.dropped_",
    ),
    EngineFamily(
        "turn_connections",
        "TCP and TLS connections that are open, and of those TLS handshakes that go on.",
        ("state",),
        {"turn.connections": ("open",), "turn.stream_handshakes": ("handshake",)},
        gauge=True,
    ),
    EngineFamily(
        "turn_connection_events",
        "What became of TCP and TLS connections: accepted, refused, and why we closed them.",
        ("event",),
        {
            "turn.stream_accepted": ("accepted",),
            "turn.stream_accept_errors": ("accept_error",),
            "turn.stream_refused_address": ("too_many_of_address",),
            "turn.stream_refused_total": ("too_many",),
            "turn.stream_closed": ("closed",),
            "turn.stream_closed_evicted": ("evicted",),
            "turn.stream_closed_late": ("no_credentials_in_time",),
            "turn.stream_closed_not_turn": ("not_turn",),
            "turn.stream_closed_tls": ("tls_failed",),
            "turn.stream_closed_stalled": ("stalled",),
        },
    ),
    EngineFamily(
        "turn_stream_messages",
        "Messages on TCP and TLS connections; dropped ones found their connection's queue full.",
        ("direction", "result"),
        {
            "turn.stream_received": ("in", "received"),
            "turn.stream_sent": ("out", "queued"),
            "turn.stream_dropped": ("out", "dropped"),
        },
    ),
    EngineFamily(
        "turn_stream_bytes",
        "Bytes read from connections and queued for them, TLS's own not included.",
        ("direction",),
        {"turn.stream_received_bytes": ("in",), "turn.stream_sent_bytes": ("out",)},
    ),
    EngineFamily("turn_sent_datagrams", "Datagrams that the kernel took.", counters={"turn.sent": ()}),
    EngineFamily(
        "turn_send_runs",
        "Messages handed to the kernel, each a run of datagrams to one address.",
        counters={"turn.send_messages": ()},
    ),
    EngineFamily("turn_send_calls", "System calls that sent a batch.", counters={"turn.send_calls": ()}),
    EngineFamily("turn_thread_turns", "Turns of the relay's loop.", counters={"turn.turns": ()}),
    EngineFamily(
        "turn_udp_trouble",
        "Failed calls, datagrams that the kernel dropped or that found no room in the send queue, runs sent one by one.",
        ("direction", "kind"),
        {
            "turn.receive_errors": ("in", "error"),
            "turn.kernel_drops": ("in", "kernel_drop"),
            "turn.send_errors": ("out", "error"),
            "turn.send_overflow": ("out", "overflow"),
            "turn.gso_fallbacks": ("out", "gso_fallback"),
        },
    ),
)
LATENCY_PREFIX = "turn.relay_latency_us_"
LATENCY_SUM = "turn.relay_latency_sum_us"

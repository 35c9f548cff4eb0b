"""What `turn/` counts, as metrics. Labels are bounded by the code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar, get_args

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from turn.errors import AuthFailure, ErrorCode
from turn.quotas import QuotaName
from turn.seam import ClientTransport, Method
from turn.server import TurnInventory

_T = TypeVar("_T", bound=str)


def turn_families(inventory: TurnInventory) -> Iterator[Metric]:
    """What `turn/` counts. Every series is there from the start."""
    yield GaugeMetricFamily("turn_allocations", "Allocations that exist.", value=sum(inventory.allocations.values()))
    yield _labelled(
        GaugeMetricFamily,
        "turn_allocations_by_transport",
        "The same, by what their clients come by.",
        "transport",
        _by(TRANSPORTS, inventory.allocations),
    )
    yield _labelled(
        GaugeMetricFamily,
        "turn_listeners",
        "Listeners that are open.",
        "transport",
        _by(TRANSPORTS, inventory.listeners),
    )
    yield _labelled(
        GaugeMetricFamily,
        "turn_ports",
        "Relayed addresses with port: free, taken, reserved by an allocation for its next one, resting before anybody gets them again.",
        "state",
        _by(PORT_STATES, inventory.ports),
    )
    yield GaugeMetricFamily(
        "turn_join_credentials", "Credentials of joined clients that are good.", value=inventory.minted
    )
    yield _labelled(
        CounterMetricFamily,
        "turn_auth_failures",
        "Requests whose credentials were not good, by why; clients see the same 401 for all.",
        "reason",
        _by(AUTH_FAILURES, inventory.auth_failures),
    )
    refused = CounterMetricFamily(
        "turn_requests_refused",
        "Requests answered with an error by what decides on credentials.",
        labels=["method", "code"],
    )
    for method in Method:
        for code in ErrorCode:
            refused.add_metric([method.name.lower(), str(code.value)], inventory.refused.get((method, code), 0))
    yield refused
    yield CounterMetricFamily(
        "turn_refused_peers", "Peers asked for that the rules do not allow.", value=inventory.refused_peers
    )
    yield _labelled(
        CounterMetricFamily,
        "turn_quota_hits",
        "Requests refused because a quota is used up, or because no port is free. Rates are in `turn_packets_dropped`.",
        "quota",
        _by(QUOTAS, inventory.quota_hits),
    )


def _labelled(
    kind: type[CounterMetricFamily | GaugeMetricFamily], name: str, text: str, label: str, counts: Mapping[str, int]
) -> Metric:
    metric = kind(name, text, labels=[label])
    for value, count in counts.items():
        metric.add_metric([value], count)
    return metric


def _by(names: Iterable[_T], counts: Mapping[_T, int]) -> dict[str, int]:
    return {name: counts.get(name, 0) for name in names}


TRANSPORTS: tuple[ClientTransport, ...] = get_args(ClientTransport)
AUTH_FAILURES: tuple[AuthFailure, ...] = get_args(AuthFailure)
QUOTAS: tuple[QuotaName, ...] = get_args(QuotaName)
PORT_STATES = ("free", "taken", "reserved", "resting")

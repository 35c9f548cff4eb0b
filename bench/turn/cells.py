"""What is measured: loads, in groups that share servers and allocations."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

Direction = Literal["to_peers", "to_clients"]
Transport = Literal["udp", "tls"]
#: What a run consists of: groups by name, and two that are none.
PARTS = ("flood", "wire", "spread", "tls", "zero-hop", "memory")
DIRECTIONS: tuple[Direction, ...] = ("to_peers", "to_clients")


@dataclass(frozen=True, slots=True)
class Load:
    """Trains of `train` packets of `payload` bytes on every flow in turn; `rate_pps` packets a second in all, 0: a flood."""

    train: int
    payload: int
    direction: Direction
    rate_pps: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """Loads for servers that run side by side, each with so many allocations."""

    name: str
    allocations: int
    loads: tuple[Load, ...]
    #: By name, see `servers.py`.
    servers: tuple[str, ...]
    transport: Transport = "udp"
    #: The receivers take joined datagrams as a network card does; without, splitting them is charged to the server.
    gro: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything of one run."""

    groups: tuple[Group, ...]
    #: Allocations and loads of the comparison with the SFU in the same process.
    zero_hop: tuple[int, tuple[Load, ...]]
    rounds: int
    warm_up_s: float
    seconds: float
    #: Allocations, and addresses without credentials, whose memory is measured; 0: not at all.
    memory_allocations: int
    strangers: int


def full(rounds: int, seconds: float) -> Plan:
    """The whole matrix: about an hour."""
    return Plan(
        groups=(
            *(_matrix(allocations, (16, 4, 1), (120, 1200)) for allocations in (1, 10, 200, 1000)),
            Group("wire", 10, _loads((16, 4), (1200,)), RELAYS, gro=True),
            _spread(),
            _tls((1, 10, 40)),
        ),
        zero_hop=(10, _loads((16, 4, 1), (1200,), ("to_peers",))),
        rounds=rounds,
        warm_up_s=0.4,
        seconds=seconds,
        memory_allocations=1000,
        strangers=100_000,
    )


def quick(rounds: int, seconds: float) -> Plan:
    """One size of everything, in under three minutes: shows that it works, says little about small differences."""
    return Plan(
        groups=(_matrix(10, (16, 4, 1), (1200,)), _spread(), _tls((1, 40))),
        zero_hop=(10, _loads((16, 1), (1200,), ("to_peers",))),
        rounds=rounds,
        warm_up_s=0.2,
        seconds=seconds,
        memory_allocations=200,
        strangers=5_000,
    )


def only(plan: Plan, parts: Collection[str]) -> Plan:
    """Those of `PARTS`."""
    return replace(
        plan,
        groups=tuple(group for group in plan.groups if group.name in parts),
        zero_hop=plan.zero_hop if "zero-hop" in parts else (0, ()),
        memory_allocations=plan.memory_allocations if "memory" in parts else 0,
    )


def _loads(
    trains: tuple[int, ...],
    payloads: tuple[int, ...],
    directions: tuple[Direction, ...] = DIRECTIONS,
    rate_pps: int = 0,
) -> tuple[Load, ...]:
    return tuple(
        Load(train, payload, direction, rate_pps)
        for train in trains
        for payload in payloads
        for direction in directions
    )


def _matrix(allocations: int, trains: tuple[int, ...], payloads: tuple[int, ...]) -> Group:
    return Group("flood", allocations, _loads(trains, payloads), RELAYS)


def _spread() -> Group:
    return Group("spread", 50, _loads((1,), (1200,), rate_pps=20_000), (*RELAYS, "floor-1ms"))


def _tls(trains: tuple[int, ...]) -> Group:
    # 40 packets are a key frame of 48 kB: what a connection does not take at once.
    return Group("tls", 10, _loads(trains, (1200,), rate_pps=10_000), ("coturn", "pion", "ours"), transport="tls")


RELAYS = ("coturn", "pion", "floor-plain", "floor-joined", "ours")

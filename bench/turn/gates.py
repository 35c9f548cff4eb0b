"""What the numbers have to be, and the sentences that say where they are not. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench.turn.cells import Group, Load
from bench.turn.statistics import Row, ratio
from bench.verdict import Verdict, at_least, at_most


@dataclass(frozen=True, slots=True)
class Measured:
    """One load of one group on all its servers, by name."""

    group: Group
    load: Load
    rows: Mapping[str, Row]


@dataclass(frozen=True, slots=True)
class ZeroHop:
    """Peers in the same process, beside coturn that relays the same to a socket. `rows` by server's name."""

    allocations: int
    load: Load
    rows: Mapping[str, Row]


@dataclass(frozen=True, slots=True)
class Memory:
    """Growth of resident memory in bytes, kernel's socket memory not included. `engine` where the server tells it."""

    server: str
    per_allocation: float
    engine_per_allocation: float | None
    per_stranger: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Results:
    measured: tuple[Measured, ...] = ()
    zero_hop: tuple[ZeroHop, ...] = ()
    memory: tuple[Memory, ...] = ()


def verdicts(results: Results) -> list[Verdict]:
    """Of every gate on every row that has what the gate needs."""
    return [
        *(verdict for measured in results.measured for verdict in _of_load(measured)),
        *(verdict for each in results.zero_hop for verdict in _of_zero_hop(each)),
        *(verdict for memory in results.memory for verdict in _of_memory(memory)),
    ]


def case(measured: Measured | ZeroHop) -> str:
    """The row in words."""
    load, allocations = (
        measured.load,
        measured.allocations if isinstance(measured, ZeroHop) else measured.group.allocations,
    )
    rate = f", {load.rate_pps} packets/s" if load.rate_pps else ""
    return (
        f"{allocations} allocations, {load.payload} B, trains of {load.train}, {load.direction.replace('_', ' ')}{rate}"
    )


def _of_load(measured: Measured) -> Iterator[Verdict]:
    rows, name = measured.rows, measured.group.name
    if "ours" not in rows:
        return
    words = case(measured)
    if name == "flood":
        if "coturn" in rows:
            yield _coturn_over_ours("coturn's CPU / ours", words, CPU_RATIOS[measured.load.train], rows)
        if "floor-plain" in rows:
            yield at_most("our CPU / the floor's", words, ratio(rows["ours"], rows["floor-plain"]).median, FLOOR_RATIO)
        yield at_most("Python's share of a core", words, rows["ours"].main_busy.median, PYTHON_SHARE)
    elif name == "spread":
        if "coturn" in rows:
            yield _coturn_over_ours("spread: coturn's CPU / ours", words, CPU_RATIOS["spread"], rows)
        if (latency := rows["ours"].latency_p99_us) is not None:
            yield at_most("spread: our latency p99 in us", words, latency.median, LATENCY_P99_US)
    elif name == "tls":
        yield at_most("tls: share of packets we lose", words, rows["ours"].lost.max, 0)


def _of_zero_hop(measured: ZeroHop) -> Iterator[Verdict]:
    if {"coturn", "ours"} <= measured.rows.keys():
        yield _coturn_over_ours("zero hop: coturn's CPU / ours", case(measured), CPU_RATIOS["zero hop"], measured.rows)


def _of_memory(memory: Memory) -> Iterator[Verdict]:
    if memory.server != "ours":
        return
    if memory.engine_per_allocation is not None:
        yield at_most("engine bytes per allocation", "memory", memory.engine_per_allocation, ENGINE_BYTES)
    for request, grown in memory.per_stranger.items():
        yield at_most(f"bytes per source without credentials ({request})", "memory", grown, STRANGER_BYTES)


def _coturn_over_ours(gate: str, words: str, limit: float, rows: Mapping[str, Row]) -> Verdict:
    return at_least(gate, words, ratio(rows["coturn"], rows["ours"]).median, limit)


#: Coturn's CPU per packet divided by ours; trains by their length.
CPU_RATIOS: Mapping[int | str, float] = {16: 3.0, 4: 1.4, 1: 1.1, "zero hop": 5.0, "spread": 2.0}
#: Of one `recvfrom` and one `sendto` a packet, with the same bytes on the wire and nothing else.
FLOOR_RATIO = 1.3
LATENCY_P99_US = 2_000
#: About zero: a timer now and then, and reading the engine's counters once a second.
PYTHON_SHARE = 0.02
ENGINE_BYTES = 4_096
#: Nothing is kept. A process that has answered this often has touched some pages for the first time.
STRANGER_BYTES = 16

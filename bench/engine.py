"""`bench engine`: CPU time per forwarded packet beside the floor, in one run.

Server on one core, load generator on the other; real UDP, real SRTP both ways. Every figure is CPU time of the whole server
process (user + system, from the kernel's accounting) divided by the packets that it sent. The floor is the same number of
AES-128-GCM encryptions and GSO sends of the same sizes and bursts, nothing else, on the server's core right after.
"""

from __future__ import annotations

import statistics
import sys
from dataclasses import asdict, dataclass
from typing import Any

from bench import floor
from bench.floor import GATE_RATIO, Shape
from bench.loadgen import LOADGEN, Peer

#: Bytes of a packet as the publisher sends it, SRTP tag included: the size that libwebrtc fills video packets to.
DATAGRAM_BYTES = 1200
#: Packets per second towards all sinks together: far below saturation, so that batching is what the bursts give.
OUTBOUND_PPS = 60_000


@dataclass(frozen=True, slots=True)
class Row:
    """One case, medians over the rounds. Times are microseconds of CPU per packet sent."""

    consumers: int
    burst: int
    engine_us: float
    floor_us: float
    ratio: float
    ratio_min: float
    ratio_max: float
    packets: int
    lost: int
    load_busy: float


def measure(consumers: int, bursts: list[int], seconds: float, rounds: int) -> list[Row]:
    """Connects one publisher and `consumers` sinks once, then runs every burst size `rounds` times, floor beside engine."""
    with Peer(1, str(LOADGEN)) as load, Peer(0, sys.executable, "-m", "bench.server") as server:
        sinks = floor.connect(load, server, consumers)
        server.ask("forward", count=consumers + 1)
        rate = OUTBOUND_PPS / consumers
        load.ask("run", burst=4, rate_pps=rate, seconds=1.0, datagram_bytes=DATAGRAM_BYTES)  # warm up
        return [_case(load, server, sinks, burst, rate, seconds, rounds) for burst in bursts]


def _case(load: Peer, server: Peer, sinks: list[str], burst: int, rate: float, seconds: float, rounds: int) -> Row:
    engine_us, floor_us, packets, lost, busy = [], [], 0, 0, 0.0
    for _ in range(rounds):
        before = server.ask("usage")
        run = load.ask("run", burst=burst, rate_pps=rate, seconds=seconds, datagram_bytes=DATAGRAM_BYTES)
        after = server.ask("usage")
        cpu_s = after["user_s"] + after["system_s"] - before["user_s"] - before["system_s"]
        expected = run["sent"] * len(sinks)
        engine_us.append(cpu_s / expected * 1e6)
        packets += expected
        lost += expected - run["received"]
        busy = max(busy, run["busy"])
        floor_us.append(floor.measure(load, sinks, Shape(DATAGRAM_BYTES, burst, rate), seconds))
    ratios = [engine / least for engine, least in zip(engine_us, floor_us, strict=True)]
    return Row(
        consumers=len(sinks),
        burst=burst,
        engine_us=statistics.median(engine_us),
        floor_us=statistics.median(floor_us),
        ratio=statistics.median(ratios),
        ratio_min=min(ratios),
        ratio_max=max(ratios),
        packets=packets,
        lost=lost,
        load_busy=busy,
    )


def report(rows: list[Row]) -> str:
    """The table that `make bench` prints."""
    lines = [
        "consumers  burst  engine us  floor us  ratio (min-max)      packets  lost  load core busy",
    ]
    lines += [
        f"{row.consumers:9d}  {row.burst:5d}  {row.engine_us:9.3f}  {row.floor_us:8.3f}  "
        f"{row.ratio:5.2f} ({row.ratio_min:.2f}-{row.ratio_max:.2f})  {row.packets:11d}  {row.lost:4d}  {row.load_busy:6.0%}"
        for row in rows
    ]
    return "\n".join(lines)


def gate(rows: list[Row]) -> str | None:
    """The sentence that says which gate was missed, or None."""
    for row in rows:
        if (row.consumers, row.burst) == (50, 4) and row.ratio > GATE_RATIO:
            return f"50 consumers in bursts of 4 cost {row.ratio:.2f} floors, the gate is {GATE_RATIO}"
    return None


def as_json(rows: list[Row]) -> list[dict[str, Any]]:
    return [asdict(row) for row in rows]

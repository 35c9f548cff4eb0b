"""What the numbers have to be. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bench.calls import floor, growth
from bench.calls.results import Measured, MemoryGrowth, Results, Swept
from bench.calls.scenarios import Measure
from bench.calls.statistics import Row, ratio
from bench.floor import GATE_RATIO
from bench.verdict import Verdict, at_least, at_most


def verdicts(results: Results) -> list[Verdict]:
    """Of every gate on every row of ours that has what the gate needs."""
    return [
        *(verdict for measured in results.measured for verdict in _of_case(measured)),
        *_of_growth(results),
        *(verdict for swept in results.swept for verdict in _of_sweep(swept)),
        *(verdict for memory in results.memory for verdict in _of_memory(memory)),
    ]


def growth_fit(results: Results, server: str) -> growth.Fit | None:
    """Of total cost against subscriptions, over the sizes at which the server still has time left."""
    points = []
    for measured in results.measured:
        row = measured.rows.get(server)
        if measured.case.group == "growth" and row is not None and not row.is_full:
            points.append((float(measured.case.subscriptions), row.median("server_busy") or 0))
    return growth.fit(points)


def _of_case(measured: Measured) -> Iterator[Verdict]:
    ours, words = measured.rows.get("ours"), f"{measured.case.group}: {measured.case.name}"
    if ours is None:
        return
    if isinstance(measured.case.action, Measure) and measured.case.neighbour is None:
        yield from _ratios(measured.rows, words)
    if (over := measured.over_floor) is not None and floor.is_comparable(ours):
        yield at_most("CPU in floors", words, over.median, GATE_RATIO)
    if measured.case.group in LOSSLESS and not ours.is_full:
        yield at_most("share of packets that never arrive", words, _median(ours, "lost"), 0)
    if measured.case.group == "churn":
        joins = _median(ours, "joins_per_core_alone")
        yield at_least("joins for each second of CPU beyond the rooms at rest", words, joins, JOINS_PER_CORE)
    if measured.case.group == "data":
        yield at_most("data: CPU us for each receiver", words, _median(ours, "cpu_us"), DATA_US)
    if measured.case.group == "stream" and len(measured.case.participants) == 2:  # sender and receiver
        yield at_least("stream: Mbit/s", words, _median(ours, "stream_bps") / 1e6, STREAM_MBPS)


def _ratios(rows: Mapping[str, Row], words: str) -> Iterator[Verdict]:
    for name, row in rows.items():
        if name != "ours":
            limit = LIVEKIT_RATIO if name.startswith("livekit") else OTHER_RATIO
            yield at_least(f"{name}'s CPU / ours", words, ratio(row, rows["ours"]).median, limit)


def _of_growth(results: Results) -> Iterator[Verdict]:
    fit = growth_fit(results, "ours")
    if fit is not None:
        yield at_most("exponent of total cost", f"{fit.points} sizes", fit.exponent, EXPONENT)


def _of_sweep(swept: Swept) -> Iterator[Verdict]:
    by_load = dict(zip(swept.sweep.loads, swept.rows.get("ours", ()), strict=False))
    if GATE_LOAD in by_load:
        listeners, row = by_load[GATE_LOAD]
        words = f"{swept.sweep.group}: {listeners} listeners, {row.median('server_busy'):.0%} of a core"
        yield at_most("added latency p99 in us", words, _median(row, "latency_p99_us"), LATENCY_P99_US)


def _of_memory(memory: MemoryGrowth) -> Iterator[Verdict]:
    if memory.server == "ours":
        yield at_most("bytes for each subscription", "memory", memory.per_subscription, SUBSCRIPTION_BYTES)


def _median(row: Row, figure: str) -> float:
    """What a reply lacks misses its gate."""
    value = row.median(figure)
    return float("nan") if value is None else value


#: The other's CPU per packet divided by ours.
LIVEKIT_RATIO = 5.0
OTHER_RATIO = 2.0
#: At this share of a core.
GATE_LOAD = 0.7
LATENCY_P99_US = 2_000
#: Beyond the shared rings. What is measured is the whole process, so that it is an upper bound.
SUBSCRIPTION_BYTES = 64 * 1024
JOINS_PER_CORE = 200
EXPONENT = 1.05
DATA_US = 5.0
STREAM_MBPS = 300
#: Groups in which nothing is lost while the server has time left.
LOSSLESS = ("audio", "meeting", "everyday", "livestream", "codecs")

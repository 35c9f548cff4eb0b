"""The floor beside a row of calls: as many packets, of the same size and in the same bursts, without a server."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bench import floor
from bench.calls.generator import OWN_CORE
from bench.calls.results import Floors
from bench.calls.scenarios import Case
from bench.calls.statistics import Row, Sample
from bench.floor import Shape
from bench.loadgen import LOADGEN, Peer
from bench.process import CORE


class Floor:
    """Of one case. It is measured after each round of ours, with what that round was like."""

    def __init__(self, load: Peer, sinks: Sequence[str], case: Case) -> None:
        self._load = load
        self._sinks = sinks
        self._case = case
        self._shapes: list[Shape] = []
        self._cpu_us: list[float] = []

    def measure(self, ours: Sample, seconds: float) -> None:
        """Raises `PeerError`."""
        shape = shape_of(ours, self._case)
        self._cpu_us.append(floor.measure(self._load, self._sinks, shape, seconds))
        self._shapes.append(shape)

    @property
    def found(self) -> Floors:
        return Floors(tuple(self._shapes), tuple(self._cpu_us))


@contextmanager
def beside(case: Case) -> Iterator[Floor]:
    """With as many sinks as the case has subscribers. Raises `PeerError`."""
    with Peer(OWN_CORE, str(LOADGEN)) as load:
        # Sinks are clients that connect. After that nobody but the floor sends to them, and this server leaves the core.
        with Peer(CORE, sys.executable, "-m", "bench.server") as server:
            sinks = floor.connect(load, server, subscribers(case))
        yield Floor(load, sinks, case)


def shape_of(sample: Sample, case: Case) -> Shape:
    """What a subscriber got, on average. For cases in which all get the same: one camera and one microphone."""
    rate_pps = sample.forwarded_pps / subscribers(case)
    return Shape(
        datagram_bytes=round(sample.raw["bytes"] / (sample.raw["received"] + sample.raw["rtx"])),
        burst=max(1, round(rate_pps / FRAMES_PER_S)),
        rate_pps=rate_pps,
    )


def subscribers(case: Case) -> int:
    return sum(each.subscribe is not None for each in case.participants)


def is_comparable(ours: Row) -> bool:
    """With little to forward, what a server does beside that weighs more: the floor does nothing else."""
    return (ours.median("server_busy") or 0) > LEAST_BUSY


#: Groups whose rows have a floor beside them.
GROUPS = ("livestream", "growth")
LEAST_BUSY = 0.1
#: Of the media (`media.py`): 30 pictures, and 50 pieces of sound of 20 ms. The packets of one leave together.
FRAMES_PER_S = 30 + 50

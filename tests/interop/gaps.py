"""A participant whose signalling and network paths can be cut, and the gaps in what it receives."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.interop.client import Client, join
from tests.interop.on_path import Arrival, OnPath, on_path
from tests.support.server import Server

#: What a receiver may miss in a row.
MAX_GAP_S = 0.2
_EVENTS = ("reconnecting", "reconnected", "disconnected", "participant_disconnected", "track_unsubscribed")


@dataclass(slots=True)
class Side:
    """An SDK client with somebody on its path."""

    client: Client
    path: OnPath
    #: (name, Unix time) of what the SDK told.
    events: list[tuple[str, float]] = field(default_factory=list)

    def listen(self) -> None:
        for name in _EVENTS:
            self.client.room.on(name, lambda *_, name=name: self.events.append((name, time.time())))  # type: ignore[arg-type]

    def count(self, event: str) -> int:
        return sum(1 for name, _ in self.events if name == event)


@contextlib.asynccontextmanager
async def side(server: Server, room: str, identity: str, *, single: bool) -> AsyncIterator[Side]:
    async with (
        on_path(server) as path,
        join(path.url, server.token(room, identity), identity, single=single) as client,
    ):
        made = Side(client, path)
        made.listen()
        yield made


def longest_gaps(arrivals: Sequence[Arrival], departures: Sequence[Arrival]) -> list[float]:
    """Per stream, in seconds, the longest first; without those above `MAX_GAP_S` that the sender made (a busy encoder)."""
    streams = _streams(arrivals)
    sent = _streams(departures)
    assert len(streams) == len(sent), f"{len(sent)} streams were sent, {len(streams)} arrived"
    return sorted((_longest(got, was) for got, was in zip(streams, sent, strict=True)), reverse=True)


def _streams(packets: Sequence[Arrival]) -> list[list[float]]:
    """Times of each stream, the busiest first: that is how a stream is known on both sides."""
    times: defaultdict[int, list[float]] = defaultdict(list)
    for each in packets:
        times[each.ssrc].append(each.at)
    return sorted((sorted(at) for at in times.values() if len(at) > _FEW), key=len, reverse=True)


def _longest(arrived: list[float], departed: list[float]) -> float:
    def sender_was_silent(start: float, end: float) -> bool:
        return not any(start + _ON_THE_WAY_S < at < end - _ON_THE_WAY_S for at in departed)

    found = 0.0
    for earlier, later in pairwise(arrived):
        gap = later - earlier
        if gap > found and (gap < MAX_GAP_S or not sender_was_silent(earlier, later)):
            found = gap
    return found


# Retransmissions and probes come on streams of their own.
_FEW = 10
_ON_THE_WAY_S = 0.03

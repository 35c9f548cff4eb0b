"""One direction of a network path in virtual time. Sans I/O: the same datagrams at the same times give the same deliveries."""

from __future__ import annotations

import enum
import heapq
from dataclasses import dataclass

from tests.impair.loss import NO_LOSS, Loss, LossState
from tests.impair.rng import Rng


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A bottleneck with a drop-tail queue."""

    bps: float
    #: What may wait; what comes on top is lost.
    queue_bytes: int

    def __post_init__(self) -> None:
        if self.bps <= 0 or self.queue_bytes <= 0:
            raise ValueError("a rate limit needs a rate and a queue above zero")


@dataclass(frozen=True, slots=True)
class LinkConfig:
    """What a link does to datagrams. The default does nothing."""

    #: What is lost before it takes up any of the rate.
    loss: Loss = NO_LOSS
    #: The least time a datagram takes.
    delay_s: float = 0.0
    #: Up to this much is added, evenly distributed, without changing the order.
    jitter_s: float = 0.0
    #: Probability that a datagram takes `reorder_by_s` longer and is overtaken.
    reorder: float = 0.0
    reorder_by_s: float = 0.0
    #: Probability that a datagram arrives twice.
    duplicate: float = 0.0
    rate: RateLimit | None = None

    def __post_init__(self) -> None:
        if min(self.delay_s, self.jitter_s, self.reorder_by_s) < 0:
            raise ValueError("a time is below zero")
        if not (0 <= self.reorder <= 1 and 0 <= self.duplicate <= 1):
            raise ValueError("a probability is not from 0 to 1")


NOTHING = LinkConfig()


class Fate(enum.Enum):
    """What became of a datagram that was put on a link."""

    SENT = "sent"
    LOST = "lost"
    #: No room in the bottleneck's queue.
    QUEUE_FULL = "queue_full"


class Link:
    """Every choice follows from `rng`. Times are seconds on the caller's clock and never go back."""

    def __init__(self, config: LinkConfig, rng: Rng) -> None:
        self._in_flight: list[tuple[float, int, bytes]] = []
        self._sent = 0
        #: When the bottleneck has sent what waits.
        self._busy_until = 0.0
        #: The last in-order arrival: jitter does not overtake.
        self._last_arrival = 0.0
        self.configure(config, rng)

    def configure(self, config: LinkConfig, rng: Rng) -> None:
        """Changes what happens to later datagrams; with its own randomness, whatever went before."""
        self._rng = rng
        self._loss = LossState(config.loss)
        self._config = config

    def handle(self, now: float, datagram: bytes) -> Fate:
        """Puts a datagram on the link."""
        if self._loss.loses(self._rng):
            return Fate.LOST
        departure = self._depart(now, len(datagram))
        if departure is None:
            return Fate.QUEUE_FULL
        arrival = departure + self._config.delay_s + self._config.jitter_s * self._rng.unit()
        in_order = max(self._last_arrival, arrival)
        if self._rng.chance(self._config.reorder):
            self._put(in_order + self._config.reorder_by_s, datagram)
        else:
            self._last_arrival = in_order
            self._put(in_order, datagram)
        if self._rng.chance(self._config.duplicate):
            self._put(in_order, datagram)
        return Fate.SENT

    def poll(self, now: float) -> bytes | None:
        """The next datagram that has arrived by `now`."""
        if not self._in_flight or self._in_flight[0][0] > now:
            return None
        return heapq.heappop(self._in_flight)[2]

    def poll_timeout(self) -> float | None:
        """When the next datagram arrives."""
        return self._in_flight[0][0] if self._in_flight else None

    def _depart(self, now: float, size: int) -> float | None:
        rate = self._config.rate
        if rate is None:
            return now
        start = max(self._busy_until, now)
        waiting = int((start - now) * rate.bps / 8)
        if waiting + size > rate.queue_bytes:
            return None
        self._busy_until = start + size * 8 / rate.bps
        return self._busy_until

    def _put(self, arrival: float, datagram: bytes) -> None:
        self._sent += 1  # ties arrive in the order they were sent
        heapq.heappush(self._in_flight, (arrival, self._sent, datagram))

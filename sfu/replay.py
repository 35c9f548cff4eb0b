"""Reliable data kept for those who are in the room but cannot take it yet, and for those who come back at once. Pure.

A participant is announced before its channel is open, and whoever hears of it may greet it at once. One that joins anew in the
place of an older session (full reconnect) was away for a moment. Both get what was sent meanwhile, once and in order.
Nothing is kept while nobody waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from sfu.policy.patience import Patience

Reader = TypeVar("Reader")


@dataclass(frozen=True, slots=True)
class Kept:
    number: int
    #: Identity of the sender.
    sender: str
    #: Identities and sids that may have it; empty: everybody.
    named: frozenset[str]
    payload: bytes

    def is_for(self, identity: str, sid: str) -> bool:
        return self.sender != identity and is_named(self.named, identity, sid)


def is_named(named: frozenset[str], identity: str, sid: str) -> bool:
    """Whether data for `named` is for this one; where nobody is named it is for everybody."""
    return not named or identity in named or sid in named


class Replay(Generic[Reader]):
    """Verbs: `handle_joined`, `handle_left`, `handle_sent`, `handle_timeout(now)`; `take` when a reader is ready."""

    def __init__(self) -> None:
        #: Those that wait for their channel, and the first packet that each has not had.
        self._waiting: dict[Reader, int] = {}
        #: Identity -> the first packet after its session ended, and for how long that counts.
        self._departed: dict[str, tuple[int, Patience]] = {}
        self._kept: deque[Kept] = deque()
        self._bytes = 0
        self._next = 0
        #: (time, number): every packet below the number was sent before the time.
        self._marks: deque[tuple[float, int]] = deque()

    def __len__(self) -> int:
        return len(self._kept)

    def waits(self, reader: Reader) -> bool:
        return reader in self._waiting

    def handle_joined(self, reader: Reader, identity: str) -> None:
        first, _ = self._departed.pop(identity, (self._next, None))
        self._waiting[reader] = first

    def handle_left(self, reader: Reader, identity: str, *, may_return: bool) -> None:
        """One that never took anything leaves everything to its successor."""
        first = self._waiting.pop(reader, self._next)
        if may_return and len(self._departed) < MAX_DEPARTED:
            patience = Patience(RETURN_S)
            patience.arm()
            self._departed[identity] = (first, patience)

    def handle_sent(self, sender: str, named: frozenset[str], payload: bytes) -> None:
        if not self._waiting and not self._departed:
            return
        self._kept.append(Kept(self._next, sender, named, payload))
        self._next += 1
        self._bytes += len(payload)
        while self._bytes > MAX_BYTES or len(self._kept) > MAX_PACKETS:
            self._drop_oldest()

    def take(self, reader: Reader) -> Iterator[Kept]:
        """Everything kept since this reader joined; from now on it is served directly."""
        first = self._waiting.pop(reader, self._next)
        return (kept for kept in list(self._kept) if kept.number >= first)

    def handle_timeout(self, now: float) -> None:
        """To be called every tick."""
        self._departed = {who: entry for who, entry in self._departed.items() if not entry[1].expired(now)}
        if not self._waiting and not self._departed:
            self._kept.clear()
            self._marks.clear()
            self._bytes = 0
            return
        self._marks.append((now, self._next))
        while self._marks[0][0] <= now - KEEP_S:
            _, number = self._marks.popleft()
            while self._kept and self._kept[0].number < number:
                self._drop_oldest()

    def _drop_oldest(self) -> None:
        self._bytes -= len(self._kept.popleft().payload)


# From the join to the open channel: a client behind TURN on a slow link takes seconds.
KEEP_S = 10.0
# As long as LiveKit keeps them; a full reconnect that follows at once takes some tenths.
RETURN_S = 2.0
# The engine's high-water mark: more would make of every joiner a slow reader.
MAX_BYTES = 1 << 20
MAX_PACKETS = 10_000
MAX_DEPARTED = 1_000

"""At which time to look at which allocation. Early is harmless, late is not: a later time is not written down."""

from __future__ import annotations

import heapq

from turn.seam import AllocationId


class Timers:
    """Verbs: `wake`, `forget`, `pop`; getter: `next`."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, AllocationId]] = []
        self._at: dict[AllocationId, float] = {}

    def wake(self, allocation: AllocationId, at: float) -> None:
        """At `at`, or before."""
        if at < self._at.get(allocation, float("inf")):
            self._at[allocation] = at
            heapq.heappush(self._heap, (at, allocation))
            self._compact()

    def forget(self, allocation: AllocationId) -> None:
        self._at.pop(allocation, None)
        self._compact()

    def pop(self, now: float) -> AllocationId | None:
        """One that is due; it is not woken again unless `wake` is called."""
        at = self.next()
        if at is None or at > now:
            return None
        _, allocation = heapq.heappop(self._heap)
        del self._at[allocation]
        return allocation

    def next(self) -> float | None:
        while self._heap and self._at.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def __len__(self) -> int:
        return len(self._heap)

    def _compact(self) -> None:
        """What was overtaken lies in the heap for up to an hour; it shall never be most of it."""
        if len(self._heap) > 2 * len(self._at) + SLACK:
            self._heap = [(at, allocation) for allocation, at in self._at.items()]
            heapq.heapify(self._heap)


SLACK = 64

"""How much one user and all together may hold. What is counted here is held from Allocate until the allocation is gone,
whatever becomes of the connection it came over."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from turn.errors import ErrorCode, Refused

#: "ports": none is free of those that the configuration names.
QuotaName = Literal["allocations_per_user", "allocations_total", "permissions", "channels", "ports"]


@dataclass(frozen=True, slots=True)
class QuotaLimits:
    """Numbers that bound memory and descriptors; about 4 KiB of the engine and two sockets per allocation."""

    allocations_per_user: int = 64
    allocations_total: int = 10_000
    #: Per allocation.
    permissions: int = 256
    #: Per allocation, with those that are unbound but not yet free again.
    channels: int = 256


class Quotas:
    """Counts allocations. Verbs: `acquire`, `release`, `hit`; getters: `held`, `total`, `users`, `hits`."""

    def __init__(self, limits: QuotaLimits) -> None:
        self.limits = limits
        self.total = 0
        #: How often each stood in somebody's way.
        self.hits: Counter[QuotaName] = Counter()
        self._held: Counter[str] = Counter()

    def acquire(self, user: str, own_limit: int | None = None) -> None:
        """Raises Refused: 486 when `user` has its number (`own_limit` if its credentials name one), 508 when all have theirs."""
        limit = self.limits.allocations_per_user if own_limit is None else own_limit
        if self.held(user) >= limit:
            raise self.hit("allocations_per_user")
        if self.total >= self.limits.allocations_total:
            raise self.hit("allocations_total")
        self._held[user] += 1
        self.total += 1

    def release(self, user: str) -> None:
        if not self.held(user):
            raise ValueError("released more than was acquired")
        self._held[user] -= 1
        self.total -= 1
        if not self._held[user]:
            del self._held[user]

    def hit(self, quota: QuotaName) -> Refused:
        """Counts it; to be raised."""
        self.hits[quota] += 1
        own = quota == "allocations_per_user"
        return Refused(ErrorCode.ALLOCATION_QUOTA_REACHED if own else ErrorCode.INSUFFICIENT_CAPACITY)

    def held(self, user: str) -> int:
        return self._held.get(user, 0)

    @property
    def users(self) -> int:
        return len(self._held)

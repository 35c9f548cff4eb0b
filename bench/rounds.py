"""Rounds in which servers take turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Say = Callable[[str], None]


def turned(names: Sequence[str], number: int) -> list[str]:
    """The next one first in every round: nobody always is."""
    start = number % len(names) if names else 0
    return [*names[start:], *names[:start]]

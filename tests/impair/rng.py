"""Splitmix64, as in crates/netem/src/rng.rs."""

from __future__ import annotations

_MASK = (1 << 64) - 1


class Rng:
    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    @classmethod
    def derived(cls, *words: int) -> Rng:
        """A stream of its own for each sequence of words: (seed, client, direction)."""
        state = 0
        for word in words:
            state = cls(state ^ word).next_u64()
        return cls(state)

    def next_u64(self) -> int:
        self._state = (self._state + 0x9E37_79B9_7F4A_7C15) & _MASK
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58_476D_1CE4_E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D0_49BB_1331_11EB) & _MASK
        return z ^ (z >> 31)

    def unit(self) -> float:
        """Evenly from 0.0 to below 1.0."""
        return (self.next_u64() >> 11) / (1 << 53)

    def chance(self, probability: float) -> bool:
        return probability > 0.0 and self.unit() < probability

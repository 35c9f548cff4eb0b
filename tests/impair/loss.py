"""Which datagrams are lost. Probabilities are from 0 to 1."""

from __future__ import annotations

from dataclasses import dataclass

from tests.impair.rng import Rng


def _check(*probabilities: float) -> None:
    for each in probabilities:
        if not 0 <= each <= 1:
            raise ValueError(f"{each:g} is not a share from 0 to 1")


@dataclass(frozen=True, slots=True)
class RandomLoss:
    """Each datagram on its own."""

    probability: float = 0.0

    def __post_init__(self) -> None:
        _check(self.probability)


@dataclass(frozen=True, slots=True)
class GilbertElliott:
    """Bursts: a good and a bad state, each with its own loss (Gilbert 1960, Elliott 1963)."""

    good_to_bad: float
    bad_to_good: float
    loss_good: float = 0.0
    loss_bad: float = 1.0

    def __post_init__(self) -> None:
        _check(self.good_to_bad, self.bad_to_good, self.loss_good, self.loss_bad)

    @classmethod
    def bursts(cls, share: float, length: float) -> GilbertElliott:
        """`share` of all datagrams is lost, in bursts of `length` on average."""
        _check(share)
        if length < 1 or share == 1:
            raise ValueError("a burst has at least one datagram, and something must come between bursts")
        return cls(good_to_bad=share / (length * (1 - share)), bad_to_good=1 / length)


Loss = RandomLoss | GilbertElliott
NO_LOSS = RandomLoss()


class LossState:
    """A model with its state."""

    def __init__(self, model: Loss) -> None:
        self._model = model
        self._is_bad = False

    def loses(self, rng: Rng) -> bool:
        match self._model:
            case RandomLoss(probability):
                return rng.chance(probability)
            case GilbertElliott(good_to_bad, bad_to_good, loss_good, loss_bad):
                self._is_bad ^= rng.chance(bad_to_good if self._is_bad else good_to_bad)
                return rng.chance(loss_bad if self._is_bad else loss_good)

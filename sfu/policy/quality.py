"""Which encoding a subscriber is to get, and which ones a publisher need not send (dynacast). Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from livekit.protocol import models

from sfu.policy.patience import Patience

Key = TypeVar("Key", bound=Hashable)

LOW, MEDIUM, HIGH, OFF = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class TrackSetting:
    """A subscriber's wish for one track (`UpdateTrackSettings`)."""

    disabled: bool = False
    #: LOW, MEDIUM or HIGH; used when no dimensions are given.
    quality: int = HIGH
    width: int = 0
    height: int = 0


def wanted_quality(setting: TrackSetting, layers: Sequence[models.VideoLayer]) -> int:
    """LOW, MEDIUM, HIGH, or OFF. With dimensions: the lowest layer that is at least that large."""
    if setting.disabled or setting.quality == OFF:
        return OFF
    if not (setting.width and setting.height) or not layers:
        return _known(setting.quality)
    by_size = sorted(layers, key=lambda layer: layer.width * layer.height)
    for layer in by_size:
        # Adaptive-stream clients round their element's size; a layer a few pixels short is what they mean.
        if layer.width >= setting.width * _TOLERANCE and layer.height >= setting.height * _TOLERANCE:
            return _known(layer.quality)
    return _known(by_size[-1].quality)


def encoding_qualities(rids: Sequence[str | None]) -> tuple[int, ...]:
    """The quality of each encoding of a producer (ordered lowest first)."""
    if len(rids) == 1:
        return (HIGH,)
    by_rid = {"q": LOW, "h": MEDIUM, "f": HIGH}
    if all(rid in by_rid for rid in rids):
        return tuple(by_rid[rid] for rid in rids if rid is not None)
    return tuple(range(len(rids)))


def encoding_for(quality: int, qualities: Sequence[int]) -> int:
    """The index of the best encoding at or below `quality`, else the lowest."""
    return max((index for index, own in enumerate(qualities) if own <= quality), default=0)


class Demand(Generic[Key]):
    """The highest quality that anyone wants, kept as they change: a room of a thousand is not asked anew each time."""

    def __init__(self) -> None:
        self._wants: dict[Key, int] = {}
        self._count: Counter[int] = Counter()

    def set(self, key: Key, quality: int) -> None:
        """OFF takes `key` out."""
        previous = self._wants.pop(key, OFF)
        if previous != OFF:
            self._count[previous] -= 1
        if quality != OFF:
            self._wants[key] = quality
            self._count[quality] += 1

    def highest(self) -> int:
        """OFF when nobody wants any."""
        return max((quality for quality, number in self._count.items() if number), default=OFF)


class WantedQuality:
    """What a publisher should send of one track: raised at once, lowered only after `LOWER_AFTER_S`.

    Verbs: `handle_wanted(quality)`, `handle_timeout(now)`; both return the quality to announce, or None.
    """

    def __init__(self, announced: int | None = None) -> None:
        """`announced` is what the publisher does unless told otherwise; None is everything."""
        self.announced = announced
        self._wanted = OFF
        self._lower = Patience(LOWER_AFTER_S)

    def handle_wanted(self, quality: int) -> int | None:
        """`quality` is the highest that any subscriber wants, OFF for none."""
        self._wanted = quality
        # Nothing announced means that the publisher sends everything.
        current = HIGH if self.announced is None else self.announced
        if _rank(quality) < _rank(current):
            self._lower.arm()
            return None
        self._lower.disarm()
        return None if quality == self.announced else self._announce(quality)

    def handle_timeout(self, now: float) -> int | None:
        return self._announce(self._wanted) if self._lower.expired(now) else None

    def _announce(self, quality: int) -> int:
        self.announced = quality
        return quality


def _known(quality: int) -> int:
    """Open enums carry any number."""
    return min(max(quality, LOW), HIGH)


def _rank(quality: int) -> int:
    return -1 if quality == OFF else quality


# A subscriber that scrolls or switches pages comes back within seconds; restarting an encoder costs a keyframe.
LOWER_AFTER_S = 5.0
_TOLERANCE = 0.9

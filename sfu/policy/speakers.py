"""Who speaks, from the engine's audio levels, as LiveKit reckons it so that clients' indicators behave alike. Pure.

A participant is active when it was louder than -35 dBov in at least 40 % of a 400 ms window, smoothed over 2 windows.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Speaker(Generic[Key]):
    """`level` is linear, 0 to 1, in steps of 1/8."""

    key: Key
    level: float
    active: bool


@dataclass(slots=True)
class _Voice:
    samples: int = 0
    loudest: int = 127
    smoothed: float = 0.0


class SpeakerTracker(Generic[Key]):
    """Verbs: `handle_level` per audio batch (100 ms), `poll_changes` per window; both O(those heard)."""

    def __init__(self) -> None:
        self._voices: dict[Key, _Voice] = {}
        self._active: dict[Key, float] = {}

    def handle_level(self, key: Key, level: int) -> None:
        """`level` in -dBov: 0 is the loudest, 127 silence."""
        if level > ACTIVE_LEVEL:
            return
        voice = self._voices.setdefault(key, _Voice())
        voice.samples += 1
        voice.loudest = min(voice.loudest, level)

    def forget(self, key: Key) -> None:
        """The key stays active until the next `poll_changes`, which reports it as silent."""
        self._voices.pop(key, None)

    def poll_changes(self) -> list[Speaker[Key]]:
        """Closes the window: everyone whose level changed or who fell silent, the loudest first."""
        now_active = {key: level for key, voice in self._voices.items() if (level := _close_window(voice)) > 0}
        self._voices = {key: voice for key, voice in self._voices.items() if voice.smoothed > _SILENT}
        changes = [Speaker(key, level, True) for key, level in now_active.items() if self._active.get(key) != level]
        changes += [Speaker(key, 0.0, False) for key in self._active if key not in now_active]
        self._active = now_active
        return sorted(changes, key=lambda speaker: -speaker.level)

    def active(self) -> list[Speaker[Key]]:
        return [Speaker(key, level, True) for key, level in sorted(self._active.items(), key=lambda item: -item[1])]


def _close_window(voice: _Voice) -> float:
    linear = 0.0
    share = min(voice.samples / WINDOW_BATCHES, 1.0)
    if share >= MIN_SHARE:
        # Speech in only part of the window counts as if it were quieter throughout.
        adjusted = voice.loudest - 20 * math.log10(share)
        linear = 10 ** (-adjusted / 20)
    voice.smoothed += (linear - voice.smoothed) * _SMOOTHING
    voice.samples = 0
    voice.loudest = 127
    if voice.smoothed < _THRESHOLD:
        return 0.0
    return math.ceil(min(voice.smoothed, 1.0) * QUANTA) / QUANTA


WINDOW_S = 0.4
WINDOW_BATCHES = 4
ACTIVE_LEVEL = 35
MIN_SHARE = 0.4
QUANTA = 8
_SMOOTHING = 2 / (2 + 1)
_THRESHOLD = 10 ** (-ACTIVE_LEVEL / 20)
_SILENT = _THRESHOLD / 100

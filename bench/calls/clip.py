"""The generated clip: a panned background, moving discs, noise that no encoder can foresee; and a sound that sweeps like a voice.

Nothing is read from anywhere, so that everybody measures with the same pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

import numpy as np
from av import AudioFrame, VideoFrame
from numpy.typing import NDArray

FRAME_RATE = 30
SAMPLE_RATE = 48_000
#: 20 ms.
SAMPLES_PER_FRAME = 960


def pictures(width: int, height: int, count: int) -> Iterator[VideoFrame]:
    """`count` pictures in yuv420p, 30 a second. Even sizes only."""
    luma = _Plane(width, height, _LUMA)
    chroma = [_Plane(width // 2, height // 2, waves) for waves in (_BLUE, _RED)]
    random = np.random.default_rng(1)
    # Drawing noise costs more than everything else: a pool of it, shifted by a random distance each time.
    noise = random.normal(0, NOISE, height * width * 2).astype(np.int16)
    for number in range(count):
        start = int(random.integers(height * width))
        grain = noise[start : start + height * width].reshape(height, width)
        planes = [luma.at(number, grain), *(plane.at(number) for plane in chroma)]
        packed = np.concatenate([plane.ravel() for plane in planes]).reshape(height * 3 // 2, width)
        frame = VideoFrame.from_ndarray(packed, format="yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, FRAME_RATE)
        yield frame


def sound(count: int) -> Iterator[AudioFrame]:
    """`count` frames of 20 ms, mono, 16 bit."""
    time = np.arange(count * SAMPLES_PER_FRAME) / SAMPLE_RATE
    pitch = 140 + 40 * np.sin(2 * np.pi * 0.7 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    voice = np.sum([np.sin(harmonic * phase) / harmonic for harmonic in range(1, 12)], axis=0)
    breath = np.random.default_rng(2).normal(0, 0.2, len(time))
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 3 * time)
    samples = (6_000 * syllables * (voice + breath)).clip(-32_768, 32_767).astype(np.int16)
    edges = range(0, len(samples) + 1, SAMPLES_PER_FRAME)
    for start, end in pairwise(edges):
        frame = AudioFrame.from_ndarray(samples[np.newaxis, start:end], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
        yield frame


class _Plane:
    """One of Y, U and V: waves that pass by, and discs on their ways."""

    def __init__(self, width: int, height: int, waves: tuple[tuple[float, float], ...]) -> None:
        self._width, self._height = width, height
        # As wide as the camera ever pans. Sizes and speeds are shares of the picture, so that chroma stays on luma.
        x = np.arange(width * 2) / width
        y = np.arange(height)[:, np.newaxis] / height
        rows = [np.sin(2 * np.pi * (across * x + down * y)) for across, down in waves]
        self._scene: NDArray[np.int16] = (128 + 60 * np.mean(rows, axis=0)).astype(np.int16)
        self._x, self._y = np.arange(width), np.arange(height)[:, np.newaxis]

    def at(self, number: int, grain: NDArray[np.int16] | None = None) -> NDArray[np.uint8]:
        second = number / FRAME_RATE
        pan = int(self._width * (0.5 + 0.5 * np.sin(PANS_PER_S * 2 * np.pi * second)))
        plane = self._scene[:, pan : pan + self._width].copy()
        for disc, (speed_x, speed_y, level) in enumerate(_DISCS):
            center_x = self._width * (0.5 + 0.4 * np.sin(speed_x * second + disc))
            center_y = self._height * (0.5 + 0.35 * np.cos(speed_y * second))
            inside = (self._x - center_x) ** 2 + (self._y - center_y) ** 2 < (self._height / 7) ** 2
            plane[inside] = level
        if grain is not None:
            plane += grain
        return plane.clip(16, 235).astype(np.uint8)


#: Periods across and down the picture.
_LUMA = ((3, 1), (7, -5), (19, 11), (1, 17))
_BLUE = ((2, 1), (1, -2))
_RED = ((1, 2), (-3, 1))
#: Radians a second across and down, and the level in each plane.
_DISCS = ((1.9, 1.3, 60), (1.1, 2.3, 200), (2.7, 0.9, 150))
PANS_PER_S = 0.1
#: Standard deviation of the grain, of 255: like a laptop's camera by day.
NOISE = 2.0

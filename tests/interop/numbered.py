"""Numbered pictures: the sender draws a number into each, the receiver reads it back and knows which frames it missed.

A number is 8 x 3 fields, black or white, over the upper half of the picture: 16 bits of number, 8 bits of check. They are
large enough for any codec at any rate; a picture whose number does not check shows something else.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from fractions import Fraction
from typing import Any

import numpy as np
from aiortc import MediaStreamTrack
from av import AudioFrame, VideoFrame

Luma = np.ndarray[Any, np.dtype[np.uint8]]

COLUMNS, ROWS = 8, 3


class NumberedVideo(MediaStreamTrack):
    """A video source for aiortc, one number per frame from 0."""

    kind = "video"

    def __init__(self, width: int = 320, height: int = 240, fps: int = 15) -> None:
        super().__init__()
        self.sent = 0
        self._size, self._fps = (width, height), fps
        self._started = 0.0

    async def recv(self) -> VideoFrame:
        self._started = self._started or time.monotonic()
        due = self._started + self.sent / self._fps
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        frame = VideoFrame.from_ndarray(draw(self.sent, *self._size), format="yuv420p")
        frame.pts, frame.time_base = self.sent * _CLOCK_HZ // self._fps, Fraction(1, _CLOCK_HZ)
        self.sent += 1
        return frame


class Tone(MediaStreamTrack):
    """440 Hz for aiortc, 48 kHz mono in frames of 20 ms."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._samples = 0
        self._started = 0.0

    async def recv(self) -> AudioFrame:
        self._started = self._started or time.monotonic()
        await asyncio.sleep(max(0.0, self._started + self._samples / _SAMPLE_RATE - time.monotonic()))
        at = (np.arange(_SAMPLE_RATE // 50) + self._samples) / _SAMPLE_RATE
        wave = (8000 * np.sin(2 * np.pi * 440 * at)).astype(np.int16)
        frame = AudioFrame.from_ndarray(wave[np.newaxis, :], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = _SAMPLE_RATE, self._samples, Fraction(1, _SAMPLE_RATE)
        self._samples += len(wave)
        return frame


def draw(number: int, width: int, height: int) -> Luma:
    """A planar 4:2:0 picture of height * 3 / 2 rows: the number in its upper half, something that moves below."""
    bits = (number & 0xFFFF) << 8 | check_of(number)
    squares = np.array([bits >> (COLUMNS * ROWS - 1 - at) & 1 for at in range(COLUMNS * ROWS)], dtype=np.uint8)
    picture = np.full((height * 3 // 2, width), 128, dtype=np.uint8)
    side, tall = width // COLUMNS, height // 2 // ROWS
    shown = np.kron(squares.reshape(ROWS, COLUMNS), np.ones((tall, side), dtype=np.uint8))
    picture[: tall * ROWS, : side * COLUMNS] = np.where(shown, 225, 25)
    ramp = np.linspace(40, 200, width, dtype=np.uint8)
    picture[height // 2 : height] = np.roll(ramp, 3 * number)
    return picture


def read(luma: Luma) -> int | None:
    """The number in a picture of any size; None if there is none that checks."""
    height, width = luma.shape
    side, tall = width // COLUMNS, height // 2 // ROWS
    middle = luma[: tall * ROWS, : side * COLUMNS].reshape(ROWS, tall, COLUMNS, side)
    middle = middle[:, tall // 4 : tall - tall // 4, :, side // 4 : side - side // 4]
    bits = 0
    for value in middle.mean(axis=(1, 3)).flatten():
        if 90 < value < 160:  # neither black nor white: no square
            return None
        bits = bits << 1 | int(value > 128)
    number = bits >> 8
    return number if bits & 0xFF == check_of(number) else None


def check_of(number: int) -> int:
    """Changes with every single square; never all black or all white together with the number."""
    return (number * 167 + (number >> 8) * 91 + 0x5A) & 0xFF


async def read_track(track: MediaStreamTrack, seconds: float) -> list[int | None]:
    """What is read from each picture that arrives, over `seconds` from the first number on."""
    read_out: list[int | None] = []
    deadline = math.inf
    while time.monotonic() < deadline:
        frame = await asyncio.wait_for(track.recv(), 10)
        assert isinstance(frame, VideoFrame)
        number = read(np.asarray(frame.reformat(format="gray").to_ndarray(), dtype=np.uint8))
        if number is not None and not read_out:
            deadline = time.monotonic() + seconds
        if math.isfinite(deadline):
            read_out.append(number)
    return read_out


def missing(numbers: list[int | None], least: int) -> float:
    """The share of numbers between the first and the last that were not read. Fails unless they strictly increase."""
    assert len(numbers) >= least, f"only {len(numbers)} pictures came"
    assert None not in numbers, f"{numbers.count(None)} of {len(numbers)} pictures have no number"
    known = [number for number in numbers if number is not None]
    assert all(before < after for before, after in itertools.pairwise(known)), f"not increasing: {known}"
    return 1 - len(known) / (known[-1] - known[0] + 1)


_CLOCK_HZ = 90_000
_SAMPLE_RATE = 48_000

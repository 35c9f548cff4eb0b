"""`beep-media load-test`: a call of any size on somebody's server, and how it went."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

from bench import loadgen
from bench.calls import media
from bench.calls.generator import Generator, Target
from bench.calls.scenarios import Case, Codec, Measure, Participant, Subscribe

Layout = Literal["speaker", "grid"]


@dataclass(frozen=True, slots=True)
class LoadTest:
    """Who comes, and for how long."""

    publishers: int
    subscribers: int
    layout: Layout
    codec: Codec
    duration_s: float
    room: str
    joins_per_s: float

    def case(self) -> Case:
        wants = _LAYOUTS[self.layout]
        sending = (Participant(audio=True, video=self.codec),) * self.publishers
        watching = (Participant(subscribe=wants),) * self.subscribers
        return Case("load-test", self.room, sending + watching)


def run(target: Target, test: LoadTest, binary: Path) -> dict[str, Any]:
    """What came of it, for `summary` and for a file; progress on stderr. Raises `loadgen.PeerError`."""
    case, bar = test.case(), _Progress(sys.stderr)
    bar.say("making what is sent")
    directory = media.make(_media_directory())
    with Generator(target, directory, core=None, binary=binary) as generator:
        generator.start_joining(case, test.room, joins_per_s=test.joins_per_s)
        bar.wait(generator, f"{len(case.participants)} participants join")
        joined = generator.hear("join")
        generator.start(Measure(), test.duration_s)
        bar.wait(generator, "measuring", test.duration_s)
        measured = generator.hear("measure")
        generator.leave(len(case.participants))
    return {"url": target.url, "test": asdict(test), "joined": joined, "measured": measured}


def summary(result: Mapping[str, Any]) -> str:
    """The table that is printed."""
    people = result["test"]["publishers"] + result["test"]["subscribers"]
    rows = list(_rows(result["joined"], result["measured"], people))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:{width}}  {text}" for name, text in rows) + "\n"


def _rows(joined: Mapping[str, Any], measured: Mapping[str, Any], people: int) -> Iterator[tuple[str, str]]:
    spent, join, latency = measured["spent"], joined["join_ms"], measured["latency_us"]
    seconds, received, lost = spent["wall_s"], measured["received"], measured["lost"]
    yield "joined", f"{joined['joined']} of {people}, {joined['joins_per_s']:.1f} a second"
    if joined["joined"]:
        yield "join time", f"p50 {join['p50']:.0f} ms, p95 {join['p95']:.0f} ms, max {join['max']:.0f} ms"
    for reason in sorted(set(joined["failed"])):
        yield "failed", f"{joined['failed'].count(reason)} times: {reason}"
    yield "subscriptions", ", ".join(f"{count} {kind}" for kind, count in joined["subscriptions"].items())
    yield "sent", f"{measured['sent'] / seconds:.0f} packets/s"
    yield "received", f"{received / seconds:.0f} packets/s, {measured['bytes'] * 8 / seconds / 1e6:.1f} Mbit/s"
    yield "lost", f"{lost} ({lost / max(1, received + lost):.3%})"
    yield "reordered", f"{measured['reordered']}, duplicated {measured['duplicated']}"
    if latency["count"]:
        times = ", ".join(f"{name} {latency[key] / 1000:.2f} ms" for key, name in _QUANTILES.items())
        yield "latency", f"{times} (one way, through the server)"
    yield "this machine", f"a core busy for {measured['own_busy']:.0%} with all of them"


class _Progress:
    """One line that is written over, on a terminal; elsewhere a line for each step."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._is_terminal = file.isatty()

    def wait(self, generator: Generator, what: str, seconds: float | None = None) -> None:
        """Until the generator answers; `seconds` is how long that takes if it is known."""
        started = time.monotonic()
        self.say(what)
        while not generator.has_answered(_TICK_S):
            elapsed = time.monotonic() - started
            if self._is_terminal:
                self.say(f"{what} {_bar(elapsed / seconds)} {elapsed:.0f} s" if seconds else f"{what} {elapsed:.0f} s")
        self._end()

    def say(self, text: str) -> None:
        self._file.write(f"\r\x1b[K{text}" if self._is_terminal else f"{text}\n")
        self._file.flush()

    def _end(self) -> None:
        if self._is_terminal:
            self._file.write("\r\x1b[K")
            self._file.flush()


def _bar(share: float) -> str:
    done = min(_BAR, int(share * _BAR))
    return f"[{'#' * done}{'.' * (_BAR - done)}]"


def _media_directory() -> Path:
    """In the source tree if the generator is from there; else where caches are."""
    if loadgen.LOADGEN.exists():
        return media.DEFAULT
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "beep-media" / "media"


#: As a page with a large speaker and a row of others, and as one of equal tiles.
_LAYOUTS: Mapping[Layout, Subscribe] = {
    "speaker": Subscribe(audio=True, high=1, low=5),
    "grid": Subscribe(audio=True, low="all"),
}
_QUANTILES = {"p50": "p50", "p99": "p99", "p999": "p99.9", "max": "max"}
_TICK_S = 0.2
_BAR = 24

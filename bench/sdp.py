"""`bench sdp`: how long the event loop is held by the biggest offer that we expect, 100 sections of a real browser."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import TypedDict

from sfu.negotiation import Answerer, Candidate, LocalEndpoint

OFFER = Path(__file__).resolve().parent.parent / "tests" / "data" / "sdp" / "hundred_sections.sdp"
#: CPU milliseconds to parse and answer it: one forwarded frame at 60 per second.
GATE_MS = 15.0
ROUNDS = 21


class OfferCost(TypedDict):
    """CPU milliseconds for one offer."""

    sections: int
    bytes: int
    median_ms: float
    max_ms: float


def measure() -> OfferCost:
    text = OFFER.read_text()
    local = LocalEndpoint(
        ufrag="benchfrag",
        password="p" * 24,
        fingerprint="sha-256 " + ":".join(["AA"] * 32),
        candidates=(Candidate("127.0.0.1", 7882),),
    )
    samples = []
    for _ in range(ROUNDS):
        started = time.process_time()
        Answerer(local).answer(text, (), lambda _cid: None)
        samples.append((time.process_time() - started) * 1e3)
    return OfferCost(
        sections=text.count("\nm="), bytes=len(text), median_ms=statistics.median(samples), max_ms=max(samples)
    )


def report(cost: OfferCost) -> str:
    return (
        f"offer of {cost['sections']} sections, {cost['bytes'] / 1e3:.0f} kB: parsed and answered in "
        f"{cost['median_ms']:.1f} ms of CPU (worst {cost['max_ms']:.1f} ms)"
    )


def gate(cost: OfferCost) -> str | None:
    if cost["median_ms"] > GATE_MS:
        return (
            f"answering a {cost['sections']}-section offer takes {cost['median_ms']:.1f} ms, the gate is {GATE_MS} ms"
        )
    return None

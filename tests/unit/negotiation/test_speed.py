"""A browser in a large room sends 300 kB of offer at every change, and the event loop waits for the answer."""

from __future__ import annotations

import time

from sfu.negotiation import Answerer
from tests.unit.negotiation.support import LOCAL, audio, first_choice, load, video


def test_a_hundred_sections_are_answered_before_anybody_feels_it() -> None:
    """Some 10 ms; `make bench` measures it. What fails here is another order of growth."""
    offer = load("hundred_sections.sdp")
    tracks = [*map(audio, range(48)), *map(video, range(48))]
    result = Answerer(LOCAL).answer(offer, tracks, first_choice)
    samples = []
    for _ in range(7):
        started = time.process_time()
        Answerer(LOCAL).answer(offer, tracks, first_choice)
        samples.append((time.process_time() - started) * 1e3)
    assert offer.count("\r\nm=") == 100
    assert len(result.placed) + len(result.inbound) >= 95
    assert min(samples) < 200

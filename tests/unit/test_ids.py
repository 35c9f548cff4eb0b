"""Minted names: their form, and that every letter is as likely as any other."""

from __future__ import annotations

import re
from collections import Counter

from sfu import ids


def test_names_have_their_form() -> None:
    assert re.fullmatch(r"RM_[A-Za-z0-9]{12}", ids.room_sid())
    assert re.fullmatch(r"PA_[A-Za-z0-9]{12}", ids.participant_sid())
    assert re.fullmatch(r"TR_AM[A-Za-z0-9]{12}", ids.track_sid("audio", 2))
    ufrag, password = ids.ice_credentials()
    assert re.fullmatch(r"[A-Za-z0-9]{8}", ufrag)
    assert re.fullmatch(r"[A-Za-z0-9]{24}", password)


def test_all_letters_are_equally_likely() -> None:
    counts = Counter("".join(ids.ice_credentials()[1] for _ in range(5000)))
    assert len(counts) == 62
    expected = 5000 * 24 / 62
    # Six standard deviations: one failure in ten million runs.
    assert all(abs(count - expected) < 6 * expected**0.5 for count in counts.values())


def test_an_ssrc_is_new() -> None:
    taken: set[int] = set()
    assert len({ids.random_ssrc(taken) for _ in range(100)}) == len(taken) == 100

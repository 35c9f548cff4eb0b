"""What is kept for those who cannot take it yet is bounded, and nothing is kept while nobody waits."""

from __future__ import annotations

from sfu import replay
from sfu.replay import Replay

EVERYBODY: frozenset[str] = frozenset()


def test_nothing_is_kept_while_nobody_waits() -> None:
    kept: Replay[str] = Replay()
    kept.handle_sent("a", EVERYBODY, b"x")
    assert len(kept) == 0
    kept.handle_joined("B", "b")
    kept.handle_sent("a", EVERYBODY, b"y")
    assert [each.payload for each in kept.take("B")] == [b"y"]
    kept.handle_timeout(0)
    assert len(kept) == 0


def test_the_oldest_go_first_when_there_are_too_many_or_too_large() -> None:
    kept: Replay[str] = Replay()
    kept.handle_joined("B", "b")
    for number in range(replay.MAX_PACKETS + 5):
        kept.handle_sent("a", EVERYBODY, str(number).encode())
    assert len(kept) == replay.MAX_PACKETS
    kept.handle_sent("a", EVERYBODY, bytes(replay.MAX_BYTES))
    assert len(kept) == 1
    kept.handle_sent("a", EVERYBODY, bytes(replay.MAX_BYTES + 1))
    assert len(kept) == 0


def test_each_waits_for_its_own_part() -> None:
    kept: Replay[str] = Replay()
    for number, reader in enumerate("BCD"):
        kept.handle_joined(reader, reader.lower())
        kept.handle_sent("a", EVERYBODY, str(number).encode())
    assert [each.payload for each in kept.take("C")] == [b"1", b"2"]
    assert [each.payload for each in kept.take("B")] == [b"0", b"1", b"2"]
    assert [each.payload for each in kept.take("D")] == [b"2"]


def test_a_crowd_that_leaves_is_remembered_up_to_a_bound() -> None:
    kept: Replay[str] = Replay()
    for number in range(replay.MAX_DEPARTED + 10):
        kept.handle_left(f"P{number}", f"p{number}", may_return=True)
    assert len(kept._departed) == replay.MAX_DEPARTED
    for second in range(4):
        kept.handle_timeout(second)
    assert len(kept._departed) == 0


def test_a_successor_takes_over_what_its_predecessor_never_had() -> None:
    kept: Replay[str] = Replay()
    kept.handle_joined("B", "b")
    kept.handle_sent("a", EVERYBODY, b"x")
    kept.handle_left("B", "b", may_return=True)
    kept.handle_sent("a", frozenset({"b"}), b"y")
    kept.handle_joined("B2", "b")
    taken = list(kept.take("B2"))
    assert [each.payload for each in taken] == [b"x", b"y"]
    assert [each.is_for("b", "PA_b2") for each in taken] == [True, True]
    assert [each.is_for("a", "PA_a") for each in taken] == [False, False]
    assert [each.is_for("c", "PA_c") for each in taken] == [True, False]

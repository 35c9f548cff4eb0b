"""Who counts as speaking: loudness, share of the window, smoothing, deltas."""

from __future__ import annotations

from sfu.policy.speakers import Speaker, SpeakerTracker


def window(tracker: SpeakerTracker[str], *levels: int | None, key: str = "a") -> list[Speaker[str]]:
    for level in levels:
        if level is not None:
            tracker.handle_level(key, level)
    return tracker.poll_changes()


def test_a_loud_window_is_speech_at_once() -> None:
    (speaker,) = window(SpeakerTracker(), 10, 10, 10, 10)
    assert speaker.active
    assert speaker.level in {number / 8 for number in range(1, 9)}


def test_a_click_is_not_speech() -> None:
    assert window(SpeakerTracker(), 5, None, None, None) == []


def test_half_a_window_is_speech_but_quieter() -> None:
    (whole,) = window(SpeakerTracker(), 6, 6, 6, 6)
    (half,) = window(SpeakerTracker(), 6, 6)
    assert half.level < whole.level


def test_quiet_sound_is_not_speech() -> None:
    assert window(SpeakerTracker(), 36, 36, 36, 36) == []


def test_an_unchanged_level_is_told_once() -> None:
    tracker: SpeakerTracker[str] = SpeakerTracker()
    changes = [window(tracker, 20, 20, 20, 20) for _ in range(6)]
    assert changes[-1] == []
    assert [speaker.key for speaker in tracker.active()] == ["a"]


def test_silence_ends_speech_after_smoothing_and_is_told_once() -> None:
    tracker: SpeakerTracker[str] = SpeakerTracker()
    window(tracker, 10, 10, 10, 10)
    changes = [window(tracker) for _ in range(12)]
    ended = [speaker for change in changes for speaker in change if not speaker.active]
    assert ended == [Speaker("a", 0.0, False)]
    assert not tracker._voices


def test_one_who_left_is_told_silent() -> None:
    tracker: SpeakerTracker[str] = SpeakerTracker()
    window(tracker, 10, 10, 10, 10)
    tracker.forget("a")
    assert tracker.poll_changes() == [Speaker("a", 0.0, False)]
    assert tracker.poll_changes() == []


def test_the_loudest_comes_first() -> None:
    tracker: SpeakerTracker[str] = SpeakerTracker()
    for key, level in (("quiet", 30), ("loud", 3), ("middle", 12)):
        for _ in range(4):
            tracker.handle_level(key, level)
    assert [speaker.key for speaker in tracker.poll_changes()] == ["loud", "middle", "quiet"]

"""Which encoding a wish means, and when a publisher is told to send less."""

from __future__ import annotations

import pytest
from livekit.protocol import models

from sfu.policy.quality import (
    HIGH,
    LOW,
    MEDIUM,
    OFF,
    Demand,
    TrackSetting,
    WantedQuality,
    encoding_for,
    encoding_qualities,
    wanted_quality,
)

LAYERS = [
    models.VideoLayer(quality="HIGH", width=1280, height=720),
    models.VideoLayer(quality="LOW", width=320, height=180),
    models.VideoLayer(quality="MEDIUM", width=640, height=360),
]


@pytest.mark.parametrize(
    ("setting", "quality"),
    [
        (TrackSetting(), HIGH),
        (TrackSetting(disabled=True), OFF),
        (TrackSetting(quality=OFF), OFF),
        (TrackSetting(quality=LOW), LOW),
        (TrackSetting(width=100, height=100), LOW),
        (TrackSetting(width=330, height=186), LOW),
        (TrackSetting(width=640, height=360), MEDIUM),
        (TrackSetting(width=641, height=361), MEDIUM),
        (TrackSetting(width=800, height=450), HIGH),
        (TrackSetting(width=9999, height=9999), HIGH),
        (TrackSetting(quality=LOW, width=1280), LOW),
    ],
)
def test_a_wish_means_a_quality(setting: TrackSetting, quality: int) -> None:
    assert wanted_quality(setting, LAYERS) == quality


def test_dimensions_without_known_layers_fall_back_to_the_quality() -> None:
    assert wanted_quality(TrackSetting(quality=MEDIUM, width=100, height=100), []) == MEDIUM


@pytest.mark.parametrize(
    ("rids", "wanted", "index"),
    [
        (["q", "h", "f"], LOW, 0),
        (["q", "h", "f"], MEDIUM, 1),
        (["q", "h", "f"], HIGH, 2),
        (["q", "h"], HIGH, 1),
        (["q", "f"], MEDIUM, 0),
        (["q", "f"], HIGH, 1),
        (["h", "f"], LOW, 0),
        ([None], LOW, 0),
        ([None], HIGH, 0),
        (["1", "2", "3"], MEDIUM, 1),
        ([None, None], HIGH, 1),
    ],
)
def test_a_quality_means_an_encoding_by_the_name_of_its_rid(rids: list[str | None], wanted: int, index: int) -> None:
    assert encoding_for(wanted, encoding_qualities(rids)) == index


def test_the_highest_wish_counts_until_it_is_taken_back() -> None:
    demand = Demand[str]()
    assert demand.highest() == OFF
    demand.set("a", LOW)
    demand.set("b", HIGH)
    demand.set("c", HIGH)
    assert demand.highest() == HIGH
    demand.set("b", OFF)
    assert demand.highest() == HIGH
    demand.set("c", MEDIUM)
    assert demand.highest() == MEDIUM
    demand.set("c", OFF)
    demand.set("c", OFF)
    assert demand.highest() == LOW
    demand.set("a", OFF)
    assert demand.highest() == OFF


def test_less_is_announced_late_and_more_at_once() -> None:
    wanted = WantedQuality()
    assert wanted.handle_wanted(HIGH) == HIGH
    assert wanted.handle_wanted(LOW) is None
    assert wanted.handle_timeout(100.0) is None
    assert wanted.handle_timeout(104.9) is None
    assert wanted.handle_timeout(105.0) == LOW
    assert wanted.handle_wanted(MEDIUM) == MEDIUM
    assert wanted.handle_timeout(200.0) is None


def test_a_wish_that_returns_in_time_changes_nothing() -> None:
    wanted = WantedQuality()
    wanted.handle_wanted(HIGH)
    wanted.handle_wanted(OFF)
    assert wanted.handle_timeout(0.0) is None
    assert wanted.handle_wanted(HIGH) is None
    assert wanted.handle_timeout(50.0) is None


def test_a_track_that_nobody_wants_is_stopped_after_a_while() -> None:
    wanted = WantedQuality()
    assert wanted.handle_wanted(OFF) is None
    assert wanted.handle_timeout(0.0) is None
    assert wanted.handle_timeout(5.0) == OFF
    assert wanted.handle_wanted(LOW) == LOW

"""The quality that clients show, from loss, delay and silence."""

from __future__ import annotations

import pytest

from sfu.policy.connection_quality import EXCELLENT, GOOD, LOST, LOST_AFTER_WINDOWS, POOR, QualityMeter
from sfu.seam import TransportId, TransportReport


def report(
    rtt_ms: int | None = 20, inbound: tuple[int, int] = (0, 0), outbound: tuple[int, int] = (0, 0)
) -> TransportReport:
    """(expected, lost) per direction."""
    return TransportReport(TransportId(1), rtt_ms, *inbound, *outbound)


def settled(*reports: TransportReport, windows: int = 10) -> QualityMeter:
    meter = QualityMeter()
    for _ in range(windows):
        for each in reports:
            meter.handle_report(each)
        meter.poll(alive=True)
    return meter


@pytest.mark.parametrize(
    ("given", "quality"),
    [
        (report(20, (1000, 0), (1000, 0)), EXCELLENT),
        (report(20, (1000, 10), (1000, 10)), EXCELLENT),
        (report(20, (1000, 50)), GOOD),
        (report(20, outbound=(1000, 50)), GOOD),
        (report(20, (1000, 0), (1000, 200)), POOR),
        (report(250, (1000, 0)), EXCELLENT),
        (report(900, (1000, 0)), GOOD),
        (report(1800, (1000, 0)), POOR),
        (report(None, (1000, 0)), EXCELLENT),
        (report(None, (1000, 1000), (1000, 5000)), POOR),
        (report(20, (3, 1)), EXCELLENT),
    ],
)
def test_loss_and_delay_decide(given: TransportReport, quality: int) -> None:
    assert settled(given).quality == quality


def test_the_worse_transport_and_direction_count() -> None:
    assert settled(report(10, (1000, 0)), report(1800, outbound=(1000, 0))).quality == POOR


def test_a_bad_window_is_seen_at_once_and_a_good_one_does_not_make_it_well() -> None:
    meter = settled(report(20, (1000, 0)))
    meter.handle_report(report(20, (1000, 200)))
    assert meter.poll(alive=True)
    assert meter.quality == POOR
    recovery = []
    for _ in range(6):
        meter.handle_report(report(20, (1000, 0)))
        meter.poll(alive=True)
        recovery.append(meter.quality)
    assert recovery[0] == GOOD and recovery[-1] == EXCELLENT
    assert recovery == sorted(recovery)


def test_silence_without_media_and_signalling_is_a_lost_connection() -> None:
    meter = settled(report(20, (1000, 0)))
    changes = [meter.poll(alive=False) for _ in range(LOST_AFTER_WINDOWS + 1)]
    assert changes == [False] * (LOST_AFTER_WINDOWS - 1) + [True, False]
    assert (meter.quality, meter.mos) == (LOST, 1.0)
    assert meter.poll(alive=True)
    assert meter.quality == POOR


def test_silence_of_a_client_that_answers_is_no_loss() -> None:
    meter = settled(report(20, (1000, 0)))
    assert not any(meter.poll(alive=True) for _ in range(10))
    assert meter.quality == EXCELLENT


def test_media_without_signalling_is_judged_by_the_media() -> None:
    meter = QualityMeter()
    for _ in range(5):
        meter.handle_report(report(20, (1000, 0)))
        meter.poll(alive=False)
    assert meter.quality == EXCELLENT


def test_the_opinion_score_is_within_its_scale() -> None:
    scores = [settled(report(rtt, (1000, lost))).mos for rtt in (0, 5_000) for lost in (0, 100, 1000)]
    assert all(1 <= score <= 5 for score in scores)
    assert settled(report(0, (1000, 0))).mos == 5

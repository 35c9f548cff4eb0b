"""How well a participant is connected, from what its transports report: POOR, GOOD, EXCELLENT or LOST. Pure.

A score of 100 loses points for delay (as in the E-model, ITU-T G.107) and for loss; clients show the quality as bars.
"""

from __future__ import annotations

from dataclasses import dataclass

from livekit.protocol import models

from sfu.seam import TransportReport

POOR = models.ConnectionQuality.POOR
GOOD = models.ConnectionQuality.GOOD
EXCELLENT = models.ConnectionQuality.EXCELLENT
LOST = models.ConnectionQuality.LOST


@dataclass(slots=True)
class _Window:
    """All reports since the last `poll`, of all transports."""

    rtt_ms: int = 0
    inbound_expected: int = 0
    inbound_lost: int = 0
    outbound_expected: int = 0
    outbound_lost: int = 0

    @property
    def expected(self) -> int:
        return self.inbound_expected + self.outbound_expected


class QualityMeter:
    """Verbs: `handle_report`, and `poll` once per `WINDOW_S`."""

    def __init__(self) -> None:
        self.quality = EXCELLENT
        self._score = 100.0
        self._window = _Window()
        self._silent = 0

    @property
    def name(self) -> str:
        """In lower case: "excellent" ..."""
        return models.ConnectionQuality.Name(self.quality).lower()

    @property
    def mos(self) -> float:
        """As clients get it: 1 (bad) to 5."""
        return 1.0 if self.quality == LOST else 1 + self._score / 25

    def handle_report(self, report: TransportReport) -> None:
        window = self._window
        window.rtt_ms = max(window.rtt_ms, report.rtt_ms or 0)
        window.inbound_expected += report.inbound_expected
        window.inbound_lost += report.inbound_lost
        window.outbound_expected += report.outbound_expected
        window.outbound_lost += report.outbound_lost

    def poll(self, *, alive: bool) -> bool:
        """Closes the window; true when the quality is another one now.

        `alive`: the client was heard of in this window by other ways than media, of which it need not send any.
        """
        window, self._window = self._window, _Window()
        before = self.quality
        if window.expected > 0:
            self._judge(window)
        elif alive and before == LOST:
            self.quality = POOR
        self._silent = 0 if alive or window.expected > 0 else self._silent + 1
        if self._silent >= LOST_AFTER_WINDOWS:
            self.quality, self._score = LOST, 0.0
        return self.quality != before

    def _judge(self, window: _Window) -> None:
        score = max(0.0, 100 - _delay_effect(window.rtt_ms) - _loss_effect(window))
        # One bad window is seen at once, one good window does not make it well.
        self._score += (score - self._score) * (_FALLING if score < self._score else _RISING)
        if self._score > EXCELLENT_ABOVE:
            self.quality = EXCELLENT
        else:
            self.quality = GOOD if self._score > GOOD_ABOVE else POOR


def _delay_effect(rtt_ms: int) -> float:
    one_way = rtt_ms / 2
    return one_way / 40 if one_way < 160 else (one_way - 120) / 10


def _loss_effect(window: _Window) -> float:
    """Of the worse direction."""
    inbound = window.inbound_lost / max(window.inbound_expected, _FEW_PACKETS)
    outbound = window.outbound_lost / max(window.outbound_expected, _FEW_PACKETS)
    return 100 * min(1.0, max(inbound, outbound, 0.0)) * POINTS_PER_PERCENT


# As often as LiveKit's server tells it.
WINDOW_S = 5.0
# Clients ping every 5 s and answer our pings every 10 s. After 30 s of silence the socket or the transport ends.
LOST_AFTER_WINDOWS = 3
EXCELLENT_ABOVE = 80.0
GOOD_ABOVE = 40.0
# 2.5 % of lost packets end "excellent", 7.5 % end "good": repaired up to there, seen and heard beyond.
POINTS_PER_PERCENT = 8.0
_FALLING, _RISING = 0.7, 0.4
# Of so few packets one that is lost is no measure.
_FEW_PACKETS = 50

"""Tells participants how well they, and those they receive something from, are connected: on change, every 5 s."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import TYPE_CHECKING

from livekit.protocol import rtc

from sfu.policy.connection_quality import WINDOW_S
from sfu.policy.patience import Patience

if TYPE_CHECKING:
    from sfu.participant import Participant


class ConnectionQualities:
    """Verbs: `handle_timeout(now, participants)`, `handle_left`, `handle_resumed`."""

    def __init__(self) -> None:
        #: Participant -> those who know its present quality.
        self._told: dict[Participant, set[Participant]] = {}
        self._window = Patience(WINDOW_S)
        self._window.arm()

    def handle_timeout(self, now: float, participants: Collection[Participant]) -> None:
        if not self._window.expired(now):
            return
        self._window.arm()
        news: defaultdict[Participant, list[rtc.ConnectionQualityInfo]] = defaultdict(list)
        for participant in participants:
            if not participant.connected:
                continue
            changed = participant.quality.poll(alive=participant.take_alive())
            audience = {participant, *participant.publishing.subscribers()}
            known = set() if changed else self._told.get(participant, set())
            info = rtc.ConnectionQualityInfo(
                participant_sid=participant.sid, quality=participant.quality.quality, score=participant.quality.mos
            )
            for listener in audience - known:
                news[listener].append(info)
            self._told[participant] = audience
        for listener, updates in news.items():
            listener.send(rtc.SignalResponse(connection_quality=rtc.ConnectionQualityUpdate(updates=updates)))

    def handle_left(self, participant: Participant) -> None:
        self._told.pop(participant, None)
        self.handle_resumed(participant)

    def handle_resumed(self, listener: Participant) -> None:
        """What it was told may be lost: it is told anew."""
        for audience in self._told.values():
            audience.discard(listener)

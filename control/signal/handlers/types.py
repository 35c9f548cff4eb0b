"""The shape of a handler and of the session it serves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from livekit.protocol import rtc

from sfu.participant import Participant


class Session(Protocol):
    """What handlers need of the signalling connection."""

    def send(self, message: rtc.SignalResponse) -> None: ...
    def now_ms(self) -> int: ...
    def abort(self) -> None: ...


Handler = Callable[[Session, Participant, Any], None]

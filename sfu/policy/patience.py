"""A deadline for code that has no clock: armed without the time, it starts to run at the next `expired(now)`."""

from __future__ import annotations


class Patience:
    """Late by at most one tick of its caller (`TICK_S`), never early."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.armed = False
        self._since: float | None = None

    def arm(self) -> None:
        """Starts it, or leaves it running."""
        self.armed = True

    def disarm(self) -> None:
        self.armed = False
        self._since = None

    def expired(self, now: float) -> bool:
        """True once per arming, when `seconds` have passed."""
        if not self.armed:
            return False
        if self._since is None:
            self._since = now
        if now - self._since < self.seconds:
            return False
        self.disarm()
        return True


# The shell calls `handle_timeout` this often; half of the speaker window.
TICK_S = 0.2

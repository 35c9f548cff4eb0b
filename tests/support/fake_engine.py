"""The whole engine's side of both seams without Rust or a socket: `FakeEngine` for media, `FakeRelay` for TURN."""

from __future__ import annotations

import os
from collections.abc import Sequence

from sfu.testing import FakeEngine
from turn import seam
from turn.testing import FakeRelay


class FakeNodeEngine(FakeEngine):
    def __init__(self, shards: int = 1) -> None:
        super().__init__(shards)
        self.relay = FakeRelay(lambda: os.eventfd_write(self.fileno(), 1), auto_install=True)

    def submit_turn(self, commands: Sequence[seam.TurnCommand]) -> None:
        self.relay.submit_turn(commands)

    def drain_turn(self, limit: int = 4096) -> list[seam.TurnEvent]:
        return self.relay.drain_turn(limit)

    def turn_addresses(self) -> list[seam.Listen]:
        return self.relay.turn_addresses()

    def allocation_stats(self) -> list[seam.AllocationStats]:
        return self.relay.allocation_stats()

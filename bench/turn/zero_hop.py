"""Ours as an SFU with TURN: the peer of every allocation is its own media address, so that nothing leaves the process.

The packets belong to nobody's transport: the forwarder drops them right behind the place where a socket's would come in. How many
got there says the server's own counter, since no one outside sees them.
"""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Sequence
from typing import Any, ClassVar

from bench.namespace import SERVER
from bench.turn.cells import Load
from bench.turn.generator import Generator
from bench.turn.servers import Ours
from bench.turn.statistics import Sample


class OursWithMedia(Ours):
    """All roles, one media shard."""

    name = "ours-with-media"
    role: ClassVar[Sequence[str]] = ()

    @property
    def media(self) -> str:
        return f"{SERVER}:{_MEDIA_PORT}"

    def config(self) -> dict[str, Any]:
        return {
            **super().config(),
            "http": {"listen": f"{SERVER}:7880"},
            "keys": {"bench": "a secret of the bench that is long enough"},
            "rtc": {"bind": [SERVER], "udp_port": _MEDIA_PORT, "tcp_port": None, "shards": 1},
        }

    def packets(self) -> int:
        """Relayed packets that have reached the media shard, as of the last second."""
        with urllib.request.urlopen(f"http://{_ADMIN}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        for line in lines:
            name, _, value = line.rpartition(" ")
            if name == _COUNTER:
                return int(float(value))
        raise RuntimeError(f"the server has no metric {_COUNTER}")


def run_zero_hop(ours: OursWithMedia, generator: Generator, load: Load, warm_up_s: float, seconds: float) -> Sample:
    """One run. What arrived is known for the whole of it only, so its cost is that of the whole, warm-up included."""
    before = ours.packets()
    report = generator.report(load, warm_up_s, seconds)
    time.sleep(_SNAPSHOT_S)
    arrived = ours.packets() - before
    return Sample.from_report({**report, "arrived": arrived, "received": arrived, "spent": report["spent_in_all"]})


_MEDIA_PORT = 7882
#: Where the admin listener is unless it is told otherwise.
_ADMIN = "127.0.0.1:7889"
_COUNTER = 'turn_relayed_packets_total{direction="to_media"}'
#: Counters are posted once a second.
_SNAPSHOT_S = 1.5

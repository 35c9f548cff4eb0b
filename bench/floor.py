"""The floor: what a forwarder cannot avoid, one AES-GCM encryption and a share of a GSO send for each packet (`loadgen floor`).

It runs on the server's core, towards the sinks of a `loadgen`, which read every datagram on the generator's core.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench.loadgen import LOADGEN, Peer, PeerError
from bench.process import CORE


@dataclass(frozen=True, slots=True)
class Shape:
    """What every sink gets."""

    #: SRTP packet as it is sent, tag included.
    datagram_bytes: int
    #: Packets that leave together.
    burst: int
    #: Packets per second.
    rate_pps: float


def connect(load: Peer, server: Peer, count: int) -> list[str]:
    """Connects a publisher and `count` sinks to a `bench.server`; where the sinks listen."""
    address = server.ask("address")
    clients = load.ask("prepare", port=address["port"], count=count + 1)["clients"]
    servers = server.ask("open", clients=clients)["servers"]
    sinks: list[str] = load.ask("connect", fingerprint=address["fingerprint"], servers=servers)["sinks"]
    return sinks


def measure(load: Peer, sinks: Sequence[str], shape: Shape, seconds: float) -> float:
    """CPU microseconds for each packet. Raises `PeerError`."""
    request = {"sinks": list(sinks), "seconds": seconds, **asdict(shape)}
    command = ["taskset", "-c", str(CORE), str(LOADGEN), "floor"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as floor:
        assert floor.stdin is not None and floor.stdout is not None
        floor.stdin.write(json.dumps(request) + "\n")
        floor.stdin.close()
        load.ask("drain", seconds=seconds + SETTLE_S)
        report = json.loads(floor.stdout.readline() or '{"error": "it ended"}')
    if "error" in report or not report["packets"]:
        raise PeerError(f"floor: {report}")
    return float(report["cpu_s"]) / float(report["packets"]) * 1e6


#: CPU per packet <= this many floors (architecture.md, Send).
GATE_RATIO = 1.6
#: The sinks read for so much longer.
SETTLE_S = 0.3

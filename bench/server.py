"""The process under test of `bench engine`: the engine alone, driven over stdin/stdout by JSON lines.

It runs nothing but what `beep-media serve` runs below the room layer, so its CPU time is the engine's. Pinned by the parent.
"""

from __future__ import annotations

import json
import resource
import secrets
import select
import sys
import time
from typing import Any

from sfu import seam
from sfu._native import Engine


class BenchServer:
    """One publisher transport (id 0), one sink transport per consumer; every reply is one JSON line."""

    def __init__(self) -> None:
        self.engine = Engine(seam.EngineConfig(shards=1, udp_port=0, bind=("127.0.0.1",)))

    def address(self) -> dict[str, Any]:
        return {"port": self.engine.addresses(0)[0].port, "fingerprint": self.engine.fingerprint}

    def open(self, clients: list[dict[str, str]]) -> dict[str, Any]:
        """Opens a transport for each client (0 publishes) and returns the credentials that we minted."""
        servers = []
        commands: list[seam.Command] = []
        for index, client in enumerate(clients):
            transport = seam.TransportId(index)
            local = {"ufrag": secrets.token_hex(4), "password": secrets.token_hex(12)}
            commands.append(seam.OpenTransport(transport, 0, **local))
            commands.append(seam.SetRemote(transport=transport, sctp_port=None, extensions=EXTENSIONS, **client))
            servers.append(local)
        self.engine.submit(commands)
        return {"servers": servers}

    def forward(self, count: int) -> dict[str, Any]:
        """Waits until every transport is connected, then adds one producer and a consumer on each other transport."""
        connected: set[int] = set()
        deadline = time.monotonic() + 30
        while len(connected) < count and (left_s := deadline - time.monotonic()) > 0:
            select.select([self.engine.fileno()], [], [], left_s)
            for event in self.engine.drain():
                if isinstance(event, seam.TransportConnected):
                    connected.add(event.transport)
        if len(connected) < count:
            raise RuntimeError(f"{len(connected)} of {count} transports connected within 30 s")
        producer = seam.ProducerId(1)
        commands: list[seam.Command] = [
            seam.AddProducer(
                producer=producer,
                transport=seam.TransportId(0),
                kind="video",
                mid="0",
                mime_type="video/VP8",
                clock_rate=90_000,
                payload_type=96,
                rtx_payload_type=None,
                encodings=(seam.EncodingParameters(rid=None, ssrc=1111),),
                nack=True,
                transport_cc=True,
                remb=False,
            )
        ]
        commands += [
            seam.AddConsumer(
                consumer=seam.ConsumerId(index),
                producer=producer,
                transport=seam.TransportId(index),
                mid="0",
                ssrc=10_000 + 2 * index,
                rtx_ssrc=10_001 + 2 * index,
                payload_type=96,
                rtx_payload_type=97,
                cname="bench",
                paused=False,
                encoding=0,
            )
            for index in range(1, count)
        ]
        self.engine.submit(commands)
        return {"ok": True}

    def usage(self) -> dict[str, Any]:
        """User and system CPU seconds of the whole process, and the engine's counters."""
        self.engine.drain()
        used = resource.getrusage(resource.RUSAGE_SELF)
        counters: dict[str, int] = {}
        for shard in self.engine.snapshot().shards:
            for name, value in shard.counters.items():
                counters[name] = counters.get(name, 0) + value
        return {"user_s": used.ru_utime, "system_s": used.ru_stime, "counters": counters}


#: What the publisher's packets carry, and what goes out again.
EXTENSIONS = {
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time": 2,
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01": 3,
    "urn:ietf:params:rtp-hdrext:sdes:mid": 4,
}


def main() -> None:
    server = BenchServer()
    for line in sys.stdin:
        request = json.loads(line)
        handler = getattr(server, request.pop("do"))
        sys.stdout.write(json.dumps(handler(**request)) + "\n")
        sys.stdout.flush()
    server.engine.close()


if __name__ == "__main__":
    main()

"""`beep-media` on a fake engine, for tests of the process itself: `python fake_node.py serve --dev ...`.

Two more routes misbehave on purpose: /raise raises, /kill-shard ends a shard. `FAKE_NODE_HANG` makes the drain hang,
`FAKE_NODE_TAKEN` names TURN listeners of 127.0.0.1 that cannot be opened: "udp:3478".
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from aiohttp import web

from control.cli import main
from control.node import SignalParts
from control.signal.server import SignalServer
from sfu.seam import EngineConfig
from tests.support.fake_engine import FakeNodeEngine
from turn.seam import Listen


class MisbehavingServer(SignalServer):
    def __init__(self, parts: SignalParts) -> None:
        super().__init__(parts)
        self.engine = parts.engine

    def add_routes(self, app: web.Application) -> None:
        super().add_routes(app)
        app.router.add_get("/raise", self.fail)
        app.router.add_get("/kill-shard", self.kill_shard)

    async def fail(self, request: web.Request) -> web.Response:
        logging.getLogger("test").warning("seen a client", extra={"remote": request.remote, "identity": "bob"})
        logging.getLogger("test").warning("from %s", request.remote)
        raise RuntimeError(f"made for a test by {request.remote}")

    async def kill_shard(self, _request: web.Request) -> web.Response:
        self.engine.on_shard_failed(0, "made for a test")
        return web.Response()

    async def close(self) -> None:
        if "FAKE_NODE_HANG" in os.environ:
            await asyncio.sleep(3600)
        await super().close()


def engine(config: EngineConfig) -> FakeNodeEngine:
    made = FakeNodeEngine(config.shards)
    for listen in os.environ.get("FAKE_NODE_TAKEN", "").split():
        transport, _, port = listen.partition(":")
        made.relay.broken[Listen("127.0.0.1", int(port), transport)] = "Address already in use"  # type: ignore[arg-type]
    return made


if __name__ == "__main__":
    sys.exit(main(engine_factory=engine, signal_factory=MisbehavingServer))

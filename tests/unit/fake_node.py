"""`beep-media` on a fake engine, for tests of the process itself: `python fake_node.py serve --dev ...`.

Two more routes misbehave on purpose: /raise raises, /kill-shard ends a shard. `FAKE_NODE_HANG` makes the drain hang.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from aiohttp import web

from control.cli import main
from control.serve import SignalParts
from control.signal.server import SignalServer
from sfu.seam import EngineConfig
from sfu.testing import FakeEngine


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


def engine(config: EngineConfig) -> FakeEngine:
    return FakeEngine(config.shards)


if __name__ == "__main__":
    sys.exit(main(engine_factory=engine, signal_factory=MisbehavingServer))

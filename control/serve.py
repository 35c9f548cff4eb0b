"""One node, from its sockets to its end: starts the engine and the listeners, serves, drains, exits.

The only place that reads the configuration's addresses and the process's signals.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import gc
import logging
import os
import signal
import ssl
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from control import addresses, page, tls
from control.app import add_admin_routes, admin_app, public_app
from control.config import DEV_KEYS, Config, Listen
from control.errors import ControlError
from control.http import Runner
from control.metrics import Inventory, Metrics
from control.tokens import Grants, mint
from control.version import VERSION
from sfu.engine import EngineFacade
from sfu.seam import EngineConfig, EngineProtocol, Stats

_log = logging.getLogger(__name__)


class StartError(ControlError):
    """The node could not start; the process ends with status 1."""

    code = "start_failed"


class SignalServer(Protocol):
    """What this file wants of signalling."""

    def add_routes(self, app: web.Application) -> None: ...
    def inventory(self) -> Inventory: ...
    async def close(self) -> None:
        """Tells every client to leave and closes their sockets."""


@dataclass(frozen=True, slots=True)
class SignalParts:
    """What signalling is built from."""

    engine: EngineFacade
    #: API key -> secret.
    keys: dict[str, str]
    #: Addresses to write into candidates, best first; the ports are the engine's.
    advertise: Sequence[str]
    metrics: Metrics


EngineFactory = Callable[[EngineConfig], EngineProtocol]
SignalFactory = Callable[[SignalParts], SignalServer]


class Node:
    """`start`, then `wait`, then `close`. Owns everything that must be closed."""

    def __init__(
        self, config: Config, *, dev: bool, engine_factory: EngineFactory, signal_factory: SignalFactory
    ) -> None:
        self._config = config
        self._dev = dev
        self._engine_factory = engine_factory
        self._signal_factory = signal_factory
        self._metrics = Metrics(VERSION)
        self._runners: list[Runner] = []
        self._stop = asyncio.Event()
        self._failure: str | None = None
        self._draining = False
        self._advertise: list[str] = []
        self._engine: EngineFacade | None = None
        self._signal: SignalServer | None = None
        self._lag: asyncio.Task[None] | None = None
        self.origin = ""

    async def start(self) -> None:
        """Raises `StartError` or `ConfigError`; whatever was opened until then is closed by `close`."""
        loop = asyncio.get_running_loop()
        local = addresses.local_addresses()
        self._engine = self._start_engine(loop, local)
        self._signal = self._signal_factory(
            SignalParts(self._engine, self._config.secrets, self._advertise, self._metrics)
        )
        self._metrics.watch(self)
        await self._listen(local)
        self._lag = loop.create_task(self._metrics.watch_loop(), name="loop-lag")
        self._metrics.set_state("serving")
        _log.info(
            "serving", extra={"version": VERSION, "shards": self._engine.shards, "addresses": len(self._advertise)}
        )
        _log.debug("candidates", extra={"address": ", ".join(self._advertise)})

    async def wait(self) -> bool:
        """Until `stop`; False when the engine failed."""
        await self._stop.wait()
        return self._failure is None

    def stop(self) -> None:
        self._stop.set()

    async def close(self) -> None:
        """Leave messages, then the listeners, then the engine."""
        self._draining = True
        self._metrics.set_state("draining")
        _log.info("draining", extra={"deadline_s": self._config.drain_for_s})
        if self._signal is not None:
            await self._signal.close()
        for runner in self._runners:
            await runner.cleanup()
        if self._lag is not None:
            self._lag.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._lag
        if self._engine is not None:
            self._engine.detach()
            await asyncio.to_thread(self._engine.close, _ENGINE_DRAIN_S)
        _log.info("stopped")

    # ------------------------------------------------------------------------- what probes and metrics ask

    def why_not_alive(self) -> list[str]:
        return [] if self._failure is None else [f"The engine failed: {self._failure}."]

    def why_not_ready(self) -> list[str]:
        reasons = self.why_not_alive()
        if self._draining:
            reasons.append("The node is draining.")
        if not self._advertise:
            reasons.append("There is no address to send media to: set rtc.advertise.")
        return reasons

    def stats(self) -> Stats:
        return self._engine.engine.snapshot() if self._engine is not None else Stats()

    def inventory(self) -> Inventory:
        return self._signal.inventory() if self._signal is not None else Inventory()

    # ------------------------------------------------------------------------------------------- the start

    def _start_engine(self, loop: asyncio.AbstractEventLoop, local: Sequence[addresses.Address]) -> EngineFacade:
        rtc = self._config.rtc
        shards = rtc.shard_count
        bind = addresses.bindable(rtc.bind)
        self._advertise = addresses.advertised(rtc.advertise, bind, local, loopback=self._dev)
        if not bind:
            raise StartError("rtc.bind: this machine has none of the address families named there.")
        try:
            engine = self._engine_factory(EngineConfig(shards=shards, udp_port=rtc.udp_port, bind=bind))
        except OSError as error:
            last = rtc.udp_port + shards - 1
            raise StartError(
                f"UDP ports {rtc.udp_port} to {last} cannot be bound: {error.strerror or error}. "
                "Stop what uses them, or choose others with --udp-port (rtc.udp_port)."
            ) from error
        facade = EngineFacade(engine, loop, shards)
        facade.on_shard_failed = self._handle_shard_failed
        return facade

    def _handle_shard_failed(self, shard: int, reason: str) -> None:
        _log.error("a shard failed; the node stops", extra={"shard": shard, "detail": reason})
        self._failure = f"shard {shard}: {reason}"
        self._stop.set()

    async def _listen(self, local: Sequence[addresses.Address]) -> None:
        assert self._signal is not None  # noqa: S101 (set by `start` two lines earlier)
        http, admin = self._config.http, self._config.admin
        public = public_app(self._metrics)
        self._signal.add_routes(public)
        page.add_routes(public)
        if self._dev:
            add_admin_routes(public, self._metrics, self)
        context = self._tls(local)
        port = await self._serve(public, http.listen, context, "--port (http.listen)")
        self.origin = _origin(http.listen.host, port, context is not None, self._advertise)
        if admin.listen is not None:
            await self._serve(admin_app(self._metrics, self), admin.listen, None, "admin.listen")

    def _tls(self, local: Sequence[addresses.Address]) -> ssl.SSLContext | None:
        http = self._config.http
        if http.tls is not None:
            return tls.from_files(http.tls.certificate, http.tls.key)
        if self._dev and not http.listen.is_loopback:
            # Browsers hand out cameras on secure origins only.
            return tls.self_signed((str(address) for address in local), datetime.datetime.now(datetime.UTC))
        return None

    async def _serve(self, app: web.Application, listen: Listen, context: ssl.SSLContext | None, setting: str) -> int:
        runner = Runner(app, shutdown_timeout=_HTTP_SHUTDOWN_S)
        await runner.setup()
        self._runners.append(runner)
        try:
            await web.TCPSite(runner, listen.host, listen.port, ssl_context=context).start()
        except OSError as error:
            raise StartError(
                f"{listen} cannot be bound: {error.strerror or error}. "
                f"Stop what uses it, or choose another address with {setting}."
            ) from error
        return int(runner.addresses[0][1])


async def run(
    config: Config,
    *,
    dev: bool,
    engine_factory: EngineFactory | None = None,
    signal_factory: SignalFactory | None = None,
) -> int:
    """Serves until SIGINT or SIGTERM; another one a second later ends the process at once. Returns the exit status."""
    node = Node(
        config,
        dev=dev,
        engine_factory=engine_factory or _native_engine,
        signal_factory=signal_factory or _signal_server,
    )
    loop = asyncio.get_running_loop()
    signals = _Signals(node)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signals.handle)
    try:
        await node.start()
    except ControlError:
        await node.close()
        raise
    _settle_memory()
    _announce(node.origin, dev=dev)
    served = await node.wait()
    status = 0 if served else 1
    deadline = threading.Timer(config.drain_for_s, _give_up, [status])
    deadline.daemon = True
    deadline.start()
    await node.close()
    deadline.cancel()
    return status


def _settle_memory() -> None:
    """Takes what is loaded so far out of the garbage collector's hands: full collections become short, and are made more often.

    A participant who left is a few hundred objects in cycles. With the defaults, hundreds of them wait for a collection.
    """
    gc.collect()
    gc.freeze()
    gc.collect()  # so that the collector's idea of what is long-lived starts from nothing
    gc.set_threshold(*_GC_THRESHOLDS)


class _Signals:
    """The first signal drains, a later one ends. Wrappers such as timeout(1) send the first one twice; that is no second thought."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._first: float | None = None

    def handle(self) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = now
            self._node.stop()
        elif now - self._first >= _SECOND_THOUGHT_S:
            os._exit(1)


def _give_up(status: int) -> None:
    """Ends the process although something hangs: an orchestrator would otherwise kill it without a word."""
    _log.warning("the drain deadline passed; ending now")
    logging.shutdown()
    os._exit(status)


def _announce(origin: str, *, dev: bool) -> None:
    """The lines on stdout that people and scripts wait for."""
    lines = [f"ready {origin}/meet"]
    if dev:
        lines += [f"{name}: {origin}/meet?room=demo&token={_dev_token(name)}" for name in ("alice", "bob")]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _dev_token(identity: str) -> str:
    ((key, secret),) = DEV_KEYS.items()
    grants = Grants(room="demo", room_join=True, can_update_own_metadata=True)
    return mint(key, secret, grants, identity=identity, name=identity.capitalize(), now=time.time(), ttl_s=24 * 3600)


def _origin(host: str, port: int, secure: bool, advertise: Sequence[str]) -> str:
    """What to type into a browser on this machine or, for a wildcard host, on another one."""
    if host in {"0.0.0.0", "::"}:  # noqa: S104 (compared, not bound)
        host = next(iter(advertise), "127.0.0.1")
    bracketed = f"[{host}]" if ":" in host else host
    return f"{'https' if secure else 'http'}://{bracketed}:{port}"


def _native_engine(config: EngineConfig) -> EngineProtocol:
    try:
        from sfu._native import Engine
    except ImportError as error:
        raise StartError(
            "The engine has not been built. Run `make engine` in the source tree, or install a wheel."
        ) from error
    return Engine(config)


def _signal_server(parts: SignalParts) -> SignalServer:
    from control.signal.server import SignalServer as Server

    return Server(parts)


# Media is over once the leave messages are out; the engine only has to say goodbye on its transports.
_ENGINE_DRAIN_S = 0.5
_HTTP_SHUTDOWN_S = 1.0
# The last is 10 by default. Full collections stay rare in a large node: each waits until a quarter is new.
_GC_THRESHOLDS = (700, 10, 3)
_SECOND_THOUGHT_S = 1.0

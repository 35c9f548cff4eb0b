"""One node: starts the engine and the listeners, serves, is configured anew, drains.

The only place that reads the configuration's addresses.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from aiohttp import web

from control import addresses, page, tls
from control.app import add_admin_routes, admin_app, public_app
from control.candidates import candidates
from control.config import Config, changed_keys
from control.errors import StartError
from control.http import Runner
from control.metrics import Inventory, Metrics
from control.section import Listen
from control.turn import admin as turn_admin
from control.turn.node import IceServers, TurnNode
from control.turn.settings import Surroundings
from control.version import VERSION
from sfu.engine import EngineFacade
from sfu.policy.shards import DEFAULT_SPREAD
from sfu.seam import EngineConfig, EngineProtocol, Stats
from turn.seam import Address, MediaAddress, RelayEngine
from turn.server import TurnInventory

_log = logging.getLogger(__name__)


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
    #: To write into candidates, best first.
    advertise: Sequence[addresses.Advertised]
    metrics: Metrics
    room_spread: int = DEFAULT_SPREAD
    #: None: no TURN.
    ice: IceServers | None = None


class NodeEngine(EngineProtocol, RelayEngine, Protocol):
    """Media and TURN in one."""


#: `all` is a whole node, `turn` relays and nothing else.
Role = Literal["all", "turn"]
EngineFactory = Callable[[EngineConfig], NodeEngine]
SignalFactory = Callable[[SignalParts], SignalServer]


class Node:
    """`start`, then `wait`, then `close`. Owns everything that must be closed."""

    def __init__(
        self,
        config: Config,
        *,
        dev: bool,
        engine_factory: EngineFactory,
        signal_factory: SignalFactory,
        role: Role = "all",
    ) -> None:
        self._config = config
        self._dev = dev
        self._role = role
        self._engine_factory = engine_factory
        self._signal_factory = signal_factory
        self._metrics = Metrics(VERSION)
        self._runners: list[Runner] = []
        self._stop = asyncio.Event()
        self._failure: str | None = None
        self._draining = False
        self._advertise: list[addresses.Advertised] = []
        self._engine: EngineFacade | None = None
        self._signal: SignalServer | None = None
        self._turn: TurnNode | None = None
        self._lag: asyncio.Task[None] | None = None
        #: Of the HTTP listener; empty without one.
        self.origin = ""

    async def start(self) -> None:
        """Raises `StartError` or `ConfigError`; whatever was opened until then is closed by `close`."""
        loop = asyncio.get_running_loop()
        local = addresses.local_addresses()
        engine = self._make_engine(local)
        self._engine = EngineFacade(engine, loop, self._shards)
        self._engine.on_shard_failed = self._handle_shard_failed
        self._turn = TurnNode(engine, self._engine, loop, self._surroundings(self._engine, local))
        await self._turn.start(self._config.turn)
        if self._role == "all":
            self._signal = self._signal_factory(self._signal_parts(self._engine, self._turn))
        self._metrics.watch(self)
        await self._listen(local)
        self._lag = loop.create_task(self._metrics.watch_loop(), name="loop-lag")
        self._metrics.set_state("serving")
        _log.info(
            "serving", extra={"version": VERSION, "shards": self._engine.shards, "addresses": len(self._advertise)}
        )
        _log.debug("candidates", extra={"address": ", ".join(map(str, self._advertise))})

    async def wait(self) -> bool:
        """Until `stop`; False when the engine failed."""
        await self._stop.wait()
        return self._failure is None

    def stop(self) -> None:
        self._stop.set()

    def reload(self, config: Config) -> None:
        """Applies what can be applied while it runs: the section `turn`. Raises `ConfigError`, with nothing changed."""
        if self._turn is None or self._draining:
            return
        self._turn.reload(config.turn)
        if behind := changed_keys(self._config, config):
            _log.warning("some changes need a restart", extra={"keys": " ".join(behind)})

    async def close(self) -> None:
        """Leave messages, TURN's other clients, then the listeners, then the engine."""
        deadline = time.monotonic() + self._config.drain_for_s - _CLOSING_S
        self._draining = True
        self._metrics.set_state("draining")
        _log.info("draining", extra={"deadline_s": self._config.drain_for_s})
        if self._signal is not None:
            await self._signal.close()
        if self._turn is not None:
            await self._turn.drain(0.0 if self._failure else max(0.0, deadline - time.monotonic()))
            self._turn.server.close()
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
        if not self._advertise and self._role == "all":
            reasons.append("There is no address to send media to: set rtc.advertise.")
        return reasons

    def stats(self) -> Stats:
        return self._engine.engine.snapshot() if self._engine is not None else Stats()

    def inventory(self) -> Inventory:
        return self._signal.inventory() if self._signal is not None else Inventory()

    def turn_inventory(self) -> TurnInventory:
        return self._turn.server.inventory() if self._turn is not None else TurnInventory()

    def count_reload(self, result: str) -> None:
        """`result` is one of `control.metrics.RELOADS`."""
        self._metrics.count_reload(result)

    def turn_urls(self) -> list[str]:
        return self._turn.urls() if self._turn is not None else []

    # ------------------------------------------------------------------------------------------- the start

    @property
    def _shards(self) -> int:
        return self._config.rtc.shard_count if self._role == "all" else _IDLE.shards

    def _make_engine(self, local: Sequence[addresses.Address]) -> NodeEngine:
        if self._role != "all":
            return self._engine_factory(_IDLE)
        rtc = self._config.rtc
        shards = rtc.shard_count
        bind = addresses.bindable(rtc.bind)
        self._advertise = addresses.advertised(rtc.advertise, bind, local, loopback=self._dev)
        if not bind:
            raise StartError("rtc.bind: this machine has none of the address families named there.")
        try:
            return self._engine_factory(
                EngineConfig(shards=shards, udp_port=rtc.udp_port, tcp_port=rtc.tcp_port, bind=bind)
            )
        except OSError as error:
            last = rtc.udp_port + shards - 1
            tcp = "" if rtc.tcp_port is None else f" or TCP port {rtc.tcp_port}"
            raise StartError(
                f"UDP ports {rtc.udp_port} to {last}{tcp} cannot be bound: {error.strerror or error}. "
                "Stop what uses them, or choose others with --udp-port (rtc.udp_port) and --tcp-port (rtc.tcp_port)."
            ) from error

    def _surroundings(self, engine: EngineFacade, local: Sequence[addresses.Address]) -> Surroundings:
        media = (
            MediaAddress(Address(each.host, each.port), shard)
            for shard in range(engine.shards)
            for each in candidates(engine, self._advertise, shard)
            if each.protocol == "udp"
        )
        now = datetime.datetime.now(datetime.UTC)
        made = tls.self_signed_pem((str(address) for address in local), now) if self._dev else None
        return Surroundings(local, self._config.rtc.advertise, tuple(media), made)

    def _signal_parts(self, engine: EngineFacade, turn: TurnNode) -> SignalParts:
        spread = self._config.rtc.room_spread
        return SignalParts(engine, self._config.secrets, self._advertise, self._metrics, spread, turn)

    def _handle_shard_failed(self, shard: int, reason: str) -> None:
        _log.error("a shard failed; the node stops", extra={"shard": shard, "detail": reason})
        self._failure = f"shard {shard}: {reason}"
        self._stop.set()

    async def _listen(self, local: Sequence[addresses.Address]) -> None:
        if self._signal is not None:
            await self._listen_to_world(self._signal, local)
        admin = self._config.admin.listen
        if admin is not None:
            app = admin_app(self._metrics, self)
            self._add_turn_routes(app)
            await self._serve(app, admin, None, "admin.listen")

    async def _listen_to_world(self, signal_server: SignalServer, local: Sequence[addresses.Address]) -> None:
        http = self._config.http
        public = public_app(self._metrics)
        signal_server.add_routes(public)
        page.add_routes(public)
        if self._dev:
            add_admin_routes(public, self._metrics, self)
            if http.listen.is_loopback:
                self._add_turn_routes(public)
        context = self._tls(local)
        port = await self._serve(public, http.listen, context, "--port (http.listen)")
        self.origin = _origin(http.listen.host, port, context is not None, self._advertise)

    def _add_turn_routes(self, app: web.Application) -> None:
        if self._turn is not None:
            turn_admin.add_routes(app, self._turn.server)

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


def _origin(host: str, port: int, secure: bool, advertise: Sequence[addresses.Advertised]) -> str:
    """What to type into a browser on this machine or, for a wildcard host, on another one."""
    if host in {"0.0.0.0", "::"}:  # noqa: S104 (compared, not bound)
        host = advertise[0].host if advertise else "127.0.0.1"
    bracketed = f"[{host}]" if ":" in host else host
    return f"{'https' if secure else 'http'}://{bracketed}:{port}"


# Media is over once the leave messages are out; the engine only has to say goodbye on its transports.
_ENGINE_DRAIN_S = 0.5
_HTTP_SHUTDOWN_S = 1.0
# What the listeners and the engine take to close, within `drain_for_s`.
_CLOSING_S = 2.0
# TURN alone: the engine has one shard at least, which sleeps.
_IDLE = EngineConfig(shards=1, udp_port=0, tcp_port=None, bind=("127.0.0.1",))

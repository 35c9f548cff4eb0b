"""TURN in this process: started, configured anew, drained; iceServers for those who join, answers for the operator."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Protocol

from livekit.protocol import rtc

from control.errors import ConfigError, StartError
from control.turn import ice
from control.turn.config import TurnConfig
from control.turn.settings import Surroundings, build
from sfu.engine import EngineFacade
from turn.seam import Listen, RelayEngine, RelayHost
from turn.server import TurnServer

_log = logging.getLogger(__name__)


class IceServers(Protocol):
    """What signalling wants of TURN. A participant is named by its sid."""

    def ice_servers(self, participant: str) -> list[rtc.ICEServer]: ...
    def revoke(self, participant: str) -> None: ...


class TurnNode:
    """`start`, `reload` at any time, `drain`. Without a listener in the configuration it does nothing, until one comes."""

    def __init__(
        self, engine: RelayEngine, facade: EngineFacade, loop: asyncio.AbstractEventLoop, around: Surroundings
    ) -> None:
        self.server = TurnServer(engine, loop)
        self.server.on_listen_failed = self._handle_listen_failed
        self._around = around
        self._domain: str | None = None
        self._relay_hosts: tuple[RelayHost, ...] = ()
        self._failures: asyncio.Queue[tuple[Listen, str]] | None = asyncio.Queue()
        self._running = False
        facade.on_readable = self.server.handle_events

    async def start(self, config: TurnConfig) -> None:
        """Raises `ConfigError`, and `StartError` when a listener cannot be opened."""
        wanted = self._configure(config)
        if len(self.server.addresses()) < wanted:
            # The engine says why by an event, which is on its way.
            assert self._failures is not None  # noqa: S101 (it is until the start is over)
            listen, reason = await asyncio.wait_for(self._failures.get(), _FAILURE_PATIENCE_S)
            raise StartError(
                f"turn.listen: {listen} cannot be opened: {reason}. Stop what uses it, or choose another address."
            )
        self._failures = None

    def reload(self, config: TurnConfig) -> None:
        """Raises `ConfigError` and changes nothing; a listener that cannot be opened is a warning. Allocations live on."""
        self._configure(config)

    def ice_servers(self, participant: str) -> list[rtc.ICEServer]:
        """One, with its own credentials: the same when the participant asks again. Empty when there is no TURN."""
        found = self.urls()
        if not found:
            return []
        minted = self.server.mint(participant)
        return [rtc.ICEServer(urls=found, username=minted.username, credential=minted.password)]

    def revoke(self, participant: str) -> None:
        self.server.revoke(participant)

    def urls(self) -> list[str]:
        """As clients reach us; of the listeners that are open."""
        return ice.urls(self.server.addresses(), self._relay_hosts, self._domain) if self._running else []

    async def drain(self, patience_s: float) -> None:
        """Until nothing is allocated, or for so long; then no event is handled any more."""
        self.server.drain()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.server.wait_empty(), patience_s)

    def _configure(self, config: TurnConfig) -> int:
        """Gives the number of listeners that there should be."""
        settings = build(config, self._around)
        if not settings.relay.listen and not self._running:
            return 0
        try:
            self.server.configure(settings)
        except ValueError as error:
            raise ConfigError(f"turn: {error}") from error
        except OSError as error:
            raise StartError(f"TURN cannot be started: {error.strerror or error}.") from error
        self._running = True
        self._domain, self._relay_hosts = config.domain, settings.relay.relay_hosts
        _log.info("TURN is configured", extra={"listeners": len(self.server.addresses())})
        _log.debug("TURN's addresses", extra={"address": " ".join(self.urls())})
        return len(settings.relay.listen)

    def _handle_listen_failed(self, listen: Listen, reason: str) -> None:
        if self._failures is not None:
            self._failures.put_nowait((listen, reason))
            return
        fields = {"transport": listen.transport, "port": listen.port, "address": listen.host, "detail": reason}
        _log.warning("a TURN listener could not be opened; the others serve", extra=fields)


_FAILURE_PATIENCE_S = 5.0

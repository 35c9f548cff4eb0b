"""A `TurnServer` on a fake relay and a loop whose time stands still until a test moves it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.unit.turn.harness import LIMITS, REALM, UNIX, V4, V6, signed
from turn.quotas import QuotaLimits
from turn.seam import ClientId, ConfigureTurn, Listen, Method, RelayHost, RequestId, TurnReply
from turn.server import Settings, TurnServer
from turn.testing import FakeRelay

UDP, TCP, TLS = Listen("0.0.0.0", 3478, "udp"), Listen("0.0.0.0", 3478, "tcp"), Listen("0.0.0.0", 5349, "tls")
RELAY = ConfigureTurn(
    listen=(UDP, TCP),
    realm=REALM,
    relay_hosts=(RelayHost("10.0.0.1", V4), RelayHost(V6, V6)),
    relay_ports=(50_000, 50_009),
)
SETTINGS = Settings(RELAY, LIMITS, users={"alice": "a", "bob": "b"}, quotas=QuotaLimits(allocations_total=8))


class Handle:
    def __init__(self, due: float, callback: Callable[[], None]) -> None:
        self.due, self.callback, self.cancelled = due, callback, False

    def cancel(self) -> None:
        self.cancelled = True


class FakeLoop:
    def __init__(self) -> None:
        self.now = 1000.0
        self.soon: list[Callable[[], None]] = []
        self.timers: list[Handle] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[..., Any], *_args: Any) -> None:
        self.soon.append(callback)

    def call_at(self, when: float, callback: Callable[..., Any], *_args: Any) -> Handle:
        assert when >= self.now
        self.timers.append(Handle(when, callback))
        return self.timers[-1]

    def armed(self) -> list[float]:
        return [timer.due for timer in self.timers if not timer.cancelled]

    def turn(self) -> None:
        """One iteration."""
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()

    def later(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [timer for timer in self.timers if not timer.cancelled and timer.due <= end]:
            timer = min(due, key=lambda one: one.due)
            self.timers.remove(timer)
            self.now = timer.due
            timer.callback()
            self.turn()
        self.now = end


class Shell:
    def __init__(self, settings: Settings = SETTINGS) -> None:
        rng = random.Random(1)
        self.loop = FakeLoop()
        self.relay = FakeRelay()
        self.unix = UNIX
        self.server = TurnServer(
            self.relay, self.loop, token_bytes=rng.randbytes, random_below=rng.randrange, unix_time=lambda: self.unix
        )
        self.relay.wake = self.server.handle_events
        self.failed: list[tuple[Listen, str]] = []
        self.server.on_listen_failed = lambda listen, reason: self.failed.append((listen, reason))
        self.server.configure(settings)
        self._last = 0

    def ask(self, method: Method, client: int = 1, user: str = "alice", **changes: Any) -> RequestId:
        """A request arrives; the answer leaves at the end of the loop's turn."""
        self._last += 1
        self.relay.ask(signed(RequestId(self._last), method, ClientId(client), user, **changes))
        return RequestId(self._last)

    def answer(self, method: Method, client: int = 1, user: str = "alice", **changes: Any) -> TurnReply:
        request = self.ask(method, client, user, **changes)
        self.loop.turn()
        self.relay.install()
        self.loop.turn()
        reply = self.relay.reply(request)
        assert reply is not None
        return reply

    def allocate(self, client: int = 1, user: str = "alice", **changes: Any) -> TurnReply:
        reply = self.answer(Method.ALLOCATE, client, user, **{"requested_transport": 17, **changes})
        assert reply.error is None
        return reply

    def configure(self, **relay: Any) -> None:
        """As before, but for these fields of the engine's part."""
        self.server.configure(replace(SETTINGS, relay=replace(RELAY, **relay)))

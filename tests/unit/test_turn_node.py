"""A node that relays, in this process and on a fake engine: start, reload, the operator's routes, drain."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from control.config import load
from control.errors import ConfigError, StartError
from control.node import Node, Role
from control.signal.server import SignalServer
from sfu.seam import EngineConfig
from tests.support.fake_engine import FakeNodeEngine
from tests.unit.turn.harness import PEER, REALM, peers, signed
from turn.seam import Address, AllocationId, AllocationStats, ClientId, Listen, MediaAddress, Method, RequestId

UDP, TCP = Listen("127.0.0.1", 3478, "udp"), Listen("127.0.0.1", 3478, "tcp")
TURN: dict[str, Any] = {"listen": [str(UDP), str(TCP)], "realm": REALM, "users": {"alice": "a"}}
BASE: dict[str, Any] = {
    "http": {"listen": "127.0.0.1:0"},
    "admin": {"listen": None},
    "rtc": {"shards": 2, "advertise": ["203.0.113.7", "203.0.113.8:40000"]},
    "keys": {"APIabc": "d" * 32},
}


class Running:
    def __init__(self, role: Role, turn: dict[str, Any], dev: bool, **more: Any) -> None:
        self.engine = FakeNodeEngine()
        config = load(None, {}, {**BASE, **more, "turn": {**TURN, **turn}})
        self.node = Node(config, dev=dev, role=role, engine_factory=self._make, signal_factory=SignalServer)
        self._last = 0

    async def ask(self, method: Method, client: int = 1, **changes: Any) -> int | None:
        """The error code; None when it works."""
        self._last += 1
        request = RequestId(self._last)
        self.engine.relay.ask(signed(request, method, ClientId(client), "alice", **changes))
        async with asyncio.timeout(5):
            while (reply := self.engine.relay.reply(request)) is None:
                await asyncio.sleep(0.001)
        return reply.error

    async def allocate(self, client: int = 1) -> None:
        assert await self.ask(Method.ALLOCATE, client, requested_transport=17) is None

    def reload(self, **turn: Any) -> None:
        self.node.reload(load(None, {}, {**BASE, "turn": {**TURN, **turn}}))

    async def request(self, method: str, path: str, **arguments: Any) -> tuple[int, Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.node.origin + path, **arguments) as response,
        ):
            return response.status, await response.json() if response.content_type.endswith("json") else None

    def _make(self, config: EngineConfig) -> FakeNodeEngine:
        self.engine.shards = config.shards
        return self.engine


@asynccontextmanager
async def serving(role: Role = "all", *, dev: bool = True, **turn: Any) -> AsyncIterator[Running]:
    """With the admin routes on the public port, as development has them."""
    running = Running(role, turn, dev, drain_for_s=0)
    await running.node.start()
    try:
        yield running
    finally:
        await running.node.close()


async def refused(make: Callable[[], Running]) -> str:
    running = make()
    with pytest.raises((StartError, ConfigError)) as caught:
        await running.node.start()
    await running.node.close()
    return str(caught.value)


# ------------------------------------------------------------------------------------------------------- the start


async def test_the_engine_learns_every_address_that_clients_are_told_for_media() -> None:
    async with serving() as running:
        (relay,) = running.engine.relay.configured
    assert relay.media == (
        MediaAddress(Address("203.0.113.7", 7882), 0),
        MediaAddress(Address("203.0.113.8", 40000), 0),
        MediaAddress(Address("203.0.113.7", 7883), 1),
        MediaAddress(Address("203.0.113.8", 40001), 1),
    )
    assert [(host.bind, host.advertised) for host in relay.relay_hosts] == [("0.0.0.0", "203.0.113.7")]


async def test_development_has_a_certificate_and_nothing_else_makes_one() -> None:
    tls: dict[str, Any] = {"listen": ["tls://127.0.0.1:0"]}
    async with serving(**tls) as running:
        assert b"BEGIN CERTIFICATE" in (running.engine.relay.configured[0].certificate or b"")
        (url,) = running.node.turn_urls()
        assert url.startswith("turns:127.0.0.1:")
    assert "needs a certificate" in await refused(lambda: Running("all", tls, dev=False))


async def test_a_listener_that_is_taken_is_said_at_the_start() -> None:
    def make() -> Running:
        running = Running("all", {}, dev=True)
        running.engine.relay.broken[TCP] = "Address already in use"
        return running

    sentence = await refused(make)
    assert "turn.listen: tcp://127.0.0.1:3478 cannot be opened: Address already in use." in sentence


async def test_turn_alone_has_neither_media_nor_signalling() -> None:
    async with serving("turn", dev=False) as running:
        assert running.node.origin == ""
        assert running.node.why_not_ready() == []
        assert running.engine.shards == 1
        assert running.engine.relay.configured[0].media == ()
        assert running.node.turn_urls() == ["turn:127.0.0.1:3478?transport=udp", "turn:127.0.0.1:3478?transport=tcp"]
        await running.allocate()


async def test_without_listeners_nothing_relays_until_they_come() -> None:
    async with serving(listen=[]) as running:
        assert running.engine.relay.configured == [] and running.node.turn_urls() == []
        running.reload()
        await running.allocate()
        running.reload(listen=[])
        assert running.engine.turn_addresses() == []


# ------------------------------------------------------------------------------------------------------ the reload


async def test_a_reload_keeps_allocations_and_names_what_needs_a_restart(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as running:
        await running.allocate()
        values = {**BASE, "rtc": {"udp_port": 9}, "keys": {"APIabc": "e" * 32}, "turn": {**TURN, "listen": [str(UDP)]}}
        running.node.reload(load(None, {}, {**values, "drain_for_s": 0}))
        assert running.engine.turn_addresses() == [UDP]
        assert await running.ask(Method.REFRESH) is None
    (line,) = [record for record in caplog.records if "need a restart" in record.message]
    assert line.__dict__["keys"].split() == ["keys", "rtc.advertise", "rtc.shards", "rtc.udp_port"]


async def test_what_cannot_be_used_changes_nothing() -> None:
    async with serving("turn", dev=False) as running:
        with pytest.raises(ConfigError, match="needs a certificate"):
            running.reload(listen=["tls://127.0.0.1:0"])
        with pytest.raises(ConfigError, match="control characters"):
            running.reload(users={"ali\nce": "a"})
        assert len(running.engine.relay.configured) == 1
        await running.allocate()


async def test_a_listener_that_fails_later_is_a_warning_without_an_address(caplog: pytest.LogCaptureFixture) -> None:
    taken = Listen("127.0.0.1", 999, "udp")
    async with serving() as running:
        running.engine.relay.broken[taken] = "Address already in use"
        running.reload(listen=[str(UDP), str(taken)])
        await running.allocate()
        assert running.engine.turn_addresses() == [UDP]
    (line,) = [
        record for record in caplog.records if record.name == "control.turn.node" and record.levelname == "WARNING"
    ]
    assert (line.__dict__["transport"], line.__dict__["port"]) == ("udp", 999)
    assert "127.0.0.1" not in line.getMessage()


# ---------------------------------------------------------------------------------------------------- the operator


async def test_the_operator_lists_and_ends_allocations() -> None:
    async with serving() as running:
        await running.allocate(1)
        await running.allocate(2)
        await running.ask(Method.CREATE_PERMISSION, 2, peers=peers(PEER))
        running.engine.relay.stats = [AllocationStats(AllocationId(2), 1, 2, 3, 4, 5)]
        status, answer = await running.request("GET", "/turn/allocations")
        assert status == 200
        first, second = answer["allocations"]
        assert (first["id"], first["username"], second["id"]) == (1, "alice", 2)
        assert (second["permissions"], second["packets_in"], second["client"]) == ([PEER.host], 1, "192.0.2.9:1002")
        assert (await running.request("DELETE", "/turn/allocations/1"))[0] == 204
        assert [*running.engine.relay.allocations] == [2]
        status, problem = await running.request("DELETE", "/turn/allocations/1")
        assert (status, problem["code"]) == (404, "not_found")
        assert (await running.request("DELETE", "/turn/allocations/%C2%B2"))[0] == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example:7889"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:80"},
    ],
)
async def test_a_page_in_a_browser_of_this_machine_is_no_operator(headers: dict[str, str]) -> None:
    async with serving() as running:
        await running.allocate()
        assert (await running.request("GET", "/turn/allocations", headers=headers))[0] == 401
        assert (await running.request("DELETE", "/turn/allocations/1", headers=headers))[0] == 401
        assert [*running.engine.relay.allocations] == [1]


@pytest.mark.parametrize("host", ["localhost", "localhost:7889", "[::1]:7889", "127.0.0.1"])
async def test_tools_may_call_this_machine_what_they_like(host: str) -> None:
    async with serving() as running:
        assert (await running.request("GET", "/turn/allocations", headers={"Host": host}))[0] == 200


# ------------------------------------------------------------------------------------------------------- the drain


async def test_a_drain_waits_for_the_last_allocation_and_lets_no_new_one_in() -> None:
    running = Running("turn", {}, dev=False, drain_for_s=60)
    await running.node.start()
    await running.allocate()
    closing = asyncio.create_task(running.node.close())
    await asyncio.sleep(0)
    assert await running.ask(Method.ALLOCATE, 2, requested_transport=17) == 508
    assert await running.ask(Method.REFRESH) is None
    assert not closing.done() and running.node.why_not_ready() == ["The node is draining."]
    assert await running.ask(Method.REFRESH, lifetime_s=0) is None
    await asyncio.wait_for(closing, 10)


async def test_a_drain_ends_at_its_deadline() -> None:
    running = Running("turn", {}, dev=False, drain_for_s=2.3)
    await running.node.start()
    await running.allocate()
    started = time.monotonic()
    await running.node.close()
    assert 0.2 < time.monotonic() - started < 2.3

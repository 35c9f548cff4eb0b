"""iceServers: working URLs and credentials of its own for each participant, for as long as it is there."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from livekit.protocol import models, rtc

from control.config import load
from tests.unit.signal.harness import Call, Client
from tests.unit.turn.harness import REALM, signed
from turn.seam import ClientId, Method, RequestId

LISTEN = ["udp://127.0.0.1:3478", "tcp://127.0.0.1:0"]


@pytest.fixture
async def turn_call() -> AsyncIterator[Call]:
    running = Call(turn=load(None, {}, {"turn": {"listen": LISTEN, "realm": REALM}}).turn)
    await running.start()
    yield running
    await running.close()


def only(servers: list[rtc.ICEServer]) -> rtc.ICEServer:
    (server,) = servers
    return server


async def allocate(call: Call, client: int, server: rtc.ICEServer) -> int | None:
    """The error code; None when it works."""
    request = RequestId(client)
    call.engine.relay.ask(
        signed(
            request,
            Method.ALLOCATE,
            ClientId(client),
            server.username,
            password=server.credential,
            requested_transport=17,
        )
    )
    await call.settled()
    reply = call.engine.relay.reply(request)
    assert reply is not None
    return reply.error


@pytest.mark.parametrize("v1", [True, False])
async def test_a_join_brings_urls_of_the_open_listeners_and_credentials_that_work(turn_call: Call, v1: bool) -> None:
    alice = await turn_call.join("alice", v1=v1)
    server = only([*alice.joined.ice_servers])
    tcp = next(listen for listen in turn_call.engine.turn_addresses() if listen.transport == "tcp")
    assert tcp.port > 0
    assert [*server.urls] == [
        "turn:127.0.0.1:3478?transport=udp",
        f"turn:127.0.0.1:{tcp.port}?transport=tcp",
    ]
    assert await allocate(turn_call, 1, server) is None


async def test_everybody_has_credentials_of_its_own(turn_call: Call) -> None:
    alice, bob = await turn_call.join("alice"), await turn_call.join("bob")
    ours, theirs = only([*alice.joined.ice_servers]), only([*bob.joined.ice_servers])
    assert ours.username != theirs.username and ours.credential != theirs.credential
    assert "alice" not in ours.username


async def test_who_leaves_loses_credentials_and_allocations(turn_call: Call) -> None:
    alice, bob = await turn_call.join("alice"), await turn_call.join("bob")
    mine, theirs = only([*alice.joined.ice_servers]), only([*bob.joined.ice_servers])
    assert await allocate(turn_call, 1, mine) is None
    assert await allocate(turn_call, 2, theirs) is None
    await alice.close()
    await bob.expect_participant("alice", lambda info: info.state == models.ParticipantInfo.State.DISCONNECTED)
    await turn_call.settled()
    assert [one.client for one in turn_call.engine.relay.allocations.values()] == [2]
    assert await allocate(turn_call, 3, mine) == 401


async def test_a_resume_brings_the_same_credentials_and_keeps_the_allocation(turn_call: Call) -> None:
    alice = await turn_call.join("alice")
    server = only([*alice.joined.ice_servers])
    assert await allocate(turn_call, 1, server) is None
    await alice.drop()
    again = Client(turn_call, "alice", reconnect_sid=alice.joined.participant.sid)
    turn_call.clients.append(again)
    await again.connect()
    reconnect = (await again.expect("reconnect")).reconnect
    assert only([*reconnect.ice_servers]) == server
    assert len(turn_call.engine.relay.allocations) == 1


async def test_who_is_replaced_loses_its_allocations_and_the_newer_one_has_others(turn_call: Call) -> None:
    first = await turn_call.join("alice")
    server = only([*first.joined.ice_servers])
    assert await allocate(turn_call, 1, server) is None
    second = await turn_call.join("alice")
    await turn_call.settled()
    assert not turn_call.engine.relay.allocations
    assert await allocate(turn_call, 2, server) == 401
    assert await allocate(turn_call, 3, only([*second.joined.ice_servers])) is None


async def test_without_turn_there_are_no_ice_servers(call: Call) -> None:
    alice = await call.join("alice")
    assert not alice.joined.ice_servers


async def test_the_listeners_of_a_later_configuration_are_told_to_who_joins_then(turn_call: Call) -> None:
    assert turn_call.turn is not None
    turn_call.turn.reload(load(None, {}, {"turn": {"listen": LISTEN[:1], "domain": "turn.example.org"}}).turn)
    alice = await turn_call.join("alice")
    assert [*only([*alice.joined.ice_servers]).urls] == ["turn:turn.example.org:3478?transport=udp"]
    turn_call.turn.reload(load(None, {}, {"turn": {"listen": []}}).turn)
    bob = await turn_call.join("bob")
    assert not bob.joined.ice_servers

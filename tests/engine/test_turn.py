"""TURN through the engine: real clients, real sockets, and no socket at all where the peer is our own media."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from sfu._native import Engine
from sfu.seam import EngineConfig
from tests.engine.support import PASSWORD, StartEngine, binding_request, open_transport, ufrag
from tests.engine.turn import Relay, allocate, in_a_network_of_its_own, parsed
from tests.support import namespaces
from turn import seam

HOST = "10.77.0.1"
#: From `asm-generic/socket.h`; Python has no name for it.
SO_RCVBUFFORCE = 33


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_client_reaches_our_own_media_without_a_relay_socket(start_engine: StartEngine, transport: str) -> None:
    engine = start_engine()
    relay = Relay(engine, "127.0.0.1")
    open_transport(engine)
    media = ("127.0.0.1", engine.addresses(0)[0].port)
    endpoint, client = await allocate(relay, transport)
    for _ in range(3):
        request = binding_request(f"{ufrag(1)}:client")
        endpoint.sendto(bytes(request), media)
        data, source = await client.next()
        response = parsed(data)
        assert response.transaction_id == request.transaction_id
        assert response.check_message_integrity(PASSWORD.encode())
        assert source == media
        assert response.attributes["XOR-MAPPED-ADDRESS"] == endpoint.get_extra_info("sockname")
    await relay.until(lambda: relay.counter("turn.to_media_packets") >= 3)
    assert relay.counter("turn.relay_sockets") == 0
    assert relay.counter("turn.to_peer_packets") == 0
    await relay.until(lambda: relay.counter("relay_way.packets") >= 3)  # posted by the shard, in its own second
    endpoint.close()
    await relay.until(lambda: relay.counter("turn.allocations") == 0 and not relay.table.allocations)
    relay.close()


async def test_a_configuration_opens_and_closes_listeners_and_tells_those_that_failed(
    start_engine: StartEngine,
) -> None:
    relay = Relay(start_engine(), "127.0.0.1")
    before = {(listen.transport, listen.port) for listen in relay.engine.turn_addresses()}
    assert {transport for transport, _ in before} == {"udp", "tcp"}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        bad = seam.Listen("127.0.0.1", taken.getsockname()[1], "tcp")
        listen = (seam.Listen("127.0.0.1", 0, "udp"), bad)
        relay.engine.submit_turn(
            [seam.ConfigureTurn(listen, "tests", (seam.RelayHost("127.0.0.1", "127.0.0.1"),), (40_000, 49_999))]
        )
    kept = {(listen.transport, listen.port) for listen in relay.engine.turn_addresses()}
    assert kept == {pair for pair in before if pair[0] == "udp"}
    await relay.until(lambda: relay.events)
    (failed,) = relay.events
    assert isinstance(failed, seam.ListenFailed)
    assert failed.listen == bad
    relay.close()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"allow_peers": ("10.0.0.0",)}, "networks"),
        ({"allow_peers": ("10.0.0.0/33",)}, "networks"),
        ({"listen": (seam.Listen("localhost", 1, "udp"),)}, "address"),
        ({"listen": (seam.Listen("127.0.0.1", 1, "sctp"),)}, "transport"),  # type: ignore[arg-type]
        ({"realm": 7}, "realm"),
    ],
)
def test_a_mistake_in_a_configuration_is_told(engine: Engine, changes: dict[str, Any], word: str) -> None:
    fields: dict[str, Any] = {"listen": (), "realm": "tests", "relay_hosts": (), "relay_ports": (1, 2), **changes}
    with pytest.raises((ValueError, TypeError), match=word):
        engine.submit_turn([seam.ConfigureTurn(**fields)])
    assert engine.turn_addresses() == []


def in_a_network(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    namespaces.required()
    in_a_network_of_its_own(f"{HOST}/32", body)


def test_a_client_reaches_a_peer_that_is_allowed_and_is_reached_by_it() -> None:
    async def body() -> None:
        engine = Engine(EngineConfig(shards=1, udp_port=0, bind=(HOST,), seed=1))
        relay = Relay(engine, HOST, allow_peers=("10.77.0.0/24",))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind((HOST, 0))
            peer.setblocking(False)
            loop = asyncio.get_running_loop()
            for transport in ("udp", "tcp"):
                endpoint, client = await allocate(relay, transport)
                relayed = endpoint.get_extra_info("sockname")
                for size in (1, 1200):
                    endpoint.sendto(b"a" * size, peer.getsockname())
                    data, source = await asyncio.wait_for(loop.sock_recvfrom(peer, 2048), 5)
                    assert (data, source) == (b"a" * size, relayed)
                    peer.sendto(b"b" * size, relayed)
                    assert await client.next() == (b"b" * size, peer.getsockname())
                await relay.until(lambda: relay.counter("turn.relay_sockets") == 1)
                endpoint.close()
                await relay.until(lambda: relay.counter("turn.relay_sockets") == 0)
        assert not relay.table.allocations
        relay.close()
        engine.close(1.0)

    in_a_network(body)


def test_many_packets_of_many_clients_arrive_in_order_and_leave_together() -> None:
    async def body() -> None:
        engine = Engine(EngineConfig(shards=1, udp_port=0, bind=(HOST,), seed=1))
        relay = Relay(engine, HOST, allow_peers=("10.77.0.0/24",))
        clients, rounds = 10, 200
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
            peer.bind((HOST, 0))
            peer.settimeout(5)
            endpoints = [await allocate(relay, "udp") for _ in range(clients)]
            for endpoint, _ in endpoints:
                endpoint.sendto(b"hello", peer.getsockname())
            await relay.until(lambda: relay.counter("turn.to_peer_packets") == clients)
            for _ in range(clients):
                peer.recv(2048)
            for number in range(rounds):
                for endpoint, _ in endpoints:
                    endpoint.sendto(number.to_bytes(4, "big") * 100, peer.getsockname())
            seen: dict[tuple[str, int], int] = {}
            for _ in range(clients * rounds):
                data, source = await asyncio.to_thread(peer.recvfrom, 2048)
                assert int.from_bytes(data[:4], "big") == seen.get(source, -1) + 1
                seen[source] = int.from_bytes(data[:4], "big")
            assert set(seen.values()) == {rounds - 1}
        for endpoint, _ in endpoints:
            endpoint.close()
        await relay.until(lambda: not relay.table.allocations)
        relay.close()
        engine.close(1.0)

    in_a_network(body)

"""TURN clients of others against our server: aioice's, coturn's, and libwebrtc in the LiveKit SDK."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from aioice import turn as aioice_turn
from livekit import rtc

from tests.interop.call import call, frames_arrive, publish_everything, tone_is_heard
from tests.interop.client import Client
from tests.support import namespaces, turnutils
from tests.support.turn_server import ADA, TurnServer, apart
from tests.support.turnutils import Summary

TRANSPORTS = pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])


@pytest.fixture(scope="module", params=[4, pytest.param(6, marks=pytest.mark.slow)], ids=["IPv4", "IPv6"])
def turn_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TurnServer]:
    namespaces.required()
    with (
        namespaces.network(request.param, private=True) as network,
        apart(network, tmp_path_factory.mktemp("turn"), quotas={"allocations_per_user": 1_000}) as server,
    ):
        yield server


# ------------------------------------------------------------------------------------------------------ aioice


class _Received(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[bytes, tuple[str, int]]] = asyncio.Queue()
        self.lost = asyncio.Event()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.queue.put_nowait((data, addr[:2]))

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


@TRANSPORTS
@pytest.mark.parametrize("turn_server", [4], indirect=True, ids=["IPv4"])  # it asks for no other family
def test_aioice_relays_both_ways(turn_server: TurnServer, transport: str) -> None:
    assert turn_server.network is not None
    context = turn_server.trust if transport == "tls" else None
    turn_server.network.client.call(lambda: asyncio.run(_aioice(turn_server, transport, context)))


async def _aioice(server: TurnServer, transport: str, context: ssl.SSLContext | None) -> None:
    address = (server.host, getattr(server.ports, transport))
    relay, received = await aioice_turn.create_turn_endpoint(
        _Received,
        address,
        ADA.username,
        ADA.password,
        ssl=context,
        transport="udp" if transport == "udp" else "tcp",
    )
    relayed = relay.get_extra_info("sockname")
    loop = asyncio.get_running_loop()
    assert server.network is not None
    there, peer = await loop.create_datagram_endpoint(_Received, local_addr=(server.network.client.address, 0))
    for number in range(1, 100):
        data = number.to_bytes(2, "big") * (number * 6)
        relay.sendto(data, there.get_extra_info("sockname"))
        assert await asyncio.wait_for(peer.queue.get(), 5) == (data, relayed)
        there.sendto(data, relayed)
        assert await asyncio.wait_for(received.queue.get(), 5) == (data, there.get_extra_info("sockname"))
    relay.close()
    there.close()
    await received.lost.wait()


# ------------------------------------------------------------------------------------------------------ coturn

WAYS = {
    "UDP, channels": ("udp",),
    "UDP, Send": ("udp", "-s"),
    "TCP, channels": ("tcp", "-t"),
    "TCP, Send": ("tcp", "-t", "-s"),
    "TLS, channels": ("tls", "-t", "-S"),
    "TLS, Send": ("tls", "-t", "-S", "-s"),
    "UDP, more requests than it needs": ("udp", "-G"),
    "UDP, no fragments": ("udp", "-g"),
    "UDP, no pairs of ports": ("udp", "-c"),
}


def _uclient(server: TurnServer, transport: str, *flags: str, messages: int, source: str) -> Summary:
    """`source` is an address for it alone: what one address and one network may ask for in a second is limited."""
    assert server.network is not None
    server.network.client.add_address(source)
    flags = (*flags, "-L", source)
    version = "-x" if ":" in server.host else "-X"
    port = getattr(server.ports, transport)
    return turnutils.client(server.network.client, server.host, port, ADA, *flags, version, messages=messages)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("messages", [20, pytest.param(1_000, marks=pytest.mark.slow)])
def test_coturns_client_loses_nothing_whichever_way_it_comes(turn_server: TurnServer, messages: int) -> None:
    """Ten clients on each way, all ways side by side."""
    turnutils.required()
    assert turn_server.network is not None
    client = turn_server.network.client
    network = f"fd78:0:{messages}:{{}}00::1" if ":" in client.address else f"10.{messages % 100}.{{}}.1"
    with turnutils.peer(client), ThreadPoolExecutor(len(WAYS)) as pool:
        running = {
            name: pool.submit(_uclient, turn_server, *way, messages=messages, source=network.format(number))
            for number, (name, way) in enumerate(WAYS.items(), 1)
        }
        found = {name: future.result() for name, future in running.items()}
    everything = 10 * messages
    assert found == dict.fromkeys(WAYS, Summary(sent=everything, received=everything, lost=0, dropped=0))


# -------------------------------------------------------------------------------------------------- LiveKit SDK


@pytest.mark.timeout(90)
@pytest.mark.parametrize("transport", ["udp", pytest.param("tcp", marks=pytest.mark.slow)])
async def test_two_sdk_clients_meet_through_the_relay_that_they_were_told_of(
    launch_turn: Callable[..., TurnServer], transport: str
) -> None:
    """With nothing but what is in the JoinResponse, and one listener so that there is one way."""
    server = launch_turn(only=transport)
    relay_only = rtc.RtcConfiguration(ice_transport_type=rtc.IceTransportType.TRANSPORT_RELAY)
    async with call(server.server, f"relay-{transport}", rtc_config=relay_only) as (ada, bob):
        videos = await publish_everything(ada, bob)
        for share in await frames_arrive(ada, bob, videos, seconds=3):
            assert share.encoded > 20, share
            assert share.ratio > 0.9, share
            assert share.packets_lost == 0, share
        await tone_is_heard(bob, ada)
        assert {pair for client in (ada, bob) for pair in await _selected(client)} == {("RELAY", transport)}
        metrics = server.server.metrics()
        assert metrics["turn_allocations"] >= 2
        # In memory: no socket of the relay's.
        assert metrics["turn_relay_sockets"] == 0


async def _selected(client: Client) -> list[tuple[str, str]]:
    """Kind and relay protocol of the local candidate of each peer connection's selected pair, by the client's own account."""
    stats = await client.room.get_rtc_stats()
    found = []
    for entries in (list(stats.publisher_stats), list(stats.subscriber_stats)):
        local = {
            entry.local_candidate.rtc.id: entry.local_candidate.candidate
            for entry in entries
            if entry.HasField("local_candidate")
        }
        pairs = [entry.candidate_pair.candidate_pair for entry in entries if entry.HasField("candidate_pair")]
        for pair in pairs:
            if pair.nominated:
                candidate = local[pair.local_candidate_id]
                found.append((KINDS[candidate.candidate_type], PROTOCOLS[candidate.relay_protocol]))
    return found


KINDS = ["HOST", "SRFLX", "PRFLX", "RELAY"]
PROTOCOLS = ["udp", "tcp", "tls"]

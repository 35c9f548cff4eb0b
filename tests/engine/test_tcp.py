"""ICE-TCP over real connections: who is let in, who is not, and a whole call."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import struct
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import pytest
from aiortc.mediastreams import AudioStreamTrack

from sfu._native import Engine
from sfu.seam import CloseTransport, EncodingSeen, OpenTransport, Refused, RestartIce, TransportConnected
from tests.engine import tcp
from tests.engine.client import Client, Events
from tests.engine.support import (
    PASSWORD,
    StartEngine,
    client_socket,
    counter,
    open_transport,
    ufrag,
    wait_for,
)
from tests.engine.support import check as check_over_udp
from tests.engine.test_call import RedTrack, add_consumer, add_producers, outbound_track, receive_frames


@pytest.fixture
def engine(start_engine: StartEngine) -> Engine:
    """One shard on all addresses, with TCP."""
    return start_engine(tcp_port=0)


@pytest.fixture
def connections() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.7", "::1"])
def test_a_check_is_answered_on_its_connection(engine: Engine, connections: ExitStack, host: str) -> None:
    open_transport(engine)
    client = connections.enter_context(tcp.connect(engine, host))
    for _ in range(3):
        assert tcp.check(client).attributes["XOR-MAPPED-ADDRESS"] == client.getsockname()[:2]
    wait_for(lambda: counter(engine, "tcp.open") == 1)
    client.close()
    wait_for(lambda: counter(engine, "tcp.open") == 0)


def test_one_port_serves_the_transports_of_all_shards(start_engine: StartEngine, connections: ExitStack) -> None:
    engine = start_engine(shards=3, bind=("127.0.0.1", "::1"), tcp_port=0)
    assert len({address.port for address in engine.tcp_addresses()}) == 1
    for number in range(1, 7):
        open_transport(engine, number, shard=number % 3)
        tcp.check(connections.enter_context(tcp.connect(engine)), number)
    wait_for(lambda: [counter(engine, "tcp.open", shard) for shard in range(3)] == [2, 2, 2])


def test_a_first_check_is_found_in_whatever_pieces_it_comes(engine: Engine, connections: ExitStack) -> None:
    open_transport(engine)
    _, framed = tcp.check_frame()
    for split in range(1, len(framed), 3):
        client = connections.enter_context(tcp.connect(engine))
        client.sendall(framed[:split])
        client.sendall(framed[split:] + framed)
        assert tcp.read_frame(client)
        assert tcp.read_frame(client), "what came behind the first frame is not lost"
        client.close()


def test_credentials_from_before_a_restart_are_good_until_the_new_ones_are_used(
    engine: Engine, connections: ExitStack
) -> None:
    transport = open_transport(engine, 1)
    engine.submit([RestartIce(transport, ufrag(2), PASSWORD)])
    for number in (1, 2):
        tcp.check(connections.enter_context(tcp.connect(engine)), number)
    late = connections.enter_context(tcp.connect(engine))
    late.sendall(tcp.check_frame(1)[1])
    assert tcp.is_closed(late)


def test_whatever_does_not_begin_with_a_good_check_is_closed(engine: Engine, connections: ExitStack) -> None:
    open_transport(engine)
    good = tcp.check_frame()[1]
    beginnings = {
        "tcp.refused_no_check": [
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(1024),
            struct.pack("!H", 0),
            struct.pack("!H", 65535),
            tcp.frame(bytes(100)),
            tcp.frame(b"\x80" * 100),
            tcp.frame(good[2:] + b"?"),
        ],
        "tcp.refused_unknown_ufrag": [tcp.check_frame(9)[1]],
        "tcp.refused_unverified": [tcp.check_frame(1, "another-password-of-22")[1]],
    }
    for name, each in beginnings.items():
        for beginning in each:
            client = connections.enter_context(tcp.connect(engine))
            client.sendall(beginning)
            assert tcp.is_closed(client), (name, beginning[:20])
        wait_for(lambda name=name, each=each: counter(engine, name) == len(each))  # type: ignore[misc]
    wait_for(lambda: counter(engine, "tcp.open") == counter(engine, "tcp.pending") == 0)


def test_a_source_may_have_64_connections_that_have_not_shown_who_they_are(
    engine: Engine, connections: ExitStack
) -> None:
    open_transport(engine)
    for _ in range(70):
        connections.enter_context(tcp.connect(engine))
    wait_for(lambda: counter(engine, "tcp.refused_source") == 6)
    other = connections.enter_context(socket.create_connection(("::1", engine.tcp_addresses()[0].port), 2))
    tcp.check(other)
    wait_for(lambda: counter(engine, "tcp.pending") == 64)


@pytest.mark.slow
def test_a_connection_that_says_nothing_is_closed_after_ten_seconds(engine: Engine, connections: ExitStack) -> None:
    client = connections.enter_context(tcp.connect(engine))
    client.sendall(b"\x00")
    client.settimeout(15)
    started = time.monotonic()
    assert tcp.is_closed(client)
    assert 9 < time.monotonic() - started < 12
    wait_for(lambda: counter(engine, "tcp.refused_late") == 1)


def test_without_descriptors_accepting_pauses_and_goes_on(engine: Engine, connections: ExitStack) -> None:
    open_transport(engine)
    clients = [socket.socket() for _ in range(5)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        for client in clients:
            connections.enter_context(client).settimeout(2)
            client.connect(("127.0.0.1", engine.tcp_addresses()[0].port))
        wait_for(lambda: counter(engine, "tcp.accept_errors"))
        before, started = counter(engine, "tcp.accept_errors"), time.monotonic()
        time.sleep(0.5)
        assert counter(engine, "tcp.accept_errors") - before <= 10 * (time.monotonic() - started) + 1, "no busy loop"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    # Whether those that waited meanwhile are kept is the kernel's choice.
    tcp.check(connections.enter_context(tcp.connect(engine)))


def test_the_connections_of_a_closed_transport_are_closed(engine: Engine, connections: ExitStack) -> None:
    transport = open_transport(engine)
    clients = [connections.enter_context(tcp.connect(engine)) for _ in range(3)]
    for client in clients:
        tcp.check(client)
    engine.submit([CloseTransport(transport)])
    assert all(tcp.is_closed(client) for client in clients)


def test_a_ninth_path_takes_the_place_of_the_oldest_whose_connection_is_closed(
    engine: Engine, connections: ExitStack
) -> None:
    open_transport(engine)
    clients = [connections.enter_context(tcp.connect(engine)) for _ in range(9)]
    for client in clients:
        tcp.check(client)
    closed = [client for client in clients[:8] if tcp.is_closed_now(client)]
    assert closed == [clients[1]], "the first is selected"


def test_udp_and_tcp_are_paths_of_one_transport(engine: Engine, connections: ExitStack) -> None:
    open_transport(engine)
    tcp.check(connections.enter_context(tcp.connect(engine)))
    with client_socket() as udp:
        check_over_udp(udp, "127.0.0.1", engine.addresses(0)[0].port)


@pytest.fixture
async def events(start_engine: StartEngine) -> AsyncIterator[Events]:
    events = Events(start_engine(shards=2, bind=("127.0.0.1", "::1"), tcp_port=0))
    yield events
    events.close()
    assert events.of(Refused) == []


@pytest.mark.parametrize(("host", "piece"), [("127.0.0.1", 65_537), ("::1", 65_537), ("127.0.0.1", 1)])
async def test_sound_and_picture_of_one_client_reach_another_over_tcp(events: Events, host: str, piece: int) -> None:
    bridge = await tcp.Bridge.start(events.engine, host, piece)
    publisher, subscriber = (Client(events, host=host, port=bridge.port) for _ in range(2))
    publisher.pc.addTrack(AudioStreamTrack())
    publisher.pc.addTrack(RedTrack())
    inbound = (await publisher.negotiate()).inbound
    add_producers(events.engine, publisher, inbound)
    tracks: asyncio.Queue[object] = asyncio.Queue()
    subscriber.pc.on("track", tracks.put_nowait)
    for track in inbound:
        subscriber.pc.addTransceiver(track.kind, direction="recvonly")
    outbound = [outbound_track(track) for track in inbound]
    answer = await subscriber.negotiate(outbound)
    for client in (publisher, subscriber):
        connected = await events.next(TransportConnected, lambda event, at=client.transport: event.transport == at)  # type: ignore[misc]
        assert connected.protocol == "tcp"
    sent = {track.track_sid: track for track in outbound}
    for placed in answer.placed:
        add_consumer(events.engine, subscriber, sent[placed.track_sid], placed.mid, placed.payload_type)
    async with asyncio.timeout(20):
        for _ in inbound:
            await receive_frames(await tracks.get(), 10)  # type: ignore[arg-type]
    assert {event.producer for event in events.of(EncodingSeen)} == {1, 2}
    assert bridge.connections >= 2
    wait_for(lambda: events.engine.snapshot().shards[0].forward_latency_us[-1][1] > 0)
    assert counter(events.engine, "paths.selected_tcp") == 2
    assert (counter(events.engine, "paths.selected_udp"), counter(events.engine, "rtp.out") > 20) == (0, True)
    await asyncio.gather(publisher.close(), subscriber.close())
    await bridge.close()
    wait_for(lambda: counter(events.engine, "tcp.open") == 0)


def test_a_ufrag_that_is_refused_stays_whose_it_is(engine: Engine, connections: ExitStack) -> None:
    first = open_transport(engine, 1)
    second = open_transport(engine, 2)
    engine.submit([RestartIce(second, ufrag(1), PASSWORD)])
    tcp.check(connections.enter_context(tcp.connect(engine)), 1)
    engine.submit([CloseTransport(second), OpenTransport(first, 0, ufrag(1), PASSWORD)])
    tcp.check(connections.enter_context(tcp.connect(engine)), 1)

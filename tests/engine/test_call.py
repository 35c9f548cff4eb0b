"""Whole calls through the engine with aiortc as the client: handshakes, data and media over real UDP."""

from __future__ import annotations

import asyncio
import fractions
from collections.abc import AsyncIterator, Callable

import pytest
from aiortc import MediaStreamTrack
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack
from av import VideoFrame

from sfu._native import Engine
from sfu.negotiation import InboundTrack, OutboundTrack
from sfu.seam import (
    AddConsumer,
    AddProducer,
    ConsumerId,
    DataChannelOpened,
    DataReceived,
    EncodingSeen,
    ProducerId,
    Refused,
    SendData,
    TransportClosed,
    TransportConnected,
    TransportId,
    TransportReports,
)
from tests.engine.client import Client, Events
from tests.engine.support import StartEngine, counter, wait_for


@pytest.fixture
async def events(start_engine: StartEngine) -> AsyncIterator[Events]:
    events = Events(start_engine(shards=2, bind=("127.0.0.1", "::1")))
    yield events
    events.close()
    assert events.of(Refused) == []


@pytest.fixture
def shard_of_second() -> int:
    """Of the second client; the first is on shard 0."""
    return 0


@pytest.fixture
async def clients(events: Events, shard_of_second: int) -> AsyncIterator[tuple[Client, Client]]:
    pair = (Client(events), Client(events, shard_of_second))
    yield pair
    for client in pair:
        await client.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_handshake_takes_our_srtp_profile_and_its_end_is_an_event(events: Events, host: str) -> None:
    client = Client(events, host=host)
    client.pc.addTransceiver("audio", direction="recvonly")
    await client.negotiate()
    connected = await events.next(TransportConnected)
    assert (connected.transport, connected.srtp_profile) == (client.transport, "SRTP_AEAD_AES_128_GCM")
    await reaches(client, "connected")
    await client.close()
    closed = await events.next(TransportClosed)
    assert (closed.transport, closed.reason) == (client.transport, "peer_closed")


async def test_an_engine_that_closes_says_goodbye(events: Events, clients: tuple[Client, Client]) -> None:
    client, _ = clients
    client.pc.addTransceiver("audio", direction="recvonly")
    await client.negotiate()
    await reaches(client, "connected")
    events.engine.close(1.0)
    await reaches(client, "closed")


async def test_data_travels_both_ways(events: Events, clients: tuple[Client, Client]) -> None:
    client, _ = clients
    channel = client.pc.createDataChannel("chat")
    received: asyncio.Queue[bytes] = asyncio.Queue()
    channel.on("message", received.put_nowait)
    await client.negotiate()
    assert await events.next(DataChannelOpened) == DataChannelOpened(client.transport, "chat")

    big = bytes(range(256)) * 256
    async with asyncio.timeout(10):
        while channel.readyState != "open":
            await asyncio.sleep(0.01)
        for payload in (b"up", big):
            channel.send(payload)
            await events.next(DataReceived, lambda event, payload=payload: event.payload == payload)  # type: ignore[misc]
            events.engine.submit([SendData((client.transport,), "chat", payload)])
            assert await received.get() == payload


@pytest.mark.parametrize("shard_of_second", [0, 1], ids=["same-shard", "other-shard"])
async def test_sound_and_picture_of_one_client_reach_another(
    events: Events, clients: tuple[Client, Client], shard_of_second: int
) -> None:
    publisher, subscriber = clients
    publisher.pc.addTrack(AudioStreamTrack())
    publisher.pc.addTrack(RedTrack())
    inbound = (await publisher.negotiate()).inbound
    add_producers(events.engine, publisher, inbound)
    await events.next(TransportConnected, lambda event: event.transport == publisher.transport)

    tracks: asyncio.Queue[MediaStreamTrack] = asyncio.Queue()
    subscriber.pc.on("track", tracks.put_nowait)
    for track in inbound:
        subscriber.pc.addTransceiver(track.kind, direction="recvonly")
    outbound = [outbound_track(track) for track in inbound]
    answer = await subscriber.negotiate(outbound)
    await events.next(TransportConnected, lambda event: event.transport == subscriber.transport)
    sent = {track.track_sid: track for track in outbound}
    for placed in answer.placed:
        add_consumer(events.engine, subscriber, sent[placed.track_sid], placed.mid, placed.payload_type)

    async with asyncio.timeout(20):
        for _ in inbound:
            await receive_frames(await tracks.get(), 15)
    assert {event.producer for event in events.of(EncodingSeen)} == {1, 2}
    wait_for(lambda: events.engine.snapshot().shards[shard_of_second].forward_latency_us[-1][1] > 0)
    assert counter(events.engine, "rtp.out", shard_of_second) > 0
    assert (counter(events.engine, "pipe.packets_in", shard_of_second) > 0) == (shard_of_second > 0)

    def about(transport: TransportId) -> Callable[[TransportReports], bool]:
        return lambda event: any(report.transport == transport for report in event.reports)

    reports = (await events.next(TransportReports, about(publisher.transport))).reports
    up = next(report for report in reports if report.transport == publisher.transport)
    assert up.inbound_expected > 0
    assert (up.inbound_lost, up.outbound_expected) == (0, 0)
    await events.next(TransportReports, about(subscriber.transport))


async def reaches(client: Client, state: str) -> None:
    """Waits until the client's connection is in `state`."""
    async with asyncio.timeout(5):
        while client.pc.connectionState != state:
            await asyncio.sleep(0.01)


def add_producers(engine: Engine, publisher: Client, inbound: tuple[InboundTrack, ...]) -> None:
    engine.submit(
        [
            AddProducer(
                producer=producer_id(track),
                transport=publisher.transport,
                kind=track.kind,
                mid=track.mid,
                mime_type=track.mime_type,
                clock_rate=track.clock_rate,
                payload_type=track.payload_type,
                rtx_payload_type=track.rtx_payload_type,
                encodings=track.encodings,
                nack=track.nack,
                transport_cc=track.transport_cc,
                remb=track.remb,
            )
            for track in inbound
        ]
    )


def producer_id(track: InboundTrack) -> ProducerId:
    return ProducerId(1 if track.kind == "audio" else 2)


def outbound_track(track: InboundTrack) -> OutboundTrack:
    number = producer_id(track)
    return OutboundTrack(f"TR_{number}", "PA_1", track.kind, track.mime_type, track.fmtp, 1000 + number, None, "cname")


def add_consumer(engine: Engine, subscriber: Client, track: OutboundTrack, mid: str, payload_type: int) -> None:
    producer = ProducerId(int(track.track_sid.removeprefix("TR_")))
    engine.submit(
        [
            AddConsumer(
                consumer=ConsumerId(10 + producer),
                producer=producer,
                transport=subscriber.transport,
                mid=mid,
                ssrc=track.ssrc,
                rtx_ssrc=None,
                payload_type=payload_type,
                rtx_payload_type=None,
                cname=track.cname,
                paused=False,
                encoding=0,
            )
        ]
    )


async def receive_frames(track: MediaStreamTrack, count: int) -> None:
    """Receives `count` frames; those of video must be red."""
    frame = None
    for _ in range(count):
        frame = await track.recv()
    if isinstance(frame, VideoFrame):
        red, green, blue = frame.to_ndarray(format="rgb24").reshape(-1, 3).mean(axis=0)
        assert red > 200
        assert max(green, blue) < 50


class RedTrack(VideoStreamTrack):
    """A small red picture at 30 frames per second."""

    async def recv(self) -> VideoFrame:
        pts, time_base = await self.next_timestamp()
        frame = VideoFrame(width=160, height=120, format="rgb24")
        frame.planes[0].update(bytes([255, 0, 0]) * 160 * 120)
        frame.pts, frame.time_base = pts, fractions.Fraction(time_base)
        return frame

"""Clients that lack what browsers have - RIDs, RTX, transport-cc - in calls through the engine, with aiortc as the client."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiortc import MediaStreamTrack
from aiortc.codecs.vpx import Vp8Encoder
from aiortc.rtp import RtpPacket
from av import VideoFrame

from sfu.negotiation import OutboundTrack
from sfu.seam import (
    AddConsumer,
    ConfigureConsumer,
    ConsumerId,
    EncodingParameters,
    EncodingSeen,
    ProducerId,
    Refused,
    TransportConnected,
)
from tests.engine.client import Client, Events
from tests.engine.support import StartEngine, counter, wait_for
from tests.engine.test_call import RedTrack, add_producers, outbound_track

#: (primary SSRC, RTX SSRC) of each layer, lowest first, and their sizes.
LAYERS = ((1001, 2001), (1002, 2002), (1003, 2003))
SIZES = ((80, 60), (160, 120), (320, 240))


@pytest.fixture
async def events(start_engine: StartEngine) -> AsyncIterator[Events]:
    events = Events(start_engine(bind=("127.0.0.1",)))
    yield events
    events.close()
    assert events.of(Refused) == []


@pytest.fixture
async def clients(events: Events) -> AsyncIterator[tuple[Client, Client]]:
    pair = (Client(events), Client(events))
    yield pair
    for client in pair:
        await client.close()


async def test_simulcast_by_ssrc_group_is_forwarded_layer_by_layer(
    events: Events, clients: tuple[Client, Client]
) -> None:
    publisher, subscriber = clients
    publisher.pc.addTransceiver("video", direction="sendonly")
    (inbound,) = (await publisher.negotiate(edit=_by_ssrc_group)).inbound
    assert inbound.encodings == tuple(EncodingParameters(None, *ssrcs) for ssrcs in LAYERS)
    add_producers(events.engine, publisher, (inbound,))
    await events.next(TransportConnected, lambda event: event.transport == publisher.transport)
    track = await _subscribe(events, subscriber, outbound_track(inbound), encoding=0)
    sending = asyncio.create_task(_send_layers(publisher, inbound.payload_type))
    try:
        for encoding, size in ((0, SIZES[0]), (2, SIZES[2]), (1, SIZES[1])):
            events.engine.submit([ConfigureConsumer(_CONSUMER, paused=False, encoding=encoding)])
            await _sees(track, size)
    finally:
        sending.cancel()
    assert {(event.encoding, event.ssrc) for event in events.of(EncodingSeen)} == {
        (number, primary) for number, (primary, _) in enumerate(LAYERS)
    }
    assert counter(events.engine, "drop.unknown_ssrc") == 0


async def test_a_subscriber_without_rtx_has_its_losses_repaired_on_the_stream_itself(
    events: Events, clients: tuple[Client, Client]
) -> None:
    publisher, subscriber = clients
    publisher.pc.addTrack(RedTrack())
    (inbound,) = (await publisher.negotiate()).inbound
    add_producers(events.engine, publisher, (inbound,))
    await events.next(TransportConnected, lambda event: event.transport == publisher.transport)
    track = await _subscribe(events, subscriber, outbound_track(inbound), encoding=0, with_rtx=False)
    lost = _lose_every_tenth_packet(subscriber)
    for _ in range(60):
        await asyncio.wait_for(track.recv(), 5)
    wait_for(lambda: counter(events.engine, "rtx.out") > 0)
    assert len(lost) >= 5
    # One keyframe at the start and one for the joiner: what was lost came again.
    assert counter(events.engine, "keyframe.in") <= 2


async def test_a_publisher_without_transport_cc_is_told_of_its_bandwidth_by_remb(
    events: Events, clients: tuple[Client, Client]
) -> None:
    publisher, _ = clients
    publisher.pc.addTrack(RedTrack())
    (inbound,) = (await publisher.negotiate()).inbound
    assert (inbound.transport_cc, inbound.remb) == (False, True)
    add_producers(events.engine, publisher, (inbound,))
    await events.next(EncodingSeen)
    wait_for(lambda: counter(events.engine, "remb.out") > 0)
    assert counter(events.engine, "twcc.feedback_out") == 0


# ------------------------------------------------------------------------------------------------------- lesser clients


def _by_ssrc_group(offer: str) -> str:
    """As browsers of before RIDs offered simulcast."""
    lines = ["a=ssrc-group:SIM " + " ".join(str(primary) for primary, _ in LAYERS)]
    lines += [f"a=ssrc-group:FID {primary} {repair}" for primary, repair in LAYERS]
    lines += [f"a=ssrc:{ssrc} cname:old" for pair in LAYERS for ssrc in pair]
    offer = re.sub(r"(?m)^a=ssrc(-group)?:.*\r\n", "", offer)
    return re.sub(r"(?m)^a=sendonly\r\n", "\r\n".join(["a=sendonly", *lines, ""]), offer)


def _without_rtx(offer: str) -> str:
    for number in re.findall(r"(?m)^a=rtpmap:(\d+) rtx/", offer):
        offer = re.sub(rf"(?m)^a=(rtpmap|fmtp|rtcp-fb):{number} .*\r\n", "", offer)
        offer = re.sub(rf"(?m)^(m=video .*) {number}\b", r"\1", offer)
    return offer


async def _subscribe(
    events: Events, subscriber: Client, track: OutboundTrack, *, encoding: int, with_rtx: bool = True
) -> MediaStreamTrack:
    tracks: asyncio.Queue[MediaStreamTrack] = asyncio.Queue()
    subscriber.pc.on("track", tracks.put_nowait)
    subscriber.pc.addTransceiver("video", direction="recvonly")
    answer = await subscriber.negotiate([track], (lambda offer: offer) if with_rtx else _without_rtx)
    (placed,) = answer.placed
    await events.next(TransportConnected, lambda event: event.transport == subscriber.transport)
    events.engine.submit(
        [
            AddConsumer(
                consumer=_CONSUMER,
                producer=ProducerId(2),
                transport=subscriber.transport,
                mid=placed.mid,
                ssrc=track.ssrc,
                rtx_ssrc=None,
                payload_type=placed.payload_type,
                rtx_payload_type=None,
                cname=track.cname,
                paused=False,
                encoding=encoding,
            )
        ]
    )
    return await asyncio.wait_for(tracks.get(), 5)


async def _send_layers(publisher: Client, payload_type: int) -> None:
    """A keyframe of each layer 20 times a second: no MID, no RID, as a client of that age sends."""
    transport: Any = publisher.pc.getSenders()[0].transport
    pictures = []
    for width, height in SIZES:
        payloads, _ = Vp8Encoder().encode(VideoFrame(width, height, "yuv420p"), force_keyframe=True)
        pictures.append(payloads)
    sequence = [100, 200, 300]
    for step in range(1 << 20):
        for layer, payloads in enumerate(pictures):
            for number, payload in enumerate(payloads):
                packet = RtpPacket(
                    payload_type=payload_type,
                    marker=int(number == len(payloads) - 1),
                    sequence_number=sequence[layer] & 0xFFFF,
                    timestamp=step * 4500,
                    ssrc=LAYERS[layer][0],
                )
                packet.payload = payload
                sequence[layer] += 1
                await transport._send_rtp(packet.serialize())
        await asyncio.sleep(0.05)


async def _sees(track: MediaStreamTrack, size: tuple[int, int]) -> None:
    async with asyncio.timeout(10):
        while True:
            frame: Any = await track.recv()
            if (frame.width, frame.height) == size:
                return


def _lose_every_tenth_packet(subscriber: Client) -> set[int]:
    """From now on, still encrypted; a packet that comes again gets through. Returns the growing set of numbers lost."""
    network: Any = subscriber.pc.getReceivers()[0].transport.transport
    receive, lost = network._recv, set[int]()

    async def lossy() -> bytes:
        while True:
            data: bytes = await receive()
            sequence = int.from_bytes(data[2:4], "big")
            is_rtp = data[0] >> 6 == 2 and not 192 <= data[1] <= 223
            if not is_rtp or sequence % 10 or sequence in lost:
                return data
            lost.add(sequence)

    network._recv = lossy
    return lost


_CONSUMER = ConsumerId(12)

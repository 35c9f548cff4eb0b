"""Two SDK clients in a call, one of them behind a bad network: picture and sound survive, because losses are repaired."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from livekit import rtc
from livekit.rtc._proto.stats_pb2 import RtcStats

from tests.interop.call import AUDIO, VIDEO, call, publish_everything
from tests.interop.client import Client, eventually
from tests.support.bad_network import LOSSY, NETWORKS, Impaired, Sample, Samples, decoded_of, impaired, tolls_of
from tests.support.server import Server

#: The SDK's best encoding of the picture that `publish_everything` sends.
_BEST = 540


async def test_a_call_survives_loss(start_server: Callable[..., Server]) -> None:
    with impaired(start_server) as network:
        async with _samples(network) as sample:
            for toll in await tolls_of(network, NETWORKS["loss"], sample, 6):
                assert toll.frames_sent > 40, toll
                assert toll.decoded >= 0.95, toll
                assert toll.dropped > 10, toll
                assert toll.repair >= 0.9, toll


@pytest.mark.slow
@pytest.mark.timeout(150)
@pytest.mark.parametrize("name", NETWORKS)
async def test_a_minute_of_a_bad_network(start_server: Callable[..., Server], name: str) -> None:
    with impaired(start_server) as network:
        async with _samples(network) as sample:
            for toll in await tolls_of(network, NETWORKS[name], sample, 60):
                assert toll.frames_sent > 600, f"the publisher hardly encodes on this machine: {toll}"
                toll.check()


@pytest.mark.slow
@pytest.mark.timeout(150)
@pytest.mark.parametrize("name", LOSSY)
async def test_without_nack_the_same_losses_are_seen(start_server: Callable[..., Server], name: str) -> None:
    with impaired(start_server, nack=False) as network:
        async with _samples(network) as sample:
            tolls = await tolls_of(network, NETWORKS[name], sample, 60)
            for toll in tolls:
                assert toll.frames_sent > 600, f"the publisher hardly encodes on this machine: {toll}"
            assert decoded_of(tolls) < 0.9, tolls


@contextlib.asynccontextmanager
async def _samples(network: Impaired) -> AsyncIterator[Callable[[], Awaitable[Samples]]]:
    """A call of two in which everything flows; gives what samples it. Bob is the one whose network becomes bad."""
    async with call(network.server, "bad-network") as (ada, bob):
        videos = await publish_everything(ada, bob, fps=15, noise=12)
        for receiver, sender in ((ada, bob), (bob, ada)):
            await receiver.track_of(sender.identity, VIDEO)
            await receiver.track_of(sender.identity, AUDIO)

        async def sample() -> Samples:
            up, down = await asyncio.gather(_sample(bob, videos["bob"], ada), _sample(ada, videos["ada"], bob))
            return {"up": up, "down": down}

        async def is_best() -> bool:
            return all(each.height == _BEST and each.frames_decoded > 15 for each in (await sample()).values())

        await eventually(is_best, "the best encoding arrives at both", 25)
        yield sample


async def _sample(sender: Client, video: rtc.LocalVideoTrack, receiver: Client) -> Sample:
    sent, got, heard = await asyncio.gather(
        video.get_stats(),
        receiver.subscribed[sender.identity, VIDEO].get_stats(),
        receiver.subscribed[sender.identity, AUDIO].get_stats(),
    )
    outbound = [each.outbound_rtp for each in sent if each.WhichOneof("stats") == "outbound_rtp"]
    picture, sound = (_inbound(stats) for stats in (got, heard))
    height = picture.inbound.frame_height
    return Sample(
        sent_ssrcs=frozenset(each.stream.ssrc for each in outbound),
        received_ssrc=picture.stream.ssrc,
        height=height,
        frames_sent=sum(each.outbound.frames_sent for each in outbound if each.outbound.frame_height == height),
        frames_decoded=picture.inbound.frames_decoded,
        keyframe_requests=max(each.outbound.pli_count + each.outbound.fir_count for each in outbound),
        freezes=picture.inbound.freeze_count,
        samples=sound.inbound.total_samples_received,
        concealed=sound.inbound.concealed_samples,
    )


def _inbound(stats: list[RtcStats]) -> RtcStats.InboundRtp:
    found = (each.inbound_rtp for each in stats if each.WhichOneof("stats") == "inbound_rtp")
    return next(found, RtcStats.InboundRtp())  # nothing has arrived yet

"""Two Chromium pages in a call, one of them behind a bad network: picture and sound survive, because losses are repaired."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.e2e.browser import Browser
from tests.e2e.call import Participant, join, until_best, videos
from tests.support.bad_network import LOSSY, NETWORKS, Impaired, Sample, Samples, decoded_of, impaired, tolls_of
from tests.support.server import Server


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", NETWORKS)
async def test_a_minute_of_a_bad_network(
    browser: Browser, client_page: str, start_server: Callable[..., Server], name: str
) -> None:
    with impaired(start_server) as network:
        async with _samples(browser, client_page, network) as sample:
            for toll in await tolls_of(network, NETWORKS[name], sample, 60):
                assert toll.frames_sent > 600, f"Chromium hardly encodes on this machine: {toll}"
                toll.check()


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", LOSSY)
async def test_without_nack_the_same_losses_are_seen(
    browser: Browser, client_page: str, start_server: Callable[..., Server], name: str
) -> None:
    with impaired(start_server, nack=False) as network:
        async with _samples(browser, client_page, network) as sample:
            tolls = await tolls_of(network, NETWORKS[name], sample, 60)
            for toll in tolls:
                assert toll.frames_sent > 600, f"Chromium hardly encodes on this machine: {toll}"
            assert decoded_of(tolls) < 0.9, tolls


@contextlib.asynccontextmanager
async def _samples(
    browser: Browser, client_page: str, network: Impaired
) -> AsyncIterator[Callable[[], Awaitable[Samples]]]:
    """A call of two in which everything flows; gives what samples it. Bob is the one whose network becomes bad."""
    ada = await join(browser, client_page, network.server, "bad-network", "ada", single=False)
    bob = await join(browser, client_page, network.server, "bad-network", "bob", single=True)
    for each in (ada, bob):
        await each.publish("vp8", maxBitrate=800_000, noisy=True)
        await each.page.run("client.publishAudio", {"red": True})
    await until_best([ada, bob])

    async def sample() -> Samples:
        up, down = await asyncio.gather(_sample(bob, ada), _sample(ada, bob))
        return {"up": up, "down": down}

    yield sample


async def _sample(sender: Participant, receiver: Participant) -> Sample:
    sent, got = await asyncio.gather(sender.sample(), receiver.sample())
    outbound = videos(sent["outbound"])
    (picture,) = videos(got["inbound"])
    (sound,) = (each for each in got["inbound"] if each["kind"] == "audio")
    return Sample(
        sent_ssrcs=frozenset(each["ssrc"] for each in outbound),
        received_ssrc=picture["ssrc"],
        height=picture["height"],
        frames_sent=round(sum(each["framesSent"] for each in outbound if each["height"] == picture["height"])),
        frames_decoded=picture["framesDecoded"],
        keyframe_requests=max(each["keyframeRequests"] for each in outbound),
        freezes=picture["freezeCount"],
        samples=sound["samples"],
        concealed=sound["samplesConcealed"],
    )

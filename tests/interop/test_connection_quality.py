"""A client whose network becomes bad: it and those who receive it are told, and told again when it is well."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
from livekit import rtc

from tests.impair.flow import Profile
from tests.impair.link import NOTHING, LinkConfig
from tests.impair.loss import RandomLoss
from tests.impair.proxy import Proxy
from tests.interop.call import AUDIO
from tests.interop.client import Client, eventually, join
from tests.support.bad_network import Impaired, impaired
from tests.support.server import Server

GOOD, POOR = rtc.ConnectionQuality.QUALITY_GOOD, rtc.ConnectionQuality.QUALITY_POOR
EXCELLENT = rtc.ConnectionQuality.QUALITY_EXCELLENT
LOSSY = LinkConfig(RandomLoss(0.12))


class Bars:
    """What one client shows for each participant."""

    def __init__(self, client: Client) -> None:
        self.of: dict[str, int] = {}
        client.room.on("connection_quality_changed", self._changed)

    def _changed(self, participant: rtc.Participant, quality: int) -> None:
        self.of[participant.identity] = quality


@contextlib.asynccontextmanager
async def _call(network: Impaired) -> AsyncIterator[tuple[Bars, Bars, Callable[[LinkConfig], None]]]:
    """Ada's and bob's bars, and a way to change the network of bob, who sends a tone and receives one."""
    server = network.server
    async with join(server.url, server.token("bars", "ada"), "ada") as ada:
        await ada.publish_tone()
        others = network.proxy.ask(lambda running: len(running.flows))
        async with join(server.url, server.token("bars", "bob"), "bob") as bob:
            bars = Bars(ada), Bars(bob)
            await bob.publish_tone()
            await ada.track_of("bob", AUDIO)
            await bob.track_of("ada", AUDIO)

            def change(config: LinkConfig) -> None:
                def configure(running: Proxy) -> None:
                    for flow in running.flows[others:]:
                        flow.configure(Profile.both(config))

                network.proxy.ask(configure)

            yield *bars, change


async def test_loss_is_seen_by_both_sides(start_server: Callable[..., Server]) -> None:
    with impaired(start_server) as network:
        async with _call(network) as (ada, bob, change):
            change(LOSSY)
            await eventually(lambda: ada.of.get("bob") in (GOOD, POOR), "ada sees that bob's network is bad", 20)
            await eventually(lambda: bob.of.get("bob") in (GOOD, POOR), "bob sees it", 1)
            assert ada.of.get("ada", EXCELLENT) == EXCELLENT


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_it_is_excellent_again_when_the_loss_is_over(start_server: Callable[..., Server]) -> None:
    with impaired(start_server) as network:
        async with _call(network) as (ada, bob, change):
            change(LOSSY)
            await eventually(lambda: ada.of.get("bob") == POOR, "the loss is seen", 30)
            change(NOTHING)
            await eventually(lambda: ada.of["bob"] == EXCELLENT, "bob is well again", 45)
            await eventually(lambda: bob.of["bob"] == EXCELLENT, "bob sees it", 1)

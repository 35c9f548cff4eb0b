"""Redundant audio between SDK clients: it arrives as such, plain where it was not negotiated, and repairs what is lost."""

from __future__ import annotations

import asyncio

import pytest
from livekit import rtc

from tests.interop.call import AUDIO, MODES, call, tone_is_heard
from tests.interop.client import Client, eventually, join
from tests.support.server import Server


async def redundancy_received(listener: Client, sender: Client) -> int:
    """Blocks that the listener had already, which its jitter buffer discards: next to none of plain Opus."""
    for entry in await (await listener.track_of(sender.identity, AUDIO)).get_stats():
        if entry.WhichOneof("stats") == "inbound_rtp":
            return entry.inbound_rtp.inbound.packets_discarded
    return 0


async def gets_red(listener: Client, sender: Client) -> None:
    async def much() -> bool:
        return await redundancy_received(listener, sender) > 25

    await eventually(much, f"{listener.identity} receives RED from {sender.identity}")


@pytest.mark.parametrize("modes", MODES.values(), ids=MODES.keys())
async def test_red_arrives_as_red(server: Server, modes: tuple[bool, bool]) -> None:
    async with call(server, f"red-{modes}", modes) as (ada, bob):
        await ada.publish_tone()
        await gets_red(bob, ada)
        await tone_is_heard(bob, ada)
        # The engine's counters are posted once a second.
        sent = 'sfu_red_packets_total{result="sent"}'
        await eventually(lambda: server.metrics()[sent] > 50, "RED was sent")


async def test_a_publisher_without_red_is_heard_as_before(server: Server) -> None:
    async with call(server, "no-red") as (ada, bob):
        await ada.publish_tone(red=False)
        await tone_is_heard(bob, ada)
        assert await redundancy_received(bob, ada) < 5


async def test_beside_one_that_knows_red_another_that_does_not_hears_plain_opus(server: Server) -> None:
    room = "red-and-plain"
    # Over v0 the browser is in the query, and Firefox is offered no RED.
    firefox = f"{server.url}?browser=Firefox"
    async with (
        call(server, room) as (ada, bob),
        join(firefox, server.token(room, "fox"), "fox", single=False) as fox,
    ):
        await ada.publish_tone()
        await fox.publish_tone(880.0)
        await gets_red(bob, ada)
        await asyncio.gather(tone_is_heard(bob, ada), tone_is_heard(fox, ada))
        await bob.track_of("fox", AUDIO)
        assert await redundancy_received(fox, ada) < 5
        assert await redundancy_received(bob, fox) < 5


async def test_encrypted_audio_is_never_wrapped(server: Server) -> None:
    room = "encrypted"
    encryption = rtc.E2EEOptions(key_provider_options=rtc.KeyProviderOptions(shared_key=b"k" * 16))
    async with (
        join(server.url, server.token(room, "ada"), "ada", encryption=encryption) as ada,
        join(server.url, server.token(room, "bob"), "bob", encryption=encryption) as bob,
    ):
        await ada.publish_tone()
        await tone_is_heard(bob, ada)
        assert await redundancy_received(bob, ada) < 5

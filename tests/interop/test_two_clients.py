"""Two SDK clients in a call see and hear each other, over each signalling generation."""

from __future__ import annotations

import pytest

from tests.interop.call import MODES, call, frames_arrive, publish_everything, tone_is_heard
from tests.support.server import Server

ENOUGH = 0.99


async def test_two_clients_see_and_hear_each_other(server: Server) -> None:
    async with call(server, "first-call") as (ada, bob):
        videos = await publish_everything(ada, bob)
        shares = await frames_arrive(ada, bob, videos, seconds=3)
        for share in shares:
            assert share.encoded > 20, share
            assert share.ratio > 0.9, share
        await tone_is_heard(bob, ada)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("modes", MODES.values(), ids=MODES.keys())
async def test_frames_tone_over_twenty_seconds(server: Server, modes: tuple[bool, bool]) -> None:
    async with call(server, f"twenty-{modes}", modes) as (ada, bob):
        videos = await publish_everything(ada, bob)
        shares = await frames_arrive(ada, bob, videos, seconds=20)
        for share in shares:
            print(share, f"{share.ratio:.4f}")
            assert share.encoded > 200, f"the publisher hardly encodes on this machine: {share}"
            assert share.ratio >= ENOUGH, share
        await tone_is_heard(bob, ada)
        await tone_is_heard(ada, bob)

"""The same call where rooms live on different shards, and where media goes over IPv6."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.interop.call import MODES, call, frames_arrive, publish_everything, server_candidate, tone_is_heard
from tests.interop.client import Client
from tests.support.server import Server

StartServer = Callable[..., Server]


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_two_rooms_on_two_shards_do_not_disturb_each_other(start_server: StartServer) -> None:
    server = start_server(shards=2)
    async with contextlib.AsyncExitStack() as stack:
        calls: dict[int, tuple[Client, Client]] = {}
        for number in range(8):
            pair = await stack.enter_async_context(call(server, f"shard-room-{number}", MODES["v1-v0"]))
            _, port = server_candidate(await pair[0].room.get_rtc_stats())
            calls.setdefault(port, pair)
            if len(calls) == 2:
                break
        assert len(calls) == 2, "eight rooms in a row were placed on one shard"

        async def whole(pair: tuple[Client, Client]) -> None:
            shares = await frames_arrive(*pair, await publish_everything(*pair, fps=12), seconds=20)
            for share in shares:
                print(share, f"{share.ratio:.4f}")
                assert share.ratio >= 0.99, share
            await tone_is_heard(pair[1], pair[0])
            assert len(pair[0].room.remote_participants) == 1

        await asyncio.gather(*(whole(pair) for pair in calls.values()))


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("mode", ["v1-v1", "v0-v0"])
async def test_signalling_and_media_over_ipv6(start_server: StartServer, mode: str) -> None:
    if not _has_ipv6():
        pytest.skip("this machine has no IPv6 address besides ::1; libwebrtc gathers no loopback candidates")
    server = start_server(host="::1", BEEP_MEDIA_RTC__ADVERTISE='["::1"]')
    async with call(server, f"six-{mode}", MODES[mode]) as (ada, bob):
        videos = await publish_everything(ada, bob)
        for share in await frames_arrive(ada, bob, videos, seconds=20):
            print(share, f"{share.ratio:.4f}")
            assert share.ratio >= 0.99, share
        await tone_is_heard(bob, ada)
        address, _ = server_candidate(await bob.room.get_rtc_stats())
        assert address in {"::1", "[::1]"}


def _has_ipv6() -> bool:
    """Whether an interface has an IPv6 address of global scope (the fourth column is 00)."""
    table = Path("/proc/net/if_inet6")
    return table.exists() and any(line.split()[3] == "00" for line in table.read_text().splitlines())

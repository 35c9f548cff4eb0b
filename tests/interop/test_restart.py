"""The server ends under a call of six, with a goodbye or without, and comes back on the same ports: so do its clients."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from livekit import rtc

from tests.interop.call import AUDIO, VIDEO
from tests.interop.client import Client, eventually, join
from tests.support.ports import free_ports
from tests.support.server import Server

NAMES = ("ada", "bob", "cleo", "dan", "eve", "finn")
#: From the new server's readiness until everybody receives everybody.
PATIENCE_S = 5.0
_Pair = tuple[str, str, int]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("goodbye", [True, False], ids=["stopped", "killed"])
async def test_six_are_back_with_media_within_five_seconds(tmp_path: Path, goodbye: bool) -> None:
    ports = free_ports()
    old = Server(tmp_path / "old", port=ports.tcp, udp_port=ports.udp)
    new: Server | None = None
    try:
        async with _six(old) as clients:
            pairs: set[_Pair] = {(a, b, AUDIO) for a, b in itertools.permutations(NAMES, 2)}
            pairs |= {("ada", b, VIDEO) for b in NAMES[1:]}
            await _flow(clients, pairs, 30)
            if goodbye:
                assert await asyncio.to_thread(old.stop) == 0
            else:
                old.kill()
            new = await asyncio.to_thread(Server, tmp_path / "new", port=ports.tcp, udp_port=ports.udp)
            ready = time.monotonic()
            await _flow(clients, pairs, 20)
            took = time.monotonic() - ready
            print(f"everybody receives everybody {took:.1f} s after the new server was ready")
            assert took < PATIENCE_S
    finally:
        old.stop()
        if new is not None:
            assert new.stop() == 0


@contextlib.asynccontextmanager
async def _six(server: Server) -> AsyncIterator[list[Client]]:
    """Half of them on each signalling. All are heard, the first is seen."""
    async with contextlib.AsyncExitStack() as stack:
        clients = []
        for number, name in enumerate(NAMES):
            made = join(server.url, server.token("six", name), name, single=number % 2 == 0)
            clients.append(await stack.enter_async_context(made))
        for client in clients:
            await client.publish_tone()
        await clients[0].publish_video(160, 90, 10, simulcast=False)
        yield clients


async def _flow(clients: list[Client], pairs: set[_Pair], timeout_s: float) -> None:
    """Waits until each of `pairs` (sender, receiver, kind) has brought packets in a track of the present session."""
    before: dict[_Pair, int] = {}
    missing: set[_Pair] = set(pairs)

    async def more() -> bool:
        for client in clients:
            for (sender, kind), track in list(client.subscribed.items()):
                pair = (sender, client.identity, kind)
                if pair not in missing or (got := await _packets(track)) is None:
                    continue
                before[pair] = min(got, before.get(pair, got))  # a track of a new session counts from zero
                if got > before[pair] + 5:
                    missing.discard(pair)
        return not missing

    await eventually(more, f"everybody receives everybody, but for {missing}", timeout_s)


async def _packets(track: rtc.Track) -> int | None:
    for entry in await track.get_stats():
        if entry.WhichOneof("stats") == "inbound_rtp":
            return int(entry.inbound_rtp.received.packets_received)
    return None

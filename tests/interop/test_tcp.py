"""Calls of clients that UDP does not reach."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.interop.call import MODES, call, frames_arrive, publish_everything, tone_is_heard
from tests.interop.client import Client, eventually
from tests.support.server import Server


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    return start_server(module="tests.support.only_tcp")


@pytest.mark.timeout(90)
@pytest.mark.parametrize("modes", [MODES["v1-v1"], MODES["v0-v0"]], ids=["v1", "v0"])
async def test_two_clients_see_and_hear_each_other_over_tcp(server: Server, modes: tuple[bool, bool]) -> None:
    before = server.metrics()
    async with call(server, f"tcp-{modes}", modes) as (ada, bob):
        videos = await publish_everything(ada, bob)
        for share in await frames_arrive(ada, bob, videos, seconds=3):
            assert share.encoded > 20, share
            assert share.ratio > 0.9, share
            assert share.packets_lost == 0, share
        await tone_is_heard(bob, ada)
        await _data_arrives(ada, bob)
        assert {protocol for client in (ada, bob) for protocol in await _selected(client)} == {"tcp"}
        now = server.metrics()
        assert now['sfu_paths_selected_total{protocol="tcp"}'] > before['sfu_paths_selected_total{protocol="tcp"}']
        assert now['sfu_paths_selected_total{protocol="udp"}'] == 0
        assert now['sfu_tcp_frames_total{direction="out",result="dropped"}'] == 0
    await eventually(lambda: server.metrics()['sfu_tcp_connections{state="verified"}'] == 0, "connections end", 10)


async def _data_arrives(ada: Client, bob: Client) -> None:
    payload = bytes(range(256)) * 50
    await ada.room.local_participant.publish_data(payload, reliable=True, topic="tcp")
    await eventually(lambda: [each.payload for each in bob.data_on("tcp")] == [payload], "data over TCP")


async def _selected(client: Client) -> list[str]:
    """The protocol of each peer connection's selected pair, by the client's own account."""
    stats = await client.room.get_rtc_stats()
    found = []
    for each in (stats.publisher_stats, stats.subscriber_stats):
        entries = list(each)
        remote = {
            entry.remote_candidate.rtc.id: entry.remote_candidate.candidate.protocol
            for entry in entries
            if entry.HasField("remote_candidate")
        }
        pairs = [entry.candidate_pair.candidate_pair for entry in entries if entry.HasField("candidate_pair")]
        found += [remote[pair.remote_candidate_id] for pair in pairs if pair.nominated]
    return found

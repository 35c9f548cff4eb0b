"""Neighbours of a room on different shards: what passes on one shard passes through pipes as well.

The whole suite runs that way with `pytest tests/interop --shards 3`.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.interop.call import AUDIO, MODES, call
from tests.interop.client import eventually
from tests.interop.test_data import test_reliable_data_is_complete_and_in_order as test_reliable_data
from tests.interop.test_flows import (
    test_mute_and_unmute_are_seen,
    test_speaking_is_seen,
    test_tracks_that_were_dropped_come_back,
    test_without_auto_subscribe_nothing_comes_unasked,
)
from tests.interop.test_raw_client import test_frame_numbers_and_data_arrive_in_order
from tests.interop.test_two_clients import test_two_clients_see_and_hear_each_other
from tests.support.server import Server

__all__ = [
    "test_frame_numbers_and_data_arrive_in_order",
    "test_mute_and_unmute_are_seen",
    "test_reliable_data",
    "test_speaking_is_seen",
    "test_tracks_that_were_dropped_come_back",
    "test_two_clients_see_and_hear_each_other",
    "test_without_auto_subscribe_nothing_comes_unasked",
]


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """Three shards, and every joiner on the next."""
    return start_server(shards=3, BEEP_MEDIA_RTC__ROOM_SPREAD="1")


async def test_a_track_crosses_once_and_only_while_somebody_there_has_it(server: Server) -> None:
    async with call(server, "pipes", MODES["v1-v1"]) as (ada, bob):
        await ada.publish_tone()
        await bob.hear(await bob.track_of("ada", AUDIO), 0.5)
        await eventually(lambda: pipes(server) == (1, 1), "the track is piped")
        crossed = server.metrics()['sfu_pipe_packets_total{direction="in"}']
        assert crossed > 20
    await eventually(lambda: pipes(server) == (0, 0), "nothing is left of it")


def pipes(server: Server) -> tuple[float, float]:
    samples = server.metrics()
    return samples['sfu_pipes{direction="in"}'], samples['sfu_pipes{direction="out"}']

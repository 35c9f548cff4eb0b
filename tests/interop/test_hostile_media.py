"""Hostile datagrams are dropped and counted by reason, and the call beside them loses no packet."""

from __future__ import annotations

import itertools
import socket
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from tests.interop.call import server_candidate
from tests.interop.on_path import send_paced
from tests.interop.reference import Reference, counted, reference_call
from tests.support.datagrams import damaged
from tests.support.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reference(start_server: Callable[..., Server]) -> AsyncIterator[Reference]:
    async with reference_call(start_server()) as call:
        yield call


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def unharmed(reference: Reference) -> AsyncIterator[None]:
    """Around every test of this module."""
    async with reference.unharmed():
        yield


async def test_noise_of_every_protocol_from_a_stranger(reference: Reference) -> None:
    address = server_candidate(await reference.bob.room.get_rtc_stats())
    reasons = {"unknown_protocol": 50, "stun_malformed": 50, "stun_unknown_ufrag": 5, "unknown_path": 200}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.connect(("127.0.0.1", address[1]))
        async with counted(reference.server, reasons) as risen:
            sent = await send_paced(stranger, itertools.islice(damaged(1), 1_500))
    assert risen.total() == sent, risen


async def test_noise_of_every_protocol_on_the_path_of_a_publisher(reference: Reference) -> None:
    reasons = {"unknown_protocol": 30, "stun_malformed": 30, "authentication": 50, "dtls": 30}
    async with counted(reference.server, reasons) as risen:
        sent = await reference.path.relay.inject(itertools.islice(damaged(2), 1_000))
    print(sent, risen)
    assert risen.total() >= 0.9 * sent, risen

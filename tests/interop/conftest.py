"""The call beside which the hostile tests attack, one per module and unharmed by every test that asks for it; TURN servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import pytest_asyncio

from tests.interop.reference import Reference, reference_call
from tests.support.server import Server
from tests.support.turn import leave_all
from tests.support.turn_server import TurnServer, launch


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reference(start_server: Callable[..., Server]) -> AsyncIterator[Reference]:
    async with reference_call(start_server()) as call:
        yield call


@pytest_asyncio.fixture(loop_scope="module")
async def unharmed(reference: Reference) -> AsyncIterator[None]:
    """Around a test: the call loses nothing."""
    async with reference.unharmed():
        yield


@pytest.fixture(scope="module")
def launch_turn(
    start_server: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., TurnServer]:
    """Keyword arguments are keys of the section `turn`."""
    return lambda **more: launch(start_server, tmp_path_factory.mktemp("turn"), **more)


@pytest.fixture(scope="module")
def turn_server(launch_turn: Callable[..., TurnServer]) -> TurnServer:
    """On 127.0.0.1, with peers in 10.0.0.0/8."""
    return launch_turn(allow_peers=["10.0.0.0/8"])


@pytest.fixture(scope="module")
def open_turn_server(launch_turn: Callable[..., TurnServer]) -> TurnServer:
    """Whose operator allows everything."""
    return launch_turn(allow_peers=["0.0.0.0/0", "::/0"])


@pytest.fixture(scope="module")
def closed_turn_server(launch_turn: Callable[..., TurnServer]) -> TurnServer:
    """As it comes."""
    return launch_turn()


@pytest.fixture(scope="module")
def small_turn_server(launch_turn: Callable[..., TurnServer]) -> TurnServer:
    """Eight ports, two allocations for each user."""
    return launch_turn(relay_ports=[50_000, 50_007], quotas={"allocations_per_user": 2})


@pytest.fixture(autouse=True)
def clients_that_leave() -> Iterator[None]:
    """What one test allocated does not count against the next."""
    yield
    leave_all()

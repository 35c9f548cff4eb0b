"""The call beside which the hostile tests attack: one per module, unharmed by every test that asks for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest_asyncio

from tests.interop.reference import Reference, reference_call
from tests.support.server import Server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reference(start_server: Callable[..., Server]) -> AsyncIterator[Reference]:
    async with reference_call(start_server()) as call:
        yield call


@pytest_asyncio.fixture(loop_scope="module")
async def unharmed(reference: Reference) -> AsyncIterator[None]:
    """Around a test: the call loses nothing."""
    async with reference.unharmed():
        yield

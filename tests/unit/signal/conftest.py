from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.unit.signal.harness import Call


@pytest.fixture
async def call() -> AsyncIterator[Call]:
    running = Call()
    await running.start()
    yield running
    await running.close()

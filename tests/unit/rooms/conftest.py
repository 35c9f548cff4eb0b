"""A room and its engine, at the end of which nothing may be left."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.rooms.house import House


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.close()

"""Whatever people do, the rooms are what the model says. `python -m tests.fuzz rooms` goes on for as long as you like."""

from __future__ import annotations

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.unit.rooms.explore import machine_settings
from tests.unit.rooms.machine import Rooms


class SpreadRooms(Rooms):
    SHARDS = 3


@pytest.mark.timeout(300)
@pytest.mark.parametrize("machine", [Rooms, SpreadRooms])
def test_rooms_are_what_the_model_says(machine: type[Rooms]) -> None:
    run_state_machine_as_test(machine, settings=machine_settings(250, derandomize=True))

"""Runs the machine with other seeds than the test's, for as long as there is time: `python -m tests.fuzz rooms`."""

from __future__ import annotations

import time

from hypothesis import HealthCheck, Phase, core, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.unit.rooms.machine import Rooms

#: Between two looks at the clock.
EXAMPLES = 200


def machine_settings(examples: int, *, derandomize: bool) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=40,
        deadline=None,
        derandomize=derandomize,
        database=None,
        # "Explain" traces every line on this Python.
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


def explore(seconds: float, seed: int) -> int:
    """How many examples have passed; raises what the first that does not raises. The sequence follows from `seed`."""
    passed, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        core.global_force_seed = seed + passed  # type: ignore[assignment]
        try:
            run_state_machine_as_test(Rooms, settings=machine_settings(EXAMPLES, derandomize=False))
        finally:
            core.global_force_seed = None
        passed += EXAMPLES
    return passed

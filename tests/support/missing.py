"""What a test needs and this machine lacks."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def skip_without(reason: str) -> NoReturn:
    """Skips the test, except in CI, where that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}; CI must not skip this")
    pytest.skip(reason)

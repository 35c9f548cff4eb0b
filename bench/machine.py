"""What a report says about where it was measured."""

from __future__ import annotations

import datetime
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def about(arguments: Sequence[str], started: float) -> dict[str, Any]:
    """Of a run that ends now: what was called, when, where, and for how long. `started` is of `time.monotonic`."""
    return {
        "command": ["python", "-m", "bench", *arguments],
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "took_s": round(time.monotonic() - started),
        "machine": {**machine(), "cores": os.cpu_count()},
    }


def machine() -> dict[str, str]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), platform.processor())
    return {"cpu": model, "kernel": platform.release(), "python": platform.python_version()}

"""What a report says about where it was measured."""

from __future__ import annotations

import platform
from pathlib import Path


def machine() -> dict[str, str]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), platform.processor())
    return {"cpu": model, "kernel": platform.release(), "python": platform.python_version()}

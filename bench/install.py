"""What has to be there before a bench can run. Builds what is written in Go; installs nothing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from bench import namespace
from bench.loadgen import LOADGEN, ROOT


def build_go(binary: Path, folder: str, package: str = ".") -> str | None:
    """Builds `package` of the module in peers/`folder` as `binary`; where there is no Go, the line that says what to do."""
    if shutil.which("go") is None:
        return "install Go 1.26 or later, see https://go.dev/doc/install, and run this again"
    binary.parent.mkdir(exist_ok=True)
    source = ROOT / "bench" / "peers" / folder
    subprocess.run(["go", "build", "-trimpath", "-o", str(binary), package], cwd=source, check=True)
    return None


def missing(*lines: str | None) -> list[str]:
    """Those that are not None, and the lines that install what every bench in a namespace needs."""
    generator = None if LOADGEN.exists() else "cargo build --locked --release --package loadgen"
    return [line for line in (namespace.missing(), *lines, generator) if line]

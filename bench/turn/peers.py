"""`python -m bench turn --peers`: builds pion/turn, and says what else there is to install. Installs nothing itself."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable

from bench import namespace
from bench.loadgen import LOADGEN, ROOT
from bench.turn.servers import PION, SERVERS

SOURCE = ROOT / "bench" / "peers" / "pion_turn"


def build() -> list[str]:
    """Builds what can be built; the lines that are left to do."""
    left = []
    if shutil.which("go") is None:
        left.append("install Go 1.24 or later, see https://go.dev/doc/install, and run this again")
    else:
        PION.parent.mkdir(exist_ok=True)
        subprocess.run(["go", "build", "-trimpath", "-o", str(PION), "."], cwd=SOURCE, check=True)
    return left + missing(name for name in SERVERS if name != "pion")


def missing(names: Iterable[str]) -> list[str]:
    """The lines that install what these servers and the bench itself need."""
    lines = [namespace.missing(), *(SERVERS[name].missing() for name in names)]
    if not LOADGEN.exists():
        lines.append("cargo build --locked --release --package loadgen")
    return [line for line in lines if line]

"""`make lint`: every static check, each told by name; all of them run, and the status is 1 if one failed.

Names as arguments (`make lint ARGS="ruff mypy"`) run only those.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
CODE = [name for name in ("sfu", "turn", "control", "bench", "tests", "scripts") if (ROOT / name).is_dir()]


@dataclass(frozen=True)
class Check:
    """One line of the report. `needed` is a tool whose absence skips the check, and says so."""

    name: str
    run: Sequence[str] | Callable[[], list[str]]
    needed: str | None = None


def main(names: Sequence[str]) -> int:
    """Runs the checks of these names, or all."""
    checks = [check for check in CHECKS if not names or check.name in names]
    if unknown := set(names) - {check.name for check in CHECKS}:
        sys.stderr.write(
            f"no such check: {', '.join(sorted(unknown))}. There are: {', '.join(c.name for c in CHECKS)}\n"
        )
        return 2
    failed = [check.name for check in checks if not _passes(check)]
    sys.stdout.write(f"\nfailed: {', '.join(failed)}\n" if failed else "\nall checks passed\n")
    return int(bool(failed))


def _passes(check: Check) -> bool:
    if check.needed and shutil.which(check.needed) is None:
        sys.stdout.write(f"skip  {check.name}: {check.needed} is not installed\n")
        return True
    started = time.monotonic()
    if callable(check.run):
        output = "\n".join(check.run())
        passed = not output
    else:
        done = subprocess.run(check.run, cwd=ROOT, capture_output=True, text=True, check=False)
        output, passed = done.stdout + done.stderr, done.returncode == 0
    sys.stdout.write(f"{'ok   ' if passed else 'FAIL '} {check.name} ({time.monotonic() - started:.1f} s)\n")
    if not passed:
        sys.stdout.write(output.rstrip() + "\n")
    sys.stdout.flush()
    return passed


def _no_hosts() -> list[str]:
    """A lock file that names a registry binds everyone to one machine's mirror."""
    behind = []
    for pattern in ("requirements*.lock", "web/package-lock.json", "Cargo.lock"):
        for path in ROOT.glob(pattern):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                if _HOST.search(line) and "github.com/rust-lang/crates.io-index" not in line:
                    behind.append(f"{path.name}:{number}: names a host: {line.strip()[:120]}")
    return behind


def _tool(name: str, *arguments: str) -> list[str]:
    return [str(BIN / name), *arguments]


_HOST = re.compile(r"\"resolved\"|--(extra-)?index-url|--find-links|source = \"(registry|git)\+")

CHECKS = (
    Check("format", _tool("ruff", "format", "--check", *CODE)),
    Check("ruff", _tool("ruff", "check", *CODE)),
    Check("mypy", _tool("mypy", *CODE)),
    # The compiled module against its hand-written stub.
    Check("stubtest", _tool("stubtest", "sfu._native", "--ignore-disjoint-bases")),
    Check("layers", _tool("lint-imports", "--no-cache")),
    Check("generated", [sys.executable, "-m", "scripts.generate", "--check"]),
    Check("hosts", _no_hosts),
    Check("rustfmt", ["cargo", "fmt", "--all", "--check"]),
    Check("clippy", ["cargo", "clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"]),
    Check("deny", ["cargo", "deny", "--offline", "check", "bans", "licenses", "sources"], needed="cargo-deny"),
    Check("web", ["npm", "--prefix", "web", "run", "--silent", "check"]),
)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What a newcomer meets first: `make` alone, and what is said when something is missing."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.generate import ROOT


def prerequisites(part: str, path: Path) -> subprocess.CompletedProcess[str]:
    bash = shutil.which("bash")
    assert bash is not None
    script = str(ROOT / "scripts" / "prerequisites")
    return subprocess.run([bash, script, part], env={"PATH": str(path)}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ("venv", "apt-get install --yes python3 python3-venv"),
        ("build", "apt-get install --yes gcc libc6-dev make pkg-config libssl-dev"),
        ("build", "Rust is missing"),
        ("page", "Node 20 or later with npm is missing"),
    ],
)
def test_what_is_missing_comes_with_the_line_that_installs_it(tmp_path: Path, part: str, sentence: str) -> None:
    done = prerequisites(part, tmp_path)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "sudo" not in done.stderr


def test_only_what_is_missing_is_named(tmp_path: Path) -> None:
    for tool in ("cc", "make", "cargo"):
        (tmp_path / tool).write_text("#!/bin/sh\n")
        (tmp_path / tool).chmod(0o755)
    assert prerequisites("build", tmp_path).stderr.split("--yes ")[1].split() == ["pkg-config", "libssl-dev"]


def test_make_alone_lists_the_targets() -> None:
    done = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = set(re.findall(r"^  make ([a-z-]+)", done.stdout, re.MULTILINE))
    assert {"run", "test", "test-full", "lint", "fmt", "bench", "fuzz", "wheel"} <= listed


def test_nothing_here_uses_sudo() -> None:
    for path in [ROOT / "Makefile", *(ROOT / "scripts").iterdir()]:
        if path.is_file():
            assert not re.search(r"^\s*[^#\s].*\bsudo\b", path.read_text(), re.MULTILINE), path

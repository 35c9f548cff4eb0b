"""A server of the bench: its own process on core 0, its log, its version, its memory."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from bench.loadgen import ROOT

CORE = 0


class ServerProcess(ABC):
    """`with` starts and stops it; `directory` is its own, and stays for whoever wants to read its log."""

    name: ClassVar[str]

    def __init__(self, directory: Path) -> None:
        self.directory = directory / self.name
        self.version = ""

    @classmethod
    def missing(cls) -> str | None:
        """The line that installs it, if it is not there."""
        return None

    @property
    @abstractmethod
    def command(self) -> Sequence[str]: ...

    @abstractmethod
    def wait_until_ready(self) -> None:
        """Returns once it serves; raises otherwise."""

    @property
    def environment(self) -> dict[str, str]:
        return {}

    @property
    def pid(self) -> int:
        return self.process.pid

    def resident_bytes(self) -> int:
        """Of the whole process, without the kernel's memory for its sockets."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
        if found is None:
            raise RuntimeError(f"{self.name} has ended")
        return int(found[1]) * 1024

    def log(self) -> str:
        """The end of what it has said."""
        return (self.directory / "log").read_text(errors="replace")[-2000:]

    def public_command(self) -> list[str]:
        """`command` for a report, which says nothing of where things are on this machine."""
        places = ((sys.executable, "python"), (f"{ROOT}/", ""), (str(self.directory.parent), "DIRECTORY"))
        return [_replaced(part, places) for part in self.command]

    def check_running(self) -> None:
        if self.process.poll() is not None:
            raise RuntimeError(f"it ended with status {self.process.returncode}")

    def first_line(self) -> dict[str, Any]:
        """The JSON line by which some say that they are ready."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("it ended")
        said: dict[str, Any] = json.loads(line)
        if "error" in said:
            raise RuntimeError(said["error"])
        return said

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "log").open("w") as log:
            self.process = subprocess.Popen(
                [*end_with_bench(CORE), *self.command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=ROOT,
                env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(self.directory), **self.environment},
            )
        try:
            self.wait_until_ready()
        except BaseException as error:
            self._stop()
            raise RuntimeError(f"{self.name} did not start: {error}\n{self.log()}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        self.process.terminate()
        try:
            self.process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()


def end_with_bench(core: int) -> Sequence[str]:
    """In front of a command: it has this core, and ends with the bench however that ends."""
    return ("setpriv", "--pdeathsig", "KILL", "taskset", "-c", str(core))


def own_version() -> str:
    """Of the tree that is measured. The reports of what was measured before do not make it dirty."""
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ":!bench/reports")
    return _git("describe", "--always") + ("-dirty" if changed else "")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False, cwd=ROOT).stdout.strip()


def _replaced(text: str, places: Sequence[tuple[str, str]]) -> str:
    for place, name in places:
        text = text.replace(place, name)
    return text


#: A server that is not there by then has failed.
START_TIMEOUT_S = 20

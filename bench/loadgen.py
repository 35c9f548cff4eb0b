"""The load generator: where its binary is, and the conversation with it in JSON lines."""

from __future__ import annotations

import json
import select
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
LOADGEN = ROOT / "target" / "release" / "loadgen"
#: Where `make wheel` puts it.
PACKAGED = Path(__file__).resolve().parent / "bin" / "loadgen"


def find() -> Path | None:
    """The binary of this source tree, else that of the wheel."""
    return next((each for each in (LOADGEN, PACKAGED) if each.exists()), None)


class PeerError(RuntimeError):
    """The other process said `error`, or ended."""


class Peer:
    """A child process that answers JSON lines, pinned to one core unless that is None."""

    def __init__(self, core: int | None, *command: str) -> None:
        pinned = () if core is None else ("taskset", "-c", str(core))
        self.process = subprocess.Popen(
            [*pinned, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
        )

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Raises `PeerError`."""
        self.tell(do, **arguments)
        return self.hear(do)

    def tell(self, do: str, **arguments: Any) -> None:
        """Asks without waiting; `hear` has the answer."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise PeerError(f"{self.process.args!r} ended before it was asked to {do}") from error

    def has_answered(self, within_s: float) -> bool:
        """Waits so long for an answer to begin."""
        assert self.process.stdout is not None
        return bool(select.select([self.process.stdout], [], [], within_s)[0])

    def hear(self, do: str) -> dict[str, Any]:
        """Raises `PeerError`."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise PeerError(f"{self.process.args!r} ended while it was asked to {do}")
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise PeerError(f"{do}: {reply['error']}")
        return reply

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

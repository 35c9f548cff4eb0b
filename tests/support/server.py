"""A real `beep-media serve --dev` on free ports, as a subprocess. Ends with the test, whatever happens."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from livekit import api

ROOT = Path(__file__).resolve().parents[2]


class ServerError(Exception):
    """The server did not start or did not stop; the message carries its log."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the server process holds, from /proc."""

    descriptors: int
    threads: int
    resident_bytes: int
    cpu_s: float


class Server:
    """Started by the constructor; `stop` must be called."""

    def __init__(
        self,
        log: Path,
        *,
        host: str | None = None,
        shards: int = 1,
        port: int = 0,
        udp_port: int = 0,
        module: str = "control.cli",
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        config: Path | None = None,
    ) -> None:
        """`prefix` goes in front of the command, to run it in another network namespace for example."""
        command = [*prefix, sys.executable, "-m", module, "serve", "--dev"]
        command += ["--port", str(port), "--udp-port", str(udp_port), "--shards", str(shards)]
        command += ["--tcp-port", "0"]
        if config is not None:
            command += ["--config", str(config)]
        if host is not None:
            command += ["--host", host]
        self._log = log
        self._output = log.open("wb")
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
        )
        try:
            self.origin = self._wait_ready()
        except BaseException:
            self.stop()
            raise
        self.address = urlsplit(self.origin).netloc
        self.url = self.origin.replace("http", "ws", 1)  # https where others than this machine reach it

    @property
    def pid(self) -> int:
        return self._process.pid

    def log(self, limit: int = 12_000) -> str:
        """The last `limit` characters the server has written."""
        return self._log.read_text(errors="replace")[-limit:]

    def token(self, room: str, identity: str, **grants: object) -> str:
        """Minted by LiveKit's own package, so that tokens are tested too. `grants` as in `livekit.api.VideoGrants`."""
        video = api.VideoGrants(room_join=True, room=room, **grants)  # type: ignore[arg-type]
        token = api.AccessToken("devkey", "secret").with_identity(identity).with_name(identity.title())
        return token.with_grants(video).to_jwt()

    def meet_link(self, room: str, identity: str) -> str:
        return f"{self.origin}/meet?room={room}&token={self.token(room, identity)}"

    def metrics(self) -> dict[str, float]:
        """Every sample of `/metrics`, keyed as it is written: `name{label="value"}`."""
        # Elsewhere than on loopback a development server has a certificate that nobody knows.
        trust = ssl._create_unverified_context()
        with urllib.request.urlopen(f"{self.origin}/metrics", timeout=5, context=trust) as answer:
            return samples(answer.read().decode())

    def footprint(self) -> Footprint:
        proc = Path("/proc") / str(self.pid)
        fields = (proc / "stat").read_text().rpartition(")")[2].split()
        return Footprint(
            descriptors=len(list((proc / "fd").iterdir())),
            threads=int(fields[17]),
            resident_bytes=int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
            cpu_s=(int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"),
        )

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, timeout_s: float) -> int:
        """The exit status of a server that was told to end."""
        return self._process.wait(timeout_s)

    def kill(self) -> None:
        """No goodbye: the process is gone, its sockets with it."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """SIGTERM, then the exit status; a server that hangs is killed and that is an error."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
                raise ServerError(f"still running {_STOP_S} s after SIGTERM\n{self.log()}") from None
        self._output.close()
        return self._process.returncode

    def _wait_ready(self) -> str:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            found = re.search(r"^ready (\S+)/meet$", self.log(), re.MULTILINE)
            if found:
                return found[1]
            if self._process.poll() is not None:
                raise ServerError(f"ended with status {self._process.returncode} before it was ready\n{self.log()}")
            time.sleep(0.05)
        raise ServerError(f"not ready after {_START_S} s\n{self.log()}")


def samples(text: str) -> dict[str, float]:
    """What a page of metrics says, by the name as it is written."""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found


_START_S = 20.0
_STOP_S = 15.0  # drain_for_s is 5; the rest is a busy machine

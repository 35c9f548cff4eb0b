"""TURN servers side by side: one small class each, which starts its server on core 0 and tells where it is.

All of them: long-term credentials, no logging, one thread or one core's worth of them for packets.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import yaml

from bench.engine import LOADGEN, ROOT
from bench.turn.certificate import Certificate
from bench.turn.namespace import PEER_NETWORK, SERVER

CORE = 0
REALM, USERNAME, PASSWORD = "bench", "bench", "secret"
PION = ROOT / "bench" / "out" / "pion_turn"


@dataclass(frozen=True, slots=True)
class Ports:
    udp: int
    tls: int | None = None


class Server(ABC):
    """A server process. `with` starts and stops it; `directory` is its own, and stays for whoever wants to read its log."""

    name: ClassVar[str]

    def __init__(self, directory: Path, certificate: Certificate | None = None) -> None:
        self.directory = directory / self.name
        self.certificate = certificate
        self.ports = Ports(0)
        self.version = ""

    @classmethod
    def missing(cls) -> str | None:
        """The line that installs it, if it is not there."""
        return None

    @property
    @abstractmethod
    def command(self) -> Sequence[str]: ...

    @abstractmethod
    def find_ports(self) -> Ports:
        """Once it runs."""

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

    def engine_bytes(self) -> int | None:
        """The part of it that belongs to allocations, where the server tells."""
        return None

    def log(self) -> str:
        """The end of what it has said."""
        return (self.directory / "log").read_text(errors="replace")[-2000:]

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "log").open("w") as log:
            self.process = subprocess.Popen(
                [*_ON_ITS_CORE, *self.command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=ROOT,
                env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(self.directory), **self.environment},
            )
        try:
            self.ports = self.find_ports()
            _wait_for_answer(self.ports.udp, self.process)
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

    def _first_line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("it ended")
        said: dict[str, Any] = json.loads(line)
        if "error" in said:
            raise RuntimeError(said["error"])
        return said


class Coturn(Server):
    """Debian's."""

    name = "coturn"

    @classmethod
    def missing(cls) -> str | None:
        return None if shutil.which("turnserver") else "apt-get install --yes coturn"

    @property
    def command(self) -> Sequence[str]:
        tls = ("--no-tls",)
        if self.certificate is not None:
            tls = ("--cert", str(self.certificate.certificate), "--pkey", str(self.certificate.key))  # type: ignore[assignment]
        return (
            "turnserver", "-n", "-m", "1", "--listening-ip", SERVER, "--relay-ip", SERVER,
            "--listening-port", str(_COTURN.udp), "--tls-listening-port", str(_COTURN.tls),
            "--min-port", "20000", "--max-port", "29999", "--lt-cred-mech", "--realm", REALM,
            "--user", f"{USERNAME}:{PASSWORD}", "--no-dtls", *tls, "--no-cli", "--no-rfc5780",
            "--log-file", "/dev/null", "--no-stdout-log", "--simple-log",
            "--userdb", str(self.directory / "users"), "--pidfile", str(self.directory / "pid"),
        )  # fmt: skip

    def find_ports(self) -> Ports:
        said = subprocess.run(["turnserver", "--version"], capture_output=True, text=True, check=False).stdout
        found = re.search(r"\d+\.\d+\.\d+", said)
        self.version = found[0] if found else ""
        return _COTURN


class Pion(Server):
    """The current pion/turn, with its defaults."""

    name = "pion"

    @classmethod
    def missing(cls) -> str | None:
        return None if PION.exists() else "python -m bench turn --peers  (builds it; needs Go, see go.dev/doc/install)"

    @property
    def command(self) -> Sequence[str]:
        tls: tuple[str, ...] = ()
        if self.certificate is not None:
            tls = ("-certificate", str(self.certificate.certificate), "-key", str(self.certificate.key))
        return (str(PION), "-host", SERVER, "-realm", REALM, "-username", USERNAME, "-password", PASSWORD, *tls)

    @property
    def environment(self) -> dict[str, str]:
        return {"GOMAXPROCS": "1"}

    def find_ports(self) -> Ports:
        ready = self._first_line()
        self.version = ready["version"]
        return Ports(ready["udp"], ready.get("tls"))


class FloorPlain(Server):
    """One `recvfrom` and one `sendto` a packet."""

    name = "floor-plain"
    arguments: ClassVar[Sequence[str]] = ("plain",)

    @property
    def command(self) -> Sequence[str]:
        return (str(LOADGEN), "relay", SERVER, *self.arguments)

    def find_ports(self) -> Ports:
        return Ports(self._first_line()["udp"])


class FloorJoined(FloorPlain):
    """GRO and GSO."""

    name = "floor-joined"
    arguments: ClassVar[Sequence[str]] = ("joined",)


class FloorCoalesced(FloorPlain):
    """GRO and GSO, and a millisecond of waiting for more."""

    name = "floor-1ms"
    arguments: ClassVar[Sequence[str]] = ("joined", "1000")


class Ours(Server):
    """Beep Media as a TURN server alone."""

    name = "ours"
    role: ClassVar[Sequence[str]] = ("--role", "turn")

    @property
    def command(self) -> Sequence[str]:
        file = self.directory / "config.yaml"
        file.write_text(yaml.safe_dump(self.config()))
        return (sys.executable, "-m", "control.cli", "serve", *self.role, "--config", str(file))

    def config(self) -> dict[str, Any]:
        listen = [f"udp://{SERVER}:{_OURS.udp}"]
        tls: dict[str, Any] = {}
        if self.certificate is not None:
            listen.append(f"tls://{SERVER}:{_OURS.tls}")
            tls = {"tls": {"certificate": str(self.certificate.certificate), "key": str(self.certificate.key)}}
        turn = {
            "listen": listen,
            "realm": REALM,
            "users": {USERNAME: PASSWORD},
            "relay_hosts": [SERVER],
            "relay_ports": "20000-29999",
            "allow_peers": [PEER_NETWORK],
            # All flows are one user's, from one network, and a flood is what is measured.
            "quotas": {
                "allocations_per_user": 10_000,
                "new_peers_per_s": 100_000,
                "packets_per_s": 100_000_000,
                "bytes_per_s": 100_000_000_000,
            },
            "unauthenticated_per_s": 1_000_000,
            **tls,
        }
        return {"turn": turn}

    def find_ports(self) -> Ports:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False, cwd=ROOT
        )
        self.version = said.stdout.strip()
        return _OURS


SERVERS: dict[str, type[Server]] = {
    each.name: each for each in (Coturn, Pion, FloorPlain, FloorJoined, FloorCoalesced, Ours)
}


def _wait_for_answer(port: int, process: subprocess.Popen[str]) -> None:
    """Asks by Binding until there is an answer."""
    deadline = time.monotonic() + START_TIMEOUT_S
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(0.1)
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise RuntimeError(f"it ended with status {process.returncode}")
            asker.sendto(_BINDING, (SERVER, port))
            try:
                asker.recv(2048)
            except OSError:  # nothing came, or nobody listens yet
                time.sleep(0.02)
                continue
            return
    raise RuntimeError(f"no answer to Binding within {START_TIMEOUT_S} s")


#: It ends with the bench, however that ends.
_ON_ITS_CORE = ("setpriv", "--pdeathsig", "KILL", "taskset", "-c", str(CORE))
START_TIMEOUT_S = 20
#: RFC 8489: type, no attributes, magic cookie, any transaction id.
_BINDING = bytes.fromhex("000100002112a442") + b"bench-starts"
_COTURN = Ports(13478, 15349)
_OURS = Ports(3478, 5349)

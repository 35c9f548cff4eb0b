"""TURN servers side by side: one small class each, which starts its server on core 0 and tells where it is.

All of them: long-term credentials, no logging, one thread or one core's worth of them for packets.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import yaml

from bench.loadgen import LOADGEN, ROOT
from bench.namespace import PEER_NETWORK, SERVER
from bench.process import START_TIMEOUT_S, ServerProcess, own_version
from bench.turn.certificate import Certificate

REALM, USERNAME, PASSWORD = "bench", "bench", "secret"
PION = ROOT / "bench" / "out" / "pion_turn"


@dataclass(frozen=True, slots=True)
class Ports:
    udp: int
    tls: int | None = None


class Server(ServerProcess):
    """A TURN server process, with a TLS listener if there is a certificate."""

    def __init__(self, directory: Path, certificate: Certificate | None = None) -> None:
        super().__init__(directory)
        self.certificate = certificate
        self.ports = Ports(0)

    @abstractmethod
    def find_ports(self) -> Ports:
        """Once it runs."""

    def engine_bytes(self) -> int | None:
        """The part of its memory that belongs to allocations, where the server tells."""
        return None

    def wait_until_ready(self) -> None:
        self.ports = self.find_ports()
        _wait_for_answer(self.ports.udp, self.check_running)


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
        ready = self.first_line()
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
        return Ports(self.first_line()["udp"])


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
        self.version = own_version()
        return _OURS


SERVERS: dict[str, type[Server]] = {
    each.name: each for each in (Coturn, Pion, FloorPlain, FloorJoined, FloorCoalesced, Ours)
}


def _wait_for_answer(port: int, check_running: Callable[[], None]) -> None:
    """Asks by Binding until there is an answer."""
    deadline = time.monotonic() + START_TIMEOUT_S
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(0.1)
        while time.monotonic() < deadline:
            check_running()
            asker.sendto(_BINDING, (SERVER, port))
            try:
                asker.recv(2048)
            except OSError:  # nothing came, or nobody listens yet
                time.sleep(0.02)
                continue
            return
    raise RuntimeError(f"no answer to Binding within {START_TIMEOUT_S} s")


#: RFC 8489: type, no attributes, magic cookie, any transaction id.
_BINDING = bytes.fromhex("000100002112a442") + b"bench-starts"
_COTURN = Ports(13478, 15349)
_OURS = Ports(3478, 5349)

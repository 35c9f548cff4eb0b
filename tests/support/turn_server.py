"""A server whose TURN side is configured for a test: fixed ports, one user, one secret, a certificate that the test trusts."""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support import certificates, turn
from tests.support.certificates import Certificates
from tests.support.namespaces import Network
from tests.support.ports import free_ports
from tests.support.server import Server
from tests.support.stun import Address
from tests.support.turn import Account, Probe

ADA = Account("ada", "correct horse battery staple")
BOB = Account("bob", "bobs own")
SECRET = "a secret that another service has, too"
REALM = "turn.test"


@dataclass(frozen=True, slots=True)
class TurnPorts:
    udp: int
    tcp: int
    tls: int


@dataclass(frozen=True, slots=True)
class TurnServer:
    server: Server
    host: str
    ports: TurnPorts
    certificates: Certificates
    trust: ssl.SSLContext = field(repr=False)
    #: Whose client's namespace probes are in.
    network: Network | None = None

    def probe(self, transport: str = "udp", account: Account = ADA, source: str | None = None) -> Probe:
        """One more client, by default from an address of loopback that no other has."""
        return Probe(self.wire(transport, source), account)

    def wire(self, transport: str, source: str | None = None) -> turn.Datagrams | turn.Stream:
        if self.network is not None:
            client = self.network.client
            return client.call(lambda: self._wire(transport, source or client.address))
        return self._wire(transport, source)

    def peer(self) -> socket.socket:
        """A UDP socket that the server may relay to."""
        assert self.network is not None, "there are no peers on loopback"
        client = self.network.client

        def make() -> socket.socket:
            made = socket.socket(socket.AF_INET6 if ":" in client.address else socket.AF_INET, socket.SOCK_DGRAM)
            made.bind((client.address, 0))
            made.settimeout(turn.PATIENCE_S)
            return turn.closed_later(made)

        return client.call(make)

    def metrics(self) -> dict[str, float]:
        if self.network is None:
            return self.server.metrics()
        return self.network.client.call(self.server.metrics)

    def _wire(self, transport: str, source: str | None) -> turn.Datagrams | turn.Stream:
        address: Address = (self.host, getattr(self.ports, transport))
        if transport == "udp":
            return turn.datagrams(address, source)
        return turn.stream(address, self.trust if transport == "tls" else None, source)

    def counts(self, name: str) -> Counter[str]:
        """Of a metric with one label: by that label's value."""
        prefix = f"{name}{{"
        found: Counter[str] = Counter()
        for sample, value in self.metrics().items():
            if sample.startswith(prefix):
                found[sample.split('"')[1]] += int(value)
        return found

    def drops(self) -> Counter[str]:
        return self.counts("turn_packets_dropped_total")

    def until_metric(self, name: str, wanted: Callable[[float], bool], timeout_s: float = 5.0) -> float:
        """Once the engine has posted it, which it does every second."""
        deadline = time.monotonic() + timeout_s
        while not wanted(value := self.metrics()[name]):
            assert time.monotonic() < deadline, f"{name} stays {value}"
            time.sleep(0.05)
        return value


def rest_account(user: str, seconds: float = 600, secret: str = SECRET) -> Account:
    """As a service makes one that has the secret, too; good for so many seconds."""
    name = f"{int(time.time() + seconds)}:{user}"
    return Account(name, base64.b64encode(hmac.digest(secret.encode(), name.encode(), "sha1")).decode())


def settings(
    ports: TurnPorts,
    certificate: Certificates,
    hosts: Sequence[str] = ("127.0.0.1",),
    only: str = "",
    **more: Any,
) -> dict[str, Any]:
    """The section `turn` of the configuration; `only` one transport, or all of them."""
    schemes = [only] if only else SCHEMES
    listen = [f"{scheme}://{_bracketed(host)}:{getattr(ports, scheme)}" for host in hosts for scheme in schemes]
    values = {
        "listen": listen,
        "realm": REALM,
        "users": {account.username: account.password for account in (ADA, BOB)},
        "secrets": [SECRET],
        "tls": {"certificate": str(certificate.certificate), "key": str(certificate.key)},
    }
    return values | more


def environment(values: dict[str, Any], path: str = "BEEP_MEDIA_TURN") -> dict[str, str]:
    """As variables; what is a mapping of names stays one value."""
    found: dict[str, str] = {}
    for key, value in values.items():
        name = f"{path}__{key.upper()}"
        if isinstance(value, dict) and key != "users":
            found |= environment(value, name)
        else:
            found[name] = value if isinstance(value, str) else json.dumps(value)
    return found


def launch(start_server: Callable[..., Server], directory: Path, **more: Any) -> TurnServer:
    """On loopback."""
    ports = free_turn_ports()
    certificate = certificates.make(directory, ["localhost", "127.0.0.1", "::1"])
    values = settings(ports, certificate, relay_hosts=["127.0.0.1", "::1"], **more)
    server = start_server(**environment(values))
    return TurnServer(server, "127.0.0.1", ports, certificate, certificate.client_context())


@contextlib.contextmanager
def apart(
    network: Network, directory: Path, also: Mapping[str, str] | None = None, config: Path | None = None, **more: Any
) -> Iterator[TurnServer]:
    """In the server's namespace, on the usual ports; peers may be in the namespace of the clients.

    With `config`, what is to be set is written there, so that it can be changed; `also` are further variables.
    """
    ports = TurnPorts(3478, 3478, 5349)
    host = network.server.address
    certificate = certificates.make(directory, ["localhost", host])
    bits = 24 if "." in host else 64
    values = settings(ports, certificate, [host], allow_peers=[f"{network.client.address}/{bits}"]) | more
    variables = {} if config else environment(values)
    if config:
        config.write_text(json.dumps({"turn": values}))
    server = Server(
        directory / "log",
        host=host,
        prefix=network.server.enter,
        config=config,
        environment={**variables, **(also or {})},
    )
    try:
        yield TurnServer(server, host, ports, certificate, certificate.client_context(), network)
    except BaseException:
        print(server.log())
        raise
    finally:
        status = server.stop()
    assert status == 0, server.log()


def free_turn_ports() -> TurnPorts:
    first, second = free_ports(), free_ports()
    return TurnPorts(first.udp, first.tcp, second.tcp)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


SCHEMES = ["udp", "tcp", "tls"]

"""What an operator does to a server that relays: end it, and change its configuration. What is relayed goes on."""

from __future__ import annotations

import json
import signal
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import certificates, namespaces, stun, turn
from tests.support.namespaces import Network
from tests.support.stun import Method
from tests.support.turn import UDP_RELAY, Account, Probe
from tests.support.turn_server import ADA, SECRET, TurnServer, apart, rest_account

CHANNEL = 0x4000
DRAIN_S = 8


@pytest.fixture
def network() -> Iterator[Network]:
    namespaces.required()
    with namespaces.network(4, private=True) as made:
        yield made


def test_sigterm_lets_calls_end_and_lets_nobody_in(network: Network, tmp_path: Path) -> None:
    with apart(network, tmp_path, also={"BEEP_MEDIA_DRAIN_FOR_S": str(DRAIN_S)}) as server:
        calls = {transport: _Relayed(server, transport) for transport in ("udp", "tcp", "tls")}
        server.server.signal(signal.SIGTERM)
        told = time.monotonic()
        late = server.probe()
        while late.request(Method.ALLOCATE, UDP_RELAY).error != 508:
            assert time.monotonic() < told + 3, "new clients get in"
            late.refresh(0)
        while time.monotonic() < told + DRAIN_S / 2:
            for call in calls.values():
                call.echo()
        for call in calls.values():
            assert call.client.refresh(600).error is None
            assert call.client.refresh(0).error is None
        assert server.server.wait(DRAIN_S) == 0
        assert time.monotonic() < told + DRAIN_S, "it ends when the last call does"


def test_sigterm_ends_calls_at_the_deadline(network: Network, tmp_path: Path) -> None:
    with apart(network, tmp_path, also={"BEEP_MEDIA_DRAIN_FOR_S": "5"}) as server:
        call = _Relayed(server, "udp")
        server.server.signal(signal.SIGTERM)
        told = time.monotonic()
        while time.monotonic() < told + 2:
            call.echo()
        assert server.server.wait(10) == 0
        assert time.monotonic() < told + 6


def test_a_new_configuration_is_taken_without_an_interruption(network: Network, tmp_path: Path) -> None:
    """Secrets, users, certificate, listeners and peers change; two clients go on, also the one whose listener was closed."""
    config = tmp_path / "config.yaml"
    with apart(network, tmp_path, config=config) as server:
        calls = {transport: _Relayed(server, transport) for transport in ("udp", "tls")}
        was_in_time = server.probe(account=rest_account("carol"))
        was_in_time.allocate()
        successor = certificates.make(tmp_path, [server.host, "localhost"], name="successor")
        before = json.loads(config.read_text())["turn"]

        _reload(
            server,
            config,
            before | {"secrets": ["a new secret", SECRET]},
            lambda: _allocates(server, rest_account("x", secret="a new secret")),
        )
        assert _allocates(server, rest_account("dave"))

        renewed = before | {
            "secrets": ["a new secret"],
            "users": {"eve": "eves own"},
            "tls": {"certificate": str(successor.certificate), "key": str(successor.key)},
            "listen": [*before["listen"], f"tcp://{server.host}:3479"],
        }
        _reload(server, config, renewed, lambda: _allocates(server, Account("eve", "eves own")))
        assert not _allocates(server, ADA)
        assert not _allocates(server, rest_account("dave"))
        assert _allocates(server, rest_account("dave", secret="a new secret"))
        with pytest.raises(ssl.SSLError):
            server.wire("tls")
        trusting = TurnServer(
            server.server, server.host, server.ports, successor, successor.client_context(), server.network
        )
        assert trusting.probe("tls").challenge().error == 401
        assert _connects(server, 3479)
        for call in calls.values():
            call.echo()

        _reload(server, config, renewed | {"listen": before["listen"][:2]}, lambda: not _connects(server, 3479))
        assert not _connects(server, server.ports.tls)
        calls["udp"].echo()


def test_a_configuration_that_is_wrong_changes_nothing(network: Network, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    with apart(network, tmp_path, config=config) as server:
        call = _Relayed(server, "udp")
        good = config.read_text()
        for wrong in ("{", '{"turn": {"lisen": []}}', good.replace("certificate.pem", "nothing.pem")):
            config.write_text(wrong)
            lines = len(server.server.log(1_000_000).splitlines())
            server.server.signal(signal.SIGHUP)
            deadline = time.monotonic() + 5
            while not any("error" in line.lower() for line in server.server.log(1_000_000).splitlines()[lines:]):
                assert time.monotonic() < deadline, "nothing is said about it"
                time.sleep(0.05)
            call.echo()
            assert _allocates(server, ADA)
            assert server.probe("tls").challenge().error == 401


class _Relayed:
    """A client with a channel to a peer."""

    def __init__(self, server: TurnServer, transport: str) -> None:
        self.client: Probe = server.probe(transport)
        self.relayed = self.client.allocate()
        self.peer = server.peer()
        assert self.client.bind(CHANNEL, self.peer.getsockname()) is None

    def echo(self) -> None:
        self.client.send_on(CHANNEL, b"there")
        assert self.peer.recvfrom(100) == (b"there", self.relayed)
        self.peer.sendto(b"and back", self.relayed)
        assert self.client.receive() == stun.channel_data(CHANNEL, b"and back")


def _reload(server: TurnServer, config: Path, values: dict[str, Any], done: Callable[[], bool]) -> None:
    config.write_text(json.dumps({"turn": values}))
    server.server.signal(signal.SIGHUP)
    deadline = time.monotonic() + 5
    while not done():
        assert time.monotonic() < deadline, f"not taken\n{server.server.log()}"
        time.sleep(0.1)


def _allocates(server: TurnServer, account: Account) -> bool:
    probe = server.probe(account=account)
    granted = probe.request(Method.ALLOCATE, UDP_RELAY).error is None
    if granted:
        probe.refresh(0)
    return granted


def _connects(server: TurnServer, port: int) -> bool:
    assert server.network is not None
    client = server.network.client
    try:
        client.call(lambda: turn.stream((server.host, port), source=client.address))
    except OSError:
        return False
    return True

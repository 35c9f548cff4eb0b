"""Browsers that reach us through TURN only: because they want to, or because a firewall leaves them nothing else.

The pages are told of the relay in the JoinResponse. For TLS they trust an authority that was made for the test.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.apart import call_between
from tests.support import certificates, namespaces
from tests.support.certificates import Certificates
from tests.support.missing import skip_without
from tests.support.namespaces import Network
from tests.support.turn_server import TurnPorts, environment, settings

GENERATIONS = pytest.mark.parametrize("single", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["v1", "v0"])
pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("client_page")]  # which builds it
#: 443 is what firewalls leave open.
PORTS = TurnPorts(3478, 3478, 443)


@pytest.fixture
def network() -> Iterator[Callable[[int], Network]]:
    """Makes a network of an IP version."""
    namespaces.required()
    with ExitStack() as stack:
        yield lambda version: stack.enter_context(namespaces.network(version, private=True))


@GENERATIONS
@pytest.mark.parametrize("transport", ["udp", pytest.param("tcp", marks=pytest.mark.slow), "tls"])
@pytest.mark.parametrize("version", [4, pytest.param(6, marks=pytest.mark.slow)], ids=["IPv4", "IPv6"])
async def test_two_pages_that_want_the_relay_only(
    network: Callable[[int], Network], chromium: str, tmp_path: Path, version: int, transport: str, single: bool
) -> None:
    net = network(version)
    certificate = _certificate(net, tmp_path)
    async with call_between(
        net,
        chromium,
        tmp_path / "log",
        single=single,
        relay=True,
        environment=environment(settings(PORTS, certificate, [net.server.address], only=transport)),
        home=_home_that_trusts(certificate, tmp_path),
    ) as call:
        await call.both_directions_decode()
        assert await call.ways() == {("relay", transport)}
        _went_through_memory(await call.metrics())


@pytest.mark.slow
async def test_where_only_the_relays_port_is_open_a_call_works(
    network: Callable[[int], Network], chromium: str, tmp_path: Path
) -> None:
    """Pages that would take any way, and a firewall that drops what goes to media ports."""
    net = network(4)
    certificate = _certificate(net, tmp_path)
    _let_in(net, udp=[PORTS.udp], tcp=[PORTS.tcp])
    async with call_between(
        net,
        chromium,
        tmp_path / "log",
        single=True,
        port=HTTP_PORT,
        environment=environment(settings(PORTS, certificate, [net.server.address])),
    ) as call:
        await call.both_directions_decode()
        # Clients choose: whichever of the two answered them first.
        assert await call.ways() <= {("relay", "udp"), ("relay", "tcp")}
        _went_through_memory(await call.metrics())


async def test_where_nothing_but_tls_is_let_through_a_call_works(
    network: Callable[[int], Network], chromium: str, tmp_path: Path
) -> None:
    net = network(4)
    certificate = _certificate(net, tmp_path)
    _let_in(net, udp=[], tcp=[PORTS.tls])
    async with call_between(
        net,
        chromium,
        tmp_path / "log",
        single=True,
        port=HTTP_PORT,
        environment=environment(settings(PORTS, certificate, [net.server.address])),
        home=_home_that_trusts(certificate, tmp_path),
    ) as call:
        await call.both_directions_decode()
        assert await call.ways() == {("relay", "tls")}
        _went_through_memory(await call.metrics())


def _went_through_memory(metrics: dict[str, float]) -> None:
    """Zero hop: no socket of the relay's, no packet sent by one; what the pages sent all came from the relay."""
    assert metrics["turn_relay_sockets"] == 0
    assert metrics.get('turn_relayed_packets_total{direction="to_peer"}', 0) == 0
    assert metrics['turn_relayed_packets_total{direction="to_media"}'] > 100
    for other in ("udp", "tcp"):
        assert metrics.get(f'sfu_paths_selected_total{{protocol="{other}"}}', 0) == 0


def _let_in(net: Network, *, udp: list[int], tcp: list[int]) -> None:
    """Nothing else but signalling. What is not let in is dropped without a word."""
    for protocol, ports in (("udp", udp), ("tcp", [HTTP_PORT, *tcp])):
        for port in ports:
            net.server.run("iptables", "-A", "INPUT", "-p", protocol, "--dport", str(port), "-j", "ACCEPT")
        net.server.run("iptables", "-A", "INPUT", "-i", net.server.device, "-p", protocol, "-j", "DROP")


def _certificate(net: Network, directory: Path) -> Certificates:
    return certificates.make(directory, [net.server.address])


def _home_that_trusts(certificate: Certificates, directory: Path) -> Path:
    """A home whose NSS store, Chromium's, has the authority."""
    certutil = shutil.which("certutil")
    if certutil is None:
        skip_without("there is no `certutil` (apt-get install libnss3-tools)")
    home = directory / "home"
    store = home / ".pki" / "nssdb"
    store.mkdir(parents=True)
    for arguments in (
        ["-N", "--empty-password"],
        ["-A", "-t", "C,,", "-n", "tests", "-i", str(certificate.authority)],
    ):
        subprocess.run([certutil, "-d", f"sql:{store}", *arguments], check=True, timeout=30)
    return home


HTTP_PORT = 7880

"""Calls over networks that are not plain ones: IPv6 only, no UDP, no segmentation offload. The machine's own stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.apart import call_between
from tests.support import namespaces
from tests.support.namespaces import Network

GENERATIONS = pytest.mark.parametrize("single", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["v1", "v0"])
pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("client_page")]  # which builds it


@pytest.fixture
def network() -> Iterator[Callable[[int], Network]]:
    """Makes a network of an IP version."""
    namespaces.required()
    with ExitStack() as stack:
        yield lambda version: stack.enter_context(namespaces.network(version))


@GENERATIONS
async def test_ipv6_only(network: Callable[[int], Network], chromium: str, tmp_path: Path, single: bool) -> None:
    six = network(6)
    for each in (six.server, six.client):
        assert "inet " not in each.run("ip", "address")
    async with call_between(six, chromium, tmp_path / "log", single=single) as call:
        await call.both_directions_decode()
        assert await call.selected() == {("udp", six.server.address)}


@GENERATIONS
@pytest.mark.parametrize("version", [4, pytest.param(6, marks=pytest.mark.slow)], ids=["IPv4", "IPv6"])
async def test_tcp_only(
    network: Callable[[int], Network], chromium: str, tmp_path: Path, version: int, single: bool
) -> None:
    net = network(version)
    for chain in ("INPUT", "OUTPUT"):
        net.server.run("iptables" if version == 4 else "ip6tables", "-A", chain, "-p", "udp", "-j", "DROP")
    async with call_between(net, chromium, tmp_path / "log", single=single) as call:
        await call.both_directions_decode()
        assert await call.selected() == {("tcp", net.server.address)}
        metrics = await call.metrics()
        assert metrics.get('sfu_paths_selected_total{protocol="udp"}', 0) == 0
        assert metrics['sfu_packets_total{class="rtp",direction="in"}'] > 100


@GENERATIONS
async def test_gso_switched_off(network: Callable[[int], Network], chromium: str, tmp_path: Path, single: bool) -> None:
    net = network(4)
    for each in (net.server, net.client):
        each.run("ethtool", "-K", each.device, "gso", "off", "gro", "off", "tx-udp-segmentation", "off", "tx", "off")
        assert "generic-segmentation-offload: off" in each.run("ethtool", "-k", each.device)
    async with call_between(net, chromium, tmp_path / "log", single=single) as call:
        await call.both_directions_decode()
        assert await call.selected() == {("udp", net.server.address)}


async def test_a_route_that_refuses_gso(network: Callable[[int], Network], chromium: str, tmp_path: Path) -> None:
    """One narrower than the packets, as into a tunnel: the kernel cuts single datagrams for it, but no batches of them."""
    net = network(4)
    net.server.run("ip", "route", "replace", "192.0.2.0/24", "dev", net.server.device, "mtu", "700")
    async with call_between(net, chromium, tmp_path / "log", single=True) as call:
        await call.both_directions_decode()
        assert (await call.metrics())['sfu_udp_trouble_total{direction="out",kind="gso_fallback"}'] > 0

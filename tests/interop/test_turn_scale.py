"""Many allocations, one after the other and at the same time. Slow."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support import namespaces, turn, turnutils
from tests.support.namespaces import Namespace
from tests.support.server import Footprint
from tests.support.stun import channel_data
from tests.support.turn import Probe
from tests.support.turn_server import ADA, TurnServer, apart

pytestmark = pytest.mark.slow
ALLOCATIONS = 2_000
ROUNDS = 120
EVERY_S = 0.5
REQUESTS, CLIENTS = (f'turn_engine_objects{{object="{each}"}}' for each in ("requests_waiting", "clients"))
CYCLES = 10_000
#: What must be the same after as before.
HELD = ("turn_allocations", "turn_permissions", "turn_channels", "turn_relay_sockets", REQUESTS)
MAX_BYTES_PER_CYCLE = 256


@pytest.fixture
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TurnServer]:
    namespaces.required()
    turnutils.required()
    quotas = {"allocations_per_user": ALLOCATIONS + 10}
    with (
        namespaces.network(4, private=True) as network,
        turnutils.peer(network.client),
        apart(network, tmp_path_factory.mktemp("turn"), quotas=quotas) as server,
    ):
        yield server


@pytest.mark.timeout(300)
def test_two_thousand_allocations_relay_for_a_minute_and_lose_nothing(crowded: TurnServer) -> None:
    assert crowded.network is not None
    client = crowded.network.client
    idle = crowded.server.footprint()
    peer = (client.address, 3480)
    probes = []
    for source in _addresses(client, ALLOCATIONS // 50):
        for _ in range(50):  # what one network may ask for in a second
            probe = crowded.probe(source=source)
            probe.allocate()
            assert probe.bind(0x4000, peer) is None
            probes.append(probe)
    loaded = crowded.server.footprint()
    assert crowded.until_metric("turn_allocations", lambda value: value == ALLOCATIONS)
    print(f"{(loaded.resident_bytes - idle.resident_bytes) / ALLOCATIONS:.0f} bytes an allocation")

    returned = _echo(probes)
    spent = crowded.server.footprint().cpu_s - loaded.cpu_s
    print(f"{spent:.1f} s of CPU, {spent * 1e6 / (2 * ROUNDS * ALLOCATIONS):.1f} us a packet")
    assert returned == [ROUNDS] * ALLOCATIONS
    turn.leave_all()
    assert crowded.until_metric("turn_allocations", lambda value: value == 0) == 0
    assert crowded.until_metric("turn_relay_sockets", lambda value: value == 0) == 0
    assert abs(crowded.server.footprint().descriptors - idle.descriptors) <= 2


def _addresses(client: Namespace, number: int) -> list[str]:
    """Each in a network of its own; the server's way back is its default route."""
    addresses = [f"10.78.{network}.1" for network in range(number)]
    for address in addresses:
        client.add_address(address)
    return addresses


def _echo(probes: list[Probe]) -> list[int]:
    """A packet from each every half second; how many came back to each, none twice and none out of order."""
    sockets: list[socket.socket] = [probe.wire.socket for probe in probes]  # type: ignore[attr-defined]
    numbers = {each.fileno(): number for number, each in enumerate(sockets)}
    expected = [0] * len(probes)
    poller = select.epoll()
    for each in sockets:
        each.setblocking(False)
        poller.register(each, select.EPOLLIN)

    def receive(until: float) -> None:
        while (left := until - time.monotonic()) > 0:
            for descriptor, _ in poller.poll(left):
                number = numbers[descriptor]
                with contextlib.suppress(BlockingIOError):
                    while True:
                        assert sockets[number].recv(2_048) == _packet(number, expected[number])
                        expected[number] += 1

    started = time.monotonic()
    for turn_number in range(ROUNDS):
        for number, each in enumerate(sockets):
            each.send(_packet(number, turn_number))
            # Spread over the half second, as clients are.
            receive(started + EVERY_S * (turn_number + number / len(probes)))
    receive(time.monotonic() + 3)
    poller.close()
    return expected


def _packet(number: int, turn_number: int) -> bytes:
    return channel_data(0x4000, struct.pack("!II", number, turn_number) + bytes(152))


@pytest.mark.timeout(600)
def test_ten_thousand_allocations_come_and_go_and_leave_nothing_behind(launch_turn: Callable[..., TurnServer]) -> None:
    server = launch_turn(allow_peers=["10.0.0.0/8"])

    def cycles(number: int) -> None:
        for at in range(number):
            with contextlib.closing(server.probe(("udp", "udp", "tcp", "tls")[at % 4])) as probe:
                probe.allocate()
                assert probe.permit(("10.1.1.1", 5)) is None
                assert probe.bind(0x4000, ("10.1.1.2", 5)) is None
                assert probe.refresh(700).error is None
                if at % 8:
                    assert probe.refresh(0).error is None
                elif at % 4 < 2:
                    probe.leave()
            turn.leave_all()

    cycles(CYCLES)  # tables, and whatever the allocator keeps, grow to their size
    before, held = _settled(server)
    cycles(CYCLES)
    after, held_after = _settled(server)
    grown = (after.resident_bytes - before.resident_bytes) / CYCLES
    print(f"{grown:.0f} bytes a cycle", held_after)
    assert held_after == held == dict.fromkeys(HELD, 0)
    assert (after.descriptors, after.threads) == (before.descriptors, before.threads)
    assert grown < MAX_BYTES_PER_CYCLE
    with contextlib.closing(server.probe(account=ADA)) as probe:
        probe.allocate()


def _settled(server: TurnServer) -> tuple[Footprint, dict[str, float]]:
    """Answers are remembered for 40 s, ports rest for 60 s."""
    server.until_metric("turn_allocations", lambda value: value == 0)
    server.until_metric(CLIENTS, lambda value: value == 0, timeout_s=60)
    time.sleep(25)  # the ports' rest
    footprint = server.server.footprint()  # first: the request for the metrics is a descriptor, too
    metrics = server.metrics()
    return footprint, {name: metrics[name] for name in HELD}

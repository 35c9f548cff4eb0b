"""What TURN relays between clients and peers outside of this process, and what it does not. In namespaces: on loopback nobody is a peer."""

from __future__ import annotations

import contextlib
import itertools
import resource
import secrets
import socket
import struct
from collections.abc import Iterator

import pytest

from tests.support import namespaces, stun
from tests.support.stun import Address, Attribute, Class, Kind, Method
from tests.support.turn import Probe
from tests.support.turn_server import TurnServer, apart

CHANNEL = 0x4000
TRANSPORTS = pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
SIZES = [0, 1, 2, 3, 4, 5, 160, 1_200, 1_472, 4_000]


@pytest.fixture(scope="module", params=[4, pytest.param(6, marks=pytest.mark.slow)], ids=["IPv4", "IPv6"])
def turn_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TurnServer]:
    namespaces.required()
    with (
        namespaces.network(request.param, private=True) as network,
        apart(network, tmp_path_factory.mktemp("turn")) as server,
    ):
        yield server


class Pair:
    """A client with an allocation, and a peer that it may talk to."""

    def __init__(self, server: TurnServer, transport: str = "udp") -> None:
        self.client: Probe = server.probe(transport)
        six = ":" in server.host
        self.relayed = self.client.allocate(
            *([(int(Kind.REQUESTED_ADDRESS_FAMILY), bytes([2, 0, 0, 0]))] if six else [])
        )
        self.peer = server.peer()
        self.address: Address = self.peer.getsockname()[:2]

    def permitted(self) -> Pair:
        assert self.client.permit(self.address) is None
        return self

    def bound(self) -> Pair:
        assert self.client.bind(CHANNEL, self.address) is None
        return self

    def at_peer(self, timeout_s: float = 5.0) -> bytes | None:
        """What the peer receives next, from the relayed address."""
        self.peer.settimeout(timeout_s)
        try:
            data, source = self.peer.recvfrom(65_536)
        except TimeoutError:
            return None
        assert source[:2] == self.relayed
        return data

    def echo(self, data: bytes) -> None:
        """There by channel and back."""
        self.client.send_on(CHANNEL, data)
        assert self.at_peer() == data
        self.peer.sendto(data, self.relayed)
        assert self.client.receive() == stun.channel_data(CHANNEL, data)

    def nothing_reached_the_peer(self) -> None:
        """Whatever was sent before this."""
        self.client.send_on(CHANNEL, b"the end")
        assert self.at_peer() == b"the end"


@pytest.fixture
def pair(turn_server: TurnServer, transport: str) -> Pair:
    return Pair(turn_server, transport)


# ------------------------------------------------------------------------------------------------ what is relayed


@TRANSPORTS
def test_channels_carry_data_of_any_size_both_ways(pair: Pair) -> None:
    pair.bound()
    for size in SIZES:
        pair.echo(secrets.token_bytes(size))


@TRANSPORTS
def test_indications_carry_data_of_any_size_both_ways(pair: Pair) -> None:
    pair.permitted()
    for size in SIZES:
        data = secrets.token_bytes(size)
        pair.client.send_to(pair.address, data)
        assert pair.at_peer() == data
        pair.peer.sendto(data, pair.relayed)
        indication = stun.parse(pair.client.receive() or b"")
        assert (indication.method, indication.message_class) == (Method.DATA, Class.INDICATION)
        assert indication.address(Kind.XOR_PEER_ADDRESS) == pair.address
        assert indication.first(Kind.DATA) == data


@TRANSPORTS
def test_a_permission_is_for_every_port_of_a_peer_and_a_channel_for_one(turn_server: TurnServer, pair: Pair) -> None:
    pair.bound()
    with turn_server.peer() as other:
        other.sendto(b"from another port", pair.relayed)
        indication = stun.parse(pair.client.receive() or b"")
        assert indication.address(Kind.XOR_PEER_ADDRESS) == other.getsockname()[:2]
        pair.client.send_to(other.getsockname()[:2], b"to another port")
        assert other.recvfrom(100)[0] == b"to another port"


@TRANSPORTS
def test_a_burst_arrives_whole_and_in_order(pair: Pair) -> None:
    """As pictures come: runs of one size and a shorter end, which are sent and received joined."""
    pair.bound()
    burst = [struct.pack("!I", number) + bytes(1_196 if number % 8 != 7 else 300) for number in range(64)]
    for data in burst:
        pair.client.send_on(CHANNEL, data)
    assert [pair.at_peer() for _ in burst] == burst
    for data in burst:
        pair.peer.sendto(data, pair.relayed)
    assert [pair.client.receive() for _ in burst] == [stun.channel_data(CHANNEL, data) for data in burst]


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_frames_in_a_stream_may_be_cut_at_every_byte(turn_server: TurnServer, pair: Pair) -> None:
    pair.bound()
    other = Pair(turn_server)
    sent = [b"", b"1", b"12345", b"12345678"]
    stretch = b"".join(stun.padded(stun.channel_data(CHANNEL, data)) for data in sent)
    for cut in range(len(stretch) + 1):
        pair.client.wire.socket.sendall(stretch[:cut])  # type: ignore[attr-defined]
        other.client.refresh(600)  # by then the server has what was sent before
        pair.client.wire.socket.sendall(stretch[cut:])  # type: ignore[attr-defined]
        assert [pair.at_peer() for _ in sent] == sent


def test_padding_and_junk_behind_channel_data_is_not_relayed(turn_server: TurnServer) -> None:
    pair = Pair(turn_server).bound()
    for behind in (b"\0", b"\0\0\0", b"junk that the RFC tells to ignore"):
        pair.client.send(stun.channel_data(CHANNEL, b"12345") + behind)
        assert pair.at_peer() == b"12345"


# --------------------------------------------------------------------------------------------- what is not relayed


@TRANSPORTS
def test_nothing_goes_to_a_peer_without_a_permission(turn_server: TurnServer, pair: Pair) -> None:
    before = turn_server.drops()["no_permission"]
    pair.client.send_to(pair.address, b"no permission")
    pair.client.send_on(CHANNEL, b"no channel")
    pair.bound().nothing_reached_the_peer()
    turn_server.until_metric('turn_packets_dropped_total{reason="no_permission"}', lambda value: value > before)


@TRANSPORTS
def test_indications_that_lack_a_part_or_have_too_many(pair: Pair) -> None:
    pair.bound()
    elsewhere: Address = (pair.address[0], 9)

    def send(*parts: tuple[Kind, Address | bytes]) -> None:
        transaction = secrets.token_bytes(12)
        attributes: list[Attribute] = [
            (kind, part if isinstance(part, bytes) else stun.xored(part, transaction)) for kind, part in parts
        ]
        pair.client.send(stun.build(Method.SEND, attributes, Class.INDICATION, transaction))

    peer, data = (Kind.XOR_PEER_ADDRESS, pair.address), (Kind.DATA, b"data")
    send(data)
    send(peer)
    send()
    send((Kind.XOR_PEER_ADDRESS, b""), data)
    send((Kind.XOR_PEER_ADDRESS, bytes(7)), data)
    send((Kind.XOR_PEER_ADDRESS, elsewhere), peer, data)
    send(peer, data, (Kind(Kind.LIFETIME), bytes(4)), (0x7ABC, b""))  # type: ignore[arg-type]
    pair.nothing_reached_the_peer()
    send(peer, (Kind.XOR_PEER_ADDRESS, elsewhere), data, (Kind.DATA, b"more"))
    assert pair.at_peer() == b"data"


def test_channel_data_longer_than_its_datagram_is_dropped(turn_server: TurnServer) -> None:
    pair = Pair(turn_server).bound()
    for length in (6, 1_000, 65_535):
        pair.client.send(stun.channel_data(CHANNEL, b"12345", length=length))
    pair.client.send(struct.pack("!H", CHANNEL))
    pair.client.send(struct.pack("!HB", CHANNEL, 0))
    pair.nothing_reached_the_peer()


def test_a_client_cannot_send_to_our_own_listeners_and_relayed_addresses(turn_server: TurnServer) -> None:
    """The host may be a peer, as the operator says; these ports of it are not, whoever has a permission for the host."""
    first, second = Pair(turn_server).bound(), Pair(turn_server).bound()
    before = turn_server.drops()
    first.client.permit((turn_server.host, 9))
    second.client.permit((turn_server.host, 9))
    for target in (first.relayed, second.relayed, (turn_server.host, turn_server.ports.udp)):
        first.client.send_to(target, b"a loop")
        assert first.client.bind(0x4001, target) == 403
    second.client.silence_after()
    first.nothing_reached_the_peer()
    second.nothing_reached_the_peer()
    turn_server.until_metric(
        'turn_packets_dropped_total{reason="denied_peer"}', lambda value: value >= before["denied_peer"] + 3
    )


@TRANSPORTS
def test_a_flood_of_a_peer_without_permission_reaches_nobody(turn_server: TurnServer, pair: Pair) -> None:
    """The socket is there for another peer's sake: the stranger's host has no permission."""
    assert turn_server.network is not None
    client = turn_server.network.client
    stranger_host = "fd77::99" if ":" in client.address else "10.77.0.99"
    if stranger_host not in client.run("ip", "address"):
        client.add_address(stranger_host)

    def make() -> socket.socket:
        made = socket.socket(socket.AF_INET6 if ":" in stranger_host else socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((stranger_host, 0))
        return made

    pair.bound()
    before, spent = turn_server.drops()["no_permission"], turn_server.server.footprint().cpu_s
    with client.call(make) as stranger:
        for number in range(5_000):
            stranger.sendto(bytes(1_000), pair.relayed)
            if number % 50 == 0:
                pair.echo(struct.pack("!I", number))  # so nothing of the flood came in between
    dropped = turn_server.until_metric(
        'turn_packets_dropped_total{reason="no_permission"}', lambda value: value >= before + 4_000
    )
    spent = turn_server.server.footprint().cpu_s - spent
    print(f"{dropped - before:.0f} dropped, {spent * 1e6 / 5_000:.0f} us of CPU each")


def test_peers_that_are_not_there_cost_nothing(turn_server: TurnServer) -> None:
    """The kernel reports their ICMP errors on the socket that others use."""
    pair = Pair(turn_server).bound()
    gone = turn_server.peer()
    address = gone.getsockname()[:2]
    assert pair.client.bind(0x4001, address) is None
    gone.close()
    for number in range(100):
        pair.client.send_on(0x4001, b"anybody?")
        pair.echo(struct.pack("!I", number))


def test_a_client_that_is_not_there_costs_nothing(turn_server: TurnServer) -> None:
    leaving, staying = Pair(turn_server).bound(), Pair(turn_server).bound()
    leaving.client.close()
    for number in range(100):
        leaving.peer.sendto(b"anybody?", leaving.relayed)
        staying.echo(struct.pack("!I", number))


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_client_that_does_not_read_loses_its_packets_and_delays_nobody(turn_server: TurnServer, pair: Pair) -> None:
    pair.bound()
    other = Pair(turn_server, "tcp").bound()
    before = turn_server.server.footprint().resident_bytes
    for number in range(20_000):
        pair.peer.sendto(bytes(1_200), pair.relayed)
        if number % 500 == 0:
            other.echo(struct.pack("!I", number))
    grown = turn_server.server.footprint().resident_bytes - before
    print(f"{grown} bytes for 24,000,000 that nobody reads")
    assert grown < 2 << 20
    # It may go on: what it reads is whole frames.
    pair.peer.sendto(b"the last", pair.relayed)
    frames = list(itertools.takewhile(lambda frame: frame is not None, iter(lambda: pair.client.receive(1.0), 0)))
    assert set(frames) <= {stun.channel_data(CHANNEL, bytes(1_200)), stun.channel_data(CHANNEL, b"the last")}
    pair.echo(b"alive")


@TRANSPORTS
def test_nothing_is_relayed_after_the_end_of_an_allocation(turn_server: TurnServer, pair: Pair) -> None:
    pair.bound()
    pair.echo(b"before")
    descriptors = turn_server.server.footprint().descriptors
    pair.peer.sendto(b"on its way", pair.relayed)
    assert pair.client.receive() is not None
    assert pair.client.refresh(0).number(Kind.LIFETIME) == 0
    pair.client.send_on(CHANNEL, b"after")
    pair.peer.sendto(b"after", pair.relayed)
    pair.client.silence_after()
    with contextlib.suppress(ConnectionRefusedError):
        assert pair.at_peer(0.3) is None
    assert turn_server.server.footprint().descriptors < descriptors


def test_what_is_relayed_goes_on_when_descriptors_end(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A permission for a peer needs a socket; without one it is refused, and what is relayed goes on."""
    namespaces.required()
    with namespaces.network(4, private=True) as network, apart(network, tmp_path_factory.mktemp("few")) as server:
        pair = Pair(server).bound()
        _, hard = resource.prlimit(server.server.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.server.pid, resource.RLIMIT_NOFILE, (server.server.footprint().descriptors + 3, hard))
        more = []
        errors: list[int | None] = []
        for _ in range(8):
            probe = server.probe()
            probe.allocate()
            more.append(probe)
            errors.append(probe.permit(pair.address))
            pair.echo(b"goes on")
        assert set(errors) <= {None, 508}
        assert 508 in errors
        assert server.probe().challenge().error == 401
        for probe in more:
            probe.refresh(0)
        again = Pair(server).bound()
        again.echo(b"as before")

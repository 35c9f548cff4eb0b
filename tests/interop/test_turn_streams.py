"""TURN over TCP and TLS: where messages begin and end, and connections that are no clients. H-32, H-33 and their neighbours."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import stun
from tests.support.stun import Kind, Method
from tests.support.turn import UDP_RELAY, Stream
from tests.support.turn_server import TurnServer

TRANSPORTS = pytest.mark.parametrize("transport", ["tcp", "tls"])
BINDING = stun.build(Method.BINDING)


def _stream(turn_server: TurnServer, transport: str, source: str | None = None) -> Stream:
    wire = turn_server.wire(transport, source)
    assert isinstance(wire, Stream)
    return wire


@TRANSPORTS
def test_messages_that_come_together_are_answered_one_by_one(turn_server: TurnServer, transport: str) -> None:
    probe = turn_server.probe(transport)
    probe.allocate()
    requests = [probe.write(Method.REFRESH) for _ in range(30)]
    # ChannelData of every length between them, padded as streams want it; no channel is bound.
    mixed = [part for number, each in enumerate(requests) for part in (stun.channel_data(0x4000, bytes(number)), each)]
    probe.wire.socket.sendall(b"".join(stun.padded(each) for each in mixed))  # type: ignore[attr-defined]
    answers = [stun.parse(probe.receive() or b"") for _ in requests]
    assert [answer.transaction for answer in answers] == [request[8:20] for request in requests]
    assert {answer.number(Kind.LIFETIME) for answer in answers} == {600}


@TRANSPORTS
def test_messages_may_be_cut_at_every_byte(turn_server: TurnServer, transport: str) -> None:
    probe, other = turn_server.probe(transport), turn_server.probe()
    probe.allocate()
    other.allocate()
    refresh = probe.write(Method.REFRESH)
    stretch = stun.padded(stun.channel_data(0x4000, b"12345")) + refresh
    for cut in range(1, len(stretch)):
        refresh = probe.write(Method.REFRESH)
        stretch = stun.padded(stun.channel_data(0x4000, b"12345")) + refresh
        probe.wire.socket.sendall(stretch[:cut])  # type: ignore[attr-defined]
        # Whatever was sent is with the server once somebody else behind it was served.
        other.refresh(600)
        probe.wire.socket.sendall(stretch[cut:])  # type: ignore[attr-defined]
        assert probe.answer_to(refresh[8:20]).error is None


@TRANSPORTS
def test_messages_may_come_byte_by_byte(turn_server: TurnServer, transport: str) -> None:
    probe = turn_server.probe(transport)
    probe.challenge()
    request = probe.write(Method.ALLOCATE, UDP_RELAY)
    for byte in request:
        probe.wire.socket.sendall(bytes([byte]))  # type: ignore[attr-defined]
    assert probe.answer_to(request[8:20]).error is None


@pytest.mark.parametrize(
    "noise",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12),
        bytes([22, 3, 1, 0, 40]) + bytes(40),
        bytes([128, 96]) + bytes(40),
        BINDING[:4] + bytes(4) + BINDING[8:],
        BINDING[:2] + b"\0\x02" + BINDING[4:] + b"ab",
        stun.padded(stun.channel_data(0x7FFF, b"1234")),
        struct.pack("!HH", 0x4000, 65_535) + bytes(1_000),
        BINDING[:2] + struct.pack("!H", 65_532) + BINDING[4:],
    ],
    ids=["HTTP", "PROXY", "TLS", "RTP", "cookie", "length", "channel", "ChannelData of 65,535", "STUN of 65,532"],
)
@TRANSPORTS
def test_h32_what_no_client_begins_with_ends_the_connection_without_a_word(
    turn_server: TurnServer, transport: str, noise: bytes
) -> None:
    wire = _stream(turn_server, transport)
    wire.socket.sendall(noise)
    wire.socket.settimeout(3)
    with contextlib.suppress(ConnectionResetError):
        assert wire.socket.recv(1_000) == b""


@pytest.mark.timeout(90)
def test_h32_who_does_not_show_who_it_is_within_ten_seconds_is_closed(turn_server: TurnServer) -> None:
    """Idle; a byte now and then; Bindings without end; half a handshake. An allocation is what makes a connection last."""
    honest = {transport: turn_server.probe(transport) for transport in ("tcp", "tls")}
    for probe in honest.values():
        probe.allocate()
    started = time.monotonic()
    idle = [_stream(turn_server, transport) for transport in ("tcp", "tls")]
    half = _raw(turn_server, turn_server.ports.tls)
    half.socket.sendall(bytes([22, 3, 1, 0, 200]) + bytes(20))
    silent_tls = _raw(turn_server, turn_server.ports.tls)
    slow, asking = _stream(turn_server, "tcp"), _stream(turn_server, "tcp")
    for byte in BINDING[:6]:
        slow.socket.sendall(bytes([byte]))
        asking.socket.sendall(BINDING)
        assert asking.receive(2) is not None
        time.sleep(1.5)  # the point of it
    with ThreadPoolExecutor() as pool:
        closed = list(pool.map(lambda wire: wire.is_closed_within(6), [*idle, half, silent_tls, slow, asking]))
    waited = time.monotonic() - started
    assert closed == [True] * 6
    assert 9 < waited < 14
    for probe in honest.values():
        assert probe.refresh(600).error is None


@TRANSPORTS
def test_h33_an_address_has_64_connections_at_most(turn_server: TurnServer, transport: str) -> None:
    source = {"tcp": "127.202.1.1", "tls": "127.202.2.1"}[transport]
    port = getattr(turn_server.ports, transport)
    wires = [_raw(turn_server, port, source) for _ in range(80)]
    surplus = [wire.is_closed_within(1 if number == 64 else 0.05) for number, wire in enumerate(wires) if number >= 64]
    assert surplus == [True] * 16
    assert not any(wire.is_closed_within(0.001) for wire in wires[:64])
    # Neighbours are served, and so is this address when it has let go.
    assert turn_server.probe(transport).challenge().error == 401
    for wire in wires:
        wire.close()
    deadline = time.monotonic() + 5
    while True:
        with contextlib.suppress(OSError):
            assert turn_server.probe(transport, source=source).challenge().error == 401
            return
        assert time.monotonic() < deadline, "no place was given back"


def test_h33_many_half_open_connections_leave_room_for_honest_ones(turn_server: TurnServer) -> None:
    """Of those who have not shown who they are the oldest give way: 30 addresses take their 64 places."""
    wires = []
    before = turn_server.server.footprint().resident_bytes
    for number in range(30):
        wires += [_raw(turn_server, turn_server.ports.tls, f"127.203.{number}.1") for _ in range(60)]
    per_connection = (turn_server.server.footprint().resident_bytes - before) / len(wires)
    print(f"{per_connection:.0f} bytes per connection that says nothing")
    probe = turn_server.probe("tls")
    probe.allocate()
    assert per_connection < 16_384
    for wire in wires:
        wire.close()
    assert probe.refresh(600).error is None


@TRANSPORTS
def test_an_allocation_ends_with_its_connection(turn_server: TurnServer, transport: str) -> None:
    turn_server.until_metric("turn_allocations", lambda value: value == 0)  # those of other tests
    probe = turn_server.probe(transport)
    probe.allocate()
    turn_server.until_metric("turn_allocations", lambda value: value == 1)
    probe.close()
    turn_server.until_metric("turn_allocations", lambda value: value == 0)


@TRANSPORTS
def test_a_connection_may_be_reset_anywhere(turn_server: TurnServer, transport: str) -> None:
    for number in range(50):
        probe = turn_server.probe(transport)
        if number % 2:
            probe.allocate()
        probe.send(stun.channel_data(0x4000, bytes(100 * number)))
        probe.wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # type: ignore[attr-defined]
        probe.close()
    assert turn_server.probe(transport).challenge().error == 401


# --------------------------------------------------------------------------------------------------------- TLS


@pytest.mark.parametrize("protocols", [[], ["stun.turn"], ["h2"], ["h2", "stun.turn"], ["acme-tls/1"]], ids=str)
@pytest.mark.parametrize("name", ["localhost", None, "elsewhere.test"])
def test_tls_takes_any_name_and_any_protocol(turn_server: TurnServer, protocols: list[str], name: str | None) -> None:
    """Browsers offer nothing, others "stun.turn" (RFC 7443), proxies whatever they like."""
    context = turn_server.certificates.client_context()
    context.check_hostname = False
    if protocols:
        context.set_alpn_protocols(protocols)
    raw = _raw(turn_server, turn_server.ports.tls).socket
    with context.wrap_socket(raw, server_hostname=name) as connection:
        assert connection.selected_alpn_protocol() == ("stun.turn" if "stun.turn" in protocols else None)
        connection.sendall(BINDING)
        assert stun.parse(connection.recv(2_048)).error is None


def test_tls_proves_who_the_server_is(turn_server: TurnServer) -> None:
    with pytest.raises(ssl.SSLCertVerificationError), _raw(turn_server, turn_server.ports.tls).socket as raw:
        ssl.create_default_context().wrap_socket(raw, server_hostname="localhost")


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_both_versions_of_tls_that_are_safe_are_spoken(turn_server: TurnServer, version: str) -> None:
    context = turn_server.certificates.client_context()
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    with context.wrap_socket(
        _raw(turn_server, turn_server.ports.tls).socket, server_hostname="localhost"
    ) as connection:
        assert connection.version() == version.replace("_", ".")


def test_old_versions_of_tls_are_not(turn_server: TurnServer) -> None:
    context = turn_server.certificates.client_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError), _raw(turn_server, turn_server.ports.tls).socket as raw:
        context.wrap_socket(raw, server_hostname="localhost")


def _raw(turn_server: TurnServer, port: int, source: str | None = None) -> Stream:
    """TCP and nothing on it."""
    connected = socket.create_connection((turn_server.host, port), 5, (source, 0) if source else None)
    return Stream(connected)

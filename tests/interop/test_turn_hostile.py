"""What strangers may send to the TURN ports: each row is one of the hostile inputs that servers were found to handle badly.

Nothing here shows credentials. What authenticated clients may try is in test_turn_requests.py, connections in test_turn_streams.py.
"""

from __future__ import annotations

import json
import secrets
import socket
import struct
import time
from itertools import islice

import pytest

from tests.support import stun, turn
from tests.support.datagrams import damaged
from tests.support.stun import Class, Kind, Method
from tests.support.turn import UDP_RELAY
from tests.support.turn_server import TurnServer

BINDING = stun.build(Method.BINDING)
ALLOCATE = stun.build(Method.ALLOCATE, [UDP_RELAY])
UNKNOWN_REQUIRED = 0x7ABC
UNKNOWN_OPTIONAL = 0xBABC

SILENCE = {
    "H-01 an empty datagram": b"",
    "H-01 one byte": b"\0",
    "H-01 nineteen bytes": BINDING[:19],
    "H-01 a length that is no multiple of four": BINDING[:2] + b"\0\x02" + BINDING[4:] + b"ab",
    "H-01 a length beyond the datagram": BINDING[:2] + b"\0\x08" + BINDING[4:],
    "H-02 something behind the message": BINDING + bytes(4),
    "H-03 an attribute that ends behind the message": BINDING[:2] + b"\0\x04" + BINDING[4:] + b"\x80\x22\0\x40",
    "H-04 a response": stun.build(Method.BINDING, message_class=Class.SUCCESS),
    "H-04 an error": stun.build(Method.ALLOCATE, message_class=Class.ERROR),
    "H-04 an indication of a method that has none": stun.build(Method.ALLOCATE, [UDP_RELAY], Class.INDICATION),
    "H-04 a Data indication": stun.build(Method.DATA, message_class=Class.INDICATION),
    "H-04 an unknown method": stun.build(0x7F, [UDP_RELAY]),
    "H-06 a message of 60,000 bytes": stun.build(Method.BINDING, [(UNKNOWN_OPTIONAL, bytes(60_000))]),
    "H-07 a wrong fingerprint": stun.fingerprinted(BINDING, change=1),
    "H-07 a wrong fingerprint of an Allocate": stun.fingerprinted(ALLOCATE, change=1),
    "H-08 a cookie of RFC 3489": BINDING[:4] + secrets.token_bytes(4) + BINDING[8:],
    "H-11 a bare Allocate": stun.build(Method.ALLOCATE),
    "H-11 a bare Refresh": stun.build(Method.REFRESH),
    "H-11 a bare CreatePermission": stun.build(Method.CREATE_PERMISSION),
    "H-11 a bare ChannelBind": stun.build(Method.CHANNEL_BIND),
    "a Send indication without an allocation": stun.build(Method.SEND, [(Kind.DATA, b"x")], Class.INDICATION),
    "ChannelData without an allocation": stun.channel_data(0x4000, b"x"),
    "ChannelData on a reserved channel": stun.channel_data(0x7FFF, b"x"),
    "ChannelData longer than the datagram": stun.channel_data(0x4000, b"x", length=2),
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a DTLS record": bytes([22, 254, 253]) + bytes(40),
    "RTP": bytes([128, 96]) + bytes(40),
    "a PROXY header": b"\r\n\r\n\0\r\nQUIT\n" + bytes(16),
}


@pytest.mark.parametrize("message", SILENCE.values(), ids=SILENCE.keys())
def test_what_deserves_no_answer_gets_none(turn_server: TurnServer, message: bytes) -> None:
    turn_server.probe().silence_after(message)


def test_every_first_byte_and_every_cut_of_a_request_leaves_the_server_as_it_was(turn_server: TurnServer) -> None:
    probe = turn_server.probe()
    probe.silence_after(*(bytes([first]) + BINDING[1:19] for first in range(256)))
    probe.silence_after(*(ALLOCATE[:length] for length in range(len(ALLOCATE))))


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_h05_a_binding_with_an_unknown_attribute_that_must_be_understood_is_answered_by_420(
    turn_server: TurnServer, transport: str
) -> None:
    answer = turn_server.probe(transport).ask(stun.build(Method.BINDING, [(UNKNOWN_REQUIRED, b"")]))
    assert answer.error == 420
    assert answer.first(Kind.UNKNOWN_ATTRIBUTES) == struct.pack("!H", UNKNOWN_REQUIRED)


@pytest.mark.parametrize(
    "message",
    [
        stun.build(Method.BINDING, [(UNKNOWN_OPTIONAL, b"")] * 300),
        stun.build(Method.BINDING, [(UNKNOWN_REQUIRED, b"")] * 300),
        stun.build(Method.BINDING, [(UNKNOWN_OPTIONAL, bytes(60_000))]),
        stun.build(Method.ALLOCATE, [UDP_RELAY, *[(Kind.USERNAME, b"")] * 700]),
    ],
    ids=["300 optional attributes", "300 required attributes", "60,000 bytes", "700 names"],
)
def test_h06_large_messages_cost_little(turn_server: TurnServer, message: bytes) -> None:
    probe = turn_server.probe()
    before = turn_server.server.footprint().cpu_s
    answers = []
    for _ in range(20):
        for _ in range(50):  # what a socket's buffer holds
            probe.send(message)
        turn_server.probe().silence_after()  # it has read them all
        answers += list(iter(lambda: probe.receive(0.001), None))
    spent = turn_server.server.footprint().cpu_s - before
    print(f"{len(answers)} answers, {spent * 1e6 / 1_000:.0f} us of CPU each")
    assert spent < 1_000 * 300e-6
    assert all(len(answer) <= 256 for answer in answers)


def test_h10_a_bare_binding_is_answered_by_32_bytes(turn_server: TurnServer) -> None:
    probe = turn_server.probe()
    answer = probe.ask(BINDING)
    assert answer.address(Kind.XOR_MAPPED_ADDRESS) == probe.wire.socket.getsockname()  # type: ignore[attr-defined]
    assert len(answer.raw) / len(BINDING) <= 1.6


def test_h11_nothing_without_credentials_is_answered_by_more_than_a_packet_and_the_bare_by_nothing(
    turn_server: TurnServer,
) -> None:
    """A challenge has to carry realm, nonce and algorithms: 5 times the smallest request that gets one. So they are limited."""
    answer = turn_server.probe().ask(ALLOCATE)
    print(f"{len(ALLOCATE)} bytes are answered by {len(answer.raw)}")
    assert len(answer.raw) <= 144
    assert len(answer.raw) / len(ALLOCATE) < 5.2


def test_h12_what_strangers_of_one_network_are_answered_is_limited_and_counted(turn_server: TurnServer) -> None:
    """50 a second for a /24, whatever the ports and addresses in it."""
    limited = turn_server.drops()["limited"]
    probes = [turn_server.probe(source=f"127.201.7.{number}") for number in range(1, 21)]
    started = time.monotonic()
    for probe in probes:
        for _ in range(10):
            probe.send(ALLOCATE)
            probe.send(BINDING)
    spent = time.monotonic() - started
    turn_server.probe().silence_after()  # it has read them all
    answers = [answer for probe in probes for answer in iter(lambda: probe.receive(0.001), None)]
    received = sum(len(answer) for answer in answers)
    sent = 200 * (len(ALLOCATE) + len(BINDING))
    print(f"{len(answers)} answers to 400 requests in {spent:.3f} s: {received} bytes for {sent}")
    assert 40 <= len(answers) <= 55 + 50 * spent
    assert received < sent
    turn_server.until_metric('turn_packets_dropped_total{reason="limited"}', lambda value: value >= limited + 300)
    # Nobody else notices.
    assert turn_server.probe().ask(ALLOCATE).error == 401


def test_h13_strangers_take_no_memory(turn_server: TurnServer) -> None:
    def visit(first: int, last: int) -> None:
        for number in range(first, last):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.bind((f"127.{64 + number // 40_000}.{number % 200}.{number // 200 % 200 + 1}", 0))
                stranger.sendto(ALLOCATE, (turn_server.host, turn_server.ports.udp))
            if number % 50 == 0:
                turn_server.probe().silence_after()  # it has read them all

    visit(0, 500)
    before = turn_server.server.footprint().resident_bytes
    visit(500, 20_500)
    grown = turn_server.server.footprint().resident_bytes - before
    print(f"{grown} bytes for 20,000 strangers")
    assert grown < 20_000 * 16
    metrics = turn_server.metrics()
    assert metrics["turn_allocations"] == 0


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_h14_no_answer_tells_the_software_or_more_than_it_has_to(turn_server: TurnServer, transport: str) -> None:
    probe = turn_server.probe(transport)
    assert {kind for kind, _ in probe.ask(BINDING).attributes} == {Kind.XOR_MAPPED_ADDRESS}
    challenge = probe.ask(ALLOCATE)
    assert {kind for kind, _ in challenge.attributes} == {
        Kind.ERROR_CODE,
        Kind.REALM,
        Kind.NONCE,
        Kind.PASSWORD_ALGORITHMS,
    }
    assert challenge.first(Kind.ERROR_CODE) == bytes([0, 0, 4, 1])


def test_every_drop_is_counted_by_its_reason(turn_server: TurnServer) -> None:
    before = turn_server.drops()
    turn_server.probe().silence_after(*SILENCE.values())
    wanted = {"protocol", "malformed", "fingerprint", "method", "bare", "oversize", "no_allocation"}
    deadline = time.monotonic() + 5
    while not wanted <= {reason for reason, count in turn_server.drops().items() if count > before[reason]}:
        assert time.monotonic() < deadline, turn_server.drops() - before
        time.sleep(0.05)


def test_nothing_that_strangers_send_is_logged(turn_server: TurnServer) -> None:
    probe = turn_server.probe()
    before = len(turn_server.server.log(10_000_000))
    for name in (b"mallory\r\nready http://evil/meet", b"%s%n%s", b"\x1b[31m", b"\0"):
        probe.ask(stun.build(Method.ALLOCATE, [UDP_RELAY, (Kind.USERNAME, name), (Kind.REALM, name)]))
    assert "evil" not in turn_server.server.log(10_000_000)[before:]


def test_metrics_do_not_grow_with_what_strangers_say(turn_server: TurnServer) -> None:
    turn_server.probe().ask(ALLOCATE)
    before = set(turn_server.server.metrics())
    probe = turn_server.probe()
    for _ in range(20):
        probe.ask(stun.build(Method.ALLOCATE, [UDP_RELAY, (Kind.USERNAME, secrets.token_bytes(8))]))
    assert {name for name in turn_server.server.metrics() if name.startswith("turn")} <= before
    assert not json.dumps(sorted(before)).count("127.")


def test_any_noise_leaves_a_client_its_relay(turn_server: TurnServer) -> None:
    client = turn_server.probe()
    client.allocate()
    stranger = turn.datagrams((turn_server.host, turn_server.ports.udp))
    for number, noise in enumerate(islice(damaged(seed=4), 5_000)):
        stranger.send(noise)
        if number % 100 == 0:
            client.silence_after()
    assert client.refresh(600).error is None

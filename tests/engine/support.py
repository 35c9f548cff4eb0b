"""What tests of the engine need besides the engine: patience, STUN checks and plain sockets."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from aioice import stun

from sfu._native import Engine
from sfu.seam import Event, OpenTransport, TransportId

T = TypeVar("T")
PASSWORD = "a-password-of-22-chars"


class StartEngine(Protocol):
    def __call__(
        self,
        shards: int = 1,
        udp_port: int = 0,
        bind: tuple[str, ...] = ("0.0.0.0", "::"),
        seed: int = 1,
        tcp_port: int | None = None,
    ) -> Engine: ...


def wait_for(what: Callable[[], T], within_s: float = 5.0) -> T:
    """Calls `what` until it gives something true."""
    deadline = time.monotonic() + within_s
    while not (value := what()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)
    return value


def next_events(engine: Engine, count: int = 1) -> list[Event]:
    """Drains until there are `count` events; fails if there are more."""
    events: list[Event] = []

    def enough() -> bool:
        events.extend(engine.drain())
        return len(events) >= count

    wait_for(enough)
    assert len(events) == count, events
    return events


def counter(engine: Engine, name: str, shard: int = 0) -> int:
    shards = engine.snapshot().shards
    return shards[shard].counters.get(name, 0)


def open_transport(engine: Engine, number: int = 1, shard: int = 0) -> TransportId:
    """A transport with ufrag `ufrag<number>` and `PASSWORD`."""
    transport = TransportId(number)
    engine.submit([OpenTransport(transport, shard, ufrag(number), PASSWORD)])
    return transport


def ufrag(number: int) -> str:
    return f"ufrag{number}"


def client_socket(host: str = "127.0.0.1") -> socket.socket:
    """A UDP socket of a client on loopback; reading gives up after two seconds."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    client = socket.socket(family, socket.SOCK_DGRAM)
    client.bind((host, 0))
    client.settimeout(2.0)
    return client


def binding_request(username: str, password: str = PASSWORD) -> stun.Message:
    """A connectivity check as a browser sends it (RFC 8445 7.1), without the nomination."""
    request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    request.attributes["USERNAME"] = username
    request.attributes["PRIORITY"] = 1853824767
    request.attributes["ICE-CONTROLLING"] = 0x1234567890ABCDEF
    request.add_message_integrity(password.encode())
    request.add_fingerprint()
    return request


def check(client: socket.socket, host: str, port: int, number: int = 1) -> tuple[stun.Message, tuple[str, int]]:
    """Sends a check for transport `number` and gives the verified response and whom it came from."""
    request = binding_request(f"{ufrag(number)}:client")
    client.sendto(bytes(request), (host, port))
    data, address = client.recvfrom(2048)
    response = stun.parse_message(data)
    assert response.check_message_integrity(PASSWORD.encode())
    assert response.transaction_id == request.transaction_id
    assert response.message_class is stun.Class.RESPONSE
    return response, address[:2]

"""A TURN client for tests: one 5-tuple, nothing that it does by itself but to answer challenges. It can say what no client would."""

from __future__ import annotations

import contextlib
import secrets
import socket
import ssl
import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Protocol

from tests.support import stun
from tests.support.stun import Address, Attribute, Class, Kind, Message, Method

#: On a busy machine; nothing that is expected takes a tenth of it.
PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Account:
    username: str
    password: str


class Wire(Protocol):
    """What carries whole messages."""

    def send(self, message: bytes) -> None: ...
    def receive(self, timeout_s: float) -> bytes | None:
        """The next whole message without padding; None when none comes in time, or no more at all."""
        ...

    def close(self) -> None: ...


class Datagrams:
    """UDP, from a socket that is connected to the server."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = closed_later(connected)

    def send(self, message: bytes) -> None:
        self.socket.send(message)

    def receive(self, timeout_s: float) -> bytes | None:
        self.socket.settimeout(timeout_s)
        with contextlib.suppress(TimeoutError, ConnectionRefusedError):
            return self.socket.recv(65_536)
        return None

    def close(self) -> None:
        self.socket.close()


class Stream:
    """TCP or TLS."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = closed_later(connected)
        self._buffer = b""

    def send(self, message: bytes) -> None:
        self.socket.sendall(stun.padded(message))

    def receive(self, timeout_s: float) -> bytes | None:
        deadline = time.monotonic() + timeout_s
        while (message := self._take()) is None:
            left = deadline - time.monotonic()
            if left <= 0 or not self._fill(left):
                return None
        return message

    def is_closed_within(self, timeout_s: float) -> bool:
        """By the server, whatever it says before."""
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                if not self.socket.recv(65_536):
                    return True
            except TimeoutError:
                return False
            except OSError:
                return True
        return False

    def close(self) -> None:
        self.socket.close()

    def _take(self) -> bytes | None:
        if len(self._buffer) < 4:
            return None
        length = int.from_bytes(self._buffer[2:4], "big") + (4 if self._buffer[0] >= 0x40 else 20)
        whole = length + -length % 4
        if len(self._buffer) < whole:
            return None
        message, self._buffer = self._buffer[:length], self._buffer[whole:]
        return message

    def _fill(self, timeout_s: float) -> bool:
        self.socket.settimeout(timeout_s)
        try:
            data = self.socket.recv(65_536)
        except OSError:
            return False
        self._buffer += data
        return bool(data)


class Probe:
    """A client on its wire. Verbs that are the protocol's, and `send`, `receive` and `silence_after` for anything else."""

    def __init__(self, wire: Wire, account: Account) -> None:
        self.wire = wire
        self.account = account
        self.realm = ""
        self.nonce = b""
        #: SHA-256 for the integrity and the password, as RFC 8489 prefers.
        self.sha256 = False
        self.algorithms: bytes | None = None
        self._held: list[bytes] = []
        self._asked_for_allocation = False
        _open.append(self)

    # ------------------------------------------------------------------------------------------------ anything

    def send(self, message: bytes) -> None:
        self.wire.send(message)

    def receive(self, timeout_s: float = PATIENCE_S) -> bytes | None:
        return self._held.pop(0) if self._held else self.wire.receive(timeout_s)

    def ask(self, message: bytes) -> Message:
        """The answer to a request that is whole, whatever comes before it."""
        self.send(message)
        return self.answer_to(message[8:20])

    def answer_to(self, transaction: bytes, timeout_s: float = PATIENCE_S) -> Message:
        deadline = time.monotonic() + timeout_s
        kept = []
        try:
            while (left := deadline - time.monotonic()) > 0:
                data = self.receive(left)
                if data is None:
                    break
                if data[0] < 4 and data[8:20] == transaction:
                    return stun.parse(data)
                kept.append(data)
        finally:
            self._held = kept + self._held
        raise AssertionError(f"no answer came within {timeout_s} s")

    def silence_after(self, *messages: bytes) -> None:
        """Nothing answers these. (A Binding request behind them is answered, and it is what comes first.)"""
        assert self.answers_to(*messages) == []

    def answers_to(self, *messages: bytes) -> list[bytes]:
        """What comes back before the answer to a Binding request that is sent behind them."""
        for each in messages:
            self.send(each)
        binding = stun.build(Method.BINDING)
        answers: list[bytes] = []
        # Again, as clients do: strangers share slots of the limiter, so another's flood may cost this one's request.
        for patience_s in (1.0, PATIENCE_S) if isinstance(self.wire, Datagrams) else (PATIENCE_S,):
            self.send(binding)
            while (data := self.receive(patience_s)) is not None:
                if data[8:20] == binding[8:20]:
                    return answers
                answers.append(data)
        raise AssertionError(f"the server is silent for good; before that came {answers}")

    # ------------------------------------------------------------------------------------------------ requests

    def request(self, method: int, *attributes: Attribute, **how: object) -> Message:
        """Signed; the challenge before it is answered, a nonce that is too old replaced. `how`: see `write`."""
        if not self.nonce:
            self.challenge()
        answer = self.ask(self.write(method, *attributes, **how))  # type: ignore[arg-type]
        if answer.error == 438:
            self.nonce = answer.first(Kind.NONCE) or b""
            answer = self.ask(self.write(method, *attributes, **how))  # type: ignore[arg-type]
        return answer

    def challenge(self) -> Message:
        answer = self.ask(stun.build(Method.ALLOCATE, [UDP_RELAY]))
        assert answer.error == 401, answer
        self.realm = (answer.first(Kind.REALM) or b"").decode()
        self.nonce = answer.first(Kind.NONCE) or b""
        self.algorithms = answer.first(Kind.PASSWORD_ALGORITHMS)
        return answer

    def write(
        self, method: int, *attributes: Attribute, transaction: bytes | None = None, behind: Iterable[Attribute] = ()
    ) -> bytes:
        """A signed request; `behind` are attributes after the signature."""
        self._asked_for_allocation |= method == Method.ALLOCATE
        attributes = (*attributes, *self.credentials())
        message = stun.build(method, attributes, transaction=transaction)
        return stun.appended(stun.signed(message, self.key, sha256=self.sha256), *behind)

    def credentials(self) -> list[Attribute]:
        named = [(Kind.USERNAME, self.account.username.encode()), (Kind.REALM, self.realm.encode())]
        named.append((Kind.NONCE, self.nonce))
        if self.sha256:
            assert self.algorithms is not None, "the server offers no algorithms"
            named += [(Kind.PASSWORD_ALGORITHMS, self.algorithms), (Kind.PASSWORD_ALGORITHM, SHA256)]
        return [(int(kind), value) for kind, value in named]

    @property
    def key(self) -> bytes:
        return stun.long_term_key(self.account.username, self.realm, self.account.password, sha256=self.sha256)

    # -------------------------------------------------------------------------------------------- life-cycles

    def allocate(self, *attributes: Attribute) -> Address:
        """The relayed address."""
        answer = self.request(Method.ALLOCATE, UDP_RELAY, *attributes)
        assert answer.error is None, answer
        assert answer.is_signed_with(self.key, sha256=self.sha256)
        relayed = answer.address(Kind.XOR_RELAYED_ADDRESS)
        assert relayed is not None
        return relayed

    def permit(self, *peers: Address) -> int | None:
        """The error, if there is one."""
        return self._about(Method.CREATE_PERMISSION, peers)

    def bind(self, channel: int, peer: Address) -> int | None:
        """The error, if there is one."""
        return self._about(Method.CHANNEL_BIND, [peer], (Kind.CHANNEL_NUMBER, struct.pack("!HH", channel, 0)))

    def refresh(self, lifetime_s: int) -> Message:
        return self.request(Method.REFRESH, lifetime(lifetime_s))

    def send_on(self, channel: int, data: bytes) -> None:
        self.send(stun.channel_data(channel, data))

    def send_to(self, peer: Address, data: bytes) -> None:
        transaction = secrets.token_bytes(12)
        attributes: list[Attribute] = [(Kind.XOR_PEER_ADDRESS, stun.xored(peer, transaction)), (Kind.DATA, data)]
        self.send(stun.build(Method.SEND, attributes, Class.INDICATION, transaction))

    def close(self) -> None:
        """Without a word to the server."""
        self.wire.close()

    def leave(self) -> None:
        """Gives back what was allocated, if the server still listens."""
        with contextlib.suppress(OSError, AssertionError):
            if self._asked_for_allocation:
                self.send(self.write(Method.REFRESH, lifetime(0)))
        self.close()

    def _about(self, method: Method, peers: Iterable[Address], *more: Attribute) -> int | None:
        transaction = secrets.token_bytes(12)
        named = [(int(Kind.XOR_PEER_ADDRESS), stun.xored(peer, transaction)) for peer in peers]
        return self.request(method, *more, *named, transaction=transaction).error


def leave_all() -> None:
    """Every client that there is: for the end of a test."""
    while _open:
        _open.pop().leave()
    while _sockets:
        _sockets.pop().close()


def closed_later(opened: socket.socket) -> socket.socket:
    """By `leave_all`."""
    _sockets.append(opened)
    return opened


def lifetime(seconds: int) -> Attribute:
    return (Kind.LIFETIME, struct.pack("!I", seconds))


def transport(protocol: int) -> Attribute:
    return (Kind.REQUESTED_TRANSPORT, bytes([protocol, 0, 0, 0]))


def family(number: int, kind: Kind = Kind.REQUESTED_ADDRESS_FAMILY) -> Attribute:
    """1 is IPv4, 2 is IPv6."""
    return (kind, bytes([number, 0, 0, 0]))


def datagrams(server: Address, source: str | None = None) -> Datagrams:
    """From a loopback address that no other probe has, unless `source` is given: what strangers may ask is limited by network."""
    ipv6 = ":" in server[0]
    connected = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
    if source is not None or not ipv6:
        connected.bind((source or next(_sources), 0))
    connected.connect(server)
    return Datagrams(connected)


def stream(server: Address, tls: ssl.SSLContext | None = None, source: str | None = None) -> Stream:
    """Over TLS when there is a context for it."""
    connected = socket.create_connection(server, PATIENCE_S, (source or next(_sources), 0))
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Stream(connected if tls is None else tls.wrap_socket(connected, server_hostname="localhost"))


def _loopback_addresses() -> Iterator[str]:
    for number in count(1):
        yield f"127.{number // 250 % 250 + 1}.{number % 250}.1"


UDP_RELAY: Attribute = transport(17)
SHA256 = bytes([0, 2, 0, 0])
_sources = _loopback_addresses()
_open: list[Probe] = []
_sockets: list[socket.socket] = []

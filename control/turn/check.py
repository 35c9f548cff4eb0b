"""`beep-media check turn`: what a TURN server does for a client, step by step, with the time that each took.

Plain sockets and a codec of its own: it finds what the server gets wrong, whosever server it is.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from control.errors import ControlError
from control.turn import stun
from control.turn.stun import Address, Attribute, Kind, Message, Method, Request

Transport = Literal["udp", "tcp", "tls"]


@dataclass(frozen=True, slots=True)
class Target:
    """Which server, and how to reach it."""

    host: str
    port: int
    transport: Transport = "udp"
    username: str = ""
    password: str = field(default="", repr=False)
    #: Accept any certificate.
    insecure: bool = False
    patience_s: float = 5.0

    @property
    def url(self) -> str:
        scheme, transport = ("turns", "tcp") if self.transport == "tls" else ("turn", self.transport)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}:{host}:{self.port}?transport={transport}"


@dataclass(frozen=True, slots=True)
class Step:
    """`ms` is None for what was not tried; `detail` is a sentence."""

    name: str
    ok: bool
    ms: float | None
    detail: str = ""


class CheckFailed(ControlError):
    """The text says which step failed, and why."""

    code = "check_failed"


def check(target: Target) -> list[Step]:
    """All steps; the last one is not ok if something is wrong."""
    found: list[Step] = []
    with contextlib.ExitStack() as stack:
        client = _Client(target, stack)
        for name, step in client.steps():
            started = time.monotonic()
            try:
                detail = step()
            except (OSError, CheckFailed) as error:
                found.append(Step(name, False, _ms(started), _reason(error)))
                client.leave()
                break
            found.append(Step(name, True, _ms(started), detail))
    return found


def rest_credentials(secret: str, unix_s: float) -> tuple[str, str]:
    """Username and password of the REST scheme, good for ten minutes."""
    username = f"{int(unix_s) + 600}:check"
    return username, base64.b64encode(hmac.digest(secret.encode(), username.encode(), "sha1")).decode()


def as_json(target: Target, steps: list[Step]) -> dict[str, Any]:
    return {"target": target.url, "ok": all(step.ok for step in steps), "steps": [asdict(step) for step in steps]}


def as_text(target: Target, steps: list[Step]) -> str:
    lines = [f"{'ok  ' if step.ok else 'FAIL'}  {step.name:12} {step.ms:9.1f} ms  {step.detail}" for step in steps]
    return "\n".join([target.url, *(line.rstrip() for line in lines)]) + "\n"


class _Client:
    def __init__(self, target: Target, stack: contextlib.ExitStack) -> None:
        self._target = target
        self._stack = stack
        self._socket: socket.socket
        self._mapped: Address | None = None
        self._relayed: Address = ("", 0)
        self._credentials: list[Attribute] = []
        self._key: bytes | None = None
        self._read = b""
        self._peer: socket.socket | None = None

    def steps(self) -> Iterator[tuple[str, Callable[[], str]]]:
        yield "connect", self._connect
        yield "binding", self._bind
        yield "challenge", self._challenge
        if not self._target.username:
            return
        yield "allocate", self._allocate
        yield "permission", self._permit
        if self._peer is not None:
            yield "round trip", self._round_trip
        yield "end", self._end

    def _connect(self) -> str:
        target = self._target
        kind = socket.SOCK_DGRAM if target.transport == "udp" else socket.SOCK_STREAM
        family, _, _, _, address = socket.getaddrinfo(target.host, target.port, type=kind)[0]
        opened = self._stack.enter_context(socket.socket(family, kind))
        opened.settimeout(target.patience_s)
        opened.connect(address)
        if target.transport == "tls":
            opened = self._stack.enter_context(self._context().wrap_socket(opened, server_hostname=target.host))
        self._socket = opened
        return f"{opened.version()}" if isinstance(opened, ssl.SSLSocket) else ""

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.set_alpn_protocols(["stun.turn"])
        if self._target.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _bind(self) -> str:
        response = self._ask(Method.BINDING)
        self._mapped = response.address(Kind.XOR_MAPPED_ADDRESS)
        if response.error is not None or self._mapped is None:
            raise CheckFailed(f"The answer to Binding is no address but error {response.error}.")
        return f"we are seen as {_text(self._mapped)}"

    def _challenge(self) -> str:
        response = self._ask(Method.ALLOCATE, UDP_RELAY)
        realm, nonce = response.first(Kind.REALM), response.first(Kind.NONCE)
        if response.error != 401 or realm is None or nonce is None:
            raise CheckFailed(
                f"Without credentials the answer is {response.error or 'an allocation'} and not 401 with realm and nonce."
            )
        name, target = realm.decode(errors="replace"), self._target
        self._key = stun.long_term_key(target.username, name, target.password)
        self._credentials = [(Kind.USERNAME, target.username.encode()), (Kind.REALM, realm), (Kind.NONCE, nonce)]
        return f"realm {name!r}" + ("" if target.username else "; give --user and --password, or --secret, for more")

    def _allocate(self) -> str:
        attributes = UDP_RELAY
        if self._mapped is not None and ":" in self._mapped[0]:
            attributes = [*attributes, (Kind.REQUESTED_ADDRESS_FAMILY, bytes([stun.IPV6, 0, 0, 0]))]
        response = self._ask(Method.ALLOCATE, attributes, signed=True)
        if response.error == 440:  # it relays in the other family only
            response = self._ask(Method.ALLOCATE, UDP_RELAY, signed=True)
        relayed = self._granted(response).address(Kind.XOR_RELAYED_ADDRESS)
        if relayed is None:
            raise CheckFailed("The allocation has no relayed address.")
        self._relayed = relayed
        lifetime = int.from_bytes(response.first(Kind.LIFETIME) or b"", "big")
        return f"relayed address {_text(relayed)}, for {lifetime} s"

    def _permit(self) -> str:
        """For a peer of ours beside the client, as the server sees it."""
        family = socket.AF_INET6 if ":" in self._relayed[0] else socket.AF_INET
        host = self._own_host(family)
        if host is None:
            return "not tried: this machine has no address in the family of the relayed one"
        if host in (self._socket.getpeername()[0], self._relayed[0]):
            return (
                "not tried: we are on the server's own machine, where it relays to its media only; ask from elsewhere"
            )
        response = self._ask(Method.CREATE_PERMISSION, [(Kind.XOR_PEER_ADDRESS, (host, 9))], signed=True)
        if response.error == 403:
            return "refused for this machine (403): it relays to the peers that it knows, and to nobody else"
        self._granted(response)
        self._peer = self._stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        self._peer.settimeout(RELAY_PATIENCE_S)
        return f"granted for {host}"

    def _round_trip(self) -> str:
        """The peer speaks first: a NAT between us shows its address."""
        payload = secrets.token_bytes(16)
        peer = self._await_data(payload)
        if peer is None:
            raise CheckFailed(
                f"What is sent to {_text(self._relayed)} does not come through. Are the relayed ports open for UDP?"
            )
        binding: list[Attribute] = [(Kind.CHANNEL_NUMBER, CHANNEL.to_bytes(2, "big") + bytes(2))]
        self._granted(self._ask(Method.CHANNEL_BIND, [*binding, (Kind.XOR_PEER_ADDRESS, peer)], signed=True))
        frame = stun.channel_data(CHANNEL, payload, padded=self._is_stream)
        started = time.monotonic()
        self._socket.sendall(frame)
        assert self._peer is not None  # noqa: S101 (there is a round trip only with one)
        received, source = self._peer.recvfrom(2048)
        if received != payload or (source[0], source[1]) != self._relayed:
            raise CheckFailed(f"The peer got something else, or not from {_text(self._relayed)}.")
        return f"both ways; from client to peer in {_ms(started):.1f} ms"

    def _await_data(self, payload: bytes) -> Address | None:
        """Where the server sees our peer, as the Data indication says."""
        assert self._peer is not None  # noqa: S101 (as above)
        deadline = time.monotonic() + RELAY_PATIENCE_S
        while time.monotonic() < deadline:
            self._peer.sendto(payload, self._relayed)
            until = min(deadline, time.monotonic() + RESEND_S)
            while (message := self._receive(until)) is not None:
                if message.method == Method.DATA and message.first(Kind.DATA) == payload:
                    return message.address(Kind.XOR_PEER_ADDRESS)
        return None

    def _end(self) -> str:
        self._granted(self._ask(Method.REFRESH, [(Kind.LIFETIME, bytes(4))], signed=True))
        return ""

    def leave(self) -> None:
        """Ends the allocation, if there is one, before its time."""
        if self._relayed[0]:
            with contextlib.suppress(OSError, CheckFailed):
                self._end()

    # ------------------------------------------------------------------------------------------------ transactions

    def _granted(self, response: Message) -> Message:
        if response.error is not None:
            raise CheckFailed(REASONS.get(response.error, f"The server answers with error {response.error}."))
        if self._key is None or not response.is_signed_with(self._key):
            raise CheckFailed(
                "The answer is not signed with our password: this is not the server that it claims to be."
            )
        return response

    def _ask(self, method: Method, attributes: Sequence[Attribute] = (), *, signed: bool = False) -> Message:
        """The answer, whatever it is. A nonce that has become stale is replaced once."""
        response = self._ask_once(method, attributes, signed)
        nonce = response.first(Kind.NONCE)
        if response.error != 438 or nonce is None or not signed:
            return response
        self._credentials = [*self._credentials[:2], (Kind.NONCE, nonce)]
        return self._ask_once(method, attributes, signed)

    def _ask_once(self, method: Method, attributes: Sequence[Attribute], signed: bool) -> Message:
        own, key = (self._credentials, self._key) if signed else ([], None)
        return self._transact(stun.request(method, [*attributes, *own], key))

    def _transact(self, request: Request) -> Message:
        deadline = time.monotonic() + self._target.patience_s
        resend_s = self._target.patience_s if self._is_stream else RESEND_S
        while time.monotonic() < deadline:
            self._socket.sendall(request.data)
            until = min(deadline, time.monotonic() + resend_s)
            while (message := self._receive(until)) is not None:
                if message.transaction == request.transaction:
                    return message
            resend_s *= 2
        raise CheckFailed("There is no answer. Is the port open, and is a TURN server there?")

    def _receive(self, until: float) -> Message | None:
        """The next message that is STUN; None when time is up."""
        while (left := until - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                data = self._read_stream() if self._is_stream else self._socket.recv(65536)
            except TimeoutError:
                return None
            if (message := stun.parse(data)) is not None:
                return message
        return None

    def _read_stream(self) -> bytes:
        """One whole message; what came of it stays for the next call when time is up."""
        while len(self._read) < 4 or len(self._read) < stun.message_bytes(self._read):
            more = self._socket.recv(65536)
            if not more:
                raise CheckFailed("The server has closed the connection.")
            self._read += more
        length = stun.message_bytes(self._read)
        message, self._read = self._read[:length], self._read[length:]
        return message

    def _own_host(self, family: int) -> str | None:
        """What the server sees; else, for the other family, what we would send from."""
        if self._mapped is not None and (":" in self._mapped[0]) == (family == socket.AF_INET6):
            return self._mapped[0]
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(self._relayed)
            return str(probe.getsockname()[0])
        return None

    @property
    def _is_stream(self) -> bool:
        return self._target.transport != "udp"


def _reason(error: Exception) -> str:
    if isinstance(error, CheckFailed):
        return str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The certificate is not good for this name: {error.verify_message}. (--insecure takes any.)"
    if isinstance(error, TimeoutError):
        return "There is no answer. Is the port open, and is a TURN server there?"
    return f"{error.strerror or error}." if isinstance(error, OSError) else str(error)


def _ms(started: float) -> float:
    return (time.monotonic() - started) * 1000


def _text(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


UDP_RELAY: list[Attribute] = [(Kind.REQUESTED_TRANSPORT, bytes([17, 0, 0, 0]))]
CHANNEL = 0x4000
#: RFC 8489 section 6.2.1.
RESEND_S = 0.5
RELAY_PATIENCE_S = 3.0
REASONS = {
    401: "The server does not accept these credentials (401).",
    403: "The server forbids it (403).",
    441: "The allocation is somebody else's (441).",
    486: "The user has as many allocations as it may have (486).",
    508: "The server has no capacity left (508), or it drains.",
}

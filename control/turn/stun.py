"""As much of STUN (RFC 8489) and TURN (RFC 8656) as a client needs that checks a server. Independent of the engine's own codec."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Method(IntEnum):
    BINDING = 0x001
    ALLOCATE = 0x003
    REFRESH = 0x004
    CREATE_PERMISSION = 0x008
    #: Of an indication.
    DATA = 0x007
    CHANNEL_BIND = 0x009


class Kind(IntEnum):
    """Of attributes."""

    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    CHANNEL_NUMBER = 0x000C
    LIFETIME = 0x000D
    XOR_PEER_ADDRESS = 0x0012
    DATA = 0x0013
    REALM = 0x0014
    NONCE = 0x0015
    XOR_RELAYED_ADDRESS = 0x0016
    REQUESTED_ADDRESS_FAMILY = 0x0017
    REQUESTED_TRANSPORT = 0x0019
    XOR_MAPPED_ADDRESS = 0x0020
    FINGERPRINT = 0x8028


#: Host and port.
Address = tuple[str, int]
#: An address is written XORed.
Attribute = tuple[int, "bytes | Address"]


@dataclass(frozen=True, slots=True)
class Request:
    """As it goes out; a retransmission is the same bytes."""

    method: Method
    transaction: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """From the server: a success, an error with its code, or an indication."""

    method: int
    transaction: bytes
    error: int | None
    attributes: tuple[tuple[int, bytes], ...]
    data: bytes = b""

    def first(self, kind: Kind) -> bytes | None:
        return next((value for found, value in self.attributes if found == kind), None)

    def address(self, kind: Kind) -> Address | None:
        value = self.first(kind)
        return None if value is None else _unxored(value, self.transaction)

    def is_signed_with(self, key: bytes) -> bool:
        """By MESSAGE-INTEGRITY; what stands behind it is not looked at."""
        at, mac = HEADER_BYTES, self.first(Kind.MESSAGE_INTEGRITY)
        for kind, value in self.attributes:
            if kind == Kind.MESSAGE_INTEGRITY:
                break
            at += 4 + _padded(len(value))
        signed = _with_length(self.data[:at], at - HEADER_BYTES + MAC_BYTES)
        return mac is not None and hmac.compare_digest(hmac.digest(key, signed, "sha1"), mac)


def request(method: Method, attributes: Iterable[Attribute], key: bytes | None = None) -> Request:
    """Signed with `key`, if there is one; always with a fingerprint."""
    transaction = secrets.token_bytes(12)
    values = ((kind, _xored(value, transaction) if isinstance(value, tuple) else value) for kind, value in attributes)
    body = b"".join(_attribute(kind, value) for kind, value in values)
    data = method.to_bytes(2, "big") + len(body).to_bytes(2, "big") + COOKIE + transaction + body
    if key is not None:
        data = _with_length(data, len(data) - HEADER_BYTES + MAC_BYTES)
        data += _attribute(Kind.MESSAGE_INTEGRITY, hmac.digest(key, data, "sha1"))
    data = _with_length(data, len(data) - HEADER_BYTES + 8)
    crc = zlib.crc32(data) ^ FINGERPRINT_XOR
    return Request(method, transaction, data + _attribute(Kind.FINGERPRINT, crc.to_bytes(4, "big")))


def parse(data: bytes) -> Message | None:
    """None for requests and for whatever is no STUN."""
    if len(data) < HEADER_BYTES or data[4:8] != COOKIE or int.from_bytes(data[2:4], "big") != len(data) - HEADER_BYTES:
        return None
    kind = int.from_bytes(data[:2], "big")
    attributes = _attributes(data[HEADER_BYTES:])
    if kind & ~(METHOD_MASK | CLASS_MASK) or not kind & CLASS_MASK or attributes is None:
        return None
    error = None
    if kind & CLASS_MASK == FAILURE:
        code = next((value for found, value in attributes if found == Kind.ERROR_CODE), b"")
        error = code[2] * 100 + code[3] if len(code) >= 4 else 0
    return Message(kind & METHOD_MASK, data[8:HEADER_BYTES], error, attributes, data)


def long_term_key(username: str, realm: str, password: str) -> bytes:
    """By MD5, which every server knows."""
    return hashlib.md5(f"{username}:{realm}:{password}".encode(), usedforsecurity=False).digest()


def channel_data(channel: int, payload: bytes, *, padded: bool) -> bytes:
    """`padded` on connections."""
    frame = channel.to_bytes(2, "big") + len(payload).to_bytes(2, "big") + payload
    return frame + bytes(_padded(len(frame)) - len(frame)) if padded else frame


def message_bytes(head: bytes) -> int:
    """How long the message of a stream is that begins with these four bytes."""
    length = int.from_bytes(head[2:4], "big")
    return 4 + _padded(length) if head[0] & 0xC0 == 0x40 else HEADER_BYTES + length


def _xored(address: Address, transaction: bytes) -> bytes:
    packed = ipaddress.ip_address(address[0]).packed
    mask = (COOKIE + transaction)[: len(packed)]
    family = IPV4 if len(packed) == 4 else IPV6
    port = address[1] ^ int.from_bytes(COOKIE[:2], "big")
    return bytes([0, family]) + port.to_bytes(2, "big") + bytes(a ^ b for a, b in zip(packed, mask, strict=True))


def _unxored(value: bytes, transaction: bytes) -> Address | None:
    if len(value) != {IPV4: 8, IPV6: 20}.get(value[1] if len(value) > 1 else 0):
        return None
    packed = bytes(a ^ b for a, b in zip(value[4:], (COOKIE + transaction)[: len(value) - 4], strict=True))
    return str(ipaddress.ip_address(packed)), int.from_bytes(value[2:4], "big") ^ int.from_bytes(COOKIE[:2], "big")


def _attributes(body: bytes) -> tuple[tuple[int, bytes], ...] | None:
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(body):
        length = int.from_bytes(body[at + 2 : at + 4], "big")
        value = body[at + 4 : at + 4 + length]
        if len(body) < at + 4 or len(value) < length:
            return None
        found.append((int.from_bytes(body[at : at + 2], "big"), value))
        at += 4 + _padded(length)
    return tuple(found)


def _attribute(kind: int, value: bytes) -> bytes:
    return kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + bytes(_padded(len(value)) - len(value))


def _with_length(data: bytes, length: int) -> bytes:
    return data[:2] + length.to_bytes(2, "big") + data[4:]


def _padded(length: int) -> int:
    return length + -length % 4


COOKIE = (0x2112A442).to_bytes(4, "big")
FINGERPRINT_XOR = 0x5354554E
HEADER_BYTES = 20
#: MESSAGE-INTEGRITY with its head.
MAC_BYTES = 24
IPV4, IPV6 = 1, 2
#: The class is in two bits of the type (RFC 8489 section 5).
CLASS_MASK, FAILURE = 0x0110, 0x0110
METHOD_MASK = 0x3EEF

"""STUN and TURN messages, byte by byte, so that tests can write wrong ones too (RFC 8489, RFC 8656). Code of its own: what it
reads was written by somebody else."""

from __future__ import annotations

import binascii
import hashlib
import hmac
import ipaddress
import secrets
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

#: Type and value.
Attribute: TypeAlias = tuple[int, bytes]
#: Host and port.
Address: TypeAlias = tuple[str, int]


class Method(IntEnum):
    BINDING = 1
    ALLOCATE = 3
    REFRESH = 4
    SEND = 6
    DATA = 7
    CREATE_PERMISSION = 8
    CHANNEL_BIND = 9


class Class(IntEnum):
    """The two bits as they stand in the message type."""

    REQUEST = 0x000
    INDICATION = 0x010
    SUCCESS = 0x100
    ERROR = 0x110


class Kind(IntEnum):
    """Attribute types."""

    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    UNKNOWN_ATTRIBUTES = 0x000A
    CHANNEL_NUMBER = 0x000C
    LIFETIME = 0x000D
    XOR_PEER_ADDRESS = 0x0012
    DATA = 0x0013
    REALM = 0x0014
    NONCE = 0x0015
    XOR_RELAYED_ADDRESS = 0x0016
    REQUESTED_ADDRESS_FAMILY = 0x0017
    EVEN_PORT = 0x0018
    REQUESTED_TRANSPORT = 0x0019
    DONT_FRAGMENT = 0x001A
    MESSAGE_INTEGRITY_SHA256 = 0x001C
    PASSWORD_ALGORITHM = 0x001D
    USERHASH = 0x001E
    XOR_MAPPED_ADDRESS = 0x0020
    RESERVATION_TOKEN = 0x0022
    ADDITIONAL_ADDRESS_FAMILY = 0x8000
    ADDRESS_ERROR_CODE = 0x8001
    PASSWORD_ALGORITHMS = 0x8002
    SOFTWARE = 0x8022
    FINGERPRINT = 0x8028


@dataclass(frozen=True, slots=True)
class Message:
    """As it was read; `raw` is all of it."""

    method: int
    message_class: Class
    transaction: bytes
    attributes: tuple[Attribute, ...]
    raw: bytes

    def first(self, kind: int) -> bytes | None:
        return next((value for each, value in self.attributes if each == kind), None)

    def address(self, kind: int) -> Address | None:
        value = self.first(kind)
        return None if value is None else _address(value, self.transaction)

    def addresses(self, kind: int) -> list[Address]:
        return [_address(value, self.transaction) for each, value in self.attributes if each == kind]

    def number(self, kind: int) -> int | None:
        value = self.first(kind)
        return None if value is None else int.from_bytes(value, "big")

    @property
    def error(self) -> int | None:
        """None: this is no error response."""
        value = self.first(Kind.ERROR_CODE)
        return None if value is None or self.message_class is not Class.ERROR else value[2] * 100 + value[3]

    def is_signed_with(self, key: bytes, *, sha256: bool = False) -> bool:
        """Whether its integrity attribute is there and right."""
        kind, digest = _INTEGRITY[sha256]
        at = 20
        for each, value in self.attributes:
            if each == kind:
                header = self.raw[:2] + struct.pack("!H", at - 20 + 4 + len(value)) + self.raw[4:20]
                return hmac.compare_digest(hmac.digest(key, header + self.raw[20:at], digest), value)
            at += 4 + len(value) + -len(value) % 4
        return False


def parse(data: bytes) -> Message:
    """Raises ValueError for what is no whole message."""
    if len(data) < 20 or len(data) != 20 + int.from_bytes(data[2:4], "big") or data[4:8] != COOKIE:
        raise ValueError("no STUN message")
    kind = int.from_bytes(data[:2], "big")
    attributes = []
    at = 20
    while at < len(data):
        each, length = struct.unpack_from("!HH", data, at)
        if at + 4 + length > len(data):
            raise ValueError("an attribute ends behind the message")
        attributes.append((each, data[at + 4 : at + 4 + length]))
        at += 4 + length + -length % 4
    method = kind & 0x000F | (kind & 0x00E0) >> 1 | (kind & 0x3E00) >> 2
    return Message(method, Class(kind & 0x0110), data[8:20], tuple(attributes), data)


def build(
    method: int,
    attributes: Iterable[Attribute] = (),
    message_class: Class = Class.REQUEST,
    transaction: bytes | None = None,
) -> bytes:
    """A whole message without signature."""
    kind = method & 0x000F | (method & 0x0070) << 1 | (method & 0x0F80) << 2 | message_class
    body = b"".join(attribute(*each) for each in attributes)
    return struct.pack("!HH", kind, len(body)) + COOKIE + (transaction or secrets.token_bytes(12)) + body


def attribute(kind: int, value: bytes = b"") -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def appended(message: bytes, *attributes: Attribute) -> bytes:
    """With more attributes at its end, whatever stands there."""
    body = message[20:] + b"".join(attribute(*each) for each in attributes)
    return message[:2] + struct.pack("!H", len(body)) + message[4:20] + body


def signed(message: bytes, key: bytes, *, sha256: bool = False, length: int | None = None) -> bytes:
    """With MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256 behind what is there, cut to `length` bytes."""
    kind, digest = _INTEGRITY[sha256]
    size = length if length is not None else hashlib.new(digest).digest_size
    header = message[:2] + struct.pack("!H", len(message) - 20 + 4 + size) + message[4:20]
    return appended(message, (kind, hmac.digest(key, header + message[20:], digest)[:size]))


def fingerprinted(message: bytes, change: int = 0) -> bytes:
    """With FINGERPRINT; `change` makes it wrong."""
    header = message[:2] + struct.pack("!H", len(message) - 20 + 8) + message[4:20]
    checksum = binascii.crc32(header + message[20:]) ^ 0x5354554E ^ change
    return appended(message, (Kind.FINGERPRINT, struct.pack("!I", checksum)))


def long_term_key(username: str, realm: str, password: str, *, sha256: bool = False) -> bytes:
    text = f"{username}:{realm}:{password}".encode()
    return hashlib.sha256(text).digest() if sha256 else hashlib.md5(text, usedforsecurity=False).digest()


def xored(address: Address, transaction: bytes = b"") -> bytes:
    """The value of XOR-PEER-ADDRESS and its like. For IPv6 the transaction has to be known."""
    host = ipaddress.ip_address(address[0])
    mask = COOKIE if host.version == 4 else COOKIE + transaction
    assert len(mask) == len(host.packed), "an IPv6 address is masked with the transaction id"
    packed = bytes(a ^ b for a, b in zip(host.packed, mask, strict=True))
    return struct.pack("!BBH", 0, 1 if host.version == 4 else 2, address[1] ^ 0x2112) + packed


def channel_data(channel: int, data: bytes, length: int | None = None) -> bytes:
    """Without padding; `length` is what it claims to carry."""
    return struct.pack("!HH", channel, len(data) if length is None else length) + data


def padded(message: bytes) -> bytes:
    """As streams want it."""
    return message + bytes(-len(message) % 4)


def _address(value: bytes, transaction: bytes) -> Address:
    _, family, port = struct.unpack_from("!BBH", value)
    mask = COOKIE if family == 1 else COOKIE + transaction
    host = ipaddress.ip_address(bytes(a ^ b for a, b in zip(value[4:], mask, strict=True)))
    return str(host), port ^ 0x2112


COOKIE = b"\x21\x12\xa4\x42"
_INTEGRITY = {False: (Kind.MESSAGE_INTEGRITY, "sha1"), True: (Kind.MESSAGE_INTEGRITY_SHA256, "sha256")}

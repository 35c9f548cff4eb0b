"""Which addresses clients are told to send media to. Reads the machine's interfaces; looks nothing up."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import ifaddr

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Advertised:
    """Where clients are told to send media to: an address, and the UDP port of shard 0 if it is not the socket's own."""

    host: str
    port: int | None = None

    @classmethod
    def parse(cls, value: object) -> Advertised:
        """`203.0.113.7`, `203.0.113.7:40000`, `2001:db8::7` or `[2001:db8::7]:40000`. Raises `ValueError` with a sentence."""
        if isinstance(value, Advertised):
            return value
        text, port = str(value), None
        host = text
        if text.startswith("[") or text.count(":") == 1:
            host, _, digits = text.rpartition(":")
            host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
            port = _port(digits)
            if port is None:
                raise ValueError(f"'{text}' has no port from 1 to 65535 after the last colon")
        try:
            return cls(str(ipaddress.ip_address(host)), port)
        except ValueError:
            raise ValueError(f"'{text}' is not an IP address; host names are not looked up here") from None

    @property
    def version(self) -> int:
        """4 or 6."""
        return ipaddress.ip_address(self.host).version

    def port_of(self, shard: int, own: int) -> int:
        """The port for media of a shard whose socket has port `own`."""
        return own if self.port is None else self.port + shard

    def __str__(self) -> str:
        if self.port is None:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def local_addresses() -> list[Address]:
    """Every address of this machine that can be written into a candidate, IPv4 first; no link-local IPv6 (it needs a scope)."""
    found: set[Address] = set()
    for adapter in ifaddr.get_adapters():
        for entry in adapter.ips:
            text = entry.ip if isinstance(entry.ip, str) else entry.ip[0]
            address = ipaddress.ip_address(text)
            if not address.is_link_local:
                found.add(address)
    return sorted(found, key=_order)


def advertised(
    configured: Sequence[Advertised], bound: Iterable[str], local: Iterable[Address], *, loopback: bool
) -> list[Advertised]:
    """What to write into candidates, best first.

    `configured` wins when it is not empty (behind NAT it is the only truth). Else: the local addresses that the sockets
    bound to `bound` can be reached at, with loopback only when asked (`--dev`: the other side is on this machine, too).
    """
    if configured:
        return list(dict.fromkeys(configured))
    binds = [ipaddress.ip_address(address) for address in bound]
    usable = [address for address in local if any(_covers(bind, address) for bind in binds)]
    return [Advertised(str(address)) for address in usable if loopback or not address.is_loopback]


def preferred(local: Sequence[Address]) -> list[Address]:
    """Of each family the address that this machine reaches others from, the first of `local` where there is no route.

    Loopback only where there is nothing else.
    """
    outside = [address for address in local if not address.is_loopback] or local
    found = []
    for version, anywhere in ((4, "192.0.2.1"), (6, "2001:db8::1")):
        own = [address for address in outside if address.version == version]
        routed = _source_towards(anywhere)
        found += [routed] if routed in own else own[:1]
    return found


def bindable(addresses: Iterable[str]) -> tuple[str, ...]:
    """`addresses` without the unspecified ones of a family that this machine does not have (a kernel without IPv6)."""
    return tuple(address for address in addresses if not _is_wildcard(address) or _family_works(address))


def _port(digits: str) -> int | None:
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 5):
        return None
    return int(digits) if 0 < int(digits) <= 65535 else None


def _covers(bind: Address, address: Address) -> bool:
    return bind.version == address.version and (bind.is_unspecified or bind == address)


def _order(address: Address) -> tuple[bool, int, Address]:
    # Loopback last: a client elsewhere would lose time on it.
    return (address.is_loopback, address.version, address)


def _is_wildcard(address: str) -> bool:
    return ipaddress.ip_address(address).is_unspecified


def _source_towards(host: str) -> Address | None:
    """Asks the routing table; nothing is sent."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 9))
            return ipaddress.ip_address(probe.getsockname()[0])
    except OSError:
        return None


def _family_works(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError as error:
        return error.errno not in {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}
    return True

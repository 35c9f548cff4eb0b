"""Which addresses clients are told to send media to. Reads the machine's interfaces; looks nothing up."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterable, Sequence

import ifaddr

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


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
    configured: Sequence[str], bound: Iterable[str], local: Iterable[Address], *, loopback: bool
) -> list[str]:
    """What to write into candidates, best first.

    `configured` wins when it is not empty (behind NAT it is the only truth). Else: the local addresses that the sockets
    bound to `bound` can be reached at, with loopback only when asked (`--dev`: the other side is on this machine, too).
    """
    if configured:
        return list(dict.fromkeys(configured))
    binds = [ipaddress.ip_address(address) for address in bound]
    usable = [address for address in local if any(_covers(bind, address) for bind in binds)]
    return [str(address) for address in usable if loopback or not address.is_loopback]


def bindable(addresses: Iterable[str]) -> tuple[str, ...]:
    """`addresses` without the unspecified ones of a family that this machine does not have (a kernel without IPv6)."""
    return tuple(address for address in addresses if not _is_wildcard(address) or _family_works(address))


def _covers(bind: Address, address: Address) -> bool:
    return bind.version == address.version and (bind.is_unspecified or bind == address)


def _order(address: Address) -> tuple[bool, int, Address]:
    # Loopback last: a client elsewhere would lose time on it.
    return (address.is_loopback, address.version, address)


def _is_wildcard(address: str) -> bool:
    return ipaddress.ip_address(address).is_unspecified


def _family_works(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError as error:
        return error.errno not in {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}
    return True

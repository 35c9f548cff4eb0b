"""What an Allocate request asks for, in the order in which RFC 8656 section 7.2 judges it, and the addresses it gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from turn.errors import ErrorCode, Refused
from turn.ports import PortPool
from turn.seam import Address, Family, TurnRequest


@dataclass(frozen=True, slots=True)
class Wish:
    """The relayed addresses that a client wants."""

    families: tuple[Family, ...]
    #: None: any port; else even, and whether the next one shall be held.
    even_port: bool | None
    token: bytes | None


@dataclass(frozen=True, slots=True)
class Grant:
    """The relayed addresses that it gets."""

    relayed: tuple[Address, ...]
    token: bytes | None = None
    #: Of two families one could not be had.
    address_error: tuple[Family, int] | None = None


def read_wish(request: TurnRequest, pool: PortPool) -> Wish:
    """Raises Refused: 400, 440 or 442."""
    if request.requested_transport is None:
        raise Refused(ErrorCode.BAD_REQUEST)
    if request.requested_transport != UDP:
        raise Refused(ErrorCode.UNSUPPORTED_TRANSPORT)
    requested, additional = request.requested_family, request.additional_family
    if request.reservation_token is not None and (request.even_port, requested, additional) != (None, None, None):
        raise Refused(ErrorCode.BAD_REQUEST)
    if additional is not None:
        # IPv4 is always there, so only IPv6 can be additional; two families and a pair of ports do not go together.
        if requested is not None or FAMILIES.get(additional) != 6 or request.even_port:
            raise Refused(ErrorCode.BAD_REQUEST)
        return Wish((4, 6), request.even_port, None)
    family = pool.default_family if requested is None else FAMILIES.get(requested)
    if family is None:
        raise Refused(ErrorCode.ADDRESS_FAMILY_NOT_SUPPORTED)
    return Wish((family,), request.even_port, request.reservation_token)


def grant(wish: Wish, pool: PortPool, owner: str, token_bytes: Callable[[int], bytes], now: float) -> Grant:
    """Takes from the pool. Raises Refused (440 or 508), with nothing taken."""
    if wish.token is not None:
        claimed = pool.claim(wish.token, owner, now)
        if claimed is None:
            raise Refused(ErrorCode.INSUFFICIENT_CAPACITY)
        return Grant((claimed,))
    token = token_bytes(TOKEN_BYTES) if wish.even_port else None
    relayed: list[Address] = []
    errors: list[tuple[Family, ErrorCode]] = []
    for family in wish.families:
        address = _take(wish, pool, family, token, owner, now)
        if address is not None:
            relayed.append(address)
        elif pool.supports(family):
            errors.append((family, ErrorCode.INSUFFICIENT_CAPACITY))
        else:
            errors.append((family, ErrorCode.ADDRESS_FAMILY_NOT_SUPPORTED))
    if not relayed:
        # Of two reasons the one that may pass.
        raise Refused(max(code for _, code in errors))
    return Grant(tuple(relayed), token, errors[0] if errors else None)


def _take(wish: Wish, pool: PortPool, family: Family, token: bytes | None, owner: str, now: float) -> Address | None:
    if token is not None:
        return pool.take_pair(family, token, owner, now)
    if wish.even_port is not None:
        return pool.take_even(family, now)
    return pool.take(family, now)


UDP = 17
#: On the wire -> here.
FAMILIES: dict[int, Family] = {1: 4, 2: 6}
TOKEN_BYTES = 8

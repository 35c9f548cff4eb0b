"""The iceServers of joined clients: URLs of the listeners that are open, as clients reach them (RFC 7065)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from control.turn.settings import ANY
from turn.ports import family_of
from turn.seam import Listen, RelayHost


def urls(listening: Iterable[Listen], relay_hosts: Sequence[RelayHost], domain: str | None) -> list[str]:
    """UDP first, TLS last, IPv4 before IPv6: clients try them all, and the cheapest way that works wins."""
    ordered = sorted(listening, key=lambda listen: (_ORDER.index(listen.transport), family_of(listen.host)))
    return list(
        dict.fromkeys(_url(listen, host) for listen in ordered if (host := domain or _host(listen, relay_hosts)))
    )


def _host(listen: Listen, relay_hosts: Sequence[RelayHost]) -> str | None:
    """As it is seen from outside; None for a wildcard of a family in which we know no address of ours."""
    if listen.host not in ANY.values():
        return next((host.advertised for host in relay_hosts if host.bind == listen.host), listen.host)
    family = family_of(listen.host)
    return next((host.advertised for host in relay_hosts if family_of(host.advertised) == family), None)


def _url(listen: Listen, host: str) -> str:
    scheme, transport = ("turns", "tcp") if listen.transport == "tls" else ("turn", listen.transport)
    bracketed = f"[{host}]" if ":" in host else host
    return f"{scheme}:{bracketed}:{listen.port}?transport={transport}"


_ORDER = ("udp", "tcp", "tls")

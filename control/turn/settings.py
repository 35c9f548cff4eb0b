"""From the section `turn` and what the machine is like to what TURN runs with."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from control import addresses, tls
from control.errors import ConfigError
from control.tls import Pem
from control.turn.config import TurnConfig, TurnListen
from turn.ports import family_of
from turn.quotas import QuotaLimits
from turn.seam import Address, AllocationLimits, ConfigureTurn, Listen, MediaAddress, RelayHost
from turn.server import Settings


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What TURN has to know beside its own section; the same as long as the process runs."""

    local: Sequence[addresses.Address]
    #: `rtc.advertise`, not what is made up without it.
    advertise: Sequence[addresses.Advertised] = ()
    #: Every address that clients are told to send media to.
    media: tuple[MediaAddress, ...] = ()
    #: For TLS where no certificate is configured (`--dev`).
    self_signed: Pem | None = None


def build(config: TurnConfig, around: Surroundings) -> Settings:
    """Raises `ConfigError` when the certificate cannot be used."""
    pem = _certificate(config, around)
    listen = _listeners(config, tls_works=pem is not None)
    relay_hosts = _relay_hosts(config, around)
    quotas = config.quotas
    return Settings(
        relay=ConfigureTurn(
            listen=listen,
            realm=config.realm,
            relay_hosts=relay_hosts,
            relay_ports=(config.relay_ports.first, config.relay_ports.last),
            media=around.media,
            certificate=pem.certificate if pem else None,
            key=pem.key if pem else None,
            allow_peers=config.allow_peers,
            deny_peers=tuple(_own_sockets(listen, relay_hosts, around.local)),
            unauthenticated_per_s=config.unauthenticated_per_s,
            connections_per_address=config.connections_per_address,
            coalesce_us=config.coalesce_us,
        ),
        limits=AllocationLimits(quotas.packets_per_s, quotas.bytes_per_s, quotas.new_peers_per_s),
        users={name: password.get_secret_value() for name, password in config.users.items()},
        secrets=tuple(secret.get_secret_value() for secret in config.secrets),
        quotas=QuotaLimits(quotas.allocations_per_user, quotas.allocations_total, quotas.permissions, quotas.channels),
    )


def _certificate(config: TurnConfig, around: Surroundings) -> Pem | None:
    if config.tls is None:
        return around.self_signed
    return tls.read_files(config.tls.certificate, config.tls.key, "turn.tls")


def _listeners(config: TurnConfig, *, tls_works: bool) -> tuple[Listen, ...]:
    """Without wildcards of a family that the machine lacks and, of the default, without TLS when there is no certificate."""
    wanted = [each for each in config.listen if tls_works or each.transport != "tls"]
    if len(wanted) < len(config.listen) and config.listen != TurnConfig().listen:
        raise ConfigError(
            "turn.listen: a tls:// listener needs a certificate. Set turn.tls.certificate and turn.tls.key."
        )
    return tuple(_listen(each) for each in wanted if addresses.bindable([each.host]))


def _listen(listen: TurnListen) -> Listen:
    return Listen(listen.host, listen.port, listen.transport)


def _relay_hosts(config: TurnConfig, around: Surroundings) -> tuple[RelayHost, ...]:
    if config.relay_hosts:
        return tuple(RelayHost(host.bind, host.advertised) for host in config.relay_hosts)
    if around.advertise:
        return tuple(
            _relay_host(host, around.local) for host in _one_per_family(each.host for each in around.advertise)
        )
    return tuple(RelayHost(str(host), str(host)) for host in addresses.preferred(around.local))


def _relay_host(advertised: str, local: Sequence[addresses.Address]) -> RelayHost:
    """An address that is not the machine's own is in front of a NAT: whatever arrives is meant."""
    own = ipaddress.ip_address(advertised) in local
    return RelayHost(advertised if own else ANY[family_of(advertised)], advertised)


def _one_per_family(hosts: Iterable[str]) -> list[str]:
    """Two of a family that are bound to all addresses would want the same ports."""
    first: dict[int, str] = {}
    for host in hosts:
        first.setdefault(family_of(host), host)
    return list(first.values())


def _own_sockets(
    listen: Iterable[Listen], relay_hosts: Iterable[RelayHost], local: Sequence[addresses.Address]
) -> Iterable[Address]:
    """TURN's own UDP sockets, under every address that a peer could be given as."""
    for each in listen:
        if each.transport == "udp" and each.port:
            own = {each.host} if each.host not in ANY.values() else {str(host) for host in local}
            outside = {host.advertised for host in relay_hosts if host.bind == each.host or host.bind in own}
            hosts = [host for host in sorted(own | outside) if family_of(host) == family_of(each.host)]
            yield from (Address(host, each.port) for host in hosts)


ANY = {4: "0.0.0.0", 6: "::"}  # noqa: S104 (bound on purpose)

"""The section `turn` of the configuration; all of it can be replaced while the node runs."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Annotated, Literal, cast

from pydantic import (
    AliasChoices,
    Field,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    field_validator,
    model_validator,
)

from control.section import Listen, Section


@dataclass(frozen=True, slots=True)
class TurnListen:
    """A TURN listener, as `udp://host:port`, `tcp://host:port` or `tls://host:port`. Port 0 lets the kernel choose."""

    transport: Literal["udp", "tcp", "tls"]
    host: str
    port: int

    @classmethod
    def parse(cls, value: object) -> TurnListen:
        """The slashes may be left out. Raises `ValueError` with a sentence."""
        if isinstance(value, TurnListen):
            return value
        scheme, _, rest = str(value).partition(":")
        if scheme not in {"udp", "tcp", "tls"}:
            raise ValueError("write it as udp://host:port, tcp://host:port or tls://host:port")
        address = Listen.parse(rest.removeprefix("//"))
        try:
            host = str(ipaddress.ip_address(address.host))
        except ValueError:
            raise ValueError(f"'{address.host}' is not an IP address; host names are not looked up here") from None
        return cls(cast("Literal['udp', 'tcp', 'tls']", scheme), host, address.port)

    def __str__(self) -> str:
        return f"{self.transport}://{Listen(self.host, self.port)}"


@dataclass(frozen=True, slots=True)
class PortRange:
    """`first-last`, both of them included."""

    first: int
    last: int

    @classmethod
    def parse(cls, value: object) -> PortRange:
        """A list of the two will do as well. Raises `ValueError` with a sentence."""
        if isinstance(value, PortRange):
            return value
        ends = [str(end) for end in value] if isinstance(value, list | tuple) else str(value).split("-")
        numbers = [int(end) for end in ends if end.strip().isdecimal() and len(end) <= 5]
        if len(ends) != 2 or len(numbers) != 2 or not 1024 <= numbers[0] <= numbers[1] <= 65535:
            raise ValueError("write it as first-last, within 1024-65535, for example 49152-65535")
        return cls(*numbers)

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class RelayHost:
    """An address to relay from: the one that peers see and, behind a NAT, the machine's own that it stands for."""

    advertised: str
    bind: str

    @classmethod
    def parse(cls, value: object) -> RelayHost:
        """`203.0.113.7` or `203.0.113.7/10.0.0.5`. Raises `ValueError` with a sentence."""
        if isinstance(value, RelayHost):
            return value
        advertised, slash, bind = str(value).partition("/")
        hosts = []
        for text in (advertised, bind if slash else advertised):
            try:
                hosts.append(ipaddress.ip_address(text))
            except ValueError:
                raise ValueError(f"'{text}' is not an IP address; write advertised, or advertised/own") from None
        if hosts[0].version != hosts[1].version:
            raise ValueError("both addresses must be of one family")
        if hosts[0].is_unspecified:
            raise ValueError("peers cannot send to an unspecified address; name one, or leave relay_hosts empty")
        return cls(str(hosts[0]), str(hosts[1]))

    def __str__(self) -> str:
        return self.advertised if self.bind == self.advertised else f"{self.advertised}/{self.bind}"


def _network(value: object) -> str:
    """A CIDR, or an address alone, in its canonical form."""
    try:
        return str(ipaddress.ip_network(str(value), strict=False))
    except ValueError:
        raise ValueError(f"'{value}' is not a network; write it as 10.1.0.0/16 or 2001:db8::/32") from None


TurnListenField = Annotated[TurnListen, PlainValidator(TurnListen.parse), PlainSerializer(str)]
PortRangeField = Annotated[PortRange, PlainValidator(PortRange.parse), PlainSerializer(str)]
RelayHostField = Annotated[RelayHost, PlainValidator(RelayHost.parse), PlainSerializer(str)]
NetworkField = Annotated[str, PlainValidator(_network)]


def _default_listen() -> tuple[TurnListen, ...]:
    return tuple(
        TurnListen(transport, host, port)
        for transport, port in _PORTS
        for host in ("0.0.0.0", "::")  # noqa: S104 (a server's purpose)
    )


class TurnQuotaConfig(Section):
    """How much TURN does for whom. Answered with 486 or 508; what is over a rate is dropped and counted."""

    allocations_per_user: int = Field(
        default=64, ge=1, description="Of one configured user or one name of the REST scheme. Joins have 64 each."
    )
    allocations_total: int = Field(
        default=10_000, ge=1, description="Of all together. Each costs 4 KiB and, with peers outside, a descriptor."
    )
    permissions: int = Field(default=256, ge=1, le=4096, description="Peer addresses of one allocation.")
    channels: int = Field(default=256, ge=1, le=4096, description="Channels of one allocation.")
    new_peers_per_s: int = Field(
        default=20, ge=1, le=100_000, description="Peer addresses that one allocation may begin to send to, per second."
    )
    packets_per_s: int = Field(
        default=50_000, ge=1, le=100_000_000, description="Relayed packets of one allocation, both ways together."
    )
    bytes_per_s: int = Field(
        default=50_000_000, ge=1, le=100_000_000_000, description="Their bytes; 50,000,000 are 400 Mbit/s."
    )


class TurnTlsConfig(Section):
    """PEM files, read at start and at SIGHUP."""

    certificate: str = Field(
        validation_alias=AliasChoices("certificate", "cert"),
        description="Path of the certificate chain. `cert` will do as well.",
    )
    key: str = Field(description="Path of the private key.")


class TurnConfig(Section):
    """STUN and TURN, for clients that reach us no other way (docs/turn.md). All of it is read again at SIGHUP."""

    listen: tuple[TurnListenField, ...] = Field(
        default_factory=_default_listen,
        description="Where clients come, as udp://host:port, tcp:// or tls://; any port. Empty: no TURN. The default leaves out "
        "an address family that the machine lacks and, without `tls` below, the TLS listeners.",
    )
    domain: str | None = Field(
        default=None,
        max_length=253,
        pattern=r"^[A-Za-z0-9.-]+$",
        description="Host name that joined clients are told for TURN, the one in the certificate. null: the addresses.",
    )
    tls: TurnTlsConfig | None = Field(
        default=None, description="Certificate of the TLS listeners. With --dev one is made that nobody trusts."
    )
    relay_hosts: tuple[RelayHostField, ...] = Field(
        default=(),
        description="Addresses to relay from. Behind a NAT 203.0.113.7/10.0.0.5: what peers see, and our own that it stands for. "
        "Empty: `rtc.advertise`, else the machine's own, one per family.",
    )
    relay_ports: PortRangeField = Field(
        default=PortRange(49152, 65535),
        description="Ports to relay from, first-last. Only peers outside need them opened; our own media needs none.",
    )
    realm: str = Field(default="beep-media", min_length=1, max_length=127, description="Of the credentials.")
    users: dict[str, SecretStr] = Field(
        default_factory=dict, description="User -> password, for other applications. Joined clients need none."
    )
    secrets: tuple[SecretStr, ...] = Field(
        default=(),
        max_length=2,
        description="Shared secrets of services that make time-limited credentials (the REST scheme): the one in use, then the one before.",
    )
    allow_peers: tuple[NetworkField, ...] = Field(
        default=(),
        description="Networks that may be relayed to beside our own media: 198.51.100.0/24. Never: loopback, link-local, multicast.",
    )
    quotas: TurnQuotaConfig = Field(default_factory=TurnQuotaConfig)
    unauthenticated_per_s: int = Field(
        default=50,
        ge=1,
        le=1_000_000,
        description="Requests without credentials that are answered per second and network (IPv4 /24, IPv6 /56).",
    )
    connections_per_address: int = Field(
        default=64, ge=1, le=65536, description="TCP and TLS connections of one IPv4 address or IPv6 /64."
    )
    coalesce_us: int = Field(
        default=1000,
        ge=0,
        le=20_000,
        description="Microseconds that packets may wait for others when there are many: less CPU, more delay. 0: never.",
    )

    @field_validator("secrets")
    @classmethod
    def _said(cls, secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not all(secret.get_secret_value() for secret in secrets):
            raise ValueError("one is empty")
        return secrets

    @model_validator(mode="after")
    def _once(self) -> TurnConfig:
        if len(set(self.listen)) != len(self.listen):
            raise ValueError("listen: one is there twice")
        for name, password in self.users.items():
            if not name or not password.get_secret_value():
                raise ValueError("users: a name or a password is empty")
            if ":" in name:
                raise ValueError(f"users.{name}: a name cannot have a colon; those are of the REST scheme")
        return self


#: RFC 8656 section 17.
_PORTS: tuple[tuple[Literal["udp", "tcp", "tls"], int], ...] = (("udp", 3478), ("tcp", 3478), ("tls", 5349))

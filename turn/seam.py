"""The seam between Python's TURN decisions and the engine's relay: commands downwards, events upwards, plain data.

The engine answers Binding and the unauthenticated 401/438 itself, keeps nonces, and moves every relayed packet. Python gets
requests that carry a valid nonce, checks credentials, and owns the life-cycles of allocations, permissions and channels.
Ids are minted by Python and never reused within a process, but for `RequestId` and `ClientId`, which are the engine's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, NewType, Protocol

AllocationId = NewType("AllocationId", int)
RequestId = NewType("RequestId", int)
#: One 5-tuple of a client: a UDP address pair, or a TCP or TLS connection. A 5-tuple keeps its id while a request of it waits
#: or it has an allocation, and no other 5-tuple ever gets it.
ClientId = NewType("ClientId", int)
ClientTransport = Literal["udp", "tcp", "tls"]
#: Of the password, RFC 8489 section 14.13: how the long-term key is derived.
PasswordAlgorithm = Literal["md5", "sha-256"]
Family = Literal[4, 6]


class Method(IntEnum):
    """RFC 8489 and RFC 8656; Send and ChannelData never reach Python."""

    ALLOCATE = 0x003
    REFRESH = 0x004
    CREATE_PERMISSION = 0x008
    CHANNEL_BIND = 0x009


@dataclass(frozen=True, slots=True)
class Address:
    """A transport address; `host` is a canonical IPv4 or IPv6 literal (never an IPv4-mapped one)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Listen:
    """One listener. Port 0 lets the kernel choose."""

    host: str
    port: int
    transport: ClientTransport

    def __str__(self) -> str:
        """As the configuration has it."""
        return f"{self.transport}://{Address(self.host, self.port)}"


@dataclass(frozen=True, slots=True)
class RelayHost:
    """Where relay sockets are bound, and the address that clients and peers see (NAT 1:1)."""

    bind: str
    advertised: str


@dataclass(frozen=True, slots=True)
class MediaAddress:
    """A media socket of this process as clients see it in candidates, and the shard whose it is."""

    address: Address
    shard: int


@dataclass(frozen=True, slots=True)
class ConfigureTurn:
    """The whole configuration of the relay; sent at start and again to change it. Allocations live on.

    Listeners that are new are opened, those that are gone are closed; the TCP and TLS connections that came by them go on. A
    listener that cannot be opened comes back as `ListenFailed`.
    """

    listen: tuple[Listen, ...]
    realm: str
    relay_hosts: tuple[RelayHost, ...]
    #: First and last relayed port. A peer at one of our relay addresses within it is another allocation: refused.
    relay_ports: tuple[int, int]
    #: Always allowed, and reached in memory: no relay socket, no second hop.
    media: tuple[MediaAddress, ...] = ()
    #: PEM; None: no TLS listener may be configured.
    certificate: bytes | None = None
    key: bytes | None = None
    #: CIDRs that may be peers beside `media`. What the engine never allows (loopback, link-local, multicast ...)
    #: stays forbidden whatever is written here.
    allow_peers: tuple[str, ...] = ()
    #: Addresses with port that are never a peer: our own other listeners.
    deny_peers: tuple[Address, ...] = ()
    #: Requests without valid credentials that one IPv4 /24 or IPv6 /56 may send per second.
    unauthenticated_per_s: int = 50
    #: TCP and TLS connections of one IPv4 address or IPv6 /64.
    connections_per_address: int = 64
    #: Longest time that a packet may wait for others to the same destination under load; 0: never.
    coalesce_us: int = 1000


@dataclass(frozen=True, slots=True)
class AllocationLimits:
    """Enforced by the engine on the relayed packets of one allocation; drops are counted by reason."""

    packets_per_s: int
    bytes_per_s: int
    new_peers_per_s: int


@dataclass(frozen=True, slots=True)
class TurnReply:
    """Answers one request. The engine adds XOR-MAPPED-ADDRESS to Allocate, the nonce to 401 and 438, the integrity and the
    fingerprint, and remembers the reply for retransmitted requests."""

    request: RequestId
    #: None: success.
    error: int | None = None
    #: For 420.
    unknown_attributes: tuple[int, ...] = ()
    lifetime_s: int | None = None
    relayed: tuple[Address, ...] = ()
    #: ADDRESS-ERROR-CODE: the family that could not be had, and why.
    address_error: tuple[Family, int] | None = None
    reservation_token: bytes | None = None
    #: Long-term key to sign with, by the algorithm of the request; None: unsigned.
    key: bytes | None = None


@dataclass(frozen=True, slots=True)
class InstallAllocation:
    """Makes the client's 5-tuple relay. No socket is bound before the first permission for a peer outside this process."""

    allocation: AllocationId
    client: ClientId
    #: One per address family, out of Python's pool.
    relayed: tuple[Address, ...]
    limits: AllocationLimits
    dont_fragment: bool = False


@dataclass(frozen=True, slots=True)
class InstallPermission:
    """The peer's address (any port) may be reached and may reach the client. Answered by `PermissionInstalled`."""

    allocation: AllocationId
    host: str


@dataclass(frozen=True, slots=True)
class RemovePermission:
    allocation: AllocationId
    host: str


@dataclass(frozen=True, slots=True)
class InstallChannel:
    """0x4000-0x7FFE. The permission for the peer is installed separately."""

    allocation: AllocationId
    channel: int
    peer: Address


@dataclass(frozen=True, slots=True)
class RemoveChannel:
    allocation: AllocationId
    channel: int


@dataclass(frozen=True, slots=True)
class RemoveRelayed:
    """One of an allocation's two relayed addresses, with its socket; its permissions and channels were removed before."""

    allocation: AllocationId
    family: Family


@dataclass(frozen=True, slots=True)
class RemoveAllocation:
    """With its permissions, channels and sockets. Unknown ids are ignored."""

    allocation: AllocationId


TurnCommand = (
    ConfigureTurn
    | TurnReply
    | InstallAllocation
    | InstallPermission
    | RemovePermission
    | InstallChannel
    | RemoveChannel
    | RemoveRelayed
    | RemoveAllocation
)

# ------------------------------------------------------------------------------------------------------ events


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """A request with a valid nonce; each comes once, retransmissions are answered by the engine. What stands behind the
    integrity attribute was ignored. The echo of PASSWORD-ALGORITHMS was found to be what we offer (RFC 8489 section 9.2.4).

    Its integrity is Python's to check: HMAC(key, `signed`) truncated to `len(mac)` must equal `mac`, in constant time.
    """

    request: RequestId
    client: ClientId
    #: For quotas and DEBUG logs.
    remote: Address
    transport: ClientTransport
    method: Method
    #: Of the 5-tuple, if it has one.
    allocation: AllocationId | None
    #: One of the two. USERHASH is SHA-256(username ":" realm).
    username: str | None
    userhash: bytes | None
    realm: str
    #: MESSAGE-INTEGRITY-SHA256 was used (else MESSAGE-INTEGRITY, HMAC-SHA1).
    sha256: bool
    password_algorithm: PasswordAlgorithm
    signed: bytes
    mac: bytes
    #: An attribute's value is not what its specification allows: 400 once the credentials are found good.
    malformed: bool = False
    #: Comprehension-required attributes that the engine does not know: 420 once the credentials are found good.
    unknown_attributes: tuple[int, ...] = ()
    #: REQUESTED-TRANSPORT, 17 is UDP.
    requested_transport: int | None = None
    lifetime_s: int | None = None
    #: The values on the wire: 1 is IPv4, 2 is IPv6.
    requested_family: int | None = None
    additional_family: int | None = None
    #: None: not asked for; else whether the next port shall be reserved, too.
    even_port: bool | None = None
    reservation_token: bytes | None = None
    dont_fragment: bool = False
    channel: int | None = None
    #: XOR-PEER-ADDRESSes in order; the engine's ACL has judged each: (address, allowed).
    peers: tuple[tuple[Address, bool], ...] = ()


@dataclass(frozen=True, slots=True)
class PermissionInstalled:
    """`reason` is None when it works, else "no_socket" (the port is taken, no descriptors left) or "not_allowed" (the rules
    have changed since the request was judged). Nothing is left of one that failed."""

    allocation: AllocationId
    host: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class ClientGone:
    """A TCP or TLS connection closed, with everything on it; or a client was given up before its allocation was installed."""

    client: ClientId


@dataclass(frozen=True, slots=True)
class ListenFailed:
    listen: Listen
    reason: str


TurnEvent = TurnRequest | PermissionInstalled | ClientGone | ListenFailed


@dataclass(frozen=True, slots=True)
class AllocationStats:
    """Cumulative, for `beep-media turn allocations`."""

    allocation: AllocationId
    packets_in: int
    bytes_in: int
    packets_out: int
    bytes_out: int
    zero_hop_packets: int


class RelayEngine(Protocol):
    """What `turn` needs of the engine. The descriptor that tells of media's events tells of these, too."""

    def submit_turn(self, commands: Sequence[TurnCommand]) -> None: ...
    def drain_turn(self, limit: int = 4096) -> Sequence[TurnEvent]: ...
    def turn_addresses(self) -> Sequence[Listen]:
        """The listeners that are open, with their real ports."""
        ...

    def allocation_stats(self) -> Sequence[AllocationStats]:
        """As of the last second."""
        ...

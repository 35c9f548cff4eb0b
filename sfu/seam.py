"""The seam between Python and the engine: ids, commands (imperative, downwards) and events (past tense, upwards).

Plain data only. `sfu._native.Engine` and `sfu.testing.FakeEngine` both speak exactly this; nothing here knows rooms or
participants. Ids are minted by Python and never reused within a process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NewType, Protocol

TransportId = NewType("TransportId", int)
ProducerId = NewType("ProducerId", int)
ConsumerId = NewType("ConsumerId", int)
Kind = Literal["audio", "video"]
#: What carries a path: datagrams, or frames on a TCP connection (RFC 4571) that the client opened.
PathProtocol = Literal["udp", "tcp"]


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """What the engine is built from. Raises `OSError` from `Engine()` when a port is taken."""

    shards: int = 1
    #: First UDP port; shard i binds `udp_port + i`. 0 lets the kernel choose one per shard.
    udp_port: int = 7882
    #: One TCP port for all shards (ICE-TCP, passive). 0 lets the kernel choose; None: no media over TCP.
    tcp_port: int | None = None
    #: Addresses to bind, IPv4 and IPv6 literals.
    bind: tuple[str, ...] = ("0.0.0.0", "::")  # noqa: S104
    #: Seeds every random choice of the engine; 0 takes one from the system.
    seed: int = 0
    #: SRTP profiles, best first. Names of RFC 5764 / RFC 7714.
    srtp_profiles: tuple[str, ...] = (
        "SRTP_AEAD_AES_128_GCM",
        "SRTP_AEAD_AES_256_GCM",
        "SRTP_AES128_CM_SHA1_80",
    )


@dataclass(frozen=True, slots=True)
class Address:
    """One local UDP socket address of a shard. An unspecified host (0.0.0.0, ::) means every local address of that family."""

    host: str
    port: int


# ---------------------------------------------------------------------------------------------------- commands


@dataclass(frozen=True, slots=True)
class OpenTransport:
    """Opens a transport that answers ICE checks for `ufrag` and waits, as DTLS server, for the client."""

    transport: TransportId
    shard: int
    ufrag: str
    password: str


@dataclass(frozen=True, slots=True)
class SetRemote:
    """What the client's SDP said. Datagrams of DTLS that arrived earlier are held and handled now.

    Sent again after an ICE restart; a changed fingerprint on a connected transport closes it.
    """

    transport: TransportId
    ufrag: str
    password: str
    #: "sha-256 AA:BB:..."; sha-1 is refused.
    fingerprint: str
    #: Remote SCTP port (normally 5000), or None when no data section was negotiated.
    sctp_port: int | None
    #: RTP header extension URI -> id (1-255), one map for the whole bundle.
    extensions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class RestartIce:
    """New local credentials; the old ones stay valid until a check with the new ones has verified."""

    transport: TransportId
    ufrag: str
    password: str


@dataclass(frozen=True, slots=True)
class CloseTransport:
    """Closes the transport and everything on it (producers, consumers). Unknown ids are ignored."""

    transport: TransportId


@dataclass(frozen=True, slots=True)
class EncodingParameters:
    """One simulcast RTP stream. Identified by `rid` (learned from header extensions) or by signalled `ssrc`."""

    rid: str | None
    ssrc: int | None = None
    rtx_ssrc: int | None = None


@dataclass(frozen=True, slots=True)
class AddProducer:
    """Media that the client sends to us. `encodings` are ordered from the lowest to the highest quality, 1 to 3."""

    producer: ProducerId
    transport: TransportId
    kind: Kind
    mid: str
    #: "audio/opus", "video/VP8", "video/H264", "video/VP9", "video/AV1": upper case after the slash for video.
    mime_type: str
    clock_rate: int
    payload_type: int
    rtx_payload_type: int | None
    encodings: tuple[EncodingParameters, ...]
    #: Whether NACK / transport-cc / goog-remb were negotiated on this section.
    nack: bool
    transport_cc: bool
    remb: bool
    #: Audio only: the client may send RED (RFC 2198) of `payload_type` blocks under this payload type.
    red_payload_type: int | None = None


@dataclass(frozen=True, slots=True)
class RemoveProducer:
    producer: ProducerId


@dataclass(frozen=True, slots=True)
class AddConsumer:
    """Media that we send to a client: its own SSRC, sequence and timestamp space. `ssrc` must be new on the transport.

    The transport may live on another shard than the producer's: the engine then pipes the producer there, once for all its
    consumers on that shard.
    """

    consumer: ConsumerId
    producer: ProducerId
    transport: TransportId
    mid: str
    ssrc: int
    rtx_ssrc: int | None
    payload_type: int
    rtx_payload_type: int | None
    cname: str
    paused: bool
    #: Highest encoding index wanted (0 = lowest). The engine sends the best encoding that lives at or below it.
    encoding: int
    #: RED packets of the publisher pass as they are under this payload type; without it their newest block, as plain audio.
    red_payload_type: int | None = None
    #: (minimum, maximum) in units of 10 ms, written into the playout-delay extension; None: the publisher's passes through.
    playout_delay: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class ConfigureConsumer:
    consumer: ConsumerId
    paused: bool
    encoding: int


@dataclass(frozen=True, slots=True)
class RemoveConsumer:
    consumer: ConsumerId


@dataclass(frozen=True, slots=True)
class RequestKeyframe:
    """Asks the publisher for a keyframe on every encoding in use (throttled with the requests of subscribers)."""

    producer: ProducerId


@dataclass(frozen=True, slots=True)
class OpenDataChannel:
    """Opens a channel once SCTP is up: by DCEP when `stream` is None, else pre-negotiated on that stream id."""

    transport: TransportId
    label: str
    ordered: bool
    max_retransmits: int | None
    stream: int | None = None


@dataclass(frozen=True, slots=True)
class SendData:
    """One payload to many transports on the channel with this label; a transport without it is skipped and counted."""

    transports: tuple[TransportId, ...]
    label: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class PauseData:
    """Stops (or resumes) reading data from a client, so that SCTP's window pushes back on it."""

    transport: TransportId
    paused: bool


Command = (
    OpenTransport
    | SetRemote
    | RestartIce
    | CloseTransport
    | AddProducer
    | RemoveProducer
    | AddConsumer
    | ConfigureConsumer
    | RemoveConsumer
    | RequestKeyframe
    | OpenDataChannel
    | SendData
    | PauseData
)

# ------------------------------------------------------------------------------------------------------ events


@dataclass(frozen=True, slots=True)
class TransportConnected:
    """DTLS is done and the fingerprint matched: media and data may flow."""

    transport: TransportId
    #: "198.51.100.7:50123" or "[2001:db8::1]:50123". For DEBUG logs only.
    remote: str
    srtp_profile: str
    protocol: PathProtocol = "udp"


@dataclass(frozen=True, slots=True)
class TransportClosed:
    """The transport ended by itself (never sent in answer to `CloseTransport`).

    reason: "dtls_failed", "fingerprint_mismatch", "consent_expired", "peer_closed", "internal_error".
    """

    transport: TransportId
    reason: str


@dataclass(frozen=True, slots=True)
class PathChanged:
    """Media goes elsewhere now. Latest-wins: of several that wait, only the last is told."""

    transport: TransportId
    remote: str
    protocol: PathProtocol = "udp"


@dataclass(frozen=True, slots=True)
class EncodingSeen:
    """First packet of an encoding (again after `EncodingLost`)."""

    producer: ProducerId
    encoding: int
    ssrc: int


@dataclass(frozen=True, slots=True)
class EncodingLost:
    """No packet for a while: the client stopped the encoding or muted."""

    producer: ProducerId
    encoding: int


@dataclass(frozen=True, slots=True)
class ConsumerLayerChanged:
    """The encoding now on the wire; None while nothing is sent."""

    consumer: ConsumerId
    encoding: int | None


@dataclass(frozen=True, slots=True)
class AudioLevels:
    """One batch per 100 ms: (producer, level in -dBov 0 loudest .. 127 silent), only producers heard in that window."""

    levels: tuple[tuple[ProducerId, int], ...]


@dataclass(frozen=True, slots=True)
class TransportReport:
    """What one transport's media went through since its last report. Counts are packets, without retransmissions."""

    transport: TransportId
    #: Smoothed, from RTCP; None before the first measurement.
    rtt_ms: int | None
    #: From the client to us, as we count it.
    inbound_expected: int
    inbound_lost: int
    #: From us to the client, as its receiver reports say.
    outbound_expected: int
    outbound_lost: int


@dataclass(frozen=True, slots=True)
class TransportReports:
    """One batch every 2 s per shard: its connected transports that carried media, latest-wins per transport."""

    reports: tuple[TransportReport, ...]


@dataclass(frozen=True, slots=True)
class DataChannelOpened:
    transport: TransportId
    label: str


@dataclass(frozen=True, slots=True)
class DataReceived:
    transport: TransportId
    label: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class DataOverflow:
    """More than the high-water mark waits towards this client; `DataLow` follows when it has drained."""

    transport: TransportId


@dataclass(frozen=True, slots=True)
class DataLow:
    transport: TransportId


@dataclass(frozen=True, slots=True)
class Refused:
    """A command could not be carried out. `command` is the class name, `id` the id it was about."""

    command: str
    id: int
    reason: str


@dataclass(frozen=True, slots=True)
class ShardFailed:
    """A shard's thread died; the process should exit non-zero."""

    shard: int
    reason: str


Event = (
    TransportConnected
    | TransportClosed
    | PathChanged
    | EncodingSeen
    | EncodingLost
    | ConsumerLayerChanged
    | AudioLevels
    | TransportReports
    | DataChannelOpened
    | DataReceived
    | DataOverflow
    | DataLow
    | Refused
    | ShardFailed
)


@dataclass(frozen=True, slots=True)
class ShardStats:
    """Cumulative since start. Counter names are dotted: see `docs/metrics.md`."""

    counters: Mapping[str, int]
    #: Upper bounds in microseconds and cumulative counts of receive-to-send latency; the last bound is +inf (-1).
    forward_latency_us: tuple[tuple[int, int], ...] = ()
    forward_latency_sum_us: int = 0


@dataclass(frozen=True, slots=True)
class Stats:
    """The last batch that each shard posted (once a second)."""

    shards: tuple[ShardStats, ...] = field(default=())


class EngineProtocol(Protocol):
    """What the room layer needs of an engine; implemented by `sfu._native.Engine` and `sfu.testing.FakeEngine`."""

    @property
    def fingerprint(self) -> str: ...
    def addresses(self, shard: int) -> Sequence[Address]: ...
    def tcp_addresses(self) -> Sequence[Address]: ...
    def fileno(self) -> int: ...
    def drain(self, limit: int = 4096) -> list[Event]: ...
    def submit(self, commands: Sequence[Command]) -> None: ...
    def snapshot(self) -> Stats: ...
    def close(self, drain_for_s: float = 5.0) -> None: ...

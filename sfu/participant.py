"""One participant: identity, state, rights, and its parts - signalling sink, connection, publishing, subscriptions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from livekit.protocol import models, rtc

from sfu import ids, seam
from sfu.connection.base import Connection
from sfu.connection.dual import DualPeerConnection
from sfu.connection.single import SinglePeerConnection
from sfu.engine import EngineFacade
from sfu.errors import StateMismatch
from sfu.ids import Identity, ParticipantSid, TrackSid
from sfu.negotiation import AudioOptions, InboundTrack
from sfu.policy import limits
from sfu.policy.connection_quality import QualityMeter
from sfu.policy.patience import Patience
from sfu.policy.permission import Permission, TrackAccess
from sfu.publishing import Publishing
from sfu.subscription import Subscriptions

if TYPE_CHECKING:
    from sfu.room import Room


class SignalSink(Protocol):
    """Where messages to a client go. Neither call blocks or raises; after `close` nothing is delivered."""

    def send(self, message: rtc.SignalResponse) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class JoinOptions:
    """Everything a join brings, already checked against its token."""

    identity: Identity
    permission: Permission = field(default_factory=Permission)
    name: str = ""
    metadata: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    kind: int = 0
    client: models.ClientInfo = field(default_factory=models.ClientInfo)
    #: v1: one connection, the client offers. v0: two.
    single_connection: bool = True
    auto_subscribe: bool = True

    @property
    def protocol(self) -> int:
        """The protocol that we advertise: 18 means pre-negotiated channels, which only v1 clients of 18 open."""
        return 18 if self.single_connection and self.client.protocol >= 18 else 17

    @property
    def subscriber_primary(self) -> bool:
        return not self.single_connection and self.client.protocol > 2 and self.permission.can_subscribe


class Participant:
    """Lives from the join until `close`, across signalling connections: `signal` is None while a resume is awaited."""

    def __init__(
        self, room: Room, engine: EngineFacade, options: JoinOptions, signal: SignalSink, joined_at: float
    ) -> None:
        self.room = room
        self.sid = ids.participant_sid()
        self.identity = options.identity
        self.name = options.name
        self.metadata = options.metadata
        self.attributes = dict(options.attributes)
        self.permission = options.permission
        self.options = options
        self.signal: SignalSink | None = signal
        self.access = TrackAccess()
        self.publishing = Publishing(engine, self)
        self.quality = QualityMeter()
        self.subscriptions = Subscriptions(self, auto=options.auto_subscribe)
        #: Sids of those of the same identity that had to go for this one, the latest last.
        self.replaced: tuple[ParticipantSid, ...] = ()
        #: What an SDK's test asked of the next resume: to lose its socket after our messages, or before them.
        self.next_resume: Literal["", "cut", "mute"] = ""
        #: False once a transport is gone: its keys went with it.
        self.resumable = True
        #: Of the last reliable packet, which a resuming client asks for.
        self.last_message_sequence = 0
        #: For the shell: called at the first connected transport, and at the end.
        self.on_connected: Callable[[], object] = _nothing
        self.on_closed: Callable[[], object] = _nothing
        self._joined_at = joined_at
        self._version = 0
        #: Built once per version: every joiner of a large room gets all of them.
        self._info: models.ParticipantInfo | None = None
        self._state = models.ParticipantInfo.State.JOINED
        self._disconnect_reason: int = models.DisconnectReason.UNKNOWN_REASON
        #: Those who left while no signalling connection was there to say so.
        self._missed: list[models.ParticipantInfo] = []
        self._alive = True
        self._pretence = Patience(0)
        self._connect = Patience(CONNECT_TIMEOUT_S)
        self._connect.arm()
        self._resume = Patience(RESUME_TIMEOUT_S)
        #: Both of its transports are there.
        self.shard = room.shard_for_joiner()
        self.connection = self._open_connection(engine)

    # --------------------------------------------------------------------------------------------------- getters

    @property
    def closed(self) -> bool:
        return self._state == models.ParticipantInfo.State.DISCONNECTED

    @property
    def connected(self) -> bool:
        return self._state == models.ParticipantInfo.State.ACTIVE

    def state_name(self) -> str:
        """In lower case: "joined", "active" ..."""
        return models.ParticipantInfo.State.Name(self._state).lower()

    def info(self) -> models.ParticipantInfo:
        """As of the last `announce`; not to be changed."""
        if self._info is None:
            self._info = self._describe()
        return self._info

    # ------------------------------------------------------------------------------------- signalling connections

    def send(self, message: rtc.SignalResponse) -> None:
        """Lost while no signalling connection is there; a resume sends the whole state anew."""
        if self.signal is not None:
            self.signal.send(message)
        elif message.HasField("update"):
            gone = [info for info in message.update.participants if info.state == info.State.DISCONNECTED]
            self._missed = (self._missed + gone)[-limits.MAX_REQUEST_ITEMS :]

    def handle_alive(self) -> None:
        """Something arrived on the signalling connection, be it a ping."""
        self._alive = True

    def take_alive(self) -> bool:
        """Whether the client was heard of since the last call."""
        alive, self._alive = self._alive, False
        return alive

    def handle_signal_lost(self, signal: SignalSink) -> None:
        """The socket went away without a leave. The media may still flow; the client has a while to resume."""
        if self.signal is not signal or self.closed:
            return
        self.signal = None
        if self.resumable:
            self._resume.arm()
        else:
            self.close(models.DisconnectReason.SIGNAL_CLOSE)

    def resume(self, signal: SignalSink) -> list[models.ParticipantInfo]:
        """A new socket takes over. Returns who left meanwhile. Raises `StateMismatch`."""
        if not self.resumable:
            raise StateMismatch("the media connection is gone; join anew")
        if self.signal is not None:
            self.signal.close()
        self.signal = signal
        self._resume.disarm()
        missed, self._missed = self._missed, []
        told = {info.sid for info in missed}
        return [*missed, *(info for info in self.room.departed() if info.sid not in told)]

    def repeat(self) -> None:
        """After a resume: everything that we may have said meanwhile and that still holds."""
        self.connection.resume()
        self.publishing.repeat()
        self.subscriptions.repeat()
        self.room.handle_resumed(self)

    def simulate_speaking(self, seconds: int) -> None:
        """For tests of clients: as if sound came from this participant."""
        self._pretence = Patience(min(max(seconds, 0), MAX_PRETENCE_S))
        self._pretence.arm()

    def leave(self, reason: int, action: int) -> None:
        """Tells the client to go (or to come back: RECONNECT) and closes the participant."""
        self.send(
            rtc.SignalResponse(
                leave=rtc.LeaveRequest(
                    reason=models.DisconnectReason.Name(reason),
                    action=rtc.LeaveRequest.Action.Name(action),
                    can_reconnect=action != rtc.LeaveRequest.Action.DISCONNECT,
                )
            )
        )
        self.close(reason)

    def close(self, reason: int) -> None:
        """Gives everything back and leaves the room; safe to call twice."""
        if self.closed:
            return
        self._state = models.ParticipantInfo.State.DISCONNECTED
        self._disconnect_reason = reason
        self._version += 1
        self._info = None
        final = self.info()
        self.publishing.close()
        self.subscriptions.close()
        self.connection.close()
        if self.signal is not None:
            self.signal.close()
            self.signal = None
        self.room.handle_left(self, final)
        self.on_closed()

    # ------------------------------------------------------------------------------------------- changes of state

    def announce(self, *, at_once: bool = True) -> None:
        """Everybody who may know learns the present state, now or within a tick."""
        if not self.closed:
            self._version += 1
            self._info = None
            self.room.handle_changed(self, at_once=at_once)

    def update(
        self, name: str | None = None, metadata: str | None = None, attributes: Mapping[str, str] | None = None
    ) -> None:
        """Changes what was given; an attribute set to "" is removed. Raises `LimitExceeded` and changes nothing."""
        merged = {key: value for key, value in {**self.attributes, **(attributes or {})}.items() if value}
        limits.check_name(name or "", "name")
        limits.check_metadata(metadata or "")
        limits.check_attributes(merged)
        self.name = self.name if name is None else name
        self.metadata = self.metadata if metadata is None else metadata
        self.attributes = merged
        self.announce()

    def handle_permission(self, permission: Permission) -> None:
        """The server API changed the rights; tracks that they no longer cover end."""
        self.permission = permission
        self.publishing.handle_permission()
        self.subscriptions.handle_permission()
        self.announce()

    def handle_access(self, wire: rtc.SubscriptionPermission) -> None:
        """The client restricts who may subscribe to its tracks."""
        if wire.all_participants and self.access.everybody:
            return  # what every JS client says after connecting
        self.access.replace(wire)
        for participant in self.room.others(self):
            participant.subscriptions.handle_access(self)

    def handle_timeout(self, now: float) -> None:
        if self._connect.expired(now):
            self.leave(models.DisconnectReason.JOIN_FAILURE, rtc.LeaveRequest.Action.DISCONNECT)
        elif self._resume.expired(now):
            self.close(models.DisconnectReason.SIGNAL_CLOSE)
        else:
            self.connection.handle_timeout(now)
            self.publishing.handle_timeout(now)
            if self._pretence.armed and not self._pretence.expired(now):
                self.room.speakers.handle_level(self, 0)

    # --------------------------------------------------------------------------- events of the transports (engine)

    def handle_connected(self) -> None:
        self._connect.disarm()
        if self._state == models.ParticipantInfo.State.JOINED:
            self._state = models.ParticipantInfo.State.ACTIVE
            self.on_connected()
            self.announce(at_once=False)

    def handle_closed(self, reason: str) -> None:
        """A transport ended by itself. Its keys are gone, so only a full reconnect helps; a client that closed it left."""
        if reason == "peer_closed" and self.signal is None:
            self.close(models.DisconnectReason.SIGNAL_CLOSE)
        elif reason == "peer_closed":
            self.resumable = False
            self._resume.arm()
            # Its media went with the transport: nobody is to be offered what cannot come.
            self.publishing.close()
            # Most say in the same moment that they leave.
            self.announce(at_once=False)
        else:
            self.leave(models.DisconnectReason.CONNECTION_TIMEOUT, rtc.LeaveRequest.Action.RECONNECT)

    def handle_refused(self, reason: str) -> None:  # noqa: ARG002 (the facade has logged it)
        """The engine cannot use what the client described, and would not after a reconnect either."""
        self.leave(models.DisconnectReason.STATE_MISMATCH, rtc.LeaveRequest.Action.DISCONNECT)

    def handle_report(self, report: seam.TransportReport) -> None:
        self.quality.handle_report(report)

    def handle_channel_opened(self, transport: seam.TransportId, label: str) -> None:
        if transport == self.connection.data_transport:
            self.room.data.handle_ready(self, label)

    def handle_data(self, label: str, payload: bytes) -> None:
        # Clients name the sender to the app only if they know it.
        self.room.tell_news(of=self)
        self.room.data.handle_data(self, label, payload)

    def handle_data_overflow(self) -> None:
        self.room.data.handle_overflow(self)

    def handle_data_low(self) -> None:
        self.room.data.handle_low(self)

    # -------------------------------------------------------------------------------- questions of the connection

    def codec_for(self, cid: str) -> str | None:
        return self.publishing.codec_for(cid)

    def audio_options(self, cid: str) -> AudioOptions:
        return self.publishing.audio_options(cid)

    def handle_inbound(self, transport: seam.TransportId, tracks: Sequence[InboundTrack]) -> None:
        self.publishing.handle_inbound(transport, tracks)

    def handle_negotiation_failed(self, reason: str) -> None:  # noqa: ARG002 (for logs of the caller)
        if self.signal is not None:
            self.leave(models.DisconnectReason.STATE_MISMATCH, rtc.LeaveRequest.Action.RECONNECT)

    def _describe(self) -> models.ParticipantInfo:
        return models.ParticipantInfo(
            sid=self.sid,
            identity=self.identity,
            state=self._state,
            tracks=self.publishing.infos(),
            metadata=self.metadata,
            joined_at=int(self._joined_at),
            joined_at_ms=int(self._joined_at * 1000),
            name=self.name,
            version=self._version,
            permission=self.permission.to_proto(),
            is_publisher=bool(self.publishing.publications),
            kind=models.ParticipantInfo.Kind.Name(self.options.kind),
            attributes=self.attributes,
            disconnect_reason=models.DisconnectReason.Name(self._disconnect_reason),
            client_protocol=self.options.client.client_protocol,
            capabilities=list(self.options.client.capabilities)[:16],
        )

    def _open_connection(self, engine: EngineFacade) -> Connection:
        shard, candidates = self.shard, self.room.candidates
        if not self.options.single_connection:
            return DualPeerConnection(engine, self, self, shard, candidates)
        negotiated = self.options.protocol >= 18
        return SinglePeerConnection(engine, self, self, shard, candidates, negotiated_channels=negotiated)


def _nothing() -> None:
    pass


def track_sids(names: Sequence[str]) -> list[TrackSid]:
    return [TrackSid(name) for name in names[: limits.MAX_REQUEST_ITEMS]]


MAX_PRETENCE_S = 30
# Clients give a connection 15 s and then try again.
CONNECT_TIMEOUT_S = 30.0
# The engine drops a silent transport after 30 s; a client that lost its socket resumes within seconds.
RESUME_TIMEOUT_S = 15.0

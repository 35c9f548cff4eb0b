"""What both kinds of connection share: the set of outbound tracks and their consumers. The subclasses negotiate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from livekit.protocol import rtc

from sfu import seam
from sfu.connection.transport import ClientTransport
from sfu.engine import EngineFacade
from sfu.ids import TrackSid
from sfu.negotiation import (
    Answer,
    Answerer,
    AudioOptions,
    InboundTrack,
    OutboundTrack,
    PlacedTrack,
    SessionDescription,
)


class OutboundSource(Protocol):
    """A subscription, as the connection sees it."""

    @property
    def track_sid(self) -> TrackSid: ...
    @property
    def producer(self) -> seam.ProducerId: ...
    @property
    def playout_delay(self) -> tuple[int, int] | None: ...
    def describe(self, ssrc: int, rtx_ssrc: int | None) -> OutboundTrack: ...
    def consumer_settings(self) -> tuple[bool, int]: ...
    def handle_started(self) -> None: ...
    def handle_unsupported(self) -> None: ...


class ConnectionHost(Protocol):
    """The participant, as its connection sees it."""

    def send(self, message: rtc.SignalResponse) -> None: ...
    def codec_for(self, cid: str) -> str | None: ...
    def audio_options(self, cid: str) -> AudioOptions: ...
    def handle_inbound(self, transport: seam.TransportId, tracks: Sequence[InboundTrack]) -> None: ...
    def handle_negotiation_failed(self, reason: str) -> None: ...


@dataclass(slots=True)
class Outbound:
    """One track on its way to the client. `consumer` exists from the moment the client's section is agreed."""

    source: OutboundSource
    track: OutboundTrack
    consumer: seam.ConsumerId | None = None


class Connection(ABC):
    """Verbs: `attach`, `detach`, `configure` for outbound tracks; `handle_offer`, `handle_answer`, `handle_timeout`.

    Changes take effect once per loop iteration: many tracks, one negotiation. Only a track that ended is nothing to hurry
    for, since the client knows from the room: it goes with the next negotiation, at the latest with the next tick. Who
    leaves is often followed by who joins.
    """

    def __init__(self, engine: EngineFacade, host: ConnectionHost) -> None:
        self._engine = engine
        self._host = host
        self._outbound: dict[TrackSid, Outbound] = {}
        self._closed = False
        #: Whether the client's view of the outbound tracks is behind.
        self._dirty = False

    # ------------------------------------------------------------------------------------- for the subclass to say

    @property
    @abstractmethod
    def data_transport(self) -> seam.TransportId:
        """The transport on which the client reads data."""

    @abstractmethod
    def transports(self) -> tuple[seam.TransportId, ...]: ...

    @abstractmethod
    def handle_offer(self, sdp: str, offer_id: int) -> None:
        """Raises `SdpError`."""

    @abstractmethod
    def handle_answer(self, sdp: str, answer_id: int) -> None:
        """Raises `SdpError`."""

    def handle_timeout(self, now: float) -> None:  # noqa: ARG002 (the subclasses ask how late it is)
        """To be called every tick."""
        self._negotiate()

    @abstractmethod
    def resume(self) -> None:
        """A new signalling connection took over: whatever was in flight on the old one is lost."""

    @abstractmethod
    def _negotiate(self) -> None: ...

    @abstractmethod
    def _mint_ssrc(self) -> int: ...

    @abstractmethod
    def _close_transports(self) -> None: ...

    # ------------------------------------------------------------------------------------------- outbound tracks

    def attach(self, source: OutboundSource) -> None:
        if self._closed or source.track_sid in self._outbound:
            return
        track = source.describe(self._mint_ssrc(), None)
        if track.kind == "video":
            track = source.describe(track.ssrc, self._mint_ssrc())
        self._outbound[source.track_sid] = Outbound(source, track)
        self._mark_dirty()

    def detach(self, track_sid: TrackSid, *, ended: bool = False) -> None:
        """One that has not `ended` may come back, and clients have to see that it was gone."""
        outbound = self._outbound.pop(track_sid, None)
        if outbound is None:
            return
        if outbound.consumer is not None:
            self._engine.remove_consumer(outbound.consumer)
        if ended:
            self._dirty = True
        elif not self._closed:
            self._mark_dirty()

    def configure(self, source: OutboundSource) -> None:
        """Applies changed settings to a running consumer; one that has not started picks them up when it does."""
        outbound = self._outbound.get(source.track_sid)
        if outbound is not None and outbound.consumer is not None:
            paused, encoding = source.consumer_settings()
            self._engine.submit(seam.ConfigureConsumer(outbound.consumer, paused, encoding))

    def close(self) -> None:
        """Consumers first, then transports; safe to call twice."""
        if self._closed:
            return
        for track_sid in list(self._outbound):
            self.detach(track_sid)
        self._closed = True
        self._close_transports()

    # ------------------------------------------------------------------------------------------------- internals

    def _tracks(self) -> list[OutboundTrack]:
        return [outbound.track for outbound in self._outbound.values()]

    def _mark_dirty(self) -> None:
        self._dirty = True
        self._engine.defer(self._negotiate)

    def _answer(
        self,
        transport: ClientTransport,
        answerer: Answerer,
        offer: SessionDescription,
        offer_id: int,
        tracks: Sequence[OutboundTrack],
    ) -> Answer:
        """Answers the client's offer: the client and the engine know, the caller does the rest. Raises `SdpError`."""
        if answerer.restarts_ice(offer):
            answerer.local = transport.restart_ice()
        answer = answerer.answer(offer, tracks, self._host.codec_for, self._host.audio_options)
        transport.set_remote(answer.remote)
        self._host.send(
            rtc.SignalResponse(
                answer=rtc.SessionDescription(
                    type="answer", sdp=answer.sdp, id=offer_id, mid_to_track_id=dict(answer.mid_to_track_id)
                )
            )
        )
        return answer

    def _start(self, placed: Iterable[PlacedTrack], transport: seam.TransportId) -> None:
        """Adds the consumers whose section is agreed now."""
        for place in placed:
            outbound = self._outbound.get(TrackSid(place.track_sid))
            if outbound is None or outbound.consumer is not None:
                continue
            outbound.consumer = self._engine.mint_consumer()
            paused, encoding = outbound.source.consumer_settings()
            self._engine.submit(
                seam.AddConsumer(
                    consumer=outbound.consumer,
                    producer=outbound.source.producer,
                    transport=transport,
                    mid=place.mid,
                    ssrc=outbound.track.ssrc,
                    rtx_ssrc=outbound.track.rtx_ssrc if place.rtx_payload_type is not None else None,
                    payload_type=place.payload_type,
                    rtx_payload_type=place.rtx_payload_type,
                    cname=outbound.track.cname,
                    paused=paused,
                    encoding=encoding,
                    red_payload_type=place.red_payload_type,
                    playout_delay=outbound.source.playout_delay if outbound.track.kind == "video" else None,
                )
            )
            outbound.source.handle_started()

    def _refuse(self, track_sids: Iterable[str]) -> None:
        """The client cannot decode these: they leave the negotiation for good."""
        for track_sid in track_sids:
            outbound = self._outbound.pop(TrackSid(track_sid), None)
            if outbound is None:
                continue
            if outbound.consumer is not None:
                self._engine.remove_consumer(outbound.consumer)
            outbound.source.handle_unsupported()

"""Single peer connection (`/rtc/v1`): the client makes every offer, we answer and ask for sections when we need some."""

from __future__ import annotations

from collections import Counter

from livekit.protocol import rtc

from sfu import seam
from sfu.connection.base import Connection, ConnectionHost
from sfu.connection.transport import Candidates, ClientTransport
from sfu.engine import EngineFacade, TransportListener
from sfu.negotiation import Answer, Answerer, SessionDescription
from sfu.policy.patience import Patience
from sfu.seam import Kind


class SinglePeerConnection(Connection):
    """At most one `media_sections_requirement` is outstanding, or the client would add the same sections twice."""

    def __init__(
        self,
        engine: EngineFacade,
        host: ConnectionHost,
        listener: TransportListener,
        shard: int,
        candidates: Candidates,
        *,
        negotiated_channels: bool,
    ) -> None:
        super().__init__(engine, host)
        self._transport = ClientTransport(engine, shard, candidates, listener)
        if negotiated_channels:
            self._transport.open_channels(negotiated=True)
        self._answerer = Answerer(self._transport.local)
        self._offered = False
        self._sections: Counter[Kind] = Counter()
        self._free: Counter[Kind] = Counter()
        #: Sids of the tracks that have a section; it stays theirs, also for another codec.
        self._placed: set[str] = set()
        #: The sections that the client will have once it acted on our outstanding request; None without one.
        self._expected: Counter[Kind] | None = None
        self._patience = Patience(REQUIREMENT_TIMEOUT_S)

    @property
    def data_transport(self) -> seam.TransportId:
        return self._transport.id

    def transports(self) -> tuple[seam.TransportId, ...]:
        return (self._transport.id,)

    def handle_offer(self, sdp: str, offer_id: int) -> None:
        offer = SessionDescription.parse(sdp)
        answer = self._answer(self._transport, self._answerer, offer, offer_id, self._tracks())
        self._offered, self._dirty = True, False
        self._host.handle_inbound(self._transport.id, answer.inbound)
        self._start(answer.placed, self._transport.id)
        self._refuse(answer.unsupported)
        self._settle(offer, answer)

    def handle_answer(self, sdp: str, answer_id: int) -> None:
        """We never offered; a stray answer changes nothing."""

    def handle_timeout(self, now: float) -> None:
        if self._patience.expired(now):
            # The request was lost, or the client had nothing to offer: ask again.
            self._expected = None
            self._dirty = True
        super().handle_timeout(now)

    def resume(self) -> None:
        # A resuming client always offers (ICE restart), and that answer carries everything.
        self._expected = None
        self._patience.disarm()

    def _negotiate(self) -> None:
        # Before the first offer there is nothing to renegotiate; with a request outstanding, its offer serves us too.
        if self._closed or not self._dirty or not self._offered or self._expected is not None:
            return
        self._require(self._shortfall())

    def _settle(self, offer: SessionDescription, answer: Answer) -> None:
        """Decides after an answer whether sections still lack."""
        placed = {place.mid for place in answer.placed}
        self._placed = {place.track_sid for place in answer.placed}
        self._sections = Counter(kind for section in offer.sections if (kind := _kind(section.kind)))
        self._free = Counter(
            kind
            for section in offer.sections
            if (kind := _kind(section.kind)) and section.direction == "recvonly" and section.mid not in placed
        )
        if self._expected is not None and any(self._sections[kind] < self._expected[kind] for kind in _KINDS):
            # This offer was under way before our request reached the client; the next one will have the sections.
            return
        self._expected = None
        self._patience.disarm()
        if answer.waiting:
            self._require(answer.missing)

    def _shortfall(self) -> Counter[Kind]:
        """How many sections the next offer lacks if the client only repeats the last one."""
        wanted = Counter(
            outbound.track.kind
            for track_sid, outbound in self._outbound.items()
            if outbound.consumer is None and track_sid not in self._placed
        )
        return wanted - self._free

    def _require(self, sections: Counter[Kind]) -> None:
        self._expected = self._sections + sections
        self._patience.arm()
        self._host.send(
            rtc.SignalResponse(
                media_sections_requirement=rtc.MediaSectionsRequirement(
                    num_audios=sections["audio"], num_videos=sections["video"]
                )
            )
        )

    def _mint_ssrc(self) -> int:
        return self._transport.mint_ssrc()

    def _close_transports(self) -> None:
        self._transport.close()


def _kind(name: str) -> Kind | None:
    return next((kind for kind in _KINDS if kind == name), None)


_KINDS: tuple[Kind, Kind] = ("audio", "video")
# Clients debounce renegotiation by tens of milliseconds; a slow phone answers within a second or two.
REQUIREMENT_TIMEOUT_S = 5.0

"""Dual peer connections (`/rtc`): the client offers its publisher connection, we offer its subscriber connection."""

from __future__ import annotations

import secrets

from livekit.protocol import rtc

from sfu import seam
from sfu.connection.base import Connection, ConnectionHost
from sfu.connection.transport import Candidates, ClientTransport
from sfu.engine import EngineFacade, TransportListener
from sfu.negotiation import Answerer, Offerer, SessionDescription
from sfu.policy.patience import Patience


class DualPeerConnection(Connection):
    """One offer of ours is outstanding at a time; what changes meanwhile goes into the next one."""

    def __init__(
        self,
        engine: EngineFacade,
        host: ConnectionHost,
        listener: TransportListener,
        shard: int,
        candidates: Candidates,
    ) -> None:
        super().__init__(engine, host)
        self._listener = listener
        self._shard = shard
        self._candidates = candidates
        self._subscriber = ClientTransport(engine, shard, candidates, listener)
        # Clients read data on the subscriber connection, from channels that the server opened.
        self._subscriber.open_channels(negotiated=False)
        self._offerer = Offerer(self._subscriber.local)
        self._offer_id = secrets.randbelow(256) + 1
        self._outstanding = False
        self._patience = Patience(ANSWER_TIMEOUT_S)
        #: Opened by the first offer: most participants of a large room never publish.
        self._publisher: ClientTransport | None = None
        self._answerer: Answerer | None = None
        self._mark_dirty()

    @property
    def data_transport(self) -> seam.TransportId:
        return self._subscriber.id

    def transports(self) -> tuple[seam.TransportId, ...]:
        return (self._subscriber.id,) if self._publisher is None else (self._subscriber.id, self._publisher.id)

    # --------------------------------------------------------------------------------------- publisher connection

    def handle_offer(self, sdp: str, offer_id: int) -> None:
        if self._publisher is None or self._answerer is None:
            self._publisher = ClientTransport(self._engine, self._shard, self._candidates, self._listener)
            self._answerer = Answerer(self._publisher.local)
        offer = SessionDescription.parse(sdp)
        answer = self._answer(self._publisher, self._answerer, offer, offer_id, ())
        self._host.handle_inbound(self._publisher.id, answer.inbound)

    # -------------------------------------------------------------------------------------- subscriber connection

    def handle_answer(self, sdp: str, answer_id: int) -> None:
        # The Rust SDKs answer with id 0; any other id must be that of the offer that is out.
        if not self._outstanding or answer_id not in {0, self._offer_id}:
            return
        self._outstanding = False
        self._patience.disarm()
        result = self._offerer.handle_answer(sdp)
        self._subscriber.set_remote(result.remote)
        self._start(result.placed, self._subscriber.id)
        self._refuse(result.rejected)
        if self._dirty:
            self._engine.defer(self._negotiate)

    def handle_timeout(self, now: float) -> None:
        if self._patience.expired(now):
            self._host.handle_negotiation_failed("the client did not answer our offer")
        else:
            super().handle_timeout(now)

    def resume(self) -> None:
        self._offerer.abandon()
        self._offerer.local = self._subscriber.restart_ice()
        self._outstanding = False
        self._patience.disarm()
        self._mark_dirty()

    def _negotiate(self) -> None:
        if self._closed or not self._dirty or self._outstanding:
            return
        offer = self._offerer.offer(self._tracks())
        self._dirty = False
        self._outstanding = True
        self._patience.arm()
        self._offer_id += 1
        self._host.send(
            rtc.SignalResponse(
                offer=rtc.SessionDescription(
                    type="offer", sdp=offer.sdp, id=self._offer_id, mid_to_track_id=dict(offer.mid_to_track_id)
                )
            )
        )

    def _mint_ssrc(self) -> int:
        return self._subscriber.mint_ssrc()

    def _close_transports(self) -> None:
        self._subscriber.close()
        if self._publisher is not None:
            self._publisher.close()


# LiveKit's server gives up on a negotiation after the same time.
ANSWER_TIMEOUT_S = 15.0

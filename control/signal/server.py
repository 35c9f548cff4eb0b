"""Signalling of one node: `/rtc` and `/rtc/v1` with their validate twins, joins and resumes, and the rooms' clock.

The shell around `sfu`: the only place of signalling that reads clocks and owns timers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aiohttp import web
from livekit.protocol import models, rtc

from control import tokens
from control.candidates import candidates
from control.errors import ControlError
from control.metrics import Inventory
from control.signal import browser, join
from control.signal.frames import Encoder
from control.signal.join import ConnectRequest
from control.signal.session import SignalSession
from control.tokens import Claims, Grants
from sfu.errors import MediaError, RoomFull, RoomNotFound, StateMismatch
from sfu.ids import Identity
from sfu.negotiation import Candidate
from sfu.participant import Participant
from sfu.policy.patience import TICK_S
from sfu.policy.permission import source_name
from sfu.room import Room, enabled_codecs
from sfu.rooms import Rooms

if TYPE_CHECKING:
    from control.node import SignalParts

_log = logging.getLogger(__name__)


class SignalServer:
    """Made inside a running loop. `close` before the engine is closed."""

    def __init__(self, parts: SignalParts) -> None:
        self.encoder = Encoder()
        self.rooms = Rooms(parts.engine, self._candidates, spread=parts.room_spread)
        self._parts = parts
        self._sessions: set[SignalSession] = set()
        #: Tokens of those in a room, to write fresh ones from.
        self._claims: dict[Participant, Claims] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._tick = self._loop.call_later(TICK_S, self._handle_tick)

    # ------------------------------------------------------------------------------------------------- the node's

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/rtc", self.serve_v0)
        app.router.add_get("/rtc/v1", self.serve_v1)
        app.router.add_get("/rtc/validate", self.validate_v0)
        app.router.add_get("/rtc/v1/validate", self.validate_v1)

    def inventory(self) -> Inventory:
        states: Counter[str] = Counter()
        qualities: Counter[str] = Counter()
        tracks: Counter[tuple[str, str]] = Counter()
        rooms = self.rooms.all()
        for room in rooms:
            for participant in room.participants.values():
                states[participant.state_name()] += 1
                if participant.connected:
                    qualities[participant.quality.name] += 1
                for publication in participant.publishing.publications.values():
                    tracks["in", publication.inbound.kind] += 1
                    tracks["out", publication.inbound.kind] += len(publication.subscriptions)
        engine = self._parts.engine
        return Inventory(
            len(rooms),
            states,
            qualities,
            tracks,
            engine.counts(),
            self.rooms.data_dropped(),
            engine.refused,
            self.rooms.codec_fallbacks(),
        )

    def count_error(self, reason: str) -> None:
        """Something on a signalling connection was not carried out."""
        self._parts.metrics.count_signal_error(reason)

    def handle_timeout(self, now: float) -> None:
        """Everything here that takes time. `now` is monotonic."""
        self.rooms.handle_timeout(now)
        for session in list(self._sessions):
            session.handle_timeout(now)

    async def close(self) -> None:
        """Tells every client to come back, waits a moment for the messages to leave, then drops the sockets."""
        self._closing = True
        self._tick.cancel()
        self.rooms.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), _CLOSE_GRACE_S)
        for session in list(self._sessions):
            session.abort()

    # -------------------------------------------------------------------------------------------------- endpoints

    async def serve_v0(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, v1=False)

    async def serve_v1(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, v1=True)

    async def validate_v0(self, request: web.Request) -> web.Response:
        return self._validate(request, v1=False)

    async def validate_v1(self, request: web.Request) -> web.Response:
        return self._validate(request, v1=True)

    def _validate(self, request: web.Request, *, v1: bool) -> web.Response:
        """The checks of a join without joining; browsers ask after a failed WebSocket to learn the status."""
        self._check_serving()
        claims = self._authenticate(request)
        name = join.room_name(claims)
        join.parse(request.query, v1=v1)
        room = self.rooms.get(name)
        if room is None and not self.rooms.auto_create:
            raise RoomNotFound(f"requested room does not exist: '{name}'")
        if room is not None and room.is_full_for(Identity(claims.identity)):
            raise RoomFull(f"room '{name}' is full; try again later")
        return web.Response(text="success")

    async def _serve(self, request: web.Request, *, v1: bool) -> web.StreamResponse:
        started = self._loop.time()
        session = SignalSession(self, request)
        if not session.can_upgrade():
            raise web.HTTPNotFound(text="this is a WebSocket endpoint")
        single, reconnect = v1 or "join_request" in request.query, False
        try:
            self._check_serving()
            claims = self._authenticate(request)
            name = join.room_name(claims)
            self._stage("auth", started)
            wish = join.parse(request.query, v1=v1)
            browser.complete(wish.client, request.headers.get("User-Agent", ""))
            single, reconnect = wish.single_connection, wish.reconnect
            if wish.reconnect:
                result = self._resume(session, self.rooms.get(name), claims, wish)
            else:
                room = self.rooms.for_join(name, time.time(), lambda: join.room_options(claims, self.rooms.defaults))
                self._join(session, room, claims, wish, started)
                result = "joined"
        except (ControlError, MediaError) as error:
            self._parts.metrics.count_join(error.code, single=single, reconnect=reconnect)
            raise
        self._parts.metrics.count_join(result, single=single, reconnect=reconnect)
        self._stage("signal", started)
        self._sessions.add(session)
        self._idle.clear()
        try:
            return await session.run()
        finally:
            self._sessions.discard(session)
            if not self._sessions:
                self._idle.set()

    # ------------------------------------------------------------------------------------------ joins and resumes

    def _join(self, session: SignalSession, room: Room, claims: Claims, wish: ConnectRequest, started: float) -> None:
        def greet(participant: Participant) -> None:
            session.participant = participant
            participant.on_connected = lambda: self._stage("connected", started)
            participant.on_closed = lambda: self._handle_gone(participant)
            self._claims[participant] = claims
            session.send(rtc.SignalResponse(join=self._join_response(room, participant)))

        room.join(join.options(claims, wish), session, time.time(), greet)
        session.refresh_token()
        for request in wish.add_tracks:
            session.handle_request(rtc.SignalRequest(add_track=request))
        session.on_negotiated = lambda: self._stage("offer_answer", started)
        if wish.offer is not None:
            session.handle_request(rtc.SignalRequest(offer=wish.offer))

    def _resume(self, session: SignalSession, room: Room | None, claims: Claims, wish: ConnectRequest) -> str:
        """A known participant goes on; anyone else is told to join anew, by the first message of the socket."""
        participant = room.participants.get(Identity(claims.identity)) if room is not None else None
        if room is None or participant is None:
            return self._refuse_resume(session)
        if wish.participant_sid in participant.replaced:
            # Another device of this person took over. It stays, and this one is told so as if it had been here.
            return self._refuse_resume(session, "DUPLICATE_IDENTITY", "DISCONNECT")
        if wish.participant_sid not in {"", participant.sid}:
            return self._refuse_resume(session)
        simulated, participant.next_resume = participant.next_resume, ""
        if simulated == "mute":
            session.close()
            return "simulated"
        try:
            gone = participant.resume(session)
        except StateMismatch:
            return self._refuse_resume(session)
        session.participant = participant
        self._claims[participant] = claims
        session.send(rtc.SignalResponse(reconnect=self._reconnect_response(participant)))
        everybody = [*gone, *room.visible_others(participant), participant.info()]
        session.send(rtc.SignalResponse(update=rtc.ParticipantUpdate(participants=everybody)))
        session.send(rtc.SignalResponse(room_update=rtc.RoomUpdate(room=room.info())))
        participant.repeat()
        session.refresh_token()
        if wish.sync_state is not None:
            session.handle_request(rtc.SignalRequest(sync_state=wish.sync_state))
        if wish.offer is not None:
            session.handle_request(rtc.SignalRequest(offer=wish.offer))
        if simulated == "cut":
            session.close()
        return "resumed"

    def _refuse_resume(self, session: SignalSession, reason: str = "STATE_MISMATCH", action: str = "RECONNECT") -> str:
        leave = rtc.LeaveRequest(reason=reason, action=action, can_reconnect=action == "RECONNECT")
        session.send(rtc.SignalResponse(leave=leave))
        session.close()
        return reason.lower()

    def _join_response(self, room: Room, participant: Participant) -> rtc.JoinResponse:
        return rtc.JoinResponse(
            room=room.info(),
            participant=participant.info(),
            other_participants=room.visible_others(participant),
            server_version=SERVER_VERSION,
            server_info=_server_info(participant),
            subscriber_primary=participant.options.subscriber_primary,
            ping_interval=PING_INTERVAL_S,
            ping_timeout=PING_TIMEOUT_S,
            enabled_publish_codecs=enabled_codecs(participant.options.client),
            fast_publish=participant.permission.can_publish,
            ice_servers=self._ice_servers(participant),
        )

    def _reconnect_response(self, participant: Participant) -> rtc.ReconnectResponse:
        return rtc.ReconnectResponse(
            server_info=_server_info(participant),
            last_message_seq=participant.last_message_sequence,
            ice_servers=self._ice_servers(participant),
        )

    def _ice_servers(self, participant: Participant) -> list[rtc.ICEServer]:
        return self._parts.ice.ice_servers(participant.sid) if self._parts.ice is not None else []

    def _handle_gone(self, participant: Participant) -> None:
        self._claims.pop(participant, None)
        if self._parts.ice is not None:
            self._parts.ice.revoke(participant.sid)

    # ---------------------------------------------------------------------------------------------------- tokens

    def refresh_token(self, participant: Participant) -> str:
        """A token for resumes: the present rights, name and metadata, valid for ten minutes or as long as the first."""
        claims, now = self._claims[participant], time.time()
        rights = participant.permission
        grants = claims.video.model_copy(
            update={
                "can_publish": rights.can_publish,
                "can_subscribe": rights.can_subscribe,
                "can_publish_data": rights.can_publish_data,
                "can_publish_sources": tuple(source_name(source) for source in rights.can_publish_sources) or None,
                "can_update_own_metadata": rights.can_update_metadata,
                "hidden": rights.hidden,
            }
        )
        return tokens.mint(
            claims.api_key,
            self._parts.keys[claims.api_key],
            Grants.model_validate(grants.model_dump()),
            identity=participant.identity,
            now=now,
            ttl_s=max(REFRESHED_TTL_S, claims.expires_at - now),
            name=participant.name,
            metadata=participant.metadata,
            attributes=participant.attributes,
            kind=claims.kind,
            room_config=claims.room_config,
        )

    def _authenticate(self, request: web.Request) -> Claims:
        """Raises `TokenError`. The header wins over the query."""
        header = request.headers.get("Authorization", "")
        token = header.removeprefix("Bearer ").strip() if header else request.query.get("access_token", "")
        return tokens.verify(token, self._parts.keys, time.time())

    # ------------------------------------------------------------------------------------------------- internals

    def _check_serving(self) -> None:
        if self._closing:
            raise ControlError("this node is shutting down; connect again", code="draining")

    def _stage(self, stage: str, started: float) -> None:
        self._parts.metrics.observe_join_stage(stage, self._loop.time() - started)

    def _handle_tick(self) -> None:
        self._tick = self._loop.call_later(TICK_S, self._handle_tick)
        self.handle_timeout(self._loop.time())

    def _candidates(self, shard: int) -> Sequence[Candidate]:
        return candidates(self._parts.engine, self._parts.advertise, shard)


def _server_info(participant: Participant) -> models.ServerInfo:
    return models.ServerInfo(edition="Standard", version=SERVER_VERSION, protocol=participant.options.protocol)


# Clients switch features by it and refuse an empty one.
SERVER_VERSION = "1.13.5"
PING_INTERVAL_S = 5
PING_TIMEOUT_S = 15
REFRESHED_TTL_S = 600.0
_CLOSE_GRACE_S = 2.0

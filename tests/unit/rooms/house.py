"""Rooms on a `FakeEngine` without sockets, asyncio or real time, and scripted clients that renegotiate as SDKs do."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from livekit.protocol import models, rtc

from control.signal.handlers import HANDLERS
from sfu import seam
from sfu.engine import EngineFacade
from sfu.ids import Identity, RoomName
from sfu.negotiation import Candidate
from sfu.participant import JoinOptions, Participant
from sfu.policy.patience import TICK_S
from sfu.policy.permission import Permission
from sfu.room import Room, RoomOptions
from sfu.rooms import Rooms
from sfu.testing import FakeEngine
from tests.unit.signal import sdp
from tests.unit.signal.sdp import Sdp, Section


class Loop:
    """What the facade wants of asyncio, run by hand."""

    def __init__(self) -> None:
        self._soon: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> None:
        self._soon.append((callback, args))

    def add_reader(self, _fd: int, _callback: Callable[..., Any], *_args: Any) -> None:
        """`House.turn` looks by itself."""

    def remove_reader(self, _fd: int) -> bool:
        return True

    def run(self) -> bool:
        """What was waiting; False when nothing was."""
        waiting, self._soon = self._soon, deque()
        for callback, args in waiting:
            callback(*args)
        return bool(waiting)


class Faults(logging.Handler):
    """Whatever is logged as an error: faults are contained, and would otherwise pass unseen."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []
        self.setFormatter(logging.Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(self.format(record))


class House:
    """The engine, one room, and everybody who ever came."""

    def __init__(self, shards: int = 1, spread: int = 50) -> None:
        self.engine = FakeEngine(shards)
        self.loop = Loop()
        self.facade = EngineFacade(self.engine, self.loop, shards)
        options = RoomOptions(empty_timeout_s=EMPTY_S, departure_timeout_s=EMPTY_S)
        self.rooms = Rooms(self.facade, lambda _shard: [Candidate("192.0.2.1", 7882)], options, spread=spread)
        self.peers: list[Peer] = []
        self.now = 0.0
        self.faults = Faults()
        logging.getLogger().addHandler(self.faults)

    @property
    def room(self) -> Room:
        return self.rooms.create(RoomName("r"), 0.0)

    def join(self, identity: str, permission: Permission, **options: Any) -> Peer:
        peer = Peer(self, identity, permission, **options)
        self.peers.append(peer)
        peer.join()
        return peer

    def turn(self) -> None:
        """Until nobody has more to say, not even with the next tick; a conversation without end is a failure."""
        ticked = False
        for _ in range(TURNS_MAX):
            busy = self.loop.run()
            before = self.facade.events
            self.facade.handle_events()
            busy |= self.facade.events > before
            for peer in self.peers:
                busy |= peer.react()
            if ticked and not busy:
                return
            ticked = not busy
            if ticked:
                self.rooms.handle_timeout(self.now)
        raise AssertionError("the rooms and their clients talk without end")

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK_S) + 1):
            self.now += TICK_S
            self.rooms.handle_timeout(self.now)
            self.turn()

    def close(self) -> None:
        """Everybody leaves and the room ends; nothing may be left."""
        for peer in self.peers:
            peer.holds = False
            peer.leave()
        self.turn()
        self.pass_time(EMPTY_S + 1)
        self.facade.flush()
        left = (self.engine.open_ids(), self.facade.counts(), self.rooms.counts())
        waiting = (dict(self.engine.channels), set(self.engine.paused), dict(self.engine.remotes))
        load = self.facade.shard_load()
        self.facade.close(0)
        logging.getLogger().removeHandler(self.faults)
        nothing = {"transports": 0, "producers": 0, "consumers": 0}
        no_rooms = {"rooms": 0, "participants": 0, "tracks_published": 0, "tracks_subscribed": 0}
        assert left == (nothing, nothing, no_rooms), left
        assert waiting == ({}, set(), {}), waiting
        assert not any(load), load
        assert self.faults.seen == []


class Peer:
    """A client: its signalling connection (a `SignalSink`), its descriptions, and what it believes about the others."""

    def __init__(
        self,
        house: House,
        identity: str,
        permission: Permission,
        *,
        v1: bool = True,
        protocol: int = 17,
        auto_subscribe: bool = True,
        codecs: tuple[str, ...] = ("VP8", "H264"),
    ) -> None:
        self.house = house
        self.identity = identity
        self.options = JoinOptions(
            identity=Identity(identity),
            permission=permission,
            client=models.ClientInfo(protocol=protocol),
            single_connection=v1,
            auto_subscribe=auto_subscribe,
        )
        self.v1 = v1
        self.codecs = codecs
        self.sdp = Sdp(codecs=codecs)
        if v1:
            self.sdp.sections = [Section("audio"), Section("audio"), Section("video"), Section("application")]
        self.participant: Participant
        #: Nothing is read or answered.
        self.holds = False
        #: No signalling connection: a resume may follow.
        self.dropped = False
        self.view: dict[str, models.ParticipantInfo] = {}
        #: Track sids by cid, as `track_published` said.
        self.published: dict[str, str] = {}
        self.refused: list[str] = []
        #: Sids of the tracks that the last description placed.
        self.described: set[str] = set()
        self.left: rtc.LeaveRequest | None = None
        #: Everything that was sent, read or not, by what it is.
        self.sent: Counter[str] = Counter()
        self._inbox: deque[rtc.SignalResponse] = deque()
        self._offer_id = 0
        self._offers = 0

    # --------------------------------------------------------------------------------------------- the sink's side

    def send(self, message: rtc.SignalResponse) -> None:
        # What a real socket would do: later changes to the message are not seen.
        self.sent[message.WhichOneof("message") or ""] += 1
        self._inbox.append(rtc.SignalResponse.FromString(message.SerializeToString()))

    def close(self) -> None:
        """The server has closed the connection; what it said before is still read."""

    def abort(self) -> None:
        self.drop()

    def now_ms(self) -> int:
        return 0

    # ------------------------------------------------------------------------------------------------- the client's

    @property
    def present(self) -> bool:
        return not self.participant.closed

    def join(self) -> None:
        def greet(participant: Participant) -> None:
            self.participant = participant
            others = self.house.room.visible_others(participant)
            self.view = {info.identity: models.ParticipantInfo.FromString(info.SerializeToString()) for info in others}

        self.house.room.join(self.options, self, 0.0, greet)
        if self.v1:
            self.offer()

    def request(self, **message: Any) -> None:
        """As the signalling session hands it over."""
        request = rtc.SignalRequest(**message)
        kind = request.WhichOneof("message")
        if kind is not None and self.present and not self.dropped:
            HANDLERS[kind](self, self.participant, getattr(request, kind))

    def leave(self) -> None:
        if not self.present:
            return
        if self.dropped:
            self.participant.close(models.DisconnectReason.CLIENT_INITIATED)
        else:
            self.request(leave=rtc.LeaveRequest(reason="CLIENT_INITIATED"))

    def drop(self) -> None:
        """The network took the signalling connection; the media goes on."""
        self.dropped = True
        self._inbox.clear()
        self.participant.handle_signal_lost(self)

    def resume(self, deviating: Iterable[str], disabled: Iterable[str]) -> None:
        """As the signalling server does it for a socket that says `reconnect`, and as the SDKs answer.

        `deviating` are the sids of tracks that it wants although it does not subscribe by itself, or the other way round.
        """
        self.dropped = False
        gone = self.participant.resume(self)
        everybody = [*gone, *self.house.room.visible_others(self.participant), self.participant.info()]
        self.send(rtc.SignalResponse(update=rtc.ParticipantUpdate(participants=everybody)))
        self.participant.repeat()
        tracks = [
            rtc.TrackPublishedResponse(cid=cid, track=models.TrackInfo(sid=sid)) for cid, sid in self.published.items()
        ]
        wish = rtc.UpdateSubscription(track_sids=sorted(deviating), subscribe=not self.options.auto_subscribe)
        self.request(
            sync_state=rtc.SyncState(subscription=wish, publish_tracks=tracks, track_sids_disabled=sorted(disabled))
        )
        self.sdp.ufrag += "x"
        if self.v1 or self.sdp.sections:
            self.offer()

    def add_track(self, cid: str, kind: str, codec: str, *, muted: bool = False) -> None:
        video = kind == "video"
        self.request(
            add_track=rtc.AddTrackRequest(
                cid=cid,
                type=kind.upper(),
                source="CAMERA" if video else "MICROPHONE",
                muted=muted,
                simulcast_codecs=[rtc.SimulcastCodec(codec=codec.lower(), cid=cid)] if video else [],
            )
        )

    def send_media(self, cid: str, kind: str) -> None:
        """A section for the track, in the next offer."""
        self.sdp.sections.append(Section(kind, "sendonly", cid))
        self.offer()

    def stop_media(self, cid: str) -> None:
        for section in self.sdp.sections:
            if section.cid == cid:
                section.direction, section.cid = "inactive", ""
        self.published.pop(cid, None)
        if self.sdp.sections:
            self.offer()

    def offer(self) -> None:
        self._offer_id += 1
        self.request(offer=rtc.SessionDescription(type="offer", sdp=self.sdp.offer(), id=self._offer_id))

    def react(self) -> bool:
        """Reads what has come; False when nothing has."""
        if self.holds or not self._inbox:
            return False
        waiting, self._inbox = self._inbox, deque()
        for message in waiting:
            self._take(message)
        return True

    # --------------------------------------------------------------------------------------------------- internals

    def _take(self, message: rtc.SignalResponse) -> None:
        match message.WhichOneof("message"):
            case "update":
                for info in message.update.participants:
                    self._see(info)
            case "track_published":
                self.published[message.track_published.cid] = message.track_published.track.sid
            case "track_unpublished":
                gone = message.track_unpublished.track_sid
                for cid in [cid for cid, sid in self.published.items() if sid == gone]:
                    self.stop_media(cid)
            case "request_response":
                self.refused.append(message.request_response.add_track.cid)
            case "leave":
                self.left = message.leave
            case _:
                self._negotiate(message)

    def _negotiate(self, message: rtc.SignalResponse) -> None:
        match message.WhichOneof("message"):
            case "offer":
                self._see_described(message.offer)
                refused = tuple(codec for codec in ("VP8", "H264", "VP9", "AV1") if codec not in self.codecs)
                text = sdp.answer(message.offer.sdp, refuse=refused)
                self.request(answer=rtc.SessionDescription(type="answer", sdp=text, id=message.offer.id))
            case "answer":
                if self.v1:
                    self._see_described(message.answer)
            case "media_sections_requirement":
                need = message.media_sections_requirement
                self.sdp.sections += [Section("audio") for _ in range(need.num_audios)]
                self.sdp.sections += [Section("video") for _ in range(need.num_videos)]
                self.offer()
            case _:
                pass

    def _see_described(self, description: rtc.SessionDescription) -> None:
        before, self.described = self.described, set(description.mid_to_track_id.values())
        announced = {track.sid for info in self.view.values() for track in info.tracks}
        assert self.described - before <= announced, "a track comes before the news of it"

    def _see(self, info: models.ParticipantInfo) -> None:
        if info.identity == self.identity:
            return
        known = self.view.get(info.identity)
        if info.state != info.State.DISCONNECTED:
            assert known is None or known.sid != info.sid or known.version <= info.version, "an older state comes later"
            self.view[info.identity] = info
        elif known is not None and known.sid == info.sid:
            del self.view[info.identity]


def consumers_on(house: House, peer: Peer) -> dict[seam.ProducerId, seam.AddConsumer]:
    """By producer; two consumers of one track on one transport are a failure."""
    found: dict[seam.ProducerId, seam.AddConsumer] = {}
    for consumer in house.engine.consumers_on(peer.participant.connection.data_transport):
        assert consumer.producer not in found, "one track is sent to a client twice"
        found[consumer.producer] = consumer
    return found


def restricted(permission: Permission, **changes: Any) -> Permission:
    return replace(permission, **changes)


@contextlib.contextmanager
def quiet(name: str = "sfu") -> Any:
    """Without the lines that refusals and leaves write."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


EMPTY_S = 20.0
#: A negotiation takes a handful.
TURNS_MAX = 60

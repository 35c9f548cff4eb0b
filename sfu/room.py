"""One room: who is in it, who learns what, speakers, data, and when it ends. No asyncio, no clock."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from livekit.protocol import models, rtc

from sfu import ids
from sfu.connection.transport import Candidates
from sfu.connection_quality import ConnectionQualities
from sfu.data import DataRouter
from sfu.engine import EngineFacade
from sfu.errors import NotAllowed, NotFound, RoomFull
from sfu.ids import Identity, ParticipantSid, RoomName, TrackSid
from sfu.participant import JoinOptions, Participant, SignalSink
from sfu.policy import clients, limits, shards
from sfu.policy.patience import Patience
from sfu.policy.speakers import WINDOW_S, Speaker, SpeakerTracker
from sfu.publication import Publication


@dataclass(frozen=True, slots=True)
class RoomOptions:
    """LiveKit's defaults. Times in seconds; `max_participants` 0 is no limit."""

    #: How long an empty room waits for its first participant.
    empty_timeout_s: float = 300.0
    #: How long it stays after the last one left.
    departure_timeout_s: float = 20.0
    max_participants: int = 0
    metadata: str = ""
    #: How long subscribers may, and must, hold pictures back. Both 0: as their publishers wish.
    min_playout_delay_ms: int = 0
    max_playout_delay_ms: int = 0

    @property
    def playout_delay(self) -> tuple[int, int] | None:
        """(minimum, maximum) in units of 10 ms, as the header extension has them; None: as the publishers wish."""
        if self.min_playout_delay_ms == self.max_playout_delay_ms == 0:
            return None
        minimum = min(self.min_playout_delay_ms, _LONGEST_PLAYOUT_DELAY_MS)
        maximum = min(self.max_playout_delay_ms or _DEFAULT_MAX_PLAYOUT_DELAY_MS, _LONGEST_PLAYOUT_DELAY_MS)
        return minimum // 10, max(minimum, maximum) // 10


class Room:
    """Verbs: `join`, `handle_*`, `handle_timeout(now)`, `close`. `on_closed` is called once, when it ended by itself."""

    def __init__(
        self,
        engine: EngineFacade,
        name: RoomName,
        home: int,
        candidates: Candidates,
        options: RoomOptions,
        created_at: float,
        *,
        spread: int = shards.DEFAULT_SPREAD,
    ) -> None:
        self.name = name
        self.sid = ids.room_sid()
        #: The shard that it begins on.
        self.home = home
        self.candidates = candidates
        self.options = options
        self.metadata = options.metadata
        self.participants: dict[Identity, Participant] = {}
        self.speakers: SpeakerTracker[Participant] = SpeakerTracker()
        self.data = DataRouter(engine)
        self.qualities = ConnectionQualities()
        #: Subscriptions that could not have a track's first codec, by what they got: "backup" or "none".
        self.codec_fallbacks: Counter[str] = Counter()
        self.on_closed: Callable[[Room], None] = lambda _room: None
        self.closed = False
        self._engine = engine
        self._spread = spread
        self._created_at = created_at
        self._now = 0.0
        #: Who left lately, and when.
        self._departed: deque[tuple[float, models.ParticipantInfo]] = deque(maxlen=limits.MAX_REQUEST_ITEMS)
        #: Who changed, or left with this as the last info, in this order, and those who are there have not heard of it.
        self._news: dict[Participant, models.ParticipantInfo | None] = {}
        self._empty = Patience(options.empty_timeout_s)
        self._empty.arm()
        self._stale = Patience(ROOM_UPDATE_S)
        self._window = Patience(WINDOW_S)
        self._window.arm()

    # --------------------------------------------------------------------------------------------------- getters

    def info(self) -> models.Room:
        visible = [item for item in self.participants.values() if not item.permission.hidden]
        return models.Room(
            sid=self.sid,
            name=self.name,
            empty_timeout=int(self.options.empty_timeout_s),
            departure_timeout=int(self.options.departure_timeout_s),
            max_participants=self.options.max_participants,
            creation_time=int(self._created_at),
            creation_time_ms=int(self._created_at * 1000),
            enabled_codecs=enabled_codecs(),
            metadata=self.metadata,
            num_participants=len(visible),
            num_publishers=sum(1 for item in visible if item.publishing.publications),
        )

    def shard_for_joiner(self) -> int:
        load = self._engine.shard_load()
        people = [0] * len(load)
        for participant in self.participants.values():
            people[participant.shard] += 1
        return shards.shard_of_participant(self.home, people, load, self._spread)

    def others(self, participant: Participant) -> Iterator[Participant]:
        return (item for item in self.participants.values() if item is not participant)

    def visible_others(self, participant: Participant) -> list[models.ParticipantInfo]:
        return [item.info() for item in self.others(participant) if not item.permission.hidden]

    def departed(self) -> list[models.ParticipantInfo]:
        """Who left lately and did not come back: a client whose connection broke may not have read of it."""
        return [
            info
            for at, info in self._departed
            if self._now - at < DEPARTED_S and Identity(info.identity) not in self.participants
        ]

    def participant(self, identity: Identity) -> Participant:
        """Raises `NotFound`."""
        found = self.participants.get(identity)
        if found is None:
            raise NotFound(f"there is no participant '{identity}' in room '{self.name}'")
        return found

    def is_full_for(self, identity: Identity) -> bool:
        """Whoever is in already may come again: the older one leaves."""
        limit = self.options.max_participants
        return bool(limit) and identity not in self.participants and len(self.participants) >= limit

    # ------------------------------------------------------------------------------------------ coming and going

    def join(
        self, options: JoinOptions, signal: SignalSink, joined_at: float, greet: Callable[[Participant], None]
    ) -> Participant:
        """Adds a participant; one of the same identity has to leave. Raises `RoomFull`.

        `joined_at` is in Unix seconds. `greet` is called before anything else is sent: the join response is the first message.
        """
        older = self.participants.get(options.identity)
        replaced: tuple[ParticipantSid, ...] = ()
        if self.is_full_for(options.identity):
            raise RoomFull(f"room '{self.name}' has its {self.options.max_participants} participants; try again later")
        if older is not None:
            replaced = (*older.replaced, older.sid)[-MAX_REPLACED:]
            older.leave(models.DisconnectReason.DUPLICATE_IDENTITY, rtc.LeaveRequest.Action.DISCONNECT)
        participant = Participant(self, self._engine, options, signal, joined_at)
        participant.replaced = replaced
        self.participants[participant.identity] = participant
        self.data.handle_joined(participant)
        self._empty.disarm()
        self._stale.arm()
        greet(participant)
        self.handle_changed(participant, at_once=False)
        for other in self.others(participant):
            for publication in other.publishing.publications.values():
                participant.subscriptions.handle_published(publication)
        return participant

    def handle_left(self, participant: Participant, final: models.ParticipantInfo) -> None:
        """Called by the participant at the end of its `close`."""
        if self.participants.get(participant.identity) is participant:
            del self.participants[participant.identity]
        # Who was sent away is not told what was said behind its back, should it come again.
        self.data.handle_left(participant, may_return=final.disconnect_reason not in _FINAL)
        self.speakers.forget(participant)
        self.qualities.handle_left(participant)
        # Where all have to go, each is told so, and not about every other as well.
        if not participant.permission.hidden and not self.closed:
            self._departed.append((self._now, final))
            self._news[participant] = final
        self._stale.arm()
        if not self.participants:
            self._empty = Patience(self.options.departure_timeout_s)
            self._empty.arm()

    def close(self, reason: int, action: int) -> None:
        """Everybody has to leave."""
        if self.closed:
            return
        self.closed = True
        for participant in list(self.participants.values()):
            participant.leave(reason, action)
        self.on_closed(self)

    # ------------------------------------------------------------------------------------------------- handle_*

    def handle_resumed(self, participant: Participant) -> None:
        """Of speakers and qualities only changes are told, and some of them are lost."""
        self.qualities.handle_resumed(participant)
        levels = {speaker.key: speaker.level for speaker in self.speakers.active()}
        heard = [item for item in self.others(participant) if participant in item.publishing.subscribers()]
        speakers = [
            models.SpeakerInfo(sid=item.sid, level=levels.get(item, 0.0), active=item in levels)
            for item in (participant, *heard)
        ]
        participant.send(rtc.SignalResponse(speakers_changed=rtc.SpeakersChanged(speakers=speakers)))

    def handle_changed(self, participant: Participant, *, at_once: bool = True) -> None:
        """A participant's info changed; a hidden one is nobody else's business."""
        if participant.permission.hidden:
            self._news.pop(participant, None)
            participant.send(_update([participant.info()]))
            return
        self._news[participant] = None
        if at_once:
            self.tell_news()

    def tell_news(self, of: Participant | None = None) -> None:
        """Everybody hears of all changes in one message; with `of`, only if there is one of that participant.

        Coming, connecting and going wait for the next tick (ADR 16), or for what needs them to be known.
        """
        if not self._news or (of is not None and of not in self._news):
            return
        news, self._news = self._news, {}
        self.broadcast(_update([participant.info() if final is None else final for participant, final in news.items()]))

    def handle_published(self, publication: Publication) -> None:
        """A track can be had now; `handle_changed` told everybody before."""
        for participant in self.others(publication.owner):
            participant.subscriptions.handle_published(publication)

    def handle_timeout(self, now: float) -> None:
        """Everything that takes time; to be called every `TICK_S`."""
        self._now = now
        self.tell_news()
        for participant in list(self.participants.values()):
            participant.handle_timeout(now)
        self.data.handle_timeout(now)
        self.qualities.handle_timeout(now, self.participants.values())
        if self._window.expired(now):
            self._window.arm()
            self._tell_speakers(self.speakers.poll_changes())
        if self._stale.expired(now):
            self.broadcast(rtc.SignalResponse(room_update=rtc.RoomUpdate(room=self.info())))
        if self._empty.expired(now) and not self.participants:
            self.close(models.DisconnectReason.ROOM_CLOSED, rtc.LeaveRequest.Action.DISCONNECT)

    # --------------------------------------------------------------------------------------- for the server API

    def update_metadata(self, metadata: str) -> None:
        """Raises `LimitExceeded`."""
        limits.check_metadata(metadata)
        self.metadata = metadata
        self.broadcast(rtc.SignalResponse(room_update=rtc.RoomUpdate(room=self.info())))

    def remove(self, identity: Identity) -> None:
        """Raises `NotFound`."""
        participant = self.participant(identity)
        participant.leave(models.DisconnectReason.PARTICIPANT_REMOVED, rtc.LeaveRequest.Action.DISCONNECT)

    def mute_track(self, identity: Identity, sid: TrackSid, muted: bool) -> models.TrackInfo:
        """Mutes for the owner, whose media stops at once. Raises `NotFound`, and `NotAllowed` for an unmute.

        Nobody's microphone is opened from afar.
        """
        if not muted:
            raise NotAllowed("a track is unmuted by its owner only")
        participant = self.participant(identity)
        participant.publishing.handle_mute(sid, True, by_server=True)
        return next((info for info in participant.publishing.infos() if info.sid == sid), models.TrackInfo(sid=sid))

    def broadcast(self, message: rtc.SignalResponse) -> None:
        for participant in self.participants.values():
            participant.send(message)

    # ------------------------------------------------------------------------------------------------- internals

    def _tell_speakers(self, changes: list[Speaker[Participant]]) -> None:
        """Each hears of itself and of those it receives something from; those who hear the same get the same message."""
        infos = [models.SpeakerInfo(sid=item.key.sid, level=item.level, active=item.active) for item in changes]
        heard: defaultdict[Participant, list[int]] = defaultdict(list)
        for number, speaker in enumerate(changes):
            for participant in {speaker.key, *speaker.key.publishing.subscribers()}:
                heard[participant].append(number)
        audiences: defaultdict[tuple[int, ...], list[Participant]] = defaultdict(list)
        for participant, numbers in heard.items():
            audiences[tuple(numbers)].append(participant)
        for together, audience in audiences.items():
            speakers = rtc.SpeakersChanged(speakers=[infos[number] for number in together])
            message = rtc.SignalResponse(speakers_changed=speakers)
            for participant in audience:
                participant.send(message)


def _update(infos: list[models.ParticipantInfo]) -> rtc.SignalResponse:
    return rtc.SignalResponse(update=rtc.ParticipantUpdate(participants=infos))


def enabled_codecs(client: models.ClientInfo | None = None) -> list[models.Codec]:
    """What may be published here, or by this client, in LiveKit's spelling."""
    return [models.Codec(mime=mime) for mime in _CODECS if client is None or clients.may_publish(client, mime)]


_CODECS = ("audio/opus", "video/VP8", "video/H264", "video/VP9", "video/AV1")
# Sessions that one participant is known to have taken the place of.
MAX_REPLACED = 8
_FINAL = frozenset({models.DisconnectReason.PARTICIPANT_REMOVED, models.DisconnectReason.ROOM_DELETED})
# Counts of participants change in bursts; metadata is sent at once.
ROOM_UPDATE_S = 1.0
# A dead socket is noticed after 30 s, and a resume may take 15 s more.
DEPARTED_S = 60.0


# LiveKit's, where only a minimum is given.
_DEFAULT_MAX_PLAYOUT_DELAY_MS = 10_000
# What 12 bits hold.
_LONGEST_PLAYOUT_DELAY_MS = 40_950

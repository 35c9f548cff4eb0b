"""What is measured: rooms full of people, and what they do. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Codec = Literal["vp8", "h264", "vp9", "av1"]
#: A number of publishers, or every one of them.
Many = int | Literal["all"]


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Whose media somebody wants: videos of `high` publishers large, of the next `low` ones small."""

    audio: bool = True
    high: Many = 0
    low: Many = 0


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody in a room."""

    audio: bool = False
    video: Codec | None = None
    simulcast: bool = True
    subscribe: Subscribe | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """Everybody stays and sends."""

    do = "measure"

    def arguments(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True, slots=True)
class Churn:
    """So many leave and join again in a second."""

    rate_per_s: float
    do = "churn"

    def arguments(self) -> dict[str, Any]:
        return {"rate_per_s": self.rate_per_s}


@dataclass(frozen=True, slots=True)
class Data:
    """The first one sends messages to everybody else."""

    size: int
    rate_per_s: float
    reliable: bool
    do = "data"

    def arguments(self) -> dict[str, Any]:
        return {"size": self.size, "rate_per_s": self.rate_per_s, "reliable": self.reliable}


@dataclass(frozen=True, slots=True)
class Stream:
    """The first one sends one file to everybody else."""

    bytes: int
    do = "stream"

    def arguments(self) -> dict[str, Any]:
        return {"bytes": self.bytes}


Action = Measure | Churn | Data | Stream


@dataclass(frozen=True, slots=True)
class Case:
    """One row of a report: who is there, and what happens."""

    #: See `GROUPS`.
    group: str
    name: str
    participants: tuple[Participant, ...]
    action: Action = Measure()
    #: Participants are spread over rooms of this size; 0: they share one.
    room_size: int = 0
    #: In rooms of its own on the same server, at the same time; not measured.
    neighbour: Case | None = None

    def rooms(self) -> Iterator[Sequence[Participant]]:
        size = self.room_size or len(self.participants)
        for start in range(0, len(self.participants), size):
            yield self.participants[start : start + size]

    @property
    def subscriptions(self) -> int:
        """Flows of media from the server, audio and video."""
        return sum(_subscriptions(room) for room in self.rooms())


@dataclass(frozen=True, slots=True)
class Sweep:
    """The same listeners, as many as bring a server to these loads; the number is found by trying `first`, and then many."""

    #: See `GROUPS`.
    group: str
    name: str
    publishers: tuple[Participant, ...]
    listener: Participant
    #: Shares of the server's core.
    loads: tuple[float, ...]
    first: int
    #: More than so many are not tried.
    most: int
    #: Each with these publishers, and its share of the listeners.
    rooms: int = 1

    def case(self, listeners: int) -> Case:
        room = self.publishers + (self.listener,) * max(1, round(listeners / self.rooms))
        return Case(self.group, self.name, room * self.rooms, room_size=len(room))

    def many(self, busy: float) -> int:
        """How many to try next, when `first` of them keep a server busy for the share `busy`: a high load, by proportion."""
        return self._bounded(self.first * _HIGH_LOAD / busy)

    def listeners(self, load: float, few: tuple[int, float], many: tuple[int, float]) -> int:
        """How many bring a server to `load`, on the line through two tries: of how many, and how busy it was."""
        slope = (many[1] - few[1]) / (many[0] - few[0]) if many[0] != few[0] else 0
        # More people make a server less busy only where something disturbed one of them.
        return self._bounded(few[0] + (load - few[1]) / slope if slope > 0 else self.first * load / few[1])

    def _bounded(self, listeners: float) -> int:
        return max(1, min(self.most, round(listeners)))


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Sizes whose resident memory is read."""

    #: Participants who neither send nor receive, one after the other in the same server.
    idle: tuple[int, ...]
    #: The room whose subscriptions are paid for: with them and without, each in a server of its own.
    everyday: int
    #: Seconds until that room's rings are as long as they get.
    fill_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything of one run."""

    cases: tuple[Case, ...]
    sweeps: tuple[Sweep, ...]
    memory: MemoryPlan | None
    rounds: int
    warm_up_s: float
    seconds: float
    #: Servers of this run that are left out of a group, by its name: what takes long, and says nothing new.
    without: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def servers(self, names: Sequence[str], group: str) -> list[str]:
        """Those of the run that take part in a group."""
        return [name for name in names if name not in self.without.get(group, ())]


def full(rounds: int, seconds: float) -> Plan:
    """The whole of it: more than an hour."""
    return Plan(
        cases=(
            audio_room(10, 300),
            *(meeting(size) for size in (6, 12, 24)),
            everyday(24),
            *(livestream(listeners) for listeners in (10, 50, 200)),
            *(livestream(50, codec) for codec in _OTHER_CODECS),
            *(growth(listeners) for listeners in (10, 50, 200, 1000)),
            *(churn(20, rate) for rate in (10, 50, 100, 200)),
            *(data(receivers, reliable=reliable) for receivers in (10, 100) for reliable in (False, True)),
            *(stream(receivers, STREAM_BYTES) for receivers in (1, 10)),
            *neighbours(everyday(12)),
        ),
        sweeps=(load(first=40, most=800), fan_out(first=40, most=1000)),
        memory=MemoryPlan(idle=(0, 50, 100, 200, 400), everyday=24, fill_s=8.0),
        rounds=rounds,
        warm_up_s=1.5,
        seconds=seconds,
        without={
            **dict.fromkeys(("meeting", "codecs", "growth", "load", "fanout", "neighbour"), ("livekit-batch",)),
            # The rooms of a churn at rest are too much for Janus already.
            **dict.fromkeys((*MEDIA_ONLY, "churn"), ("livekit-batch", "janus")),
        },
    )


def quick(rounds: int, seconds: float) -> Plan:
    """One small room of each kind, in under three minutes: shows that it works, says little about small differences."""
    return Plan(
        cases=(
            audio_room(3, 40),
            meeting(6),
            everyday(6),
            *(growth(listeners) for listeners in (10, 30, 60)),
            churn(2, 10),
            data(10, reliable=False),
            stream(1, STREAM_BYTES // 4),
        ),
        sweeps=(),
        memory=MemoryPlan(idle=(0, 20), everyday=6, fill_s=3.0),
        rounds=rounds,
        # Less, and a server that waits for a keyframe still sends the larger size.
        warm_up_s=1.0,
        seconds=seconds,
        without=dict.fromkeys(MEDIA_ONLY, ("janus",)),
    )


def only(plan: Plan, groups: Collection[str]) -> Plan:
    """Those of `GROUPS`."""
    return replace(
        plan,
        cases=tuple(case for case in plan.cases if case.group in groups),
        sweeps=tuple(sweep for sweep in plan.sweeps if sweep.group in groups),
        memory=plan.memory if "memory" in groups else None,
    )


def audio_room(speakers: int, listeners: int) -> Case:
    hears = Subscribe()
    people = (Participant(audio=True, subscribe=hears),) * speakers + (Participant(subscribe=hears),) * listeners
    return Case("audio", f"{speakers} speakers, {listeners} listeners", people)


def meeting(size: int) -> Case:
    """Everybody sees one large and five small, as a page with a speaker and a row of others does."""
    return Case("meeting", f"{size} x {size}, each sees 1 large and 5 small", _cameras(size, Subscribe(True, 1, 5)))


def everyday(size: int) -> Case:
    name = f"{size} x {size}, everybody sees everybody"
    return Case("everyday", name, _cameras(size, Subscribe(audio=True, high=1, low="all")))


def livestream(listeners: int, codec: Codec = "vp8") -> Case:
    group = "livestream" if codec == "vp8" else "codecs"
    name = f"1 to {listeners}" if codec == "vp8" else f"1 to {listeners}, {codec.upper()}"
    return Case(group, name, (_publisher(codec), *(_viewer(high=1),) * listeners))


def growth(listeners: int) -> Case:
    """Video in its smallest size, so that a thousand are not yet the end of every server."""
    return Case("growth", f"1 to {listeners}, small video", (_publisher(), *(_viewer(low=1),) * listeners))


def churn(rooms: int, rate_per_s: float) -> Case:
    people = (Participant(audio=True, subscribe=Subscribe()),) * (ROOM * rooms)
    name = f"{rooms} rooms of {ROOM}, {rate_per_s:g} join and leave each second"
    return Case("churn", name, people, Churn(rate_per_s), room_size=ROOM)


def data(receivers: int, *, reliable: bool) -> Case:
    kind = "reliable" if reliable else "lossy"
    name = f"{MESSAGE_BYTES} B to {receivers}, {kind}, {MESSAGES_PER_S} a second"
    action = Data(MESSAGE_BYTES, MESSAGES_PER_S, reliable)
    return Case("data", name, (Participant(),) * (1 + receivers), action)


def stream(receivers: int, size: int) -> Case:
    name = f"{size / 1e6:g} MB to {receivers}"
    return Case("stream", name, (Participant(),) * (1 + receivers), Stream(size))


def neighbours(call: Case) -> Iterator[Case]:
    """The call alone, and beside rooms that misbehave."""
    call = replace(call, group="neighbour")
    yield replace(call, name=f"{call.name}; alone")
    comings = churn(2, 20)
    yield replace(call, name=f"{call.name}; beside {comings.name}", neighbour=comings)
    flood = replace(data(10, reliable=False), action=Data(1000, 2000, reliable=False))
    yield replace(call, name=f"{call.name}; beside 2000 messages of 1000 B a second to 10", neighbour=flood)


def load(first: int, most: int) -> Sweep:
    """Sixteen rooms, in each of which three people talk to listeners who see one of them large and two small."""
    people, viewer = _cameras(3, Subscribe(True, 1, 1)), Participant(subscribe=Subscribe(True, 1, 2))
    return Sweep("load", "16 rooms of 3 and their listeners", people, viewer, _LOADS, first, most, rooms=16)


def fan_out(first: int, most: int) -> Sweep:
    """One picture is due to everybody at the same time: what the last one waits for grows with the load."""
    return Sweep("fanout", "1 to many", (_publisher(),), _viewer(high=1), _LOADS, first, most)


def _cameras(count: int, wants: Subscribe) -> tuple[Participant, ...]:
    return (Participant(audio=True, video="vp8", subscribe=wants),) * count


def _publisher(codec: Codec = "vp8") -> Participant:
    return Participant(audio=True, video=codec)


def _viewer(high: int = 0, low: int = 0) -> Participant:
    return Participant(subscribe=Subscribe(audio=True, high=high, low=low))


def _subscriptions(room: Sequence[Participant]) -> int:
    microphones = sum(each.audio for each in room)
    cameras = sum(each.video is not None for each in room)
    total = 0
    for each in room:
        if each.subscribe is None:
            continue
        total += (microphones - each.audio) if each.subscribe.audio else 0
        others = cameras - (each.video is not None)
        wanted = sum(others if many == "all" else many for many in (each.subscribe.high, each.subscribe.low))
        total += min(others, wanted)
    return total


#: Name -> what its rows are.
GROUPS = {
    "audio": "Audio room",
    "meeting": "Meetings: one large video and five small for everybody",
    "everyday": "Everybody sees everybody",
    "livestream": "Livestream",
    "codecs": "Livestream in other codecs",
    "growth": "Livestream in a small size, from few to many",
    "load": "Latency from idle to full, in rooms",
    "fanout": "Latency from idle to full, of one publisher",
    "memory": "Memory",
    "churn": "Joins and leaves",
    "data": "Small messages to everybody",
    "stream": "One file to everybody",
    "neighbour": "A call beside rooms that misbehave",
}
#: What Janus is left out of: its bridge translates media, and nobody without media.
MEDIA_ONLY = ("data", "stream", "memory")
#: Of a quick run, unless others are named.
QUICK_SERVERS = ("livekit", "ours")
ROOM = 10
#: A position in a game, a stroke on a whiteboard.
MESSAGE_BYTES, MESSAGES_PER_S = 200, 50
STREAM_BYTES = 20_000_000
#: Shares of the server's core.
_HIGH_LOAD = 0.7
_LOADS = (0.05, 0.2, 0.5, 0.7, 0.9)
_OTHER_CODECS: tuple[Codec, ...] = ("h264", "vp9", "av1")

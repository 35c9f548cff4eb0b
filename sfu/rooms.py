"""The rooms of this process: makes them, gives each a shard to begin on, ticks and ends them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

from livekit.protocol import models, rtc

from sfu.connection.transport import Candidates
from sfu.engine import EngineFacade
from sfu.errors import RoomNotFound
from sfu.ids import RoomName
from sfu.policy import shards
from sfu.room import Room, RoomOptions

_log = logging.getLogger(__name__)


class Rooms:
    """A new room begins on the shard with the fewest transports; `spread` participants later it takes another one, too."""

    def __init__(
        self,
        engine: EngineFacade,
        candidates: Candidates,
        defaults: RoomOptions | None = None,
        *,
        auto_create: bool = True,
        spread: int = shards.DEFAULT_SPREAD,
    ) -> None:
        self.engine = engine
        self.defaults = defaults or RoomOptions()
        self.auto_create = auto_create
        self._candidates = candidates
        self._spread = spread
        self._rooms: dict[RoomName, Room] = {}
        #: Of rooms that have ended.
        self._data_dropped: Counter[str] = Counter()
        self._codec_fallbacks: Counter[str] = Counter()

    def get(self, name: RoomName) -> Room | None:
        return self._rooms.get(name)

    def all(self) -> list[Room]:
        return list(self._rooms.values())

    def create(self, name: RoomName, created_at: float, options: RoomOptions | None = None) -> Room:
        """The room of that name, new when there is none. `created_at` in Unix seconds."""
        room = self._rooms.get(name)
        if room is None:
            home = self._choose_home()
            options = options or self.defaults
            room = Room(self.engine, name, home, self._candidates, options, created_at, spread=self._spread)
            room.on_closed = self._forget
            self._rooms[name] = room
        return room

    def for_join(self, name: RoomName, created_at: float, options: Callable[[], RoomOptions]) -> Room:
        """The room to join; made on the way if that is allowed, else raises `RoomNotFound`."""
        room = self._rooms.get(name)
        if room is not None:
            return room
        if not self.auto_create:
            # Clients look for the words "requested room does not exist".
            raise RoomNotFound(f"requested room does not exist: '{name}'; create it first with the server API")
        return self.create(name, created_at, options())

    def handle_timeout(self, now: float) -> None:
        """To be called every `TICK_S` with a monotonic time."""
        for room in self.all():
            try:
                room.handle_timeout(now)
            except Exception:  # noqa: BLE001 (a bug in one room must not stop the others' timers)
                _log.exception("a room's timers failed")

    def close(self) -> None:
        """The server stops: clients are told to come back."""
        for room in self.all():
            room.close(models.DisconnectReason.SERVER_SHUTDOWN, rtc.LeaveRequest.Action.RECONNECT)

    def counts(self) -> dict[str, int]:
        """Rooms, participants, and tracks published and subscribed."""
        people = [person for room in self._rooms.values() for person in room.participants.values()]
        return {
            "rooms": len(self._rooms),
            "participants": len(people),
            "tracks_published": sum(len(person.publishing.publications) for person in people),
            "tracks_subscribed": sum(len(person.subscriptions) for person in people),
        }

    def data_dropped(self) -> Counter[str]:
        """Reason -> data packets, since the start."""
        return sum((room.data.dropped for room in self._rooms.values()), self._data_dropped)

    def codec_fallbacks(self) -> Counter[str]:
        """What subscribers got that cannot decode a track's first codec ("backup", "none") -> how often, since the start."""
        return sum((room.codec_fallbacks for room in self._rooms.values()), self._codec_fallbacks)

    def _choose_home(self) -> int:
        load = self.engine.shard_load()
        rooms = [0] * len(load)
        for room in self._rooms.values():
            rooms[room.home] += 1
        return shards.home_of_room(load, rooms)

    def _forget(self, room: Room) -> None:
        if self._rooms.get(room.name) is room:
            del self._rooms[room.name]
            self._data_dropped += room.data.dropped
            self._codec_fallbacks += room.codec_fallbacks

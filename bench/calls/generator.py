"""The load generator in one server's rooms: its own process, driven by JSON lines (`loadgen call`)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.calls.scenarios import Action, Case, Participant
from bench.loadgen import LOADGEN, Peer
from bench.process import CORE
from control.tokens import Grants, mint

OWN_CORE = 1


@dataclass(frozen=True, slots=True)
class Target:
    """Where to join. `pid` is a server's on this machine, whose CPU time is then told; else it is the generator's."""

    url: str
    key: str
    secret: str
    pid: int | None = None


class Generator(Peer):
    """`with` starts and ends it. It plays the streams of a directory that `media.py` has filled."""

    def __init__(self, target: Target, media: Path, *, core: int | None = OWN_CORE, binary: Path = LOADGEN) -> None:
        super().__init__(core, str(binary), "call")
        self.target = target
        self.media = media

    def join(self, case: Case, room: str) -> dict[str, Any]:
        """Everybody of a case joins, as fast as they can; returns when all that they want flows."""
        self.start_joining(case, room)
        return self.hear("join")

    def start_joining(self, case: Case, room: str, joins_per_s: float = 0) -> None:
        """`hear("join")` has what came of it."""
        people = [
            _request(participant, self._token(name, identity)) for name, identity, participant in _seats(case, room)
        ]
        self.tell(
            "join",
            url=self.target.url,
            media=str(self.media),
            full_every=FULL_EVERY,
            joins_per_s=joins_per_s,
            participants=people,
        )

    def start(self, action: Action, seconds: float) -> None:
        """`hear(action.do)` has what came of it."""
        pid = self.process.pid if self.target.pid is None else self.target.pid
        self.tell(action.do, seconds=seconds, pid=pid, cores=[CORE, OWN_CORE], **action.arguments())

    def run(self, action: Action, seconds: float) -> dict[str, Any]:
        self.start(action, seconds)
        return self.hear(action.do)

    def leave(self, count: int) -> None:
        """The last `count` who joined."""
        self.ask("leave", count=count)

    def _token(self, room: str, identity: str) -> str:
        grants = Grants(room=room, room_join=True)
        return mint(self.target.key, self.target.secret, grants, identity=identity, now=time.time())


def _seats(case: Case, room: str) -> Iterator[tuple[str, str, Participant]]:
    """Room, identity and wishes of everybody. Identities sort as people come: whom one sees goes by that order."""
    rooms = list(case.rooms())
    for number, people in enumerate(rooms):
        name = f"{room}-{number}" if len(rooms) > 1 else room
        for place, participant in enumerate(people):
            yield name, f"load-{place:05}", participant


def _request(participant: Participant, token: str) -> dict[str, Any]:
    wants = participant.subscribe
    return {
        "token": token,
        "audio": participant.audio,
        "video": participant.video,
        "simulcast": participant.simulcast,
        "subscribe": None if wants is None else {"audio": wants.audio, "high": wants.high, "low": wants.low},
    }


#: One subscriber in so many is a whole WebRTC client; the others only read.
FULL_EVERY = 20

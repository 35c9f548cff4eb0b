"""What a room should be: who is in it, what they publish, and who gets what. No engine, no negotiation, no messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sfu.policy.permission import Permission
from tests.unit.rooms.house import Peer


@dataclass
class Track:
    """One that others can see."""

    cid: str
    sid: str
    kind: str
    codec: str
    muted: bool = False


@dataclass
class Member:
    """One participant from join to end. Another join of the same identity is another member."""

    peer: Peer
    permission: Permission
    tracks: dict[str, Track] = field(default_factory=dict)
    #: Wishes by sid, where they differ from auto-subscribe.
    wishes: dict[str, bool] = field(default_factory=dict)
    #: Sids switched off by their settings.
    disabled: set[str] = field(default_factory=set)
    #: Who may have what: identity -> sids, or None for all. None: everybody.
    access: dict[str, set[str] | None] | None = None
    dropped_s: float = 0.0
    #: Its connection is closed; it is waited for, in vain.
    dying: bool = False

    @property
    def identity(self) -> str:
        return self.peer.identity

    @property
    def attentive(self) -> bool:
        """Whether what it was told is what it knows."""
        return not (self.peer.holds or self.peer.dropped or self.dying)

    def allows(self, identity: str, sid: str) -> bool:
        if self.access is None:
            return True
        tracks = self.access.get(identity, set())
        return tracks is None or sid in tracks

    def sees(self, track: Track) -> bool:
        """Whether it is sent this track of somebody it may have it from."""
        wanted = self.wishes.get(track.sid, self.peer.options.auto_subscribe)
        return wanted and self.decodes(track) and self.permission.can_subscribe

    def decodes(self, track: Track) -> bool:
        return track.kind == "audio" or track.codec in self.peer.codecs

    def is_paused(self, track: Track) -> bool:
        return track.muted or track.sid in self.disabled


class Model:
    """The members by identity."""

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        #: Every track that there ever was, by sid.
        self.ever: dict[str, Track] = {}

    def others(self, member: Member) -> Iterator[Member]:
        return (other for other in self.members.values() if other is not member)

    def visible(self, member: Member) -> dict[str, Member]:
        """Whom it knows of."""
        return {other.identity: other for other in self.others(member) if not other.permission.hidden}

    def received(self, member: Member) -> dict[str, tuple[Member, Track]]:
        """What it is sent, by sid."""
        return {
            track.sid: (owner, track)
            for owner in self.visible(member).values()
            for track in owner.tracks.values()
            if member.sees(track) and owner.allows(member.identity, track.sid)
        }

    def tracks(self) -> dict[str, tuple[Member, Track]]:
        """All there are, by cid."""
        return {cid: (member, track) for member in self.members.values() for cid, track in member.tracks.items()}

    def remove_all(self, doomed: Iterator[Member]) -> None:
        for member in list(doomed):
            del self.members[member.identity]

"""What a participant may do, and which of its tracks others may subscribe to. Pure decisions; wire shapes at the edge."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from livekit.protocol import models, rtc

from sfu.ids import Identity, ParticipantSid, TrackSid


@dataclass(frozen=True, slots=True)
class Permission:
    """The rights that a token grants and that the server API may change later."""

    can_publish: bool = True
    can_subscribe: bool = True
    can_publish_data: bool = True
    #: `TrackSource` numbers that narrow `can_publish`; empty allows every source.
    can_publish_sources: frozenset[int] = frozenset()
    can_update_metadata: bool = False
    hidden: bool = False
    recorder: bool = False
    agent: bool = False
    can_subscribe_metrics: bool = False

    def may_publish(self, source: int) -> bool:
        return self.can_publish and (not self.can_publish_sources or source in self.can_publish_sources)

    def to_proto(self) -> models.ParticipantPermission:
        return models.ParticipantPermission(
            can_publish=self.can_publish,
            can_subscribe=self.can_subscribe,
            can_publish_data=self.can_publish_data,
            can_publish_sources=[source_name(source).upper() for source in sorted(self.can_publish_sources)],
            can_update_metadata=self.can_update_metadata,
            hidden=self.hidden,
            recorder=self.recorder,
            agent=self.agent,
            can_subscribe_metrics=self.can_subscribe_metrics,
        )

    @classmethod
    def from_proto(cls, wire: models.ParticipantPermission) -> Permission:
        """As the server API's UpdateParticipant gives it: absent means not allowed."""
        return cls(
            can_publish=wire.can_publish,
            can_subscribe=wire.can_subscribe,
            can_publish_data=wire.can_publish_data,
            can_publish_sources=frozenset(int(source) for source in wire.can_publish_sources),
            can_update_metadata=wire.can_update_metadata,
            hidden=wire.hidden,
            recorder=wire.recorder,
            agent=wire.agent,
            can_subscribe_metrics=wire.can_subscribe_metrics,
        )


def source_name(source: int) -> str:
    """As in tokens: "camera"."""
    return models.TrackSource.Name(source).lower()


@dataclass(slots=True)
class TrackAccess:
    """Who may subscribe to the tracks of one publisher (`SubscriptionPermission`). Everybody, until it says otherwise."""

    everybody: bool = True
    _rules: dict[str, frozenset[str] | None] = field(default_factory=dict)

    def replace(self, wire: rtc.SubscriptionPermission) -> None:
        """Raises nothing: unknown sids and identities simply match nobody."""
        self.everybody = wire.all_participants
        self._rules = {}
        for rule in list(wire.track_permissions)[:MAX_ACCESS_RULES]:
            tracks = None if rule.all_tracks else frozenset(rule.track_sids)
            for key in (rule.participant_sid, rule.participant_identity):
                if key:
                    self._rules[key] = tracks

    def allows(self, sid: ParticipantSid, identity: Identity, track: TrackSid) -> bool:
        if self.everybody:
            return True
        return any(
            key in self._rules and ((tracks := self._rules[key]) is None or track in tracks) for key in (sid, identity)
        )


def sources_from_names(names: Iterable[str]) -> frozenset[int]:
    """`canPublishSources` of a token, e.g. "camera", "screen_share_audio"; unknown names are left out."""
    known = {name.lower(): number for name, number in models.TrackSource.items()}
    return frozenset(known[name.lower()] for name in names if name.lower() in known)


# A rule per participant of a large room, twice over; the list is the publisher's and kept in memory.
MAX_ACCESS_RULES = 2_000

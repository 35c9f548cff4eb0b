"""What one participant wants to receive: one `Subscription` per track, from the wish to the running consumer.

A subscription may have no consumer: unwanted, not permitted, not negotiated yet, or in a codec the client lacks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from livekit.protocol import rtc

from sfu import seam
from sfu.ids import TrackSid
from sfu.negotiation import OutboundTrack
from sfu.policy import limits, quality
from sfu.policy.quality import TrackSetting
from sfu.publication import Publication

if TYPE_CHECKING:
    from sfu.participant import Participant


class Subscription:
    """Attached = part of the client's negotiation. `publication.subscriptions` holds exactly the attached ones."""

    def __init__(self, subscriber: Participant, publication: Publication, *, wanted: bool) -> None:
        self.subscriber = subscriber
        self.publication = publication
        self.wanted = wanted
        self.setting = TrackSetting()
        self._unsupported = False
        self._allowed = True

    # ------------------------------------------------------------------------------------------------- handle_*

    def evaluate(self) -> None:
        """Attaches or detaches so that the negotiation matches wish, rights and codecs."""
        allowed = self._is_allowed()
        if self.wanted and allowed != self._allowed:
            self._allowed = allowed
            self._tell_allowed(allowed)
        should = self.wanted and allowed and not self._unsupported and self.subscriber.permission.can_subscribe
        if should and self not in self.publication.subscriptions:
            self.publication.subscriptions.add(self)
            self.subscriber.connection.attach(self)
            self.publication.handle_demand(self)
        elif not should:
            self.detach()

    def handle_setting(self, setting: TrackSetting) -> None:
        self.setting = setting
        self.reconfigure()
        if self in self.publication.subscriptions:
            self.publication.handle_demand(self)

    def handle_started(self) -> None:
        self.publication.handle_subscribed()

    def handle_unsupported(self) -> None:
        self._unsupported = True
        self.publication.subscriptions.discard(self)
        self.publication.handle_demand(self)
        self.subscriber.send(
            rtc.SignalResponse(
                subscription_response=rtc.SubscriptionResponse(track_sid=self.track_sid, err="SE_CODEC_UNSUPPORTED")
            )
        )

    def reconfigure(self) -> None:
        self.subscriber.connection.configure(self)

    def detach(self) -> None:
        if self in self.publication.subscriptions:
            self.publication.subscriptions.discard(self)
            self.subscriber.connection.detach(self.track_sid)
            self.publication.handle_demand(self)

    def close(self) -> None:
        """The publication or the subscriber is gone."""
        self.detach()
        self.subscriber.subscriptions.forget(self.track_sid)

    # -------------------------------------------------------------------------------- getters, for the connection

    @property
    def track_sid(self) -> TrackSid:
        return self.publication.sid

    @property
    def producer(self) -> seam.ProducerId:
        return self.publication.producer

    def describe(self, ssrc: int, rtx_ssrc: int | None) -> OutboundTrack:
        inbound = self.publication.inbound
        return OutboundTrack(
            track_sid=self.track_sid,
            participant_sid=self.publication.owner.sid,
            kind=inbound.kind,
            mime_type=inbound.mime_type,
            fmtp=inbound.fmtp,
            ssrc=ssrc,
            rtx_ssrc=rtx_ssrc,
            # One per publisher: clients keep audio and video of one cname in step.
            cname=self.publication.owner.sid,
        )

    def wanted_quality(self) -> int:
        return quality.wanted_quality(self.setting, self.publication.info.layers)

    def consumer_settings(self) -> tuple[bool, int]:
        """(paused, highest encoding wanted)."""
        wanted = self.wanted_quality()
        if wanted == quality.OFF or self.publication.forced_mute:
            return True, 0
        return False, self.publication.encoding_for(wanted)

    def _is_allowed(self) -> bool:
        owner = self.publication.owner
        return owner.access.allows(self.subscriber.sid, self.subscriber.identity, self.track_sid)

    def _tell_allowed(self, allowed: bool) -> None:
        self.subscriber.send(
            rtc.SignalResponse(
                subscription_permission_update=rtc.SubscriptionPermissionUpdate(
                    participant_sid=self.publication.owner.sid, track_sid=self.track_sid, allowed=allowed
                )
            )
        )


class Subscriptions:
    """Every subscription of one participant. Verbs: `handle_published`, `handle_request`, `handle_settings`."""

    def __init__(self, subscriber: Participant, *, auto: bool) -> None:
        self._subscriber = subscriber
        self._auto = auto
        self._by_track: dict[TrackSid, Subscription] = {}

    def handle_published(self, publication: Publication) -> None:
        """A track is there to be had, unless its owner is hidden."""
        if publication.owner is self._subscriber or publication.sid in self._by_track:
            return
        if publication.owner.permission.hidden:
            return
        if len(self._by_track) >= limits.MAX_SUBSCRIPTIONS:
            return
        subscription = Subscription(self._subscriber, publication, wanted=self._auto)
        self._by_track[publication.sid] = subscription
        subscription.evaluate()

    def handle_request(self, track_sids: Iterable[TrackSid], *, subscribe: bool) -> None:
        """The client's `subscription`. An unknown track is answered, not remembered: clients name what we announced."""
        for track_sid in track_sids:
            subscription = self._by_track.get(track_sid)
            if subscription is not None:
                subscription.wanted = subscribe
                subscription.evaluate()
            elif subscribe:
                self._subscriber.send(
                    rtc.SignalResponse(
                        subscription_response=rtc.SubscriptionResponse(track_sid=track_sid, err="SE_TRACK_NOTFOUND")
                    )
                )

    def handle_settings(self, track_sids: Iterable[TrackSid], setting: TrackSetting) -> None:
        for track_sid in track_sids:
            if subscription := self._by_track.get(track_sid):
                subscription.handle_setting(setting)

    def handle_permission(self) -> None:
        """The subscriber's own rights changed."""
        for subscription in list(self._by_track.values()):
            subscription.evaluate()

    def handle_access(self, owner: Participant) -> None:
        """A publisher changed who may subscribe to it."""
        for track_sid in owner.publishing.publications:
            if subscription := self._by_track.get(track_sid):
                subscription.evaluate()

    def forget(self, track_sid: TrackSid) -> None:
        self._by_track.pop(track_sid, None)

    def close(self) -> None:
        for subscription in list(self._by_track.values()):
            subscription.close()

    def __len__(self) -> int:
        return sum(1 for item in self._by_track.values() if item in item.publication.subscriptions)

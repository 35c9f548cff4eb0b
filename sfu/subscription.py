"""What one participant wants to receive: one `Subscription` per track, from the wish to the running consumer.

A subscription may have no consumer: unwanted, not permitted, not negotiated yet, or in codecs the client lacks; or the codec
that it needs is not sent yet.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from livekit.protocol import rtc

from sfu import seam
from sfu.ids import TrackSid
from sfu.negotiation import OutboundTrack
from sfu.policy import clients, limits, quality
from sfu.policy.quality import TrackSetting
from sfu.publication import Publication
from sfu.rendition import Rendition, Source

if TYPE_CHECKING:
    from sfu.participant import Participant


class Subscription:
    """Attached = part of the client's negotiation. `publication.subscriptions` holds exactly the attached ones."""

    def __init__(self, subscriber: Participant, publication: Publication, *, wanted: bool) -> None:
        self.subscriber = subscriber
        self.publication = publication
        self.wanted = wanted
        self.setting = TrackSetting()
        #: The codec that it is to have, sent already or not; None where it is to have nothing.
        self.rendition: Rendition | None = None
        self._source: Source | None = None
        #: MIME types of this track that the client cannot decode.
        self._undecodable: set[str] = set()
        self._told_unsupported = False
        self._allowed = True
        #: What the subscriber was told about that; it believes that it may.
        self._told_allowed: bool | None = None
        publication.audience.add(self)

    # ------------------------------------------------------------------------------------------------- handle_*

    def evaluate(self) -> None:
        """Attaches or detaches so that the negotiation matches wish, rights and the codecs that are sent."""
        allowed = self._is_allowed()
        if self.wanted and allowed != self._allowed:
            self._allowed = allowed
            self._tell_allowed(allowed)
        should = self.wanted and allowed and self.subscriber.permission.can_subscribe
        self._take(self.publication.rendition_for(self._undecodable) if should else None)

    def handle_wish(self, wanted: bool) -> None:
        """The client's own. One that asks again for what it cannot decode is answered again."""
        self.wanted = wanted
        self.evaluate()
        if wanted and self._told_unsupported:
            self._tell_unsupported()

    def handle_setting(self, setting: TrackSetting) -> None:
        self.setting = setting
        self.reconfigure()
        if self.rendition is not None:
            self.publication.handle_demand(self)

    def handle_started(self) -> None:
        if self._undecodable:
            self.subscriber.room.codec_fallbacks["backup"] += 1
        self.publication.handle_subscribed()

    def handle_unsupported(self) -> None:
        """The client refused the codec it was to get: another one, if there is any."""
        if self.rendition is not None:
            self._undecodable.add(self.rendition.mime_type)
        self._leave_negotiation()
        self.evaluate()
        if self.rendition is None:
            self._handle_undecodable()

    def handle_overdue(self) -> None:
        """The codec that was asked for does not come; should it come later, the track does."""
        if self.rendition is not None and self.rendition.source is None:
            self._handle_undecodable()

    def repeat(self) -> None:
        """The subscriber resumed: what it was told meanwhile may be lost."""
        if self._told_allowed is not None:
            self._tell_allowed(self._told_allowed)
        if self._told_unsupported and self.wanted and self._allowed:
            self._tell_unsupported()

    def reconfigure(self) -> None:
        self.subscriber.connection.configure(self)

    def close(self) -> None:
        """The publication or the subscriber is gone."""
        self._take(None, ended=True)
        self.publication.audience.discard(self)
        self.subscriber.subscriptions.forget(self.track_sid)

    # -------------------------------------------------------------------------------- getters, for the connection

    @property
    def track_sid(self) -> TrackSid:
        return self.publication.sid

    @property
    def producer(self) -> seam.ProducerId:
        return self._sent().producer

    def describe(self, ssrc: int, rtx_ssrc: int | None) -> OutboundTrack:
        inbound = self._sent().inbound
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
            red=inbound.red_payload_type is not None and clients.knows_red(self.subscriber.options.client),
        )

    @property
    def playout_delay(self) -> tuple[int, int] | None:
        return self.publication.owner.room.options.playout_delay

    def wanted_quality(self) -> int:
        own = None if self.rendition is None else self.rendition.layers
        return quality.wanted_quality(self.setting, own or self.publication.info.layers)

    def consumer_settings(self) -> tuple[bool, int]:
        """(paused, highest encoding wanted)."""
        wanted = self.wanted_quality()
        if wanted == quality.OFF or self.publication.info.muted or self.rendition is None:
            return True, 0
        return False, self.rendition.encoding_for(wanted)

    # ------------------------------------------------------------------------------------------------- internals

    def _take(self, rendition: Rendition | None, *, ended: bool = False) -> None:
        """Changes over to this codec: at once where it is sent, else when it is."""
        source = None if rendition is None else rendition.source
        if rendition is self.rendition and source is self._source:
            return
        if self._source is not None:
            self._leave_negotiation()
            self.subscriber.connection.detach(self.track_sid, ended=ended)
        self.rendition, self._source = rendition, source
        if source is not None:
            self._told_unsupported = False
            self.publication.subscriptions.add(self)
            self.subscriber.connection.attach(self)
        self.publication.handle_demand(self)

    def _leave_negotiation(self) -> None:
        self._source = None
        self.publication.subscriptions.discard(self)

    def _sent(self) -> Source:
        assert self._source is not None, "only what is sent is negotiated"  # noqa: S101
        return self._source

    def _handle_undecodable(self) -> None:
        if not self._told_unsupported:
            self._told_unsupported = True
            self.subscriber.room.codec_fallbacks["none"] += 1
            self._tell_unsupported()

    def _tell_unsupported(self) -> None:
        response = rtc.SubscriptionResponse(track_sid=self.track_sid, err="SE_CODEC_UNSUPPORTED")
        self.subscriber.send(rtc.SignalResponse(subscription_response=response))

    def _is_allowed(self) -> bool:
        owner = self.publication.owner
        return owner.access.allows(self.subscriber.sid, self.subscriber.identity, self.track_sid)

    def _tell_allowed(self, allowed: bool) -> None:
        self._told_allowed = allowed
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
                subscription.handle_wish(subscribe)
            elif subscribe:
                self._subscriber.send(
                    rtc.SignalResponse(
                        subscription_response=rtc.SubscriptionResponse(track_sid=track_sid, err="SE_TRACK_NOTFOUND")
                    )
                )

    def handle_sync(self, listed: Iterable[TrackSid], *, subscribe: bool) -> None:
        """The client's wishes after a resume: these tracks deviate from what it asked for when it joined, all others do not."""
        deviating = set(listed) if subscribe != self._auto else set()
        for track_sid, subscription in list(self._by_track.items()):
            wanted = subscribe if track_sid in deviating else self._auto
            if subscription.wanted != wanted:
                subscription.wanted = wanted
                subscription.evaluate()

    def handle_disabled(self, track_sids: Iterable[TrackSid]) -> None:
        """Tracks that the client has switched off, of which we may not have heard."""
        for track_sid in track_sids:
            if subscription := self._by_track.get(track_sid):
                subscription.handle_setting(replace(subscription.setting, disabled=True))

    def repeat(self) -> None:
        for subscription in self._by_track.values():
            subscription.repeat()

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

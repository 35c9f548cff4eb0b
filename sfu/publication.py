"""One published track: what the owner offers (`TrackInfo`), the producer that carries it, and who wants it at which quality."""

from __future__ import annotations

from typing import TYPE_CHECKING

from livekit.protocol import models, rtc

from sfu import seam
from sfu.engine import EngineFacade
from sfu.ids import TrackSid
from sfu.negotiation import InboundTrack
from sfu.policy import quality
from sfu.policy.quality import Demand, WantedQuality

if TYPE_CHECKING:
    from sfu.participant import Participant
    from sfu.subscription import Subscription


class Publication:
    """Exists while the owner's section sends. Muted or not is in `info`; `forced_mute` is the server's and stops media."""

    def __init__(
        self,
        engine: EngineFacade,
        owner: Participant,
        info: models.TrackInfo,
        cid: str,
        transport: seam.TransportId,
        inbound: InboundTrack,
    ) -> None:
        self.owner = owner
        self.sid = TrackSid(info.sid)
        self.cid = cid
        self.inbound = inbound
        self.info = describe_media(info, cid, inbound)
        self.forced_mute = False
        self.subscriptions: set[Subscription] = set()
        self._demand: Demand[Subscription] = Demand()
        self.qualities = quality.encoding_qualities([encoding.rid for encoding in inbound.encodings])
        self._engine = engine
        self._wanted = WantedQuality()
        self._announced_subscriber = False
        self._closed = False
        self.producer = engine.mint_producer(self)
        engine.submit(
            seam.AddProducer(
                producer=self.producer,
                transport=transport,
                kind=inbound.kind,
                mid=inbound.mid,
                mime_type=inbound.mime_type,
                clock_rate=inbound.clock_rate,
                payload_type=inbound.payload_type,
                rtx_payload_type=inbound.rtx_payload_type,
                encodings=tuple(inbound.encodings),
                nack=inbound.nack,
                transport_cc=inbound.transport_cc,
                remb=inbound.remb,
            )
        )
        # Nobody subscribes yet: unless somebody does, the owner may soon stop sending.
        self._tell_demand()

    # ------------------------------------------------------------------------------------------------- handle_*

    def handle_level(self, level: int) -> None:
        """One audio level of the engine's batch, in -dBov."""
        if not self.info.muted:
            self.owner.room.speakers.handle_level(self.owner, level)

    def handle_refused(self, reason: str) -> None:  # noqa: ARG002 (the facade has logged it)
        """The engine does not carry it: better no track than one without media."""
        self.owner.publishing.handle_refused(self)

    def handle_muted(self, muted: bool, *, by_server: bool = False) -> bool:
        """True when something changed. An unmute by the owner also ends the server's mute."""
        changed = self.info.muted != muted
        self.info.muted = muted
        forced = muted and (by_server or self.forced_mute)
        if forced != self.forced_mute:
            self.forced_mute = forced
            for subscription in self.subscriptions:
                subscription.reconfigure()
        return changed

    def handle_demand(self, subscription: Subscription) -> None:
        """This subscription came, went or wants another quality: tells the owner which qualities to send."""
        attached = subscription in self.subscriptions
        self._demand.set(subscription, subscription.wanted_quality() if attached else quality.OFF)
        self._tell_demand()

    def handle_subscribed(self) -> None:
        """The first subscriber receives: the owner is told once."""
        if not self._announced_subscriber:
            self._announced_subscriber = True
            self.owner.send(rtc.SignalResponse(track_subscribed=rtc.TrackSubscribed(track_sid=self.sid)))

    def repeat(self) -> None:
        """Tells the owner again what it may have missed: which qualities to send, and that it was muted."""
        self._announce(self._wanted.announced)
        if self.forced_mute:
            self.tell_muted()

    def tell_muted(self) -> None:
        """By the server: the client shows it and stops sending."""
        self.owner.send(rtc.SignalResponse(mute=rtc.MuteTrackRequest(sid=self.sid, muted=self.info.muted)))

    def handle_timeout(self, now: float) -> None:
        self._announce(self._wanted.handle_timeout(now))

    def close(self) -> None:
        """Ends every subscription, then the producer."""
        self._closed = True
        for subscription in list(self.subscriptions):
            subscription.close()
        self._engine.remove_producer(self.producer)

    # -------------------------------------------------------------------------------------------------- getters

    def encoding_for(self, wanted: int) -> int:
        return quality.encoding_for(wanted, self.qualities)

    def _tell_demand(self) -> None:
        if self.inbound.kind == "video" and not self._closed:
            self._announce(self._wanted.handle_wanted(self._demand.highest()))

    def _announce(self, highest: int | None) -> None:
        if highest is None:
            return
        enabled = [
            rtc.SubscribedQuality(quality=name, enabled=highest != quality.OFF and number <= highest)
            for number, name in _QUALITY_NAMES
        ]
        codec = self.inbound.mime_type.partition("/")[2].lower()
        self.owner.send(
            rtc.SignalResponse(
                subscribed_quality_update=rtc.SubscribedQualityUpdate(
                    track_sid=self.sid,
                    subscribed_qualities=enabled,
                    subscribed_codecs=[rtc.SubscribedCodec(codec=codec, qualities=enabled)],
                )
            )
        )


def describe_media(info: models.TrackInfo, cid: str, inbound: InboundTrack) -> models.TrackInfo:
    """The announced track plus what its section says: clients read `codecs`, `mime_type` and the layers."""
    media = models.TrackInfo()
    media.CopyFrom(info)
    media.mime_type = inbound.mime_type
    media.mid = inbound.mid
    media.simulcast = len(inbound.encodings) > 1
    if inbound.kind == "video" and not media.layers:
        media.layers.append(models.VideoLayer(quality="HIGH", width=info.width, height=info.height))
    del media.codecs[:]
    media.codecs.append(
        models.SimulcastCodecInfo(mime_type=inbound.mime_type, mid=inbound.mid, cid=cid, layers=media.layers)
    )
    return media


_QUALITY_NAMES = (
    (quality.LOW, models.VideoQuality.LOW),
    (quality.MEDIUM, models.VideoQuality.MEDIUM),
    (quality.HIGH, models.VideoQuality.HIGH),
)

"""One published track: what the owner offers (`TrackInfo`), the codecs it is sent in, and who is subscribed.

Its first codec is there as long as the publication. A backup codec is sent while somebody needs it: a subscriber that cannot
decode the first one asks for it (`subscribed_quality_update`), and gets it when its section has arrived.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from livekit.protocol import models, rtc

from sfu import seam
from sfu.engine import EngineFacade
from sfu.errors import Unsupported
from sfu.ids import TrackSid
from sfu.negotiation import InboundTrack
from sfu.policy import quality
from sfu.policy.patience import Patience
from sfu.rendition import Rendition

if TYPE_CHECKING:
    from sfu.participant import Participant
    from sfu.subscription import Subscription


class Publication:
    """Exists while the owner's section sends. Muted or not is in `info`: then no media goes on, whatever comes."""

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
        #: Of the first codec.
        self.inbound = inbound
        self.info = described(info, inbound)
        #: By the server; the owner can end it.
        self.forced_mute = False
        #: Those with a track in their negotiation.
        self.subscriptions: set[Subscription] = set()
        #: Every subscription there is of this track, also those that are not wanted, not allowed, or wait for the backup.
        self.audience: set[Subscription] = set()
        self._engine = engine
        self._announced_subscriber = False
        self._told_qualities = False
        self._closed = False
        self._first = Rendition(engine, inbound.mime_type, cid, self.info.layers, on_request=False)
        self._backup: Rendition | None = None
        self._backup_patience = Patience(BACKUP_TIMEOUT_S)
        for codec in info.codecs[1:]:
            if codec.mime_type != inbound.mime_type:
                self._backup = Rendition(engine, codec.mime_type, codec.cid, codec.layers, on_request=True)
        self._first.start(transport, inbound, self)
        self._describe_codecs()
        # Nobody subscribes yet: unless somebody does, the owner may soon stop sending.
        if inbound.kind == "video":
            self._first.handle_demand(self, quality.OFF)

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
        self.forced_mute = muted and (by_server or self.forced_mute)
        if changed:
            for subscription in self.subscriptions:
                subscription.reconfigure()
        return changed

    def handle_demand(self, subscription: Subscription) -> None:
        """This subscription came, went or wants another quality or codec: tells the owner what to send."""
        if self.inbound.kind != "video" or self._closed:
            return
        wanted = quality.OFF if subscription.rendition is None else subscription.wanted_quality()
        changes = [
            rendition.handle_demand(subscription, wanted if rendition is subscription.rendition else quality.OFF)
            for rendition in self.renditions()
        ]
        if any(changes):
            self._tell_qualities()
        if self._backup is not None and self._backup.source is None and self._backup.is_wanted:
            self._backup_patience.arm()
        else:
            self._backup_patience.disarm()

    def handle_subscribed(self) -> None:
        """The first subscriber receives: the owner is told once."""
        if not self._announced_subscriber:
            self._announced_subscriber = True
            self._tell_subscribed()

    def repeat(self) -> None:
        """Tells the owner again what it may have missed: that it is received, which qualities to send, and that it was muted."""
        if self._announced_subscriber:
            self._tell_subscribed()
        if self._told_qualities:
            self._tell_qualities()
        if self.forced_mute:
            self.tell_muted()

    def _tell_subscribed(self) -> None:
        self.owner.send(rtc.SignalResponse(track_subscribed=rtc.TrackSubscribed(track_sid=self.sid)))

    def tell_muted(self) -> None:
        """By the server: the client shows it and stops sending."""
        self.owner.send(rtc.SignalResponse(mute=rtc.MuteTrackRequest(sid=self.sid, muted=self.info.muted)))

    def handle_timeout(self, now: float) -> None:
        changes = [rendition.handle_timeout(now) for rendition in self.renditions()]
        if any(changes):
            self._tell_qualities()
        if self._backup_patience.expired(now):
            for subscription in list(self.audience):
                subscription.handle_overdue()

    def close(self) -> None:
        """Ends every subscription, then the producers."""
        self._closed = True
        for subscription in list(self.audience):
            subscription.close()
        for rendition in self.renditions():
            rendition.stop()

    # --------------------------------------------------------------------------------------------- the backup codec

    def handle_backup(self, mime_type: str, cid: str, layers: Sequence[models.VideoLayer]) -> None:
        """The owner announces the section of the backup. Raises `Unsupported`."""
        if self.inbound.kind != "video" or mime_type in {"", self.inbound.mime_type} or not cid:
            raise Unsupported("the second codec of a video track is another one of vp8, h264, vp9 and av1, with a cid")
        if self._backup is not None and self._backup.source is not None:
            raise Unsupported("this track is published in two codecs already")
        if self._backup is None or self._backup.mime_type != mime_type:
            self._backup = Rendition(self._engine, mime_type, cid, layers, on_request=True)
            self._evaluate()
        self._backup.cid, self._backup.layers = cid, list(layers)
        self._describe_codecs()

    def awaits_backup(self, inbound: InboundTrack) -> bool:
        """Whether this section may be its backup, by the codec. The owner has announced a section for it that is not there."""
        backup = self._backup
        return (
            backup is not None and backup.source is None and bool(backup.cid) and backup.mime_type == inbound.mime_type
        )

    def takes_backup(self, inbound: InboundTrack) -> bool:
        """Whether this section is its backup, also by its cid."""
        return self.awaits_backup(inbound) and self._backup is not None and self._backup.cid == inbound.cid

    def start_backup(self, transport: seam.TransportId, inbound: InboundTrack) -> None:
        assert self._backup is not None, "awaits_backup() was asked"  # noqa: S101
        self._backup.start(transport, inbound, _BackupListener(self))
        self._backup_changed()
        if not self._backup.is_wanted:
            # Sent unasked; the owner may not have heard yet that nobody needs it.
            self._tell_qualities()

    def stop_backup(self) -> None:
        if self._backup is not None and self._backup.source is not None:
            self._backup.stop()
            self._backup_changed()

    @property
    def backup_inbound(self) -> InboundTrack | None:
        """While the owner sends it."""
        source = None if self._backup is None else self._backup.source
        return None if source is None else source.inbound

    # -------------------------------------------------------------------------------------------------- getters

    def renditions(self) -> Iterator[Rendition]:
        yield self._first
        if self._backup is not None:
            yield self._backup

    def rendition_for(self, undecodable: Collection[str]) -> Rendition | None:
        """The best one for a subscriber that cannot decode these MIME types; it may not be sent yet."""
        regressed = self.info.backup_codec_policy == models.BackupCodecPolicy.REGRESSION
        if regressed and self._backup is not None and self._backup.source is not None:
            preferred = [self._backup, self._first]
        else:
            preferred = list(self.renditions())
        return next((rendition for rendition in preferred if rendition.mime_type not in undecodable), None)

    def mids(self) -> list[str]:
        """Of the sections that carry it."""
        return [rendition.source.inbound.mid for rendition in self.renditions() if rendition.source is not None]

    # ------------------------------------------------------------------------------------------------- internals

    def _backup_changed(self) -> None:
        self._describe_codecs()
        self._evaluate()
        self.owner.announce()

    def _evaluate(self) -> None:
        for subscription in list(self.audience):
            subscription.evaluate()

    def _describe_codecs(self) -> None:
        del self.info.codecs[:]
        self.info.codecs.extend(rendition.describe() for rendition in self.renditions())

    def _tell_qualities(self) -> None:
        self._told_qualities = True
        codecs = [rendition.qualities_wanted() for rendition in self.renditions()]
        self.owner.send(
            rtc.SignalResponse(
                subscribed_quality_update=rtc.SubscribedQualityUpdate(
                    track_sid=self.sid, subscribed_qualities=codecs[0].qualities, subscribed_codecs=codecs
                )
            )
        )


class _BackupListener:
    """What the engine says of the backup's producer."""

    def __init__(self, publication: Publication) -> None:
        self._publication = publication

    def handle_level(self, level: int) -> None:
        """Only audio has levels, and audio has no backup."""

    def handle_refused(self, reason: str) -> None:  # noqa: ARG002 (the facade has logged it)
        self._publication.stop_backup()


def described(info: models.TrackInfo, inbound: InboundTrack) -> models.TrackInfo:
    """The announced track plus what its section says: clients read `mime_type` and the layers."""
    media = models.TrackInfo()
    media.CopyFrom(info)
    media.mime_type = inbound.mime_type
    media.mid = inbound.mid
    media.simulcast = len(inbound.encodings) > 1
    if inbound.kind == "video" and not media.layers:
        media.layers.append(models.VideoLayer(quality="HIGH", width=info.width, height=info.height))
    return media


# A browser starts another encoder within a second; without the codec by then, those who wait for it are told.
BACKUP_TIMEOUT_S = 10.0

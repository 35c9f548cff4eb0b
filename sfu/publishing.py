"""What one participant publishes: requests that wait for their section, sections that wait for their request, and tracks.

A track becomes visible to others when both have met; clients send them in either order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from livekit.protocol import models, rtc

from sfu import ids, seam
from sfu.engine import EngineFacade
from sfu.errors import LimitExceeded, MediaError, NotAllowed, NotFound, Unsupported
from sfu.ids import TrackSid
from sfu.negotiation import AudioOptions, InboundTrack
from sfu.policy import limits
from sfu.publication import Publication

if TYPE_CHECKING:
    from sfu.participant import Participant


class Publishing:
    """Verbs: `handle_add_track`, `handle_inbound`, `handle_mute`, `handle_permission`, `handle_timeout`."""

    def __init__(self, engine: EngineFacade, owner: Participant) -> None:
        self.publications: dict[TrackSid, Publication] = {}
        self._engine = engine
        self._owner = owner
        self._pending: dict[str, models.TrackInfo] = {}
        #: The client's name for a codec of a pending track, when it differs from the track's.
        self._codec_cids: dict[str, str] = {}
        self._unmatched: dict[str, tuple[seam.TransportId, InboundTrack]] = {}
        #: Tracks that are being republished: asked for before the offer that ends their present publication.
        self._queued: dict[str, rtc.AddTrackRequest] = {}

    # ------------------------------------------------------------------------------------------------- handle_*

    def handle_add_track(self, request: rtc.AddTrackRequest) -> None:
        """Answers `track_published`, or `request_response` with the reason."""
        if request.cid in self._pending or any(track.cid == request.cid for track in self.publications.values()):
            self._queue(request)
            return
        try:
            self._check(request)
        except MediaError as error:
            self._refuse(request, error.code.upper(), str(error))
            return
        info = _track_info(request)
        self._pending[request.cid] = info
        for codec in list(request.simulcast_codecs)[:_MAX_CODECS]:
            if codec.cid and codec.cid != request.cid:
                self._codec_cids[codec.cid] = request.cid
        self._owner.send(rtc.SignalResponse(track_published=rtc.TrackPublishedResponse(cid=request.cid, track=info)))
        self._match()

    def handle_inbound(self, transport: seam.TransportId, tracks: Sequence[InboundTrack]) -> None:
        """All sections on which the client sends now; a published one that is missing was unpublished."""
        sending = {track.mid: track for track in tracks}
        gone = [
            publication
            for publication in self.publications.values()
            if publication.inbound.mid not in sending or self._reused(publication, sending[publication.inbound.mid])
        ]
        for publication in gone:
            self._unpublish(publication)
        published = {publication.inbound.mid for publication in self.publications.values()}
        self._unmatched = {mid: (transport, track) for mid, track in sending.items() if mid not in published}
        for publication in gone:
            if queued := self._queued.pop(publication.cid, None):
                self.handle_add_track(queued)
        self._match()
        if gone:
            self._owner.announce()

    def handle_mute(self, sid: TrackSid, muted: bool, *, by_server: bool = False) -> None:
        """Raises `NotFound`. With `by_server` the client is told, and its media stops until the owner unmutes."""
        publication = self.publications.get(sid)
        if publication is not None:
            changed = publication.handle_muted(muted, by_server=by_server)
            if by_server:
                publication.tell_muted()
            if changed:
                self._owner.announce()
            return
        for info in self._pending.values():
            if info.sid == sid:
                info.muted = muted
                return
        raise NotFound(f"there is no track {sid} to mute")

    def update_audio(self, sid: TrackSid, features: Sequence[models.AudioTrackFeature]) -> None:
        """Raises `NotFound`."""
        info = self._publication(sid).info
        del info.audio_features[:]
        info.audio_features.extend(list(features)[:_MAX_LAYERS])
        self._owner.announce()

    def update_video(self, sid: TrackSid, width: int, height: int) -> None:
        """Raises `NotFound`."""
        info = self._publication(sid).info
        info.width, info.height = width, height
        self._owner.announce()

    def handle_permission(self) -> None:
        """The owner's rights changed: what it may no longer publish ends now."""
        permission = self._owner.permission
        self._pending = {cid: info for cid, info in self._pending.items() if permission.may_publish(info.source)}
        revoked = [item for item in self.publications.values() if not permission.may_publish(item.info.source)]
        for publication in revoked:
            self._end(publication)

    def handle_refused(self, publication: Publication) -> None:
        """The engine does not carry this track."""
        self._end(publication)
        self._owner.announce()

    def repeat(self) -> None:
        """The owner resumed: what it was told of its tracks meanwhile is lost."""
        for publication in self.publications.values():
            publication.repeat()

    def handle_timeout(self, now: float) -> None:
        for publication in self.publications.values():
            publication.handle_timeout(now)

    def close(self) -> None:
        self._pending.clear()
        self._codec_cids.clear()
        self._queued.clear()
        self._unmatched.clear()
        for publication in list(self.publications.values()):
            self._unpublish(publication)

    # -------------------------------------------------------------------------------------------------- getters

    def codec_for(self, cid: str) -> str | None:
        """The mime type that the client announced for this media track, which our answer prefers."""
        info = self._pending.get(self._codec_cids.get(cid, cid))
        if info is not None:
            return info.mime_type or None
        return next((track.inbound.mime_type for track in self.publications.values() if track.cid == cid), None)

    def audio_options(self, cid: str) -> AudioOptions:
        info = self._pending.get(cid)
        if info is None:
            info = next((track.info for track in self.publications.values() if track.cid == cid), None)
        return AudioOptions() if info is None else AudioOptions(dtx=not info.disable_dtx, stereo=info.stereo)

    def infos(self) -> Iterator[models.TrackInfo]:
        return (publication.info for publication in self.publications.values())

    def subscribers(self) -> set[Participant]:
        """Everyone who receives something from here."""
        return {
            subscription.subscriber
            for publication in self.publications.values()
            for subscription in publication.subscriptions
        }

    def pending_sids(self) -> set[str]:
        return {info.sid for info in self._pending.values()}

    # ------------------------------------------------------------------------------------------------- internals

    def _publication(self, sid: TrackSid) -> Publication:
        publication = self.publications.get(sid)
        if publication is None:
            raise NotFound(f"there is no track {sid}")
        return publication

    def _check(self, request: rtc.AddTrackRequest) -> None:
        if request.sid:
            raise Unsupported("a second codec for a published track is not supported")
        if request.type not in _KINDS:
            raise Unsupported("only audio and video tracks can be published; use data tracks or streams for data")
        if not request.cid:
            raise Unsupported("the track has no cid")
        if not self._owner.permission.may_publish(request.source):
            raise NotAllowed("the token does not allow publishing this source")
        if len(self._pending) >= limits.MAX_PENDING_TRACKS:
            raise LimitExceeded(f"{limits.MAX_PENDING_TRACKS} tracks wait for their media already; negotiate first")
        if len(self.publications) + len(self._pending) >= limits.MAX_PUBLICATIONS:
            raise LimitExceeded(f"a participant publishes at most {limits.MAX_PUBLICATIONS} tracks")
        limits.check_name(request.cid, "cid")
        limits.check_name(request.name, "track name")
        limits.check_name(request.stream, "stream name")

    def _queue(self, request: rtc.AddTrackRequest) -> None:
        if request.cid not in self._pending and len(self._queued) < limits.MAX_PENDING_TRACKS:
            self._queued[request.cid] = request
        self._refuse(request, "QUEUED", "this cid is being published already")

    def _refuse(self, request: rtc.AddTrackRequest, reason: str, message: str) -> None:
        self._owner.send(
            rtc.SignalResponse(request_response=rtc.RequestResponse(reason=reason, message=message, add_track=request))
        )

    def _reused(self, publication: Publication, track: InboundTrack) -> bool:
        """Whether the section now carries another announced track, or another codec."""
        if track.mime_type != publication.inbound.mime_type or track.payload_type != publication.inbound.payload_type:
            return True
        return track.cid != publication.inbound.cid and self._codec_cids.get(track.cid, track.cid) in self._pending

    def _match(self) -> None:
        """Pairs by the cid of the track, then of a codec; a lone leftover pair of one kind belongs together (Firefox)."""
        matched: list[tuple[str, str]] = []
        for mid, (_, track) in self._unmatched.items():
            cid = self._codec_cids.get(track.cid, track.cid)
            info = self._pending.get(cid)
            if info is not None and _KINDS[info.type] == track.kind:
                matched.append((mid, cid))
        for mid, cid in matched:
            self._publish(mid, cid)
        for kind in ("audio", "video"):
            sections = [mid for mid, (_, track) in self._unmatched.items() if track.kind == kind]
            requests = [cid for cid, info in self._pending.items() if _KINDS[info.type] == kind]
            if len(sections) == 1 and len(requests) == 1:
                matched.append((sections[0], requests[0]))
                self._publish(sections[0], requests[0])
        if matched:
            self._owner.announce()
            for mid, _ in matched:
                self._offer_to_others(mid)

    def _publish(self, mid: str, cid: str) -> None:
        info = self._pending.pop(cid)
        self._codec_cids = {codec: track for codec, track in self._codec_cids.items() if track != cid}
        transport, track = self._unmatched.pop(mid)
        publication = Publication(self._engine, self._owner, info, cid, transport, track)
        self.publications[publication.sid] = publication

    def _offer_to_others(self, mid: str) -> None:
        for publication in list(self.publications.values()):
            if publication.inbound.mid == mid:
                self._owner.room.handle_published(publication)

    def _end(self, publication: Publication) -> None:
        """Not by the owner's wish, so it is told."""
        self._unpublish(publication)
        self._owner.send(rtc.SignalResponse(track_unpublished=rtc.TrackUnpublishedResponse(track_sid=publication.sid)))

    def _unpublish(self, publication: Publication) -> None:
        self.publications.pop(publication.sid, None)
        publication.close()


def _track_info(request: rtc.AddTrackRequest) -> models.TrackInfo:
    mime_type = _mime_type(request)
    info = models.TrackInfo(
        sid=ids.track_sid(_KINDS[request.type], request.source),
        type=request.type,
        name=request.name,
        muted=request.muted,
        width=request.width,
        height=request.height,
        simulcast=len(request.layers) > 1,
        disable_dtx=request.disable_dtx,
        source=request.source,
        layers=list(request.layers)[:_MAX_LAYERS],
        mime_type=mime_type,
        stereo=request.stereo,
        disable_red=True,
        encryption=request.encryption,
        stream=request.stream,
        backup_codec_policy=request.backup_codec_policy,
        audio_features=list(request.audio_features)[:_MAX_LAYERS],
        packet_trailer_features=list(request.packet_trailer_features)[:_MAX_LAYERS],
    )
    if mime_type:
        # JS takes the codec it publishes from here: it must be the one it asked for.
        info.codecs.append(models.SimulcastCodecInfo(mime_type=mime_type, cid=request.cid, layers=info.layers))
    return info


def _mime_type(request: rtc.AddTrackRequest) -> str:
    if request.type == models.TrackType.AUDIO:
        return "audio/opus"
    codec = request.simulcast_codecs[0].codec if request.simulcast_codecs else ""
    return _VIDEO_CODECS.get(codec.lower().removeprefix("video/"), "")


_KINDS: dict[int, seam.Kind] = {models.TrackType.AUDIO: "audio", models.TrackType.VIDEO: "video"}
_VIDEO_CODECS = {"vp8": "video/VP8", "h264": "video/H264", "vp9": "video/VP9", "av1": "video/AV1"}
_MAX_LAYERS = 8
# The codec and its backup.
_MAX_CODECS = 2

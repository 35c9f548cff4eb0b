"""What one participant publishes: requests that wait for their section, sections that wait for their request, and tracks.

A track becomes visible to others when both have met; clients send them in either order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from livekit.protocol import models, rtc

from sfu import ids, seam
from sfu.engine import EngineFacade
from sfu.errors import LimitExceeded, MediaError, NotAllowed, NotFound, StateMismatch, Unsupported
from sfu.ids import TrackSid
from sfu.negotiation import AudioOptions, InboundTrack
from sfu.policy import clients, limits
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
        #: The last tracks that were ended not by the owner's wish, of which it may not have heard.
        self._ended: deque[str] = deque(maxlen=limits.MAX_PUBLICATIONS)

    # ------------------------------------------------------------------------------------------------- handle_*

    def handle_add_track(self, request: rtc.AddTrackRequest) -> None:
        """Answers `track_published`, or `request_response` with the reason."""
        if request.sid:
            self._add_codec(request)
            return
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
        for codec in request.simulcast_codecs[:1]:
            if codec.cid and codec.cid != request.cid:
                self._codec_cids[codec.cid] = request.cid
        self._tell_published(request.cid, info)
        self._match()

    def handle_inbound(self, transport: seam.TransportId, tracks: Sequence[InboundTrack]) -> None:
        """All sections on which the client sends now; a published one that is missing was unpublished."""
        sending = {track.mid: track for track in tracks}
        gone = [item for item in self.publications.values() if self._is_gone(item.inbound, sending)]
        for publication in gone:
            self._unpublish(publication)
        for publication in self.publications.values():
            if publication.backup_inbound and self._is_gone(publication.backup_inbound, sending):
                publication.stop_backup()
        published = {mid for publication in self.publications.values() for mid in publication.mids()}
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
        self._ended.extend(info.sid for info in self._pending.values() if not permission.may_publish(info.source))
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
        for cid, info in self._pending.items():
            self._owner.send(rtc.SignalResponse(track_published=rtc.TrackPublishedResponse(cid=cid, track=info)))
        for publication in self.publications.values():
            publication.repeat()

    def handle_sync(self, sids: Iterable[str]) -> None:
        """What the owner believes to publish, after a resume. Raises `StateMismatch` for a track that never was."""
        known = {*self.publications, *(info.sid for info in self._pending.values())}
        for sid in sids:
            if sid in self._ended:
                self._tell_ended(sid)
            elif sid not in known:
                raise StateMismatch(f"the client published {sid}, which is unknown here")

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
        renditions = (item for publication in self.publications.values() for item in publication.renditions())
        return next((rendition.mime_type for rendition in renditions if rendition.cid == cid), None)

    def audio_options(self, cid: str) -> AudioOptions:
        info = self._pending.get(cid)
        if info is None:
            info = next((track.info for track in self.publications.values() if track.cid == cid), None)
        if info is None:
            return AudioOptions()
        red = not info.disable_red and clients.knows_red(self._owner.options.client)
        return AudioOptions(dtx=not info.disable_dtx, stereo=info.stereo, red=red)

    def infos(self) -> Iterator[models.TrackInfo]:
        return (publication.info for publication in self.publications.values())

    def subscribers(self) -> set[Participant]:
        """Everyone who receives something from here."""
        return {
            subscription.subscriber
            for publication in self.publications.values()
            for subscription in publication.subscriptions
        }

    # ------------------------------------------------------------------------------------------------- internals

    def _publication(self, sid: TrackSid) -> Publication:
        publication = self.publications.get(sid)
        if publication is None:
            raise NotFound(f"there is no track {sid}")
        return publication

    def _check(self, request: rtc.AddTrackRequest) -> None:
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

    def _add_codec(self, request: rtc.AddTrackRequest) -> None:
        """The owner is going to send a published track in its backup codec too."""
        try:
            publication = self._publication(TrackSid(request.sid))
            limits.check_name(request.cid, "cid")
            codec = next(iter(request.simulcast_codecs), rtc.SimulcastCodec())
            layers = list(codec.layers or request.layers)[:_MAX_LAYERS]
            publication.handle_backup(video_mime_type(codec.codec), request.cid, layers)
        except MediaError as error:
            self._refuse(request, error.code.upper(), str(error))
            return
        self._tell_published(request.cid, publication.info)
        self._match()

    def _tell_published(self, cid: str, info: models.TrackInfo) -> None:
        self._owner.send(rtc.SignalResponse(track_published=rtc.TrackPublishedResponse(cid=cid, track=info)))

    def _queue(self, request: rtc.AddTrackRequest) -> None:
        if request.cid not in self._pending and len(self._queued) < limits.MAX_PENDING_TRACKS:
            self._queued[request.cid] = request
        self._refuse(request, "QUEUED", "this cid is being published already")

    def _refuse(self, request: rtc.AddTrackRequest, reason: str, message: str) -> None:
        self._owner.send(
            rtc.SignalResponse(request_response=rtc.RequestResponse(reason=reason, message=message, add_track=request))
        )

    def _is_gone(self, inbound: InboundTrack, sending: Mapping[str, InboundTrack]) -> bool:
        """Whether the section sends no more, or now carries another announced track, or another codec."""
        track = sending.get(inbound.mid)
        if track is None or track.mime_type != inbound.mime_type or track.payload_type != inbound.payload_type:
            return True
        return track.cid != inbound.cid and self._codec_cids.get(track.cid, track.cid) in self._pending

    def _match(self) -> None:
        """Pairs by the cid of the track, then of a codec; a lone leftover pair of one kind belongs together (Firefox)."""
        self._match_backups()
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
        self._match_leftover_backup()
        if matched:
            self._owner.announce()
            for mid, _ in matched:
                self._offer_to_others(mid)

    def _match_backups(self) -> None:
        for mid, (_, track) in list(self._unmatched.items()):
            publication = next((item for item in self.publications.values() if item.takes_backup(track)), None)
            if publication is not None:
                self._start_backup(mid, publication)

    def _match_leftover_backup(self) -> None:
        videos = [(mid, track) for mid, (_, track) in self._unmatched.items() if track.kind == "video"]
        if len(videos) != 1 or any(info.type == models.TrackType.VIDEO for info in self._pending.values()):
            return
        mid, track = videos[0]
        awaiting = [publication for publication in self.publications.values() if publication.awaits_backup(track)]
        if len(awaiting) == 1:
            self._start_backup(mid, awaiting[0])

    def _start_backup(self, mid: str, publication: Publication) -> None:
        transport, track = self._unmatched.pop(mid)
        publication.start_backup(transport, track)

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
        self._ended.append(publication.sid)
        self._tell_ended(publication.sid)

    def _tell_ended(self, sid: str) -> None:
        self._owner.send(rtc.SignalResponse(track_unpublished=rtc.TrackUnpublishedResponse(track_sid=sid)))

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
        # Encryption covers the payload as the encoder made it, redundancy and all: nobody could take that apart.
        disable_red=request.disable_red or request.encryption != models.Encryption.NONE,
        encryption=request.encryption,
        stream=request.stream,
        backup_codec_policy=request.backup_codec_policy,
        audio_features=list(request.audio_features)[:_MAX_LAYERS],
        packet_trailer_features=list(request.packet_trailer_features)[:_MAX_LAYERS],
    )
    if mime_type:
        # JS takes the codec it publishes from here: it must be the one it asked for.
        info.codecs.append(models.SimulcastCodecInfo(mime_type=mime_type, cid=request.cid, layers=info.layers))
        for codec in request.simulcast_codecs[1:2] if request.type == models.TrackType.VIDEO else ():
            backup = video_mime_type(codec.codec)
            layers = list(codec.layers or request.layers)[:_MAX_LAYERS]
            if backup not in {"", mime_type} and len(codec.cid) <= limits.MAX_NAME_BYTES:
                info.codecs.append(models.SimulcastCodecInfo(mime_type=backup, cid=codec.cid, layers=layers))
    return info


def _mime_type(request: rtc.AddTrackRequest) -> str:
    if request.type == models.TrackType.AUDIO:
        return "audio/opus"
    return video_mime_type(request.simulcast_codecs[0].codec) if request.simulcast_codecs else ""


def video_mime_type(codec: str) -> str:
    """Of "vp8" or "video/vp8"; "" for one that we do not forward."""
    return _VIDEO_CODECS.get(codec.lower().removeprefix("video/"), "")


_KINDS: dict[int, seam.Kind] = {models.TrackType.AUDIO: "audio", models.TrackType.VIDEO: "video"}
_VIDEO_CODECS = {"vp8": "video/VP8", "h264": "video/H264", "vp9": "video/VP9", "av1": "video/AV1"}
_MAX_LAYERS = 8

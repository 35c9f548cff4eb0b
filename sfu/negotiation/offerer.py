"""Offers media to a client: the subscriber connection of `/rtc` (protocol v0)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sfu.negotiation.answerer import session_id
from sfu.negotiation.codecs import Codec, stream_format
from sfu.negotiation.description import Section, SessionDescription
from sfu.negotiation.extensions import OFFERED, parse_extmap
from sfu.negotiation.media import MediaLines, rejected_lines, with_stereo
from sfu.negotiation.transport import (
    candidate_lines,
    data_lines,
    is_data_section,
    remote_parameters,
    session_lines,
    tagged_section,
    transport_lines,
)
from sfu.negotiation.types import LocalEndpoint, Offer, OfferResult, OutboundTrack, PlacedTrack, SdpError
from sfu.seam import Kind


class Offerer:
    """Remembers, over all offers of one connection, which section carries which track; freed sections are used again.

    `local` may be replaced before an offer to restart ICE.
    """

    def __init__(self, local: LocalEndpoint) -> None:
        self.local = local
        self._session_id = session_id(local)
        self._version = 0
        self._slots: list[_Slot] = []
        self._next_mid = 1
        self._outstanding = False
        self._payload_types = _PayloadTypes()

    @property
    def outstanding(self) -> bool:
        """An offer waits for its answer; another one must not be made."""
        return self._outstanding

    def offer(self, outbound: Sequence[OutboundTrack]) -> Offer:
        """Offers a data section (first) and one section per track. RuntimeError while one is outstanding."""
        if self._outstanding:
            raise RuntimeError("handle the answer to the last offer before making another")
        self._fill_slots(outbound)
        self._version += 1
        self._outstanding = True
        tracks = {slot.mid: slot.track.track_sid for slot in self._slots if slot.track is not None}
        return Offer(self._write(), tracks)

    def abandon(self) -> None:
        """The signalling connection that carried the offer is gone: the next offer replaces it."""
        self._outstanding = False

    def handle_answer(self, answer: str | SessionDescription) -> OfferResult:
        """Takes the client's answer. Raises `SdpError`, and then the offer is still outstanding."""
        if not self._outstanding:
            raise SdpError("an answer came without an offer")
        description = SessionDescription.parse(answer) if isinstance(answer, str) else answer
        sections = self._matched_sections(description)
        accepted = [section for section in description.sections if not section.rejected]
        tagged = tagged_section(description, accepted)
        application = next((section for section in accepted if is_data_section(section)), None)
        said = [slot.read(section) for slot, section in zip(self._slots, sections, strict=True)]
        extensions = {uri: number for each in said for uri, number in each.extensions}
        remote = remote_parameters(tagged, application, extensions, ("active",))

        self._outstanding = False
        placed: list[PlacedTrack] = []
        rejected: list[str] = []
        for slot, section, meaning in zip(self._slots, sections, said, strict=True):
            slot.settle(section, meaning)
            if slot.track is None:
                continue
            if meaning.placed is None:
                rejected.append(slot.track.track_sid)
                slot.track, slot.settled = None, slot.dead
            else:
                placed.append(meaning.placed)
        return OfferResult(remote, tuple(placed), tuple(rejected))

    def _fill_slots(self, outbound: Sequence[OutboundTrack]) -> None:
        """Tracks keep their slot. A freed one is inactive in one offer, rejected in the next, then recycled under a new mid.

        Inactive first, for Firefox removes a track from its stream only then, and livekit-client waits for that. Rejected,
        and not filled again at once, because the Rust SDKs never report a track that comes back on the transceiver it was
        on before (livekit 1.2.1, Firefox 153, measured).
        """
        wanted = {track.track_sid: track for track in outbound}
        for slot in self._slots:
            if slot.track is not None:
                slot.track = wanted.pop(slot.track.track_sid, None)
                slot.settled = False
            elif slot.settled and not slot.dead:
                slot.dead, slot.settled = True, False
        for track in wanted.values():
            slot = self._free_slot(track.kind)
            slot.track = track

    def _free_slot(self, kind: Kind) -> _Slot:
        fresh = _Slot(self._new_mid(), kind)
        for index, slot in enumerate(self._slots):
            if slot.dead and slot.settled:
                # RFC 8829 section 5.2.2: a recycled section gets a new mid and may change its kind
                self._slots[index] = fresh
                return fresh
        self._slots.append(fresh)
        return fresh

    def _new_mid(self) -> str:
        mid, self._next_mid = str(self._next_mid), self._next_mid + 1
        return mid

    def _matched_sections(self, description: SessionDescription) -> list[Section]:
        """The answer's media sections in our order (RFC 3264 section 6: same number, same order)."""
        data, sections = description.sections[:1], description.sections[1:]
        if (
            len(sections) != len(self._slots)
            or [section.mid for section in data] != [_DATA_MID]
            or not all(slot.is_answered_by(section) for slot, section in zip(self._slots, sections, strict=True))
        ):
            raise SdpError("an answer has the sections of the offer, in the same order and with the same mids")
        return sections

    def _write(self) -> str:
        transport = transport_lines(self.local, "actpass")
        mids = [_DATA_MID, *(slot.mid for slot in self._slots if not slot.dead)]
        lines = session_lines(self._session_id, self._version, mids, mixed=True)
        lines += data_lines(_DATA_MID, transport + candidate_lines(self.local.candidates))
        for slot in self._slots:
            form = (slot.track, slot.dead, self.local)
            if slot.form != form:
                slot.form, slot.text = form, "\r\n".join(self._section(slot, transport))
            lines.append(slot.text)
        lines.append("")
        return "\r\n".join(lines)

    def _section(self, slot: _Slot, transport: Sequence[str]) -> list[str]:
        if slot.track is not None:
            slot.codec = self._payload_types.codec(slot.track)
        assert slot.codec is not None, "a slot is made for a track"  # noqa: S101
        codec, track = slot.codec, slot.track
        if slot.dead:
            return rejected_lines(slot.kind, _PROTOCOL, (str(codec.payload_type),), slot.mid)
        return MediaLines(
            kind=slot.kind,
            protocol=_PROTOCOL,
            mid=slot.mid,
            direction="inactive" if track is None else "sendonly",
            codec=codec,
            rtx_payload_type=codec.payload_type + 1 if slot.kind == "video" else None,
            fmtp=codec.fmtp if track is None else with_stereo(codec.fmtp, track.fmtp),
            extmap=_EXTMAP[slot.kind],
            feedback=_FEEDBACK[slot.kind],
            red_payload_type=_RED_PAYLOAD_TYPE if track is not None and track.red else None,
            track=track,
        ).write(transport)


@dataclass(frozen=True, slots=True)
class _SectionAnswer:
    """What the client's answer to one section means for the track that was on it."""

    digest: int
    track: OutboundTrack | None
    #: What to send with; None if the client takes the track not at all, or there was none.
    placed: PlacedTrack | None
    #: Our ids of the extensions that it took.
    extensions: tuple[tuple[str, int], ...]

    @classmethod
    def read(cls, digest: int, track: OutboundTrack | None, section: Section) -> _SectionAnswer:
        placed = None if track is None else _placed(track, section)
        return cls(digest, track, placed, () if section.rejected else tuple(_answered_extensions(section)))


@dataclass(slots=True)
class _Slot:
    """One section of our offers, for the lifetime of the connection.

    In a large room an answer, and our next offer, repeat what the last one said of most sections: that is kept.
    """

    mid: str
    kind: Kind
    track: OutboundTrack | None = None
    codec: Codec | None = None
    #: The client has answered the section as it is now.
    settled: bool = False
    #: Rejected (port 0), by us or by the client: it stays so until recycled under another mid.
    dead: bool = False
    #: The section as it was offered last, and what it was written from.
    text: str = ""
    form: tuple[OutboundTrack | None, bool, LocalEndpoint] | None = None
    answer: _SectionAnswer | None = None

    def is_answered_by(self, section: Section) -> bool:
        return (self.answer is not None and self.answer.digest == section.digest) or section.mid == self.mid

    def read(self, section: Section) -> _SectionAnswer:
        """Changes nothing."""
        digest, known = section.digest, self.answer
        if known is not None and known.digest == digest and known.track is self.track:
            return known
        return _SectionAnswer.read(digest, self.track, section)

    def settle(self, section: Section, answer: _SectionAnswer) -> None:
        """The client has answered this section."""
        self.dead = self.dead or section.rejected
        self.settled = True
        self.answer = answer


class _PayloadTypes:
    """Our payload types: one per codec and format over the whole bundle, RTX always the next number."""

    def __init__(self) -> None:
        self._codecs: dict[tuple[str, str, int], Codec] = {}

    def codec(self, track: OutboundTrack) -> Codec:
        key = stream_format(track.mime_type, track.fmtp)
        if key not in self._codecs:
            self._codecs[key] = self._new(key)
        return self._codecs[key]

    def _new(self, key: tuple[str, str, int]) -> Codec:
        name, profile, mode = key
        if name == "opus":
            feedback = frozenset(_FEEDBACK["audio"])
            return Codec(_OPUS_PAYLOAD_TYPE, name, 48000, "2", "minptime=10;useinbandfec=1", feedback)
        used = sum(codec.name != "opus" for codec in self._codecs.values())
        fmtp = _video_fmtp(name, profile, mode)
        return Codec(_VIDEO_PAYLOAD_TYPES[used], name, 90000, None, fmtp, frozenset(_FEEDBACK["video"]))


def _video_fmtp(name: str, profile: str, mode: int) -> str:
    """Written anew from what was understood: no text of one client reaches another."""
    if name == "h264":
        level_id = _H264_LEVEL_IDS[profile]
        return f"level-asymmetry-allowed=1;packetization-mode={mode};profile-level-id={level_id}"
    return {"vp9": f"profile-id={profile}", "av1": f"profile={profile}"}.get(name, "")


def _placed(track: OutboundTrack, section: Section) -> PlacedTrack | None:
    """What to send with, from the client's answer; None if it takes the track not at all."""
    if section.rejected or section.direction not in ("recvonly", "sendrecv"):
        return None
    codec = section.codecs.find(track.mime_type, track.fmtp)
    if codec is None:
        return None
    rtx = section.codecs.rtx.get(codec.payload_type) if track.rtx_ssrc is not None else None
    red = section.codecs.red.get(codec.payload_type) if track.red else None
    return PlacedTrack(track.track_sid, section.mid, codec.payload_type, rtx, red)


def _answered_extensions(section: Section) -> Iterator[tuple[str, int]]:
    offered = OFFERED["audio" if section.kind == "audio" else "video"]
    for number, uri, _ in map(parse_extmap, section.attributes.get("extmap", ())):
        if offered.get(uri) == number:
            yield uri, number


_DATA_MID = "0"
_PROTOCOL = "UDP/TLS/RTP/SAVPF"
_OPUS_PAYLOAD_TYPE = 111
# Chromium's own choice.
_RED_PAYLOAD_TYPE = 63
# The first of pairs (media, RTX) that avoid static types and RTCP (RFC 3551 table 5, RFC 5761 section 4); more pairs than
# there are video formats in `codecs`.
_VIDEO_PAYLOAD_TYPES = (96, 98, 100, 102, 104, 106, 108, 112, 114, 116, 118, 120, 122, 124, 126, 35, 37, 39, 41, 43, 45)
_EXTMAP: dict[Kind, tuple[str, ...]] = {
    kind: tuple(f"{number} {uri}" for uri, number in uris.items()) for kind, uris in OFFERED.items()
}
_FEEDBACK: dict[Kind, tuple[str, ...]] = {
    "audio": ("transport-cc", "nack"),
    "video": ("transport-cc", "goog-remb", "ccm fir", "nack", "nack pli"),
}
# Level 3.1 everywhere: with level-asymmetry-allowed it does not limit what is sent.
_H264_LEVEL_IDS = {
    "constrained-baseline": "42e01f",
    "baseline": "42001f",
    "main": "4d001f",
    "constrained-high": "640c1f",
    "high": "64001f",
}

"""What goes into and comes out of negotiation: plain frozen data, no behaviour.

Directions are the server's: *inbound* is what the client sends to us, *outbound* what we send to the client.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from sfu.errors import MediaError
from sfu.seam import EncodingParameters, Kind


class SdpError(MediaError):
    """The remote's description cannot be read or answered; the text says which line or rule."""

    code = "invalid_sdp"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One host candidate of ours; `host` is an address literal, `protocol` "udp" or "tcp" (written as passive)."""

    host: str
    port: int
    protocol: str = "udp"


@dataclass(frozen=True, slots=True)
class LocalEndpoint:
    """Our side of the one bundled transport. `fingerprint` reads "sha-256 AA:BB:..."."""

    ufrag: str
    password: str
    fingerprint: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class RemoteParameters:
    """What `seam.SetRemote` needs. A changed `ufrag` is an ICE restart."""

    ufrag: str
    password: str
    fingerprint: str
    #: None when the client negotiated no data section.
    sctp_port: int | None
    #: Accepted RTP header extensions, URI -> id, one map for the whole bundle.
    extensions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class InboundTrack:
    """A section on which the client sends, as we answered it: all that `seam.AddProducer` needs."""

    mid: str
    kind: Kind
    #: Track id of the msid, which LiveKit calls cid; "" if the client gave none.
    cid: str
    stream_id: str
    #: "audio/opus", "video/VP8", ...
    mime_type: str
    clock_rate: int
    payload_type: int
    rtx_payload_type: int | None
    #: Lowest quality first, 1 to 3.
    encodings: tuple[EncodingParameters, ...]
    nack: bool
    transport_cc: bool
    #: Only where transport-cc is not negotiated.
    remb: bool
    #: As the client offered it; keep it for `OutboundTrack.fmtp`.
    fmtp: str
    #: Audio that the client may send redundantly (RED).
    red_payload_type: int | None = None


@dataclass(frozen=True, slots=True)
class OutboundTrack:
    """A track that the client shall receive. `fmtp` is the publisher's: it picks H264 profile and packetization mode."""

    track_sid: str
    participant_sid: str
    kind: Kind
    mime_type: str
    fmtp: str
    ssrc: int
    rtx_ssrc: int | None
    cname: str
    #: The publisher may send RED, and this client may be offered it.
    red: bool = False


@dataclass(frozen=True, slots=True)
class PlacedTrack:
    """An outbound track that has a section. The payload types are the ones to send with."""

    track_sid: str
    mid: str
    payload_type: int
    #: None when the client did not negotiate RTX: retransmit on the primary SSRC or not at all.
    rtx_payload_type: int | None
    #: None when the client gets plain audio only.
    red_payload_type: int | None = None


@dataclass(frozen=True, slots=True)
class AudioOptions:
    """What the publisher asked for in AddTrack: turns into `usedtx` and `stereo` of the answer's Opus fmtp, and RED."""

    dtx: bool = True
    stereo: bool = False
    #: Off until the client has said that it may be: encrypted audio must not be wrapped.
    red: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Our answer and what it means. Every list is the full state after this answer, not a delta."""

    sdp: str
    remote: RemoteParameters
    inbound: tuple[InboundTrack, ...]
    placed: tuple[PlacedTrack, ...]
    #: Sections the client has to add ("audio"/"video" -> number) before every outbound track has one.
    missing: Counter[Kind]
    #: Track sids that wait for the client's next offer. Not empty: send `media_sections_requirement` with `missing`, even
    #: if that is all zeros (a section freed now may only carry another track after the next offer).
    waiting: tuple[str, ...]
    #: Track sids whose codec the client cannot receive: `subscription_response{SE_CODEC_UNSUPPORTED}`.
    unsupported: tuple[str, ...]

    @property
    def mid_to_track_id(self) -> dict[str, str]:
        """The map of SessionDescription messages: mid -> track sid."""
        return {track.mid: track.track_sid for track in self.placed}


@dataclass(frozen=True, slots=True)
class Offer:
    """Our offer for a subscriber connection."""

    sdp: str
    mid_to_track_id: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OfferResult:
    """What the client's answer to our offer means; the full state, not a delta."""

    remote: RemoteParameters
    placed: tuple[PlacedTrack, ...]
    #: Track sids whose section the client refused (codec unsupported). They keep no section; do not offer them again.
    rejected: tuple[str, ...]

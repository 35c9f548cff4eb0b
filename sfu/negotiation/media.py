"""Writes audio and video sections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sfu.negotiation.codecs import Codec, parse_fmtp
from sfu.negotiation.description import Direction
from sfu.negotiation.types import OutboundTrack


@dataclass(slots=True)
class MediaLines:
    """One section that carries, or could carry, one codec."""

    kind: str
    protocol: str
    mid: str
    direction: Direction
    codec: Codec
    rtx_payload_type: int | None
    fmtp: str
    extmap: Sequence[str]
    feedback: Sequence[str]
    reduced_size: bool = True
    #: Redundant audio, preferred to the plain form where the client sends.
    red_payload_type: int | None = None
    #: Simulcast streams that we receive, in the client's order.
    rids: Sequence[str] = field(default=())
    track: OutboundTrack | None = None

    def write(self, transport: Sequence[str]) -> list[str]:
        """The section's lines; `transport` goes in front of its attributes."""
        payload_type, rtx, red = self.codec.payload_type, self.rtx_payload_type, self.red_payload_type
        formats = " ".join(str(number) for number in (red, payload_type, rtx) if number is not None)
        lines = [f"m={self.kind} 9 {self.protocol} {formats}", "c=IN IP4 0.0.0.0", *transport]
        lines += [f"a=mid:{self.mid}", f"a={self.direction}", "a=rtcp-mux"]
        if self.reduced_size:
            lines.append("a=rtcp-rsize")
        lines += [f"a=extmap:{value}" for value in self.extmap]
        lines.append(f"a=rtpmap:{self.codec.rtpmap}")
        lines += [f"a=rtcp-fb:{payload_type} {value}" for value in self.feedback]
        if self.fmtp:
            lines.append(f"a=fmtp:{payload_type} {self.fmtp}")
        if rtx is not None:
            lines += [f"a=rtpmap:{rtx} rtx/{self.codec.clock_rate}", f"a=fmtp:{rtx} apt={payload_type}"]
        if red is not None:
            lines += [f"a=rtpmap:{red} red/48000/2", f"a=fmtp:{red} {payload_type}/{payload_type}"]
        lines += [f"a=rid:{rid} recv" for rid in self.rids]
        if len(self.rids) > 1:
            lines.append("a=simulcast:recv " + ";".join(self.rids))
        if self.track is not None:
            lines += source_lines(self.track, with_rtx=rtx is not None)
        return lines


def source_lines(track: OutboundTrack, *, with_rtx: bool) -> list[str]:
    """msid and SSRCs of a track that we send. Clients find the track by `<participant sid>|<track sid>`."""
    lines = [f"a=msid:{track.participant_sid}|{track.track_sid} {track.track_sid}"]
    if with_rtx and track.rtx_ssrc is not None:
        lines.append(f"a=ssrc-group:FID {track.ssrc} {track.rtx_ssrc}")
        lines.append(f"a=ssrc:{track.ssrc} cname:{track.cname}")
        lines.append(f"a=ssrc:{track.rtx_ssrc} cname:{track.cname}")
    else:
        lines.append(f"a=ssrc:{track.ssrc} cname:{track.cname}")
    return lines


def rejected_lines(kind: str, protocol: str, formats: Sequence[str], mid: str) -> list[str]:
    """A section that carries nothing and is in no bundle (RFC 3264 section 6)."""
    return [f"m={kind} 0 {protocol} {formats[0]}", "c=IN IP4 0.0.0.0", f"a=mid:{mid}", "a=inactive"]


def with_stereo(fmtp: str, publisher_fmtp: str) -> str:
    """Adds sprop-stereo (RFC 7587) where the publisher sends stereo: livekit-client decodes in stereo only then."""
    if parse_fmtp(publisher_fmtp).get("stereo") != "1" or "sprop-stereo=1" in fmtp:
        return fmtp
    return f"{fmtp};sprop-stereo=1" if fmtp else "sprop-stereo=1"

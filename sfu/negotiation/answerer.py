"""Answers a client's offers: the one connection of `/rtc/v1` and the publisher connection of `/rtc`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Literal, cast

from sfu.negotiation.codecs import Codec
from sfu.negotiation.description import Direction, Section, SessionDescription, as_description
from sfu.negotiation.extensions import ExtensionMap
from sfu.negotiation.inbound import accepted_feedback, opus_fmtp, read_inbound, read_msid, send_rids, with_start_bitrate
from sfu.negotiation.media import MediaLines, rejected_lines, with_stereo
from sfu.negotiation.placement import Placement, place
from sfu.negotiation.transport import (
    candidate_lines,
    data_lines,
    ice_ufrag,
    is_data_section,
    remote_parameters,
    session_lines,
    tagged_section,
    transport_lines,
)
from sfu.negotiation.types import (
    Answer,
    AudioOptions,
    InboundTrack,
    LocalEndpoint,
    OutboundTrack,
    PlacedTrack,
)
from sfu.seam import Kind


def default_audio_options(_cid: str) -> AudioOptions:
    """DTX on, mono."""
    return AudioOptions()


class Answerer:
    """Remembers, over all offers of one connection, which section carries which outbound track.

    `local` may be replaced before an answer to restart ICE (see `restarts_ice`).
    """

    def __init__(self, local: LocalEndpoint) -> None:
        self.local = local
        self._session_id = session_id(local)
        self._version = 0
        self._remote_ufrag: str | None = None
        self._track_of_mid: dict[str, str] = {}

    def restarts_ice(self, offer: str | SessionDescription) -> bool:
        """Whether the offer brings other ICE credentials than the last one answered: give us new ones as well."""
        description = as_description(offer)
        section = tagged_section(description, _acceptable_sections(description))
        return self._remote_ufrag is not None and ice_ufrag(section) != self._remote_ufrag

    def answer(
        self,
        offer: str | SessionDescription,
        outbound: Sequence[OutboundTrack],
        codec_for: Callable[[str], str | None],
        audio_options: Callable[[str], AudioOptions] = default_audio_options,
    ) -> Answer:
        """Answers `offer`. Raises `SdpError`, and then nothing has changed.

        `outbound` is every track the client shall receive now, in the order of importance. `codec_for(cid)` is the MIME
        type wanted for a track the client sends (None: the client's first choice that we know).
        """
        description = as_description(offer)
        description.check_mids()
        accepted = _acceptable_sections(description)
        placement = place(accepted, outbound, self._track_of_mid)
        writer = _Writer(description, placement, codec_for, audio_options)
        bodies = {section.mid: writer.section(section) for section in accepted}

        tagged = tagged_section(description, accepted)
        application = next((section for section in accepted if section.kind == "application"), None)
        remote = remote_parameters(tagged, application, writer.extensions.ids, ("actpass", "active"))

        self._version += 1
        self._remote_ufrag = remote.ufrag
        self._track_of_mid = {mid: track.track_sid for mid, track in placement.track_of_mid.items()}
        return Answer(
            sdp=self._write(description, bodies, tagged.mid),
            remote=remote,
            inbound=tuple(writer.inbound),
            placed=tuple(writer.placed),
            missing=placement.missing,
            waiting=placement.waiting,
            unsupported=placement.unsupported,
        )

    def _write(self, description: SessionDescription, bodies: dict[str, _Body], tagged: str) -> str:
        transport = transport_lines(self.local, "passive")
        first_transport = transport + candidate_lines(self.local.candidates)
        group = [mid for mid in description.bundle or () if mid in bodies]
        mixed = description.allows_mixed_extensions
        lines = session_lines(self._session_id, self._version, group, mixed=mixed)
        for section in description.sections:
            body = bodies.get(section.mid)
            here = first_transport if section.mid == tagged else transport
            if body is None:
                lines += rejected_lines(section.kind, section.protocol, section.formats, section.mid)
            elif body == "data":
                lines += data_lines(section.mid, here)
            else:
                lines += body.write(here)
        lines.append("")
        return "\r\n".join(lines)


_Body = MediaLines | Literal["data"]


class _Writer:
    """One pass over the accepted sections of one offer."""

    def __init__(
        self,
        description: SessionDescription,
        placement: Placement,
        codec_for: Callable[[str], str | None],
        audio_options: Callable[[str], AudioOptions],
    ) -> None:
        self.extensions = ExtensionMap(allows_mixed=description.allows_mixed_extensions)
        self.inbound: list[InboundTrack] = []
        self.placed: list[PlacedTrack] = []
        self._placement = placement
        self._codec_for = codec_for
        self._audio_options = audio_options

    def section(self, section: Section) -> _Body:
        if section.kind == "application":
            return "data"
        track = self._placement.track_of_mid.get(section.mid)
        if section.direction in ("sendonly", "sendrecv"):
            return self._receiving(section)
        if track is not None:
            return self._sending(section, track)
        return self._lines(section, "inactive", self._usable(section, None))

    def _receiving(self, section: Section) -> MediaLines:
        cid = read_msid(section).track
        codec = self._usable(section, self._codec_for(cid))
        lines = self._lines(section, "recvonly", codec)
        if codec.name == "opus":
            options = self._audio_options(cid)
            lines.fmtp = opus_fmtp(codec.fmtp, options)
            lines.red_payload_type = section.codecs.red.get(codec.payload_type) if options.red else None
        else:
            lines.fmtp = with_start_bitrate(codec, section.codecs.codecs)
        track = read_inbound(
            section, codec, lines.rtx_payload_type, tuple(lines.extmap), lines.fmtp, lines.red_payload_type
        )
        if track.encodings[0].rid is not None:
            lines.rids = send_rids(section)
        self.inbound.append(track)
        return lines

    def _sending(self, section: Section, track: OutboundTrack) -> MediaLines:
        codec = section.codecs.find(track.mime_type, track.fmtp)
        assert codec is not None, "place() puts a track only where its codec is"  # noqa: S101
        lines = self._lines(section, "sendonly", codec)
        lines.track = track
        if codec.name == "opus":
            lines.fmtp = with_stereo(lines.fmtp, track.fmtp)
        if track.rtx_ssrc is None:
            lines.rtx_payload_type = None
        lines.red_payload_type = section.codecs.red.get(codec.payload_type) if track.red else None
        self.placed.append(
            PlacedTrack(
                track.track_sid, section.mid, codec.payload_type, lines.rtx_payload_type, lines.red_payload_type
            )
        )
        return lines

    def _lines(self, section: Section, direction: Direction, codec: Codec) -> MediaLines:
        extmap = self.extensions.take(cast("Kind", section.kind), section.attributes.get("extmap", ()))
        feedback = accepted_feedback(section, codec, extmap)
        return MediaLines(
            kind=section.kind,
            protocol=section.protocol,
            mid=section.mid,
            direction=direction,
            codec=codec,
            rtx_payload_type=section.codecs.rtx.get(codec.payload_type) if "nack" in feedback else None,
            fmtp=codec.fmtp,
            extmap=extmap,
            feedback=feedback,
            reduced_size="rtcp-rsize" in section.attributes,
        )

    @staticmethod
    def _usable(section: Section, mime_type: str | None) -> Codec:
        codec = section.codecs.choose(mime_type)
        assert codec is not None, "a section without a codec of ours is not accepted"  # noqa: S101
        return codec


def session_id(local: LocalEndpoint) -> int:
    """A number for o= that stays the same over ICE restarts and differs between connections; no secret."""
    return int.from_bytes(hashlib.sha256(local.ufrag.encode()).digest()[:7])


def _acceptable_sections(description: SessionDescription) -> list[Section]:
    """We have one transport: what is outside the bundle is rejected, and without a bundle one section remains."""
    sections = [section for section in description.sections if _is_acceptable(section)]
    if description.bundle is None:
        return sections[:1]
    group = set(description.bundle)
    return [section for section in sections if section.mid in group]


def _is_acceptable(section: Section) -> bool:
    if section.rejected:
        return False
    if section.kind == "application":
        return is_data_section(section)
    if section.kind not in ("audio", "video") or not section.protocol.endswith(("/SAVPF", "/SAVP")):
        return False
    return "rtcp-mux" in section.attributes and bool(section.codecs.codecs)

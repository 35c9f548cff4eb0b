"""A section on which the client sends: which encodings it brings and what our answer says about them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from sfu.negotiation.codecs import START_BITRATE, Codec, parse_fmtp
from sfu.negotiation.description import Section
from sfu.negotiation.extensions import RID, TRANSPORT_CC
from sfu.negotiation.types import AudioOptions, InboundTrack
from sfu.seam import EncodingParameters, Kind


@dataclass(frozen=True, slots=True)
class Msid:
    """Stream and track id of a=msid (RFC 8830); "" where absent, "-" means "no stream"."""

    stream: str
    track: str


def read_msid(section: Section) -> Msid:
    """From a=msid, else from the older a=ssrc:<n> msid:..."""
    value = section.first("msid")
    if value is None:
        for line in section.attributes.get("ssrc", ()):
            _, found, rest = line.partition(" msid:")
            if found:
                value = rest
                break
    stream, _, track = (value or "").strip().partition(" ")
    return Msid(stream, track.strip()) if len(stream) + len(track) <= _MAX_MSID_CHARACTERS else Msid("", "")


def send_rids(section: Section) -> list[str]:
    """The rids that the client sends, in its order: a=simulcast (RFC 8853), else a lone a=rid (RFC 8851)."""
    words = (value.split(" ") for value in section.attributes.get("rid", ()))
    declared = dict.fromkeys(rid for rid, *rest in words if rest[:1] == ["send"] and _RID.fullmatch(rid))
    listed = dict.fromkeys(_simulcast_send(section.first("simulcast") or ""))
    rids = [rid for rid in listed if rid in declared] if listed else list(declared)
    return rids[:MAX_ENCODINGS]


def encodings(section: Section, rids: list[str]) -> tuple[EncodingParameters, ...]:
    """Lowest quality first: by rid name (q < h < f) where the names are known, else in the order given."""
    if rids:
        if set(rids) <= set(_QUALITY_OF_RID):
            rids = sorted(rids, key=_QUALITY_OF_RID.__getitem__)
        return tuple(EncodingParameters(rid=rid) for rid in rids)
    ssrcs = _numbers(line.partition(" ")[0] for line in section.attributes.get("ssrc", ()))
    groups = [group.partition(" ") for group in section.attributes.get("ssrc-group", ())]
    pairs = [_numbers(members.split()) for semantics, _, members in groups if semantics == "FID"]
    repairs = {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
    layers = next((_numbers(members.split()) for semantics, _, members in groups if semantics == "SIM"), [])
    repairing = set(repairs.values())
    primaries = layers or [ssrc for ssrc in ssrcs if ssrc not in repairing][:1]
    signalled = [EncodingParameters(None, ssrc, repairs.get(ssrc)) for ssrc in primaries[:MAX_ENCODINGS]]
    return tuple(signalled) or (EncodingParameters(rid=None),)


def read_inbound(
    section: Section,
    codec: Codec,
    rtx_payload_type: int | None,
    extmap: tuple[str, ...],
    fmtp: str,
    red_payload_type: int | None = None,
) -> InboundTrack:
    """What the engine and the room need of the section; all but the first two are as answered."""
    msid = read_msid(section)
    feedback = accepted_feedback(section, codec, extmap)
    rids = send_rids(section) if any(value.endswith(RID) for value in extmap) else []
    return InboundTrack(
        mid=section.mid,
        kind=cast("Kind", section.kind),
        cid=msid.track,
        stream_id=msid.stream,
        mime_type=codec.mime_type,
        clock_rate=codec.clock_rate,
        payload_type=codec.payload_type,
        rtx_payload_type=rtx_payload_type,
        encodings=encodings(section, rids),
        nack="nack" in feedback,
        transport_cc="transport-cc" in feedback,
        remb="goog-remb" in feedback,
        fmtp=fmtp,
        red_payload_type=red_payload_type,
    )


def accepted_feedback(section: Section, codec: Codec, extmap: tuple[str, ...]) -> list[str]:
    """The a=rtcp-fb values of an answer. REMB only where transport-cc cannot be had: one estimator per connection.

    NACK for Opus is in no offer of libwebrtc's, the only one with RED; but it obeys an answer that has it, both when it sends
    and when it receives. RED alone repairs one packet in a burst.
    """
    congestion = "goog-remb"
    if "transport-cc" in codec.feedback and any(value.endswith(TRANSPORT_CC) for value in extmap):
        congestion = "transport-cc"
    possible = codec.feedback | ({"nack"} if codec.payload_type in section.codecs.red else set())
    return [value for value in (congestion, "ccm fir", "nack", "nack pli") if value in possible]


def opus_fmtp(offered: str, options: AudioOptions) -> str:
    """The answer's format: what was offered, with DTX and stereo as the publisher asked for them in AddTrack."""
    parameters = parse_fmtp(offered)
    for name in ("usedtx", "stereo", "maxaveragebitrate"):
        parameters.pop(name, None)
    if options.dtx:
        parameters["usedtx"] = "1"
    if options.stereo:
        parameters |= {"stereo": "1", "maxaveragebitrate": str(_STEREO_BITRATE_BPS)}
    return ";".join(f"{name}={value}" if value else name for name, value in parameters.items())


def with_start_bitrate(codec: Codec, offered: Sequence[Codec]) -> str:
    """The format with livekit-client's start bitrate, which it writes only on the first variant of a codec it offers.

    libwebrtc reads the hint from our answer; without it an H264 sender starts at 300 kbit/s and its top layer late.
    """
    if START_BITRATE in codec.fmtp:
        return codec.fmtp
    for other in offered:
        hint = parse_fmtp(other.fmtp).get(START_BITRATE, "")
        if other.name == codec.name and hint.isascii() and hint.isdigit():
            return f"{codec.fmtp};{START_BITRATE}={hint}" if codec.fmtp else f"{START_BITRATE}={hint}"
    return codec.fmtp


def _simulcast_send(value: str) -> list[str]:
    """`send q;~h;f,g recv x` -> [q, h, f]: the first alternative of each stream, paused or not."""
    tokens = value.split()
    if "send" not in tokens[:-1]:
        return []
    streams = tokens[tokens.index("send") + 1].split(";")
    return [stream.split(",")[0].removeprefix("~") for stream in streams]


def _numbers(texts: Iterable[str]) -> list[int]:
    """SSRCs among the texts, each once."""
    found = (int(text) for text in texts if text.isascii() and text.isdigit() and len(text) <= 10)
    return list(dict.fromkeys(number for number in found if 0 < number < 1 << 32))


#: The engine handles up to three simulcast streams per section; LiveKit's clients never send more.
MAX_ENCODINGS = 3

_STEREO_BITRATE_BPS = 510_000
# Browsers write two UUIDs.
_MAX_MSID_CHARACTERS = 512
_QUALITY_OF_RID = {"q": 0, "h": 1, "f": 2}
_RID = re.compile(r"[A-Za-z0-9_-]{1,16}")

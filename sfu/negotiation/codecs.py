"""Codecs of a section, and which of two parties' codecs are the same one.

Payload types are never assumed: a codec is its name plus, for some, format parameters (RFC 6184 section 8.2.2 for H264,
RFC 9628 for VP9, the AV1 RTP specification).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

#: The MIME types that we forward, by lower-case encoding name.
FORWARDED: Mapping[str, str] = {
    "opus": "audio/opus",
    "vp8": "video/VP8",
    "vp9": "video/VP9",
    "h264": "video/H264",
    "av1": "video/AV1",
}

#: An fmtp parameter that livekit-client writes on the first variant of the codec it is going to send.
START_BITRATE = "x-google-start-bitrate"


@dataclass(frozen=True, slots=True)
class Codec:
    """One payload type of a section. `name` is lower-case; `channels` is None where rtpmap has no third part."""

    payload_type: int
    name: str
    clock_rate: int
    channels: str | None
    fmtp: str
    #: Values of a=rtcp-fb, such as "nack pli".
    feedback: frozenset[str]

    @property
    def mime_type(self) -> str:
        """Only for forwarded codecs."""
        return FORWARDED[self.name]

    @property
    def rtpmap(self) -> str:
        """The value of a=rtpmap, the name written as everybody writes it."""
        name = self.mime_type.partition("/")[2]
        suffix = f"/{self.channels}" if self.channels else ""
        return f"{self.payload_type} {name}/{self.clock_rate}{suffix}"


@dataclass(frozen=True, slots=True)
class CodecTable:
    """The forwarded codecs of a section in its order of preference, and the RTX payload type of each."""

    codecs: tuple[Codec, ...]
    #: Primary payload type -> RTX payload type (RFC 4588).
    rtx: Mapping[int, int]
    #: Opus payload type -> payload type of its redundant form (RED, RFC 2198).
    red: Mapping[int, int] = field(default_factory=dict)
    _found: dict[tuple[str, str], Codec | None] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def parse(cls, kind: str, formats: Sequence[str], attributes: Mapping[str, Sequence[str]]) -> CodecTable:
        """Lines that make no sense are passed over: what remains is what both sides can use."""
        parameters = dict(_numbered(attributes.get("fmtp", ())))
        feedback: dict[str, set[str]] = {}
        for line in attributes.get("rtcp-fb", ()):
            target, _, value = line.partition(" ")
            feedback.setdefault(target, set()).add(value.strip())
        everywhere = feedback.get("*", set())
        mapped = dict(_numbered(attributes.get("rtpmap", ())))
        codecs: list[Codec] = []
        wrapped: dict[str, dict[int, int]] = {"rtx": {}, "red": {}}
        for payload_type in dict.fromkeys(map(_payload_type, formats)):
            if payload_type is None or payload_type not in mapped:
                continue
            name, clock_rate, channels = _encoding(mapped[payload_type])
            fmtp = parameters.get(payload_type, "")
            if len(fmtp) > _MAX_FMTP_CHARACTERS or not fmtp.isascii():
                continue
            if name in wrapped:
                primary = _primary(name, fmtp)
                if primary is not None and (name == "rtx" or (kind, clock_rate, channels) == _RED):
                    wrapped[name].setdefault(primary, payload_type)
            elif FORWARDED.get(name, "").startswith(kind) and clock_rate == _CLOCK_RATES[kind]:
                values = frozenset(feedback.get(str(payload_type), set()) | everywhere)
                codec = Codec(payload_type, name, clock_rate, channels, fmtp, values)
                if stream_format(codec.mime_type, fmtp)[1] in _PROFILES[name]:
                    codecs.append(codec)
        return cls(tuple(codecs), wrapped["rtx"], wrapped["red"])

    def find(self, mime_type: str, fmtp: str) -> Codec | None:
        """The codec that can decode a stream of this type and format; the closest one if there are several."""
        key = (mime_type, fmtp)
        if key not in self._found:
            wanted = stream_format(mime_type, fmtp)
            ranked = [(rank, codec) for codec in self.codecs if (rank := _decodes(codec, wanted)) is not None]
            self._found[key] = min(ranked, key=lambda pair: pair[0])[1] if ranked else None
        return self._found[key]

    def choose(self, mime_type: str | None) -> Codec | None:
        """The codec a client shall send with: `mime_type`, else the client's own choice; in its most decodable form.

        Its own choice is the codec with livekit-client's start bitrate (its offer keeps the browser's order whatever
        codec it wants to send), else the first.
        """
        if not self.codecs:
            return None
        wanted = [codec for codec in self.codecs if mime_type and codec.mime_type.lower() == mime_type.lower()]
        if not wanted:
            own = next((codec for codec in self.codecs if START_BITRATE in codec.fmtp), self.codecs[0])
            wanted = [codec for codec in self.codecs if codec.name == own.name]
        return min(wanted, key=_reach)


def parse_fmtp(text: str) -> dict[str, str]:
    """`a=1;b=2` as a dictionary; keys in lower case, a parameter without value has ""."""
    pairs = (part.partition("=") for part in text.split(";"))
    return {key.strip().lower(): value.strip() for key, _, value in pairs if key.strip()}


@lru_cache(maxsize=512)  # of a few browsers, again and again
def stream_format(mime_type: str, fmtp: str) -> tuple[str, str, int]:
    """(codec name, profile, packetization mode): what must agree between sender and receiver of a stream."""
    name = mime_type.partition("/")[2].lower()
    parameters = parse_fmtp(fmtp)
    if name == "h264":
        mode = 1 if parameters.get("packetization-mode") == "1" else 0
        return name, h264_profile(parameters.get("profile-level-id", _H264_DEFAULT)), mode
    if name == "vp9":
        return name, parameters.get("profile-id", "0"), 0
    if name == "av1":
        return name, parameters.get("profile", "0"), 0
    return name, "", 0


def h264_profile(profile_level_id: str) -> str:
    """ "constrained-baseline", "baseline", "main", "constrained-high", "high", else the first four hex digits."""
    try:
        profile, flags = int(profile_level_id[:2], 16), int(profile_level_id[2:4], 16)
    except ValueError:
        profile, flags = 0x42, 0xE0
    for name, wanted_profile, mask, bits in _H264_PROFILES:
        if profile == wanted_profile and flags & mask == bits:
            return name
    return ""


def _decodes(codec: Codec, wanted: tuple[str, str, int]) -> tuple[int, int] | None:
    """How far `codec` is from the stream, (0, 0) for the same; None if it cannot decode it."""
    name, profile, mode = stream_format(codec.mime_type, codec.fmtp)
    if name != wanted[0] or mode < wanted[2]:
        return None
    decoders = _H264_DECODERS.get(wanted[1], (wanted[1],)) if name == "h264" else (wanted[1],)
    return (decoders.index(profile), mode - wanted[2]) if profile in decoders else None


def _reach(codec: Codec) -> tuple[int, int]:
    """Sorts one codec's variants by how many receivers can decode them."""
    _, profile, mode = stream_format(codec.mime_type, codec.fmtp)
    return _PROFILES[codec.name].index(profile), -mode


def _numbered(lines: Iterable[str]) -> Iterable[tuple[int, str]]:
    for line in lines:
        number, _, rest = line.partition(" ")
        payload_type = _payload_type(number)
        if payload_type is not None:
            yield payload_type, rest.strip()


def _primary(name: str, fmtp: str) -> int | None:
    """What RTX repeats (`apt=96`), or all blocks of RED are of (`111/111`)."""
    if name == "rtx":
        return _payload_type(parse_fmtp(fmtp).get("apt", ""))
    blocks = set(fmtp.split("/"))
    return _payload_type(blocks.pop()) if len(blocks) == 1 else None


def _payload_type(text: str) -> int | None:
    """0-127 without the range that collides with RTCP (RFC 5761 section 4), else None."""
    if not (text.isascii() and text.isdigit() and len(text) <= 3):
        return None
    number = int(text)
    return number if number < 64 or 96 <= number < 128 else None


def _encoding(rtpmap: str) -> tuple[str, int, str | None]:
    name, _, rest = rtpmap.partition("/")
    clock, _, channels = rest.partition("/")
    rate = int(clock) if clock.isascii() and clock.isdigit() and len(clock) <= 6 else 0
    return name.lower(), rate, channels if channels in ("1", "2") else None


# We keep, compare and repeat it; what clients write has about 100.
_MAX_FMTP_CHARACTERS = 1000
_CLOCK_RATES = {"audio": 48000, "video": 90000}
# Of Opus: "red/48000/2".
_RED = ("audio", 48000, "2")

# libwebrtc takes constrained baseline where profile-level-id is missing; RFC 6184 would say plain baseline level 1.
_H264_DEFAULT = "42e01f"

# (name, profile_idc, mask and value of the constraint flags), the patterns of RFC 6184 table 5.
_H264_PROFILES = (
    ("constrained-baseline", 0x42, 0x4F, 0x40),
    ("constrained-baseline", 0x4D, 0x8F, 0x80),
    ("constrained-baseline", 0x58, 0xCF, 0xC0),
    ("baseline", 0x42, 0x4F, 0x00),
    ("baseline", 0x58, 0xCF, 0x80),
    ("main", 0x4D, 0xAF, 0x00),
    ("constrained-high", 0x64, 0xFF, 0x0C),
    ("high", 0x64, 0xFF, 0x00),
)

# Profiles of decoders that decode a stream of the key's profile, closest first.
_H264_DECODERS = {
    "constrained-baseline": ("constrained-baseline", "baseline", "main", "constrained-high", "high"),
    "main": ("main", "high"),
    "constrained-high": ("constrained-high", "high"),
}

# The profiles that we forward, those most receivers decode first. A closed list: one client's inventions must not use up
# the payload types of another's connection.
_PROFILES: Mapping[str, tuple[str, ...]] = {
    "opus": ("",),
    "vp8": ("",),
    "vp9": ("0", "1", "2", "3"),
    "av1": ("0", "1", "2"),
    "h264": ("constrained-baseline", "baseline", "main", "constrained-high", "high"),
}

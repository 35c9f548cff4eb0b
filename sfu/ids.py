"""Names that the room layer mints: sids with LiveKit's prefixes, ICE credentials, SSRCs. Engine ids come from the facade."""

from __future__ import annotations

import secrets
from typing import NewType

RoomSid = NewType("RoomSid", str)
ParticipantSid = NewType("ParticipantSid", str)
TrackSid = NewType("TrackSid", str)
Identity = NewType("Identity", str)
RoomName = NewType("RoomName", str)


def room_sid() -> RoomSid:
    return RoomSid("RM_" + _random_text(12))


def participant_sid() -> ParticipantSid:
    return ParticipantSid("PA_" + _random_text(12))


def track_sid(kind: str, source: int) -> TrackSid:
    """`source` is a `TrackSource` number; the letters after the prefix are LiveKit's."""
    letter = {1: "VC", 2: "AM", 3: "VS", 4: "AS"}.get(source, "A" if kind == "audio" else "V")
    return TrackSid("TR_" + letter + _random_text(12))


def ice_credentials() -> tuple[str, str]:
    """(ufrag, password): 48 and 144 bits, more than the 24 and 128 that RFC 8445 section 5.3 asks for."""
    return _random_text(8), _random_text(24)


def random_ssrc(taken: set[int]) -> int:
    """A new SSRC that is in no way predictable and not in `taken`; adds it there."""
    while True:
        ssrc = secrets.randbits(32)
        if ssrc > 0xFFFF and ssrc not in taken:
            taken.add(ssrc)
            return ssrc


def _random_text(length: int) -> str:
    text = b""
    while len(text) < length:
        text += secrets.token_bytes(2 * length).translate(_LETTER_OF_BYTE, _UNFAIR_BYTES)
    return text[:length].decode()


# Letters and digits only: legal in a sid, an ICE ufrag and a password alike.
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
# Four bytes for each letter; the rest would favour the first ones.
_LETTER_OF_BYTE = bytes(_ALPHABET[byte % len(_ALPHABET)] for byte in range(256))
_UNFAIR_BYTES = bytes(range(256 // len(_ALPHABET) * len(_ALPHABET), 256))

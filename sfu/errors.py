"""What can go wrong in the room layer. `code` is stable and meant for machines; the text says what to do.

MediaError
├── SdpError        (sfu.negotiation) a description we cannot read or answer
├── NotAllowed      the token or the permissions do not grant it
├── RoomFull        the room has its maximum of participants
├── RoomNotFound    the room does not exist and may not be made by joining
├── LimitExceeded   a bound of `sfu.policy.limits`
├── NotFound        no such track or participant
├── Unsupported     a track type or codec that we do not carry
└── StateMismatch   client and server disagree on the session; only a full reconnect helps

Local misuse (a bug of ours) raises the ordinary built-in exceptions and is never caught as a MediaError.
"""

from __future__ import annotations


class MediaError(Exception):
    """Base of every error that a remote can cause."""

    code = "media_error"


class NotAllowed(MediaError):
    """Not granted."""

    code = "not_allowed"


class RoomFull(MediaError):
    """`max_participants` reached."""

    code = "room_full"


class RoomNotFound(MediaError):
    """The message contains what clients look for: "requested room does not exist"."""

    code = "room_not_found"


class LimitExceeded(MediaError):
    """Too long, too large or too many."""

    code = "limit_exceeded"


class NotFound(MediaError):
    """An unknown sid or identity."""

    code = "not_found"


class Unsupported(MediaError):
    """A kind of track that we do not carry."""

    code = "unsupported_type"


class StateMismatch(MediaError):
    """The client must join anew."""

    code = "state_mismatch"

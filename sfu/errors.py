"""What can go wrong in the room layer. `code` is stable and meant for machines; the text says what to do.

MediaError
├── SdpError            (sfu.negotiation) a description we cannot read or answer
├── JoinRefused         the join request cannot be granted: NotAllowed, RoomFull, RoomNotFound, LimitExceeded
├── RequestRefused      one signal request cannot be granted; the session goes on
└── StateMismatch       client and server disagree on the session; only a full reconnect helps

Local misuse (a bug of ours) raises the ordinary built-in exceptions and is never caught as a MediaError.
"""

from __future__ import annotations


class MediaError(Exception):
    """Base of every error that a remote can cause."""

    code = "media_error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class JoinRefused(MediaError):
    code = "join_refused"


class NotAllowed(JoinRefused):
    code = "not_allowed"


class RoomFull(JoinRefused):
    code = "room_full"


class RoomNotFound(JoinRefused):
    code = "room_not_found"


class LimitExceeded(JoinRefused):
    code = "limit_exceeded"


class RequestRefused(MediaError):
    """`code` is the lower-case name of a `RequestResponse.Reason`."""

    code = "unclassified_error"


class StateMismatch(MediaError):
    code = "state_mismatch"

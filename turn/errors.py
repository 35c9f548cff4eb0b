"""Why a request is not granted. `ErrorCode` is what clients see (RFC 8489 section 14.8, RFC 8656 section 19).

TurnError
├── Refused         answered with its code, signed: the sender is known
└── Unauthorized    answered with a bare 401, the same for every reason; `reason` is for the metrics only
"""

from __future__ import annotations

from enum import IntEnum
from typing import Literal


class ErrorCode(IntEnum):
    """The error codes that Python decides on; 438 is the engine's, which keeps the nonces."""

    BAD_REQUEST = 400
    UNAUTHORIZED = 401
    FORBIDDEN = 403
    UNKNOWN_ATTRIBUTE = 420
    ALLOCATION_MISMATCH = 437
    ADDRESS_FAMILY_NOT_SUPPORTED = 440
    WRONG_CREDENTIALS = 441
    UNSUPPORTED_TRANSPORT = 442
    PEER_FAMILY_MISMATCH = 443
    ALLOCATION_QUOTA_REACHED = 486
    INSUFFICIENT_CAPACITY = 508


AuthFailure = Literal["realm", "unknown_user", "integrity", "expired"]


class TurnError(Exception):
    """Base of every refusal."""


class Refused(TurnError):
    """The credentials are good, the request is not."""

    def __init__(self, code: ErrorCode, unknown_attributes: tuple[int, ...] = ()) -> None:
        super().__init__(code.name)
        self.code = code
        self.unknown_attributes = unknown_attributes


class Unauthorized(TurnError):
    """Whoever sent this is not who it claims to be, or no longer."""

    def __init__(self, reason: AuthFailure) -> None:
        super().__init__(reason)
        self.reason: AuthFailure = reason

"""What the control plane answers when something is wrong. `code` is stable and meant for machines; the text says what to do.

ControlError
├── ConfigError     the configuration cannot be used; the process ends with status 2
├── StartError      the node could not start; the process ends with status 1
├── TokenError      (control.tokens) the access token is missing, forged, out of its time or malformed
└── HttpError       any other refusal of one request

`STATUS` maps every code to its HTTP status, the codes of `sfu.errors` among them.
"""

from __future__ import annotations

from sfu.errors import MediaError


class ControlError(Exception):
    """Base of every error with a code."""

    code = "internal_error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class ConfigError(ControlError):
    """One sentence per problem, each naming the key it is about."""

    code = "bad_config"


class StartError(ControlError):
    """A socket or a thread could not be had; the text names the setting."""

    code = "start_failed"


class TokenError(ControlError):
    """An access token that grants nothing."""

    code = "token_malformed"


class HttpError(ControlError):
    """A refused request; the code's row in `STATUS` is what the client sees."""

    code = "bad_request"


def http_status(error: ControlError | MediaError) -> int:
    """The status for an error that escaped a handler; 500 for a code without a row."""
    return STATUS.get(error.code, 500)


STATUS: dict[str, int] = {
    # tokens
    "token_missing": 401,
    "token_malformed": 401,
    "token_algorithm": 401,
    "token_unknown_key": 401,
    "token_signature": 401,
    "token_expired": 401,
    "token_not_yet_valid": 401,
    "token_without_expiry": 401,
    "token_grant": 401,
    # requests
    "bad_request": 400,
    "not_found": 404,
    "method_not_allowed": 405,
    "too_large": 413,
    "upgrade_required": 426,
    "internal_error": 500,
    # the room layer (sfu.errors); LiveKit's clients expect 401 for a missing grant and do not retry a 4xx
    "not_allowed": 401,
    "room_not_found": 404,
    "room_full": 429,
    "limit_exceeded": 400,
    "unsupported_type": 400,
    "state_mismatch": 409,
    # this node
    "page_not_built": 503,
    "not_ready": 503,
    "draining": 503,
}

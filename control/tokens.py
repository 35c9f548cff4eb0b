"""Access tokens: JWTs in LiveKit's form, HS256 only. `verify` reads one, `mint` writes one; neither reads the clock.

Issuer = API key, subject = identity, grants under `video`. `exp` is required; 60 s of leeway on both ends, as LiveKit's server.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping
from typing import Any, TypeGuard

import jwt
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from control.errors import TokenError


class _Claim(BaseModel):
    # Unknown claims are ignored: newer SDKs and back ends may say more than we understand.
    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        frozen=True,
        strict=True,
        extra="ignore",
    )


class Grants(_Claim):
    """The `video` claim. `None` means "not said": allowed for the three that `may_*` reads, refused for the rest."""

    room: str | None = None
    room_join: bool | None = None
    room_create: bool | None = None
    room_list: bool | None = None
    room_admin: bool | None = None
    room_record: bool | None = None
    destination_room: str | None = None
    can_publish: bool | None = None
    can_subscribe: bool | None = None
    can_publish_data: bool | None = None
    #: Narrows `can_publish` to these sources; an empty list says nothing, as in LiveKit's server.
    can_publish_sources: tuple[str, ...] | None = None
    can_update_own_metadata: bool | None = None
    can_subscribe_metrics: bool | None = None
    can_manage_agent_session: bool | None = None
    ingress_admin: bool | None = None
    hidden: bool | None = None
    recorder: bool | None = None
    agent: bool | None = None

    @property
    def may_publish(self) -> bool:
        return self.can_publish is not False

    @property
    def may_subscribe(self) -> bool:
        return self.can_subscribe is not False

    @property
    def may_publish_data(self) -> bool:
        """Follows `can_publish` when it is not said, as LiveKit's server does."""
        return self.may_publish if self.can_publish_data is None else self.can_publish_data

    def may_publish_source(self, source: str) -> bool:
        """`source` is "camera", "microphone", "screen_share" or "screen_share_audio", in any case."""
        if not self.may_publish:
            return False
        named = [allowed.lower() for allowed in self.can_publish_sources or ()]
        return not named or source.lower() in named


class Claims(_Claim):
    """A verified token. `identity` and `api_key` come from `sub` and `iss`."""

    identity: str = Field(default="", alias="sub")
    api_key: str = Field(default="", alias="iss")
    #: Unix seconds.
    expires_at: float = Field(default=0, alias="exp")
    not_before: float | None = Field(default=None, alias="nbf")
    name: str = ""
    kind: str = ""
    metadata: str = ""
    attributes: dict[str, str] = Field(default_factory=dict)
    video: Grants = Field(default_factory=Grants)
    #: RoomConfiguration as protojson.
    room_config: dict[str, Any] | None = None
    sha256: str | None = None


def verify(token: str, keys: Mapping[str, str], now: float) -> Claims:
    """Checks the signature first, then the times, then the shape. `now` is Unix seconds. Raises `TokenError`."""
    if not token:
        raise TokenError(
            "There is no access token. Send it as 'Authorization: Bearer <token>' or in the query as access_token=<token>.",
            code="token_missing",
        )
    secret = keys.get(_issuer(token))
    if secret is None:
        raise TokenError(
            "The access token's issuer is not an API key of this server. Put the API key in 'iss'.",
            code="token_unknown_key",
        )
    try:
        claims = jwt.decode(token, secret, algorithms=["HS256"], options=_SIGNATURE_ONLY)
    except jwt.InvalidAlgorithmError as error:
        raise TokenError(
            "The access token is not signed with HS256. Sign it with the API secret and HS256.", code="token_algorithm"
        ) from error
    except jwt.InvalidSignatureError as error:
        raise TokenError(
            "The access token's signature is wrong. Sign it with the secret of its API key.", code="token_signature"
        ) from error
    except jwt.InvalidTokenError as error:
        raise TokenError(f"The access token is not usable: {error}.") from error
    _check_times(claims, now)
    try:
        # LiveKit's older tokens carry the identity in `jti`.
        return Claims.model_validate_json(json.dumps({**claims, "sub": claims.get("sub") or claims.get("jti") or ""}))
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        raise TokenError(f"The access token's claim '{path}' is not usable: {first['msg']}.") from error


def mint(
    api_key: str,
    secret: str,
    grants: Grants,
    *,
    identity: str,
    now: float,
    ttl_s: float = 6 * 3600,
    name: str = "",
    metadata: str = "",
    attributes: Mapping[str, str] | None = None,
    kind: str = "",
    room_config: Mapping[str, Any] | None = None,
) -> str:
    """A token valid from `now` for `ttl_s` seconds (six hours, the default of LiveKit's SDKs)."""
    claims: dict[str, Any] = {
        "iss": api_key,
        "sub": identity,
        "nbf": int(now),
        "exp": int(now + ttl_s),
        "name": name,
        "kind": kind,
        "metadata": metadata,
        "attributes": dict(attributes or {}),
        "roomConfig": dict(room_config or {}),
        "video": grants.model_dump(by_alias=True, exclude_none=True, mode="json"),
    }
    said = {key: value for key, value in claims.items() if value or key in {"sub", "nbf", "exp", "video"}}
    return jwt.encode(said, secret, algorithm="HS256")


def _issuer(token: str) -> str:
    """Whose secret must verify the token; nothing else is believed before that."""
    if len(token) > _MAX_TOKEN_BYTES:
        raise TokenError(
            f"The access token is longer than {_MAX_TOKEN_BYTES} bytes. Put less into its metadata and attributes."
        )
    try:
        unverified = jwt.decode(token, options={"verify_signature": False})
    except (jwt.InvalidTokenError, RecursionError) as error:
        raise TokenError(f"The access token is not a JWT: {error}.") from error
    return str(unverified.get("iss"))


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    expires_at, not_before = claims.get("exp"), claims.get("nbf")
    if not _is_time(expires_at):
        raise TokenError("The access token has no expiry. Put Unix seconds in 'exp'.", code="token_without_expiry")
    if now > expires_at + _LEEWAY_S:
        raise TokenError("The access token has expired. Ask your back end for a new one.", code="token_expired")
    if not_before is None:
        return
    if not _is_time(not_before):
        raise TokenError("The access token's 'nbf' is not a number of Unix seconds.")
    if now < not_before - _LEEWAY_S:
        raise TokenError(
            "The access token is not valid yet. Check the clocks of both servers.", code="token_not_yet_valid"
        )


def _is_time(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


# Times are checked against the `now` that we are given, the rest against our own model.
_SIGNATURE_ONLY: jwt.types.Options = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}
# The length of secrets is checked where they are configured; "secret" is the development key's.
warnings.filterwarnings("ignore", category=jwt.InsecureKeyLengthWarning)
# Clocks of back ends differ; LiveKit's verifier allows the same.
_LEEWAY_S = 60
# 64 KiB of attributes in base64 and room to spare; bounds the work before the signature is known.
_MAX_TOKEN_BYTES = 256 * 1024

"""Access tokens: what is accepted, what is refused, and with which code."""

from __future__ import annotations

import base64
import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit import api

from control.errors import STATUS, TokenError
from control.tokens import Claims, Grants, mint, verify

NOW = 1_800_000_000.0
KEYS = {"devkey": "secret", "other": "another secret"}
JOIN = Grants(room="demo", room_join=True)


def token(**changes: Any) -> str:
    return mint("devkey", "secret", JOIN, **{"identity": "bob", "now": NOW, **changes})


def forged(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    return ".".join(part(json.dumps(piece).encode()) for piece in (header, claims)) + "." + part(signature)


def part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def resigned(claims: dict[str, Any]) -> str:
    import hashlib
    import hmac

    head = forged({"alg": "HS256"}, claims).rpartition(".")[0]
    return head + "." + part(hmac.digest(b"secret", head.encode(), hashlib.sha256))


def code_of(text: str, now: float = NOW) -> str:
    with pytest.raises(TokenError) as caught:
        verify(text, KEYS, now)
    assert STATUS[caught.value.code] == 401
    return caught.value.code


def test_what_was_minted_is_read_back() -> None:
    claims = verify(
        token(name="Bob", metadata="m", attributes={"a": "b"}, kind="agent", room_config={"maxParticipants": 2}),
        KEYS,
        NOW,
    )
    assert claims == Claims(
        identity="bob",
        api_key="devkey",
        expires_at=NOW + 6 * 3600,
        not_before=NOW,
        name="Bob",
        kind="agent",
        metadata="m",
        attributes={"a": "b"},
        video=JOIN,
        room_config={"maxParticipants": 2},
    )


def test_tokens_of_livekits_server_sdk_are_accepted() -> None:
    grants = api.VideoGrants(room_join=True, room="r", can_publish=False, can_publish_sources=["camera"], hidden=True)
    theirs = (
        api.AccessToken("devkey", "secret")
        .with_identity("x")
        .with_name("X")
        .with_attributes({"k": "v"})
        .with_grants(grants)
        .to_jwt()
    )
    claims = verify(theirs, KEYS, dt.datetime.now(dt.UTC).timestamp())
    assert (claims.identity, claims.name, claims.attributes) == ("x", "X", {"k": "v"})
    assert claims.video.room_join
    assert claims.video.hidden
    assert claims.video.can_publish_sources == ("camera",)
    assert not claims.video.may_publish


def test_livekits_server_sdk_accepts_ours() -> None:
    ours = mint("devkey", "secret", JOIN, identity="bob", now=dt.datetime.now(dt.UTC).timestamp(), name="Bob")
    claims = api.TokenVerifier("devkey", "secret").verify(ours)
    assert claims.video is not None
    assert (claims.identity, claims.name, claims.video.room) == ("bob", "Bob", "demo")


def test_the_identity_may_stand_in_jti() -> None:
    assert verify(resigned({"iss": "devkey", "jti": "old", "exp": NOW + 1}), KEYS, NOW).identity == "old"


def test_alg_none_is_refused() -> None:
    claims = {"iss": "devkey", "sub": "bob", "exp": NOW + 60, "video": {"roomJoin": True}}
    assert code_of(forged({"alg": "none"}, claims)) == "token_algorithm"
    assert code_of(forged({"alg": "HS512"}, claims)) == "token_algorithm"
    assert code_of(forged({}, claims)) == "token_algorithm"


def test_a_forged_signature_is_refused() -> None:
    head, body, _ = token().split(".")
    assert code_of(f"{head}.{body}.") == "token_signature"
    assert code_of(f"{head}.{body}.{part(b'0' * 32)}") == "token_signature"


def test_changed_claims_are_refused() -> None:
    head, body, signature = token().split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    claims["video"]["roomAdmin"] = True
    assert code_of(f"{head}.{part(json.dumps(claims).encode())}.{signature}") == "token_signature"


def test_a_token_signed_with_another_keys_secret_is_refused() -> None:
    assert code_of(mint("devkey", "another secret", JOIN, identity="bob", now=NOW)) == "token_signature"


def test_an_unknown_issuer_is_refused() -> None:
    assert code_of(mint("nobody", "secret", JOIN, identity="bob", now=NOW)) == "token_unknown_key"
    assert code_of(forged({"alg": "HS256"}, {"iss": ["devkey"], "exp": NOW})) == "token_unknown_key"


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (NOW - 61, "token_not_yet_valid"),
        (NOW + 100 + 61, "token_expired"),
    ],
)
def test_out_of_its_time_a_token_is_refused(at: float, expected: str) -> None:
    assert code_of(token(ttl_s=100), at) == expected


@pytest.mark.parametrize("at", [NOW - 59, NOW, NOW + 100, NOW + 100 + 59])
def test_clocks_may_differ_by_a_minute(at: float) -> None:
    assert verify(token(ttl_s=100), KEYS, at).identity == "bob"


@pytest.mark.parametrize("exp", [None, "tomorrow", True, float("inf"), float("nan")])
def test_a_token_without_a_usable_expiry_is_refused(exp: object) -> None:
    assert code_of(resigned({"iss": "devkey", "sub": "bob", "exp": exp})) == "token_without_expiry"


def test_claims_of_the_wrong_type_are_named() -> None:
    with pytest.raises(TokenError, match=r"video\.roomJoin"):
        verify(resigned({"iss": "devkey", "exp": NOW, "video": {"roomJoin": "yes"}}), KEYS, NOW)


@pytest.mark.parametrize(
    "text", ["x", "a.b", "a.b.c", "a.b.c.d", "é.é.é", "..", ". .", part(b"[]") + "." + part(b"{}") + ".", "e30.e30.e30"]
)
def test_garbage_is_refused(text: str) -> None:
    assert code_of(text) in {"token_malformed", "token_algorithm", "token_unknown_key"}


def test_nested_garbage_is_refused() -> None:
    assert code_of(part(b"[" * 100_000) + ".e30.e30") == "token_malformed"


def test_an_overlong_token_is_refused() -> None:
    assert code_of("a" * 300_000) == "token_malformed"


def test_no_token_says_where_to_put_one() -> None:
    assert code_of("") == "token_missing"


@given(st.text())
def test_no_text_raises_anything_else(text: str) -> None:
    with pytest.raises(TokenError):
        verify(text, KEYS, NOW)


@given(st.dictionaries(st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists)))
def test_no_signed_claims_raise_anything_else(claims: dict[str, Any]) -> None:
    signed = resigned({**claims, "iss": "devkey", "exp": NOW})
    try:
        verify(signed, KEYS, NOW)
    except TokenError as error:
        assert error.code in STATUS  # noqa: PT017


def test_what_is_not_said_is_allowed_for_publish_subscribe_and_data() -> None:
    assert (JOIN.may_publish, JOIN.may_subscribe, JOIN.may_publish_data) == (True, True, True)
    nothing = Grants(can_publish=False, can_subscribe=False)
    assert (nothing.may_publish, nothing.may_subscribe, nothing.may_publish_data) == (False, False, False)
    assert Grants(can_publish=False, can_publish_data=True).may_publish_data


def test_sources_narrow_what_may_be_published() -> None:
    grants = Grants(can_publish_sources=("camera",))
    assert grants.may_publish_source("CAMERA")
    assert not grants.may_publish_source("microphone")
    assert Grants(can_publish_sources=()).may_publish_source("microphone")
    assert not Grants(can_publish=False, can_publish_sources=("camera",)).may_publish_source("camera")

"""Who sent a request (RFC 8489 section 9.2): users, shared secrets, joins; H-17 to H-19 as far as Python decides them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
from typing import Any

import pytest

from tests.unit.turn.harness import PEER, REALM, UNIX, Server, peers, signed
from turn import credentials as module
from turn.credentials import Credentials, long_term_key, rest_password
from turn.errors import Unauthorized
from turn.seam import ClientId, Method, RequestId, TurnReply

SECRET, OLD = "a secret of the fleet", "the secret before it"


def made(secrets: tuple[str, ...] = (SECRET, OLD)) -> Credentials:
    credentials = Credentials(random.Random(7).randbytes)
    credentials.configure(REALM, {"alice": "a"}, secrets)
    return credentials


def reason(credentials: Credentials, user: str = "alice", **changes: Any) -> str | None:
    """Why it is refused; None: it is not."""
    try:
        credentials.check(signed(RequestId(1), Method.ALLOCATE, ClientId(1), user, **changes))
    except Unauthorized as refused:
        return refused.reason
    return None


def rest(secret: str, username: str) -> str:
    return rest_password(secret.encode(), username)


def test_keys_are_those_of_the_standards() -> None:
    """RFC 5769 section 2.4 (the name in Japanese, with SASLprep done) and RFC 8489 appendix B.1."""
    name = "\u30de\u30c8\u30ea\u30c3\u30af\u30b9"
    md5 = hashlib.md5(f"{name}:example.org:TheMatrIX".encode()).digest()
    assert long_term_key(name, "example.org", "TheMatrIX", "md5") == md5
    assert (
        long_term_key(name, "example.org", "TheMatrIX", "sha-256")
        == hashlib.sha256(f"{name}:example.org:TheMatrIX".encode()).digest()
    )
    # USERHASH of RFC 8489 appendix B.1.
    credentials = Credentials(random.Random(1).randbytes)
    credentials.configure("example.org", {name: "TheMatrIX"}, ())
    userhash = bytes.fromhex("4a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704")
    assert reason(credentials, name, username=None, userhash=userhash, password="TheMatrIX") is None


@pytest.mark.parametrize("sha256", [False, True])
@pytest.mark.parametrize("algorithm", ["md5", "sha-256"])
def test_every_pair_of_integrity_and_key_algorithm_is_accepted(sha256: bool, algorithm: str) -> None:
    assert reason(made(), sha256=sha256, password_algorithm=algorithm) is None


def test_a_user_may_hide_behind_its_userhash() -> None:
    userhash = hashlib.sha256(f"alice:{REALM}".encode()).digest()
    assert reason(made(), username=None, userhash=userhash) is None
    assert reason(made(), username=None, userhash=userhash, password="x") == "integrity"
    assert reason(made(), username=None, userhash=bytes(32)) == "unknown_user"


def test_who_hides_is_the_same_user_as_who_does_not() -> None:
    server = Server()
    server.allocate()
    userhash = hashlib.sha256(f"alice:{REALM}".encode()).digest()
    assert server.answer(Method.REFRESH, username=None, userhash=userhash).error is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"password": "wrong"}, "integrity"),
        ({"mac": b""}, "integrity"),
        ({"mac": bytes(20)}, "integrity"),
        ({"user": "mallory"}, "unknown_user"),
        ({"user": ""}, "unknown_user"),
        ({"user": "alice\x00"}, "unknown_user"),
        ({"user": "alice\r\n"}, "unknown_user"),
        ({"user": "x" * 513}, "unknown_user"),
        ({"realm": "example.com"}, "realm"),
        ({"realm": ""}, "realm"),
    ],
)
def test_strangers_get_the_same_answer_whatever_is_wrong(changes: dict[str, Any], why: str) -> None:
    """H-17."""
    credentials = made(())
    assert reason(credentials, **changes) == why
    assert credentials.failures == {why: 1}
    server = Server()
    (reply,) = server.ask(Method.ALLOCATE, requested_transport=17, **changes)
    assert reply == TurnReply(RequestId(1), error=401)


@pytest.mark.parametrize(
    "changes", [{}, {"password": "x"}, {"user": "mallory"}, {"user": "\x00"}, {"realm": "x"}, {"userhash": b"?"}]
)
def test_every_check_does_the_same_work(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """H-18: the same keys, MACs and comparisons, for a user, a stranger and a mistake."""
    work: list[str] = []

    def counted(name: str) -> None:
        real = getattr(module, name)

        def count(*arguments: object) -> object:
            work.append(name)
            return real(*arguments)

        monkeypatch.setattr(module, name, count)

    for name in ("long_term_key", "rest_password", "equal", "_mac"):
        counted(name)
    reason(made(), **changes)
    assert sorted(work) == ["_mac"] * 3 + ["equal"] * 4 + ["long_term_key"] * 3 + ["rest_password"] * 2


@pytest.mark.parametrize(
    ("length", "good"), [(0, False), (12, False), (15, False), (16, True), (18, False), (28, True), (32, True)]
)
def test_sha256_may_be_cut_to_sixteen_bytes_in_steps_of_four(length: int, good: bool) -> None:
    """H-19, RFC 8489 section 14.6."""
    whole = signed(RequestId(1), Method.ALLOCATE, ClientId(1), "alice", sha256=True).mac
    assert (reason(made(), sha256=True, mac=whole[:length]) is None) == good


@pytest.mark.parametrize("length", [0, 4, 16, 19])
def test_sha1_may_not_be_cut(length: int) -> None:
    whole = signed(RequestId(1), Method.ALLOCATE, ClientId(1), "alice").mac
    assert reason(made(), mac=whole[:length]) == "integrity"


def test_names_are_compared_in_their_prepared_form() -> None:
    credentials = made()
    credentials.configure(REALM, {"Andr\u00e9 B": "caf\u00e9"}, ())
    decomposed = "Andre\u0301\u00a0B"
    key = long_term_key("Andr\u00e9 B", REALM, "caf\u00e9", "md5")
    mac = hmac.digest(key, b"what is signed", "sha1")
    assert reason(credentials, decomposed, signed=b"what is signed", mac=mac) is None


@pytest.mark.parametrize(
    ("users", "secrets"), [({"": "x"}, ()), ({"a\n": "x"}, ()), ({"a": ""}, ()), ({}, ("1", "2", "3"))]
)
def test_a_configuration_that_cannot_work_is_refused_whole(users: dict[str, str], secrets: tuple[str, ...]) -> None:
    credentials = made()
    with pytest.raises(ValueError, match=r"characters|two secrets"):
        credentials.configure("another realm", users, secrets)
    assert reason(credentials) is None


def test_both_live_secrets_make_good_passwords_and_a_third_does_not() -> None:
    credentials, name = made(), f"{int(UNIX) + 60}:carol"
    assert reason(credentials, name, password=rest(SECRET, name)) is None
    assert reason(credentials, name, password=rest(OLD, name)) is None
    assert reason(credentials, name, password=rest("another", name)) == "integrity"
    assert reason(credentials, name.replace("carol", "dave"), password=rest(SECRET, name)) == "integrity"
    credentials.configure(REALM, {}, ("newer", SECRET))
    assert reason(credentials, name, password=rest(SECRET, name)) is None
    assert reason(credentials, name, password=rest(OLD, name)) == "integrity"


def test_the_password_of_a_secret_is_that_of_other_servers() -> None:
    """`echo -n 1790000000:alice | openssl dgst -binary -sha1 -hmac north | openssl base64`."""
    expected = hmac.new(b"north", b"1790000000:alice", hashlib.sha1).digest()
    assert rest_password(b"north", "1790000000:alice") == base64.b64encode(expected).decode()


@pytest.mark.parametrize(
    "name", ["carol", "12a:carol", "-5:carol", "1e9:carol", "\u0661\u0662:carol", ":carol", "9" * 16 + ":carol"]
)
def test_a_secret_serves_no_name_without_a_time(name: str) -> None:
    assert reason(made(), name, password=rest(SECRET, name)) == "unknown_user"


def test_temporary_names_of_one_user_share_its_quota_and_no_other_ones() -> None:
    server = Server(secrets=(SECRET,), users={"carol": "c"})
    for client in (1, 2):
        name = f"{int(UNIX) + client}:carol"
        server.allocate(client, name, password=rest(SECRET, name))
    server.allocate(3, "carol")
    assert server.quotas.held("rest:carol") == 2 and server.quotas.held("user:carol") == 1


def test_expired_credentials_make_no_allocation_but_keep_the_one_they_made() -> None:
    server = Server(secrets=(SECRET,))
    name = f"{int(UNIX) + 60}:carol"
    password = rest(SECRET, name)
    server.allocate(1, name, password=password)
    server.later(60)
    assert server.refused(Method.ALLOCATE, 2, name, password=password, requested_transport=17) == 401
    assert server.credentials.failures == {"expired": 1}
    assert server.answer(Method.REFRESH, 1, name, password=password).error is None
    assert server.answer(Method.CREATE_PERMISSION, 1, name, password=password, peers=peers(PEER)).error is None
    server.answer(Method.REFRESH, 1, name, password=password, lifetime_s=0)
    assert server.refused(Method.REFRESH, 1, name, password=password) == 401


def test_a_clock_that_jumps_ends_no_allocation() -> None:
    server = Server(secrets=(SECRET,))
    name = f"{int(UNIX) + 60}:carol"
    server.allocate(1, name, password=rest(SECRET, name))
    server.unix_offset += 86_400
    assert server.answer(Method.REFRESH, 1, name, password=rest(SECRET, name)).error is None
    assert server.refused(Method.ALLOCATE, 2, name, password=rest(SECRET, name), requested_transport=17) == 401


def test_what_a_join_gets_works_within_its_own_quota_until_it_is_revoked() -> None:
    server = Server()
    minted = server.credentials.mint("PA_carol", 2, UNIX, 600)
    assert minted.expires_at == UNIX + 600
    server.allocate(1, minted.username, password=minted.password)
    server.allocate(2, minted.username, password=minted.password)
    asked: dict[str, Any] = {"password": minted.password, "requested_transport": 17}
    assert server.refused(Method.ALLOCATE, 3, minted.username, **asked) == 486
    revoked = server.credentials.revoke("PA_carol")
    server.engine.apply(server.table.handle_revoked(revoked, server.now))
    assert server.refused(Method.ALLOCATE, 3, minted.username, **asked) == 401
    assert server.credentials.revoke("PA_carol") == revoked and server.credentials.minted_count == 0
    server.later(60)
    server.check_empty(200)


def test_no_two_joins_get_the_same_and_a_join_has_four_at_most() -> None:
    credentials = made()
    all_minted = [credentials.mint("PA_carol", 2, UNIX + 300 * number, 600) for number in range(6)]
    assert len({one.username for one in all_minted}) == len({one.password for one in all_minted}) == 6
    assert credentials.minted_count == 4
    good = [reason(credentials, one.username, password=one.password) is None for one in all_minted]
    assert good == [False, False, True, True, True, True]


def test_a_join_that_asks_again_gets_the_same_until_half_of_its_time_is_over() -> None:
    credentials = made()
    minted = credentials.mint("PA_carol", 2, UNIX, 600)
    assert credentials.mint("PA_carol", 2, UNIX + 299, 600) == minted
    assert credentials.mint("PA_dave", 2, UNIX, 600) != minted
    assert credentials.mint("PA_carol", 2, UNIX + 300, 600) != minted


def test_what_gave_way_to_newer_credentials_is_revoked_with_them() -> None:
    server = Server()
    first = server.credentials.mint("PA_carol", 2, UNIX, 600)
    server.allocate(1, first.username, password=first.password)
    for number in range(1, 6):
        server.credentials.mint("PA_carol", 2, UNIX + 300 * number, 600)
    assert server.refused(Method.REFRESH, 1, first.username, password=first.password) == 401
    server.engine.apply(server.table.handle_revoked(server.credentials.revoke("PA_carol"), server.now))
    assert server.table.allocations == []


def test_a_client_goes_on_with_the_realm_before() -> None:
    server = Server()
    server.allocate()
    server.credentials.configure("new.example.org", {"alice": "a"}, ())
    assert server.answer(Method.REFRESH).error is None
    hashed = hashlib.sha256(f"alice:{REALM}".encode()).digest()
    assert server.answer(Method.REFRESH, username=None, userhash=hashed).error is None
    server.credentials.configure("new.example.org", {"alice": "a"}, ("a new secret",))
    assert server.answer(Method.REFRESH).error is None
    server.credentials.configure("third.example.org", {"alice": "a"}, ())
    assert server.refused(Method.REFRESH) == 401


def test_before_the_first_configuration_nobody_is_let_in() -> None:
    credentials = Credentials(random.Random(1).randbytes)
    mac = hmac.digest(long_term_key("alice", "", "a", "md5"), b"signed", "sha1")
    assert reason(credentials, realm="", signed=b"signed", mac=mac) == "realm"


def test_a_new_configuration_leaves_what_was_minted() -> None:
    credentials = made()
    minted = credentials.mint("PA_carol", 2, UNIX, 600)
    credentials.configure("new.example.org", {}, ())
    key = long_term_key(minted.username, "new.example.org", minted.password, "md5")
    mac = hmac.digest(key, b"what is signed", "sha1")
    userhash = hashlib.sha256(f"{minted.username}:new.example.org".encode()).digest()
    changes: dict[str, Any] = {"realm": "new.example.org", "signed": b"what is signed", "mac": mac}
    assert reason(credentials, minted.username, **changes) is None
    assert reason(credentials, username=None, userhash=userhash, **changes) is None
    credentials.revoke("PA_carol")
    assert reason(credentials, username=None, userhash=userhash, **changes) == "unknown_user"

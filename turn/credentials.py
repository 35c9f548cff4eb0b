"""Who sent a request: RFC 8489 section 9.2.4 as far as it needs a password.

Three kinds of users: those of the configuration, those that a service elsewhere made with a shared secret (the REST scheme,
"timestamp:user"), and one per join that the media server mints. The engine has seen to the nonce, to the echo of
PASSWORD-ALGORITHMS (bid-down protection) and to the form of things. Every check costs the same, whoever is asked for.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from turn.errors import AuthFailure, Unauthorized
from turn.opaque import prepare
from turn.seam import PasswordAlgorithm, TurnRequest

#: `secrets.token_bytes` outside of tests.
TokenBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Identity:
    """A sender whose integrity was found good."""

    #: As in RFC 8656: whoever changes an allocation must be who made it (441).
    username: str
    #: What quotas are counted by; never the same for two kinds of users.
    quota_key: str
    #: The number of allocations, if these credentials name one.
    allocations: int | None
    #: Unix time; None: never. What is expired makes no new allocation but keeps the one it has: calls outlast credentials.
    expires_at: float | None
    key: bytes


@dataclass(frozen=True, slots=True)
class Minted:
    """For one join; goes into the client's iceServers."""

    username: str
    password: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class _Account:
    password: str
    quota_key: str
    allocations: int | None
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class _JoinAccount(_Account):
    expires_at: float


class Credentials:
    """Verbs: `configure`, `mint`, `revoke`, `check`; what failed is counted in `failures`."""

    def __init__(self, token_bytes: TokenBytes) -> None:
        self.realm = ""
        #: The one before: clients go on with the realm that they learned.
        self._former_realm = ""
        self.failures: Counter[AuthFailure] = Counter()
        self._token_bytes = token_bytes
        self._decoy = _text(token_bytes(18))
        self._secrets: tuple[bytes, ...] = ()
        self._users: dict[str, _Account] = {}
        self._joins: dict[str, _JoinAccount] = {}
        self._names: dict[str, list[str]] = {}
        self._hashes: dict[bytes, str] = {}

    def configure(self, realm: str, users: Mapping[str, str], secrets: Sequence[str]) -> None:
        """Replaces what is configured; what was minted lives on. Of `secrets` the first is new, the second is on its way out.

        Raises ValueError, with nothing replaced, for a name or a password that RFC 8265 does not allow, and for more than two secrets.
        """
        if len(secrets) > SECRETS_MAX:
            raise ValueError("two secrets are live at most: the one in use and the one before it")
        prepared = {prepare(name): prepare(password) for name, password in users.items()}
        if (realm := prepare(realm)) != self.realm:
            self._former_realm, self.realm = self.realm, realm
        self._users = {name: _Account(password, f"user:{name}", None, None) for name, password in prepared.items()}
        self._secrets = tuple(secret.encode() for secret in secrets)
        self._hashes = {hashed: name for name in (*self._users, *self._joins) for hashed in self._userhashes(name)}

    def mint(self, participant: str, allocations: int, unix_s: float, lifetime_s: float) -> Minted:
        """For one join of `participant`, good for `allocations` at a time: what it has until half of its time is over, then new ones.

        Its oldest give way beyond four.
        """
        names = self._names.setdefault(participant, [])
        if names and (latest := self._joins[names[-1]]).expires_at - unix_s > lifetime_s / 2:
            return Minted(names[-1], latest.password, latest.expires_at)
        while len(names) >= MINTED_MAX:
            self._forget(names.pop(0))
        minted = Minted("j-" + self._token_bytes(12).hex(), _text(self._token_bytes(18)), unix_s + lifetime_s)
        names.append(minted.username)
        self._joins[minted.username] = _JoinAccount(
            minted.password, _join_key(participant), allocations, minted.expires_at
        )
        self._hashes.update(dict.fromkeys(self._userhashes(minted.username), minted.username))
        return minted

    def revoke(self, participant: str) -> str:
        """Forgets what was minted for it. Gives its quota key, for `Allocations.handle_revoked`."""
        for name in self._names.pop(participant, ()):
            self._forget(name)
        return _join_key(participant)

    @property
    def minted_count(self) -> int:
        return len(self._joins)

    def check(self, request: TurnRequest) -> Identity:
        """Raises Unauthorized. Expiry is for the caller, who knows what the request is for.

        However it ends, one password of an account (or a decoy) and one per secret are tried to the end.
        """
        username = self._username(request)
        account = self._users.get(username) or self._joins.get(username)
        realm = self._former_realm if request.realm == self._former_realm else self.realm
        passwords = [account.password if account else self._decoy]
        passwords += [rest_password(secret, username) for secret in self._secrets]
        keys = [long_term_key(username, realm, word, request.password_algorithm) for word in passwords]
        good = [equal(_mac(key, request), request.mac) for key in keys]
        temporary = _rest_account(username)
        accounts = [account] + [temporary] * len(self._secrets)

        if not equal(request.realm.encode(), realm.encode()) or not realm:
            raise self.failed("realm")
        if not any(accounts):
            raise self.failed("unknown_user")
        for matches, found, key in zip(good, accounts, keys, strict=True):
            if matches and found:
                return Identity(username, found.quota_key, found.allocations, found.expires_at, key)
        raise self.failed("integrity")

    def failed(self, reason: AuthFailure) -> Unauthorized:
        self.failures[reason] += 1
        return Unauthorized(reason)

    def _username(self, request: TurnRequest) -> str:
        """Empty: no such user. A REST user's name is not in the table, so it cannot hide behind a USERHASH."""
        if request.userhash is not None:
            return self._hashes.get(request.userhash, "")
        try:
            return prepare(request.username or "")
        except ValueError:
            return ""

    def _userhashes(self, username: str) -> list[bytes]:
        """In either realm."""
        realms = [realm for realm in (self.realm, self._former_realm) if realm]
        return [hashlib.sha256(f"{username}:{realm}".encode()).digest() for realm in realms]

    def _forget(self, username: str) -> None:
        del self._joins[username]
        for hashed in self._userhashes(username):
            del self._hashes[hashed]


def equal(left: bytes, right: bytes) -> bool:
    """The one comparison of secrets: its time tells the length at most."""
    return hmac.compare_digest(left, right)


def long_term_key(username: str, realm: str, password: str, algorithm: PasswordAlgorithm) -> bytes:
    """RFC 8489 sections 18.5.1.1 and 18.5.1.2."""
    text = f"{username}:{realm}:{password}".encode()
    if algorithm == "sha-256":
        return hashlib.sha256(text).digest()
    return hashlib.md5(text, usedforsecurity=False).digest()


def rest_password(secret: bytes, username: str) -> str:
    """draft-uberti-behave-turn-rest section 2.2."""
    return base64.b64encode(hmac.digest(secret, username.encode(), "sha1")).decode()


def _mac(key: bytes, request: TurnRequest) -> bytes:
    """Cut like the client's. RFC 8489 section 14.6: SHA-256 may be cut down to 16 bytes, in steps of four; SHA-1 may not."""
    if not request.sha256:
        return hmac.digest(key, request.signed, "sha1")
    length = len(request.mac)
    whole = hmac.digest(key, request.signed, "sha256")
    return whole[:length] if length >= SHA256_MAC_MIN and length % 4 == 0 else whole


def _rest_account(username: str) -> _Account | None:
    """The account that "1790000000:alice" names, whether or not its password is known to whoever asks."""
    timestamp, _, user = username.partition(":")
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > TIMESTAMP_DIGITS_MAX:
        return None
    return _Account("", f"rest:{user or username}", None, float(timestamp))


def _join_key(participant: str) -> str:
    return f"join:{participant}"


def _text(token: bytes) -> str:
    return base64.urlsafe_b64encode(token).decode()


SECRETS_MAX = 2
#: Those before the latest still carry allocations of long calls.
MINTED_MAX = 4
SHA256_MAC_MIN = 16
#: Far beyond any date, and short enough for a float.
TIMESTAMP_DIGITS_MAX = 15

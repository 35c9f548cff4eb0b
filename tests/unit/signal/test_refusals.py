"""Joins that are refused: plain HTTP statuses before the upgrade, the same from the validate twins, CORS on all."""

from __future__ import annotations

import base64
import gzip
import time
import zlib
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from livekit.protocol import rtc

from control.signal.join import MAX_JOIN_REQUEST_BYTES
from control.tokens import Grants, mint
from tests.unit.signal.harness import KEY, SECRET, Call, Client


def token(identity: str = "alice", secret: str = SECRET, ttl_s: float = 60, **grants: Any) -> str:
    granted = Grants(**{"room": "r", "room_join": True, **grants})
    return mint(KEY, secret, granted, identity=identity, now=time.time(), ttl_s=ttl_s)


def wrapped(raw: bytes, compression: str = "NONE") -> str:
    message = rtc.WrappedJoinRequest(compression=compression, join_request=raw)
    return base64.urlsafe_b64encode(message.SerializeToString()).decode()


GOOD = wrapped(rtc.JoinRequest().SerializeToString())
#: Tokens are made when their test runs: those made with the module would be old by then.
CASES: dict[str, tuple[int, str, Callable[[], str], dict[str, str]]] = {
    "no token": (401, "token_missing", lambda: "", {"join_request": GOOD}),
    "forged": (401, "token_signature", lambda: token(secret="x" * 40), {"join_request": GOOD}),
    "expired": (401, "token_expired", lambda: token(ttl_s=-100), {"join_request": GOOD}),
    "no roomJoin": (401, "token_grant", lambda: token(room_join=False), {"join_request": GOOD}),
    "no identity": (400, "bad_request", lambda: token(identity=""), {"join_request": GOOD}),
    "no room": (400, "bad_request", lambda: token(room=""), {"join_request": GOOD}),
    "long room": (400, "limit_exceeded", lambda: token(room="r" * 257), {"join_request": GOOD}),
    "no join_request": (400, "bad_request", token, {}),
    "not base64": (400, "bad_request", token, {"join_request": "%%%"}),
    "not protobuf": (400, "bad_request", token, {"join_request": base64.b64encode(b"\xff\xff").decode()}),
    "not gzip": (400, "bad_request", token, {"join_request": wrapped(b"nope", "GZIP")}),
    "gzip cut short": (400, "bad_request", token, {"join_request": wrapped(gzip.compress(b"x" * 999)[:-9], "GZIP")}),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_bad_join_is_refused_with_a_status_and_a_code(call: Call, name: str) -> None:
    status, code, make_token, query = CASES[name]
    access = make_token()
    headers = {"Authorization": f"Bearer {access}"} if access else {}
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await call.http.ws_connect(call.url + "/rtc/v1", params=query, headers=headers)
    assert refused.value.status == status
    assert refused.value.headers is not None
    assert refused.value.headers["Access-Control-Allow-Origin"] == "*"
    async with call.http.get(call.url + "/rtc/v1/validate", params=query, headers=headers) as response:
        assert response.status == status
        assert (await response.json())["code"] == code
        assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert call.server.rooms.counts()["participants"] == 0


async def test_a_gzip_bomb_is_refused_without_being_unpacked(call: Call) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = packer.compress(b"\x00" * (200 * MAX_JOIN_REQUEST_BYTES)) + packer.flush()
    headers = {"Authorization": f"Bearer {token()}"}
    query = {"join_request": wrapped(bomb, "GZIP")}
    async with call.http.get(call.url + "/rtc/v1/validate", params=query, headers=headers) as response:
        assert response.status == 400


async def test_validate_says_success_without_joining(call: Call) -> None:
    headers = {"Authorization": f"Bearer {token()}"}
    for path, query in (("/rtc/validate", {}), ("/rtc/v1/validate", {"join_request": GOOD})):
        async with call.http.get(call.url + path, params=query, headers=headers) as response:
            assert (response.status, await response.text()) == (200, "success")
            assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert call.server.rooms.all() == []


async def test_the_token_may_come_in_the_query(call: Call) -> None:
    query = {"join_request": GOOD, "access_token": token()}
    async with call.http.get(call.url + "/rtc/v1/validate", params=query) as response:
        assert response.status == 200


async def test_without_a_websocket_there_is_nothing(call: Call) -> None:
    async with call.http.get(call.url + "/rtc", headers={"Authorization": f"Bearer {token()}"}) as response:
        assert response.status == 404
        assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_without_auto_create_the_text_is_what_clients_look_for(call: Call) -> None:
    call.server.rooms.auto_create = False
    headers = {"Authorization": f"Bearer {token()}"}
    async with call.http.get(call.url + "/rtc/validate", headers=headers) as response:
        assert response.status == 404
        assert "requested room does not exist" in await response.text()
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await call.http.ws_connect(call.url + "/rtc", headers=headers)
    assert refused.value.status == 404


async def test_a_full_room_refuses_newcomers_but_not_the_same_identity(call: Call) -> None:
    await call.join("alice", room_config={"maxParticipants": 1})
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await Client(call, "bob").connect()
    assert refused.value.status == 429
    await call.join("alice")


async def test_a_room_config_that_is_none_is_refused(call: Call) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await Client(call, "bob", room_config={"maxParticipants": "many"}).connect()
    assert refused.value.status == 400


async def test_own_attributes_in_the_join_need_the_grant(call: Call) -> None:
    attributes = base64.urlsafe_b64encode(b'{"a": "b"}').decode().rstrip("=")
    alice = await call.join("alice", v1=False, query={"attributes": attributes})
    assert not alice.joined.participant.attributes
    bob = await call.join("bob", v1=False, query={"attributes": attributes}, grants={"can_update_own_metadata": True})
    assert bob.joined.participant.attributes["a"] == "b"


async def test_a_join_request_on_the_old_path_means_one_connection(call: Call) -> None:
    alice = await call.join("alice", v1=False, query={"join_request": GOOD})
    assert not alice.joined.subscriber_primary
    await alice.settle()
    assert not alice.offers

"""Hostile tokens, requests and frames get a clear error or are counted, and the call beside them loses no packet."""

from __future__ import annotations

import asyncio
import base64
import gzip
import itertools
import json
import random
import re
import socket
import time
from collections import defaultdict
from typing import Any

import aiohttp
import jwt
import pytest

from tests.interop.call import server_candidate
from tests.interop.on_path import send_paced
from tests.interop.reference import Reference, counted
from tests.interop.stranger import join_request
from tests.support.datagrams import damaged
from tests.support.server import Server

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("unharmed")]

_UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
}
_GZIP = 1


def signed(secret: str = "secret", algorithm: str = "HS256", **claims: Any) -> str:
    """A token that would do, but for what is changed; a claim of None is left out."""
    now = int(time.time())
    said = {"iss": "devkey", "sub": "mallory", "nbf": now, "exp": now + 600, "video": {"room": "x", "roomJoin": True}}
    said.update(claims)
    return jwt.encode({key: value for key, value in said.items() if value is not None}, secret, algorithm=algorithm)


def tokens() -> dict[str, tuple[str, str]]:
    """What is wrong -> (the token, the code of the answer)."""
    now = int(time.time())
    good = signed()
    head, body, signature = good.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    return {
        "missing": ("", "token_missing"),
        "forged": (signed("another-secret-altogether"), "token_signature"),
        "changed": (f"{head}.{signed(sub='ada').split('.')[1]}.{signature}", "token_signature"),
        "alg none": (f"{none}.{body}.", "token_algorithm"),
        "alg none with a signature": (f"{none}.{body}.{signature}", "token_algorithm"),
        "another algorithm": (signed(algorithm="HS512"), "token_algorithm"),
        "expired": (signed(exp=now - 120), "token_expired"),
        "not yet valid": (signed(nbf=now + 600), "token_not_yet_valid"),
        "without expiry": (signed(exp=None), "token_without_expiry"),
        "an unknown key": (signed(iss="nobody"), "token_unknown_key"),
        "no grant": (signed(video={"room": "x"}), "token_grant"),
        "no token at all": ("garbage", "token_malformed"),
        "oversize": ("a" * 250_000 + ".b.c", "token_malformed"),
    }


def is_problem(body: dict[str, Any], status: int, code: str) -> bool:
    """A stable code, and a sentence."""
    return body["status"] == status and body["code"] == code and len(body["detail"].split()) > 4


@pytest.mark.parametrize("endpoint", ["/rtc", "/rtc/v1", "/rtc/validate", "/rtc/v1/validate"])
async def test_a_token_that_grants_nothing_is_refused_with_its_reason(reference: Reference, endpoint: str) -> None:
    joins = not endpoint.endswith("validate")
    bad = tokens()
    expected = {code: 1 for _, code in bad.values()} if joins else {}
    async with (
        counted(reference.server, expected, "sfu_joins_total", "result") as risen,
        aiohttp.ClientSession() as http,
    ):
        risen.awaited = len(bad) if joins else 0
        for what, (token, code) in bad.items():
            headers = {**(_UPGRADE if joins else {}), **({"Authorization": f"Bearer {token}"} if token else {})}
            query = {"join_request": join_request(b"")}
            async with http.get(reference.server.origin + endpoint, params=query, headers=headers) as answer:
                body = await answer.json()
                assert answer.status == 401, (what, body)
                assert answer.headers["Access-Control-Allow-Origin"] == "*"
                assert is_problem(body, 401, code), (what, body)
    assert risen["joined"] == 0 and risen.total() == (len(bad) if joins else 0), risen


def join_requests() -> dict[str, str]:
    rng = random.Random(3)
    bomb = gzip.compress(bytes(200 << 20), compresslevel=9)
    return {
        "not base64": "%%%",
        "noise": base64.urlsafe_b64encode(rng.randbytes(300)).decode(),
        "not a JoinRequest": join_request(rng.randbytes(300)),
        "not gzip": join_request(rng.randbytes(300), _GZIP),
        "gzip cut short": join_request(gzip.compress(bytes(5_000))[:-12], _GZIP),
        "a gzip bomb": join_request(bomb, _GZIP),
    }


async def test_garbage_join_requests_and_a_gzip_bomb(reference: Reference) -> None:
    wishes = await asyncio.to_thread(join_requests)
    resident = reference.server.footprint().resident_bytes
    headers = {**_UPGRADE, "Authorization": f"Bearer {signed()}"}
    expected = {"bad_request": len(wishes)}
    async with counted(reference.server, expected, "sfu_joins_total", "result"), aiohttp.ClientSession() as http:
        for what, wish in wishes.items():
            url = f"{reference.server.origin}/rtc/v1"
            async with http.get(url, params={"join_request": wish}, headers=headers) as answer:
                assert is_problem(await answer.json(), 400, "bad_request"), what
    grown = reference.server.footprint().resident_bytes - resident
    assert grown < 64 << 20, f"{grown >> 20} MiB for a bomb of 200"


async def connect(http: aiohttp.ClientSession, server: Server) -> aiohttp.ClientWebSocketResponse:
    headers = {"Authorization": f"Bearer {server.token('frames', 'mallory')}"}
    return await http.ws_connect(f"{server.url}/rtc?protocol=16", headers=headers, max_msg_size=0)


async def closed(signal: aiohttp.ClientWebSocketResponse) -> int | None:
    """The close code, once what was sent before has been read."""
    async with asyncio.timeout(5):
        async for _ in signal:
            pass
    return signal.close_code


@pytest.mark.parametrize("kind", ["binary", "text"])
async def test_garbage_frames_are_counted_and_end_the_socket(reference: Reference, kind: str) -> None:
    rng = random.Random(4)
    async with counted(reference.server, {"bad_frame": 10}, "sfu_signal_errors_total"), aiohttp.ClientSession() as http:
        signal = await connect(http, reference.server)
        for number in range(10):
            if kind == "binary":
                await signal.send_bytes(b"\xff" + rng.randbytes(200))
            else:
                await signal.send_str(("{", "[" * 5_000, '{"offer": 1}', '{"a":' * 5_000, "\u2603")[number % 5])
        assert await closed(signal) == aiohttp.WSCloseCode.INVALID_TEXT


@pytest.mark.parametrize("kind", ["binary", "text"])
async def test_oversize_frames_are_counted_and_end_the_socket(reference: Reference, kind: str) -> None:
    expected = {"oversize_frame": 1}
    async with counted(reference.server, expected, "sfu_signal_errors_total"), aiohttp.ClientSession() as http:
        signal = await connect(http, reference.server)
        size = (2 << 20) + 1
        await (signal.send_bytes(bytes(size)) if kind == "binary" else signal.send_str("x" * size))
        # The count is certain. The close code is lost when the server closes with the rest of the frame unread.
        assert await closed(signal) in {aiohttp.WSCloseCode.MESSAGE_TOO_BIG, aiohttp.WSCloseCode.ABNORMAL_CLOSURE}


#: What is sent -> (the bytes, status and code of the answer).
HTTP_GARBAGE = {
    "noise": (random.Random(5).randbytes(400) + b"\r\n\r\n", 400, "bad_request"),
    "a TLS hello": (bytes.fromhex("16030100c8010000c40303") + bytes(200) + b"\r\n\r\n", 400, "bad_request"),
    "no version": (b"GET /rtc\r\n\r\n", 404, "not_found"),  # HTTP/0.9, which is no WebSocket
    "a bad header": (b"GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n", 400, "bad_request"),
    "two lengths": (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        400,
        "bad_request",
    ),
    "an endless header": (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * (300 << 10) + b"\r\n\r\n", 400, "bad_request"),
    "an endless path": (b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
}


@pytest.mark.parametrize("what", HTTP_GARBAGE)
async def test_http_garbage_gets_a_problem(reference: Reference, what: str) -> None:
    garbage, status, code = HTTP_GARBAGE[what]
    host, port = reference.server.address.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(garbage)
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n\r\n")
            assert int(head.split()[1]) == status, head
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            assert length, head
            assert is_problem(json.loads(await reader.readexactly(int(length[1]))), status, code)
    finally:
        writer.close()


async def test_a_flood_leaves_one_log_line_a_second_and_reason_and_no_address(reference: Reference) -> None:
    server = reference.server
    port = server_candidate(await reference.bob.room.get_rtc_stats())[1]
    headers = {"Authorization": f"Bearer {signed('forged')}"}
    source = damaged(6)
    before = len(server.log(1 << 30))
    deadline = time.monotonic() + 3
    requests = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.connect(("127.0.0.1", port))
        async with aiohttp.ClientSession() as http:
            while time.monotonic() < deadline:
                await send_paced(stranger, (next(source) for _ in range(60)))
                async with http.get(f"{server.origin}/rtc/validate", headers=headers) as answer:
                    assert answer.status == 401
                requests += 1
    lines = server.log(1 << 30)[before:].splitlines()
    assert requests > 60 and 1 <= len(lines) <= 20, (requests, lines)
    assert any("token_signature" in line and "held_back=" in line for line in lines), lines
    assert_once_a_second(server.log(1 << 30))


def assert_once_a_second(log: str) -> None:
    """The whole log of the module: no two lines of one logger and reason within a second, and no address."""
    stamped = re.compile(r"^(\d\d):(\d\d):(\d\d\.\d{3}) (\w+) +([\w.]+): .*$")
    at: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for line in log.splitlines():
        found = stamped.match(line)
        if not found:
            continue  # the links on stdout
        assert "127.0.0.1" not in line and "mallory" not in line, line
        reason = re.search(r"\breason=(\S+)", line)
        if reason:
            at[found[5], reason[1]].append(int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]))
    assert at
    for key, times in at.items():
        assert all(later - earlier >= 0.99 for earlier, later in itertools.pairwise(times)), (key, times)

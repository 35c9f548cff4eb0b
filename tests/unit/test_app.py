"""What every HTTP answer has in common, on a real server: CORS, errors with a code, long request lines, probes, the page."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from control import page
from control.app import add_admin_routes, public_app
from control.errors import STATUS, HttpError, TokenError
from control.http import Runner
from control.metrics import Metrics
from sfu.errors import RoomFull


class Probes:
    def __init__(self) -> None:
        self.alive: list[str] = []
        self.ready: list[str] = []

    def why_not_alive(self) -> list[str]:
        return self.alive

    def why_not_ready(self) -> list[str]:
        return self.ready


class Server:
    def __init__(self, root: Path) -> None:
        self.metrics = Metrics("1.2.3")
        self.probes = Probes()
        self.session: aiohttp.ClientSession
        self.url = ""
        self.root = root

    async def get(self, path: str, **arguments: object) -> aiohttp.ClientResponse:
        response = await self.session.get(self.url + path, **arguments)  # type: ignore[arg-type]
        await response.read()
        return response

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Server]:
        app = public_app(self.metrics)
        add_admin_routes(app, self.metrics, self.probes)
        page.add_routes(app, self.root)
        for name, handler in HANDLERS.items():
            app.router.add_get(f"/{name}", handler)
        app.router.add_post("/body", body)
        runner = Runner(app, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession() as self.session:
            yield self
        await runner.cleanup()


async def body(request: web.Request) -> web.Response:
    return web.json_response(len(await request.read()))


async def bad_token(_request: web.Request) -> web.Response:
    raise TokenError("The access token has expired.", code="token_expired")


async def full(_request: web.Request) -> web.Response:
    raise RoomFull("the room is full")


async def bug(_request: web.Request) -> web.Response:
    raise KeyError("secret detail")


async def teapot(_request: web.Request) -> web.Response:
    raise web.HTTPForbidden(text="Not today.")


async def echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.data == "fail":
            raise HttpError("too late for a status", code="bad_request")
        await socket.send_str(str(len(request.query["join_request"])))
    return socket


HANDLERS = {"bad_token": bad_token, "full": full, "bug": bug, "teapot": teapot, "rtc/v1": echo}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with Server(tmp_path).running() as running:
        yield running


async def test_the_root_says_ok(server: Server) -> None:
    response = await server.get("/")
    assert (response.status, await response.text()) == (200, "OK")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/bad_token", 401, "token_expired"),
        ("/full", 429, "room_full"),
        ("/bug", 500, "internal_error"),
        ("/teapot", 403, "bad_request"),
        ("/nowhere", 404, "not_found"),
        ("/body", 405, "method_not_allowed"),
        ("/meet", 503, "page_not_built"),
    ],
)
async def test_errors_are_problems_with_a_code_and_a_sentence(
    server: Server, path: str, status: int, code: str
) -> None:
    response = await server.get(path)
    problem = await response.json(content_type="application/problem+json")
    assert (response.status, problem["status"], problem["code"]) == (status, status, code)
    assert problem["detail"]
    assert "secret detail" not in await response.text()


@pytest.mark.parametrize("path", ["/", "/bad_token", "/bug", "/nowhere", "/body", "/livez"])
async def test_every_answer_carries_cors(server: Server, path: str) -> None:
    response = await server.get(path, headers={"Origin": "https://elsewhere.example"})
    assert response.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("path", ["/rtc/v1", "/nowhere", "/body"])
async def test_preflights_are_answered_everywhere(server: Server, path: str) -> None:
    headers = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    async with server.session.options(server.url + path, headers=headers) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "Authorization" in response.headers["Access-Control-Allow-Headers"]


async def test_a_body_beyond_the_limit_is_refused_with_the_limit(server: Server) -> None:
    async with server.session.post(server.url + "/body", data=io.BytesIO(b"x" * (2 << 20))) as response:
        problem = await response.json(content_type="application/problem+json")
    assert (response.status, problem["code"]) == (413, "too_large")
    assert "1048576" in problem["detail"]


async def test_a_join_request_of_800_kilobytes_in_the_query_gets_through(server: Server) -> None:
    length = 800_000
    async with server.session.ws_connect(f"{server.url}/rtc/v1?join_request={'a' * length}") as socket:
        await socket.send_str("how long?")
        assert await socket.receive_str() == str(length)


async def test_an_error_after_the_upgrade_ends_the_socket_and_nothing_else(server: Server) -> None:
    async with server.session.ws_connect(f"{server.url}/rtc/v1?join_request=a") as socket:
        await socket.send_str("fail")
        message = await socket.receive()
    assert message.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE}
    assert (await server.get("/")).status == 200


async def _raw(server: Server, request: bytes) -> bytes:
    port = int(server.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01 this is not HTTP\r\n\r\n",
        b"GET /rtc/validate HTTP/1.1\r\nHost: a\r\nHost: b\r\nno colon\r\n\r\n",
        b"GET /rtc/validate?access_token=" + b"a" * (1 << 20) + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /rtc HTTP/1.1\r\nAuthorization: Bearer " + b"a" * (256 << 10) + b"\r\n\r\n",
    ],
    ids=["not HTTP", "bad header", "line too long", "header too long"],
)
async def test_what_cannot_be_parsed_is_a_problem_that_pages_can_read(
    server: Server, request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    head, _, body = (await _raw(server, request_bytes)).partition(b"\r\n\r\n")
    assert b" 400 " in head.splitlines()[0]
    assert b"Access-Control-Allow-Origin: *" in head
    assert json.loads(body)["code"] == "bad_request"
    assert (await server.get("/")).status == 200
    (line,) = [record for record in caplog.records if record.name.startswith(("control", "aiohttp"))]
    assert line.levelno == logging.INFO
    assert hasattr(line, "reason")


@pytest.mark.parametrize("path", ["//", "//livez", "///livez", "//rtc/v1?join_request=a"])
async def test_leading_slashes_collapse(server: Server, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    request += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
    port = int(server.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{request}\r\n".encode())
    status = await reader.readline()
    writer.close()
    assert (b" 101 " if "rtc" in path else b" 200 ") in status


async def test_probes_say_why_not(server: Server) -> None:
    server.probes.ready = ["The node is draining."]
    assert (await server.get("/livez")).status == 200
    response = await server.get("/readyz")
    assert response.status == 503
    assert (await response.json(content_type=None))["detail"] == "The node is draining."


async def test_requests_are_timed_by_route_pattern_not_path(server: Server) -> None:
    for number in range(50):
        await server.get(f"/nowhere/{number}")
        await server.get(f"/assets/{number}.js")
    text = server.metrics.render().decode()
    routes = {line.split('route="')[1].split('"')[0] for line in text.splitlines() if 'route="' in line}
    assert routes == {"unmatched", "/assets/{name}"}


async def test_scrapes_within_a_second_are_rendered_once(server: Server) -> None:
    first = await server.get("/metrics")
    await server.get("/nowhere")
    second = await server.get("/metrics")
    assert first.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert await first.read() == await second.read()


async def test_the_page_is_served_with_its_assets(server: Server, tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>Meet</title>")
    (tmp_path / "assets" / "main-abc.js").write_text("1")
    (tmp_path / "private.txt").write_text("no")
    index = await server.get("/meet?room=demo&token=x")
    assert index.status == 200
    assert "default-src 'self'" in index.headers["Content-Security-Policy"]
    assert (await server.get("/assets/main-abc.js")).headers["Cache-Control"].endswith("immutable")


@pytest.mark.parametrize("name", ["..%2Fprivate.txt", "..", "%2e%2e%2fprivate.txt", "%2Fetc%2Fpasswd", "gone.js"])
async def test_nothing_beside_the_assets_is_served(server: Server, tmp_path: Path, name: str) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "private.txt").write_text("no")
    import yarl

    async with server.session.get(yarl.URL(f"{server.url}/assets/{name}", encoded=True)) as response:
        assert response.status == 404


def test_every_code_has_a_status_that_is_an_error() -> None:
    assert all(400 <= status < 600 for status in STATUS.values())


def test_every_code_of_the_room_layer_has_a_status() -> None:
    from sfu import errors

    codes = {
        kind.code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.MediaError)
    }
    assert codes - {errors.MediaError.code} <= STATUS.keys()

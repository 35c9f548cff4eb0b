"""The HTTP side of a node: which routes there are, and what every answer has in common (CORS, errors, timing).

Errors are `application/problem+json` (RFC 9457) with a stable `code` and a sentence that says what to do.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Handler

from control import metrics as metric_names
from control.errors import ControlError, http_status
from control.http import CORS, problem
from control.metrics import Metrics
from sfu.errors import MediaError

_log = logging.getLogger(__name__)

#: Longest request body.
MAX_BODY_BYTES = 1 << 20


class Health(Protocol):
    """What the probes ask; an empty list means "fine", otherwise each sentence is a reason."""

    def why_not_alive(self) -> list[str]: ...
    def why_not_ready(self) -> list[str]: ...


def public_app(metrics: Metrics) -> web.Application:
    """Routes for the world are added by the caller: signalling and the page. `GET /` answers OK, as load balancers expect."""
    app = _app(metrics)
    app.router.add_get("/", _ok)
    return app


def admin_app(metrics: Metrics, health: Health) -> web.Application:
    """The routes of `admin.listen` alone."""
    app = _app(metrics)
    add_admin_routes(app, metrics, health)
    return app


def add_admin_routes(app: web.Application, metrics: Metrics, health: Health) -> None:
    """`/livez`, `/readyz` and `/metrics`."""
    scrape = _Scrape(metrics)
    app.router.add_get("/livez", _probe(health.why_not_alive))
    app.router.add_get("/readyz", _probe(health.why_not_ready))
    app.router.add_get("/metrics", scrape.answer)


def _app(metrics: Metrics) -> web.Application:
    frame = _Frame(metrics)
    app = web.Application(middlewares=[frame.handle], client_max_size=MAX_BODY_BYTES)
    app.on_response_prepare.append(frame.prepare)
    return app


async def _ok(_request: web.Request) -> web.Response:
    return web.Response(text="OK")


def _probe(reasons: Callable[[], list[str]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_request: web.Request) -> web.Response:
        why_not = reasons()
        return problem(503, "not_ready", " ".join(why_not)) if why_not else web.Response(text="OK")

    return answer


class _Scrape:
    """Renders at most once per second, however many scrapers ask."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._rendered = b""
        self._at = float("-inf")
        self._lock = asyncio.Lock()

    async def answer(self, _request: web.Request) -> web.Response:
        async with self._lock:
            if time.monotonic() - self._at >= _RENDER_INTERVAL_S:
                self._rendered = self._metrics.render()
                self._at = time.monotonic()
        return web.Response(body=self._rendered, headers={"Content-Type": metric_names.CONTENT_TYPE})


class _Frame:
    """Around every handler: preflights, errors as problems, CORS headers, time until the answer starts."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    @web.middleware
    async def handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        request[_STARTED] = time.monotonic()
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return web.Response(status=204, headers=_PREFLIGHT)
        try:
            return await handler(request)
        except (ControlError, MediaError) as error:
            return self._refuse(request, http_status(error), error.code, str(error))
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return self._refuse(request, error.status, *_explain(error, request))
        except Exception:
            if request.get(_PREPARED):
                raise
            _log.exception("a request failed", extra={"route": _route(request)})
            return problem(500, "internal_error", "The server failed. Try again; its log says what happened.")

    async def prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """Runs before the head of any response is sent, also of a WebSocket upgrade."""
        request[_PREPARED] = True
        response.headers.update(CORS)
        response.headers["Server"] = "beep-media"
        started = request.get(_STARTED)
        if started is not None:
            seconds = time.monotonic() - started
            self._metrics.observe_request(_route(request), request.method, response.status, seconds)

    def _refuse(self, request: web.Request, status: int, code: str, detail: str) -> web.Response:
        if request.get(_PREPARED):
            # Too late for an HTTP status: the answer has begun (a WebSocket). Ending it is all that is left.
            raise ConnectionResetError(f"{code}: {detail}")
        _log.info("request refused", extra={"reason": code, "status": status, "route": _route(request)})
        return problem(status, code, detail)


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unmatched"


def _explain(error: web.HTTPException, request: web.Request) -> tuple[str, str]:
    if isinstance(error, web.HTTPMethodNotAllowed):
        return "method_not_allowed", f"Use {' or '.join(sorted(error.allowed_methods))} here."
    if error.status == 404 and error.text == "404: Not Found":
        return (
            "not_found",
            f"There is nothing at {request.path[:200]}. Signalling is at /rtc, the meeting page at /meet.",
        )
    if error.status == 413:
        return "too_large", f"The request body is longer than {MAX_BODY_BYTES} bytes. Send less."
    return _CODES.get(error.status, "bad_request"), error.text or error.reason


_CODES = {404: "not_found"}
_STARTED = web.RequestKey("started", float)
_PREPARED = web.RequestKey("prepared", bool)
_PREFLIGHT = {
    # "*" does not cover Authorization.
    "Access-Control-Allow-Headers": "*, Authorization, Content-Type",
    "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE, OPTIONS",
    "Access-Control-Max-Age": "86400",
}
_RENDER_INTERVAL_S = 1.0

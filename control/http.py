"""The HTTP server under the applications: what aiohttp answers before there is a request to route, in our form.

Requests that cannot be parsed get a problem with CORS headers (a page could not read the status otherwise) and one log line per
second; paths that start with several slashes mean one, as in LiveKit's server: clients join base addresses carelessly.
"""

from __future__ import annotations

import logging
from asyncio import Task
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from yarl import URL

_log = logging.getLogger(__name__)

#: A v1 join carries its offer in the request line: 1 MiB, what LiveKit's server takes.
MAX_LINE_BYTES = 1 << 20
#: Longest header: an access token with 64 KiB of attributes, and room to spare.
MAX_FIELD_BYTES = 256 * 1024
#: On every response; what clients may send is in the preflight's.
CORS = {"Access-Control-Allow-Origin": "*"}


def problem(status: int, code: str, detail: str) -> web.Response:
    """One refused request (RFC 9457)."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "code": code, "detail": detail}
    return web.json_response(body, status=status, content_type="application/problem+json")


class Runner(web.AppRunner):
    """An `AppRunner` with our limits and our answers to garbage."""

    __slots__ = ()

    def __init__(self, app: web.Application, *, shutdown_timeout: float) -> None:
        super().__init__(
            app,
            handle_signals=False,
            access_log=None,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_FIELD_BYTES,
            shutdown_timeout=shutdown_timeout,
        )

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(made.request_handler, request_factory=made.request_factory, **self._kwargs)


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)

    def __init__(self, handler: Any, *, request_factory: Any, **arguments: Any) -> None:
        def make(
            message: RawRequestMessage,
            payload: StreamReader,
            protocol: web.RequestHandler,
            writer: AbstractStreamWriter,
            task: Task[None],
        ) -> web.BaseRequest:
            made: web.BaseRequest = request_factory(_collapsed(message), payload, protocol, writer, task)
            return made

        super().__init__(handler, request_factory=make, **arguments)


class _Connection(web.RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Of the server itself: applications turn the errors of their handlers into problems."""
        if status >= 500 or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        _log.info("a request could not be parsed", extra={"reason": type(exc).__name__, "status": status})
        response = problem(status, "bad_request", "This is not an HTTP request that can be read, or it is too long.")
        response.headers.update(CORS)
        response.force_close()
        return response


def _collapsed(message: RawRequestMessage) -> RawRequestMessage:
    if not message.path.startswith("//"):
        return message
    path = "/" + message.path.lstrip("/")
    return message._replace(path=path, url=URL(path, encoded=True))

"""The operator's view of TURN: `/turn/allocations` on the admin listener, which is for this machine.

Names and addresses are shown here and nowhere else. A page in a browser on this machine is nobody's operator: it is refused.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re

from aiohttp import web

from control.errors import HttpError
from turn.server import TurnServer


def add_routes(app: web.Application, server: TurnServer) -> None:
    """GET lists, DELETE of one ends it."""
    routes = _Routes(server)
    app.router.add_get("/turn/allocations", routes.list)
    app.router.add_delete("/turn/allocations/{id}", routes.kill)


class _Routes:
    def __init__(self, server: TurnServer) -> None:
        self._server = server

    async def list(self, request: web.Request) -> web.Response:
        _refuse_pages(request)
        found = [dataclasses.asdict(one) for one in self._server.allocations()]
        return web.json_response({"allocations": found})

    async def kill(self, request: web.Request) -> web.Response:
        _refuse_pages(request)
        name = request.match_info["id"]
        if not re.fullmatch(r"[0-9]{1,18}", name) or not self._server.kill(int(name)):
            raise HttpError("There is no such allocation; it may have ended by itself.", code="not_found")
        return web.Response(status=204)


def _refuse_pages(request: web.Request) -> None:
    """What a browser sends along, and names that an attacker's DNS may point here."""
    if any(header in request.headers for header in ("Origin", "Sec-Fetch-Site")) or not _is_own_name(request.host):
        raise HttpError(
            "This is for the operator's tools and not for pages; use `beep-media turn`.", code="not_allowed"
        )


def _is_own_name(host: str) -> bool:
    name = host.rpartition(":")[0] if re.search(r":[0-9]+$", host) else host
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return name == "localhost"
    return True

"""The meeting page: static files built from `web/` and shipped inside the wheel."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from aiohttp import web

from control.errors import HttpError


def add_routes(app: web.Application, root: Path | None = None) -> None:
    """Serves the page at `/meet` and its hashed files under `/assets/`."""
    page = _Page(root or Path(str(resources.files("control"))) / "page")
    app.router.add_get("/meet", page.index)
    app.router.add_get("/assets/{name}", page.asset)


class _Page:
    def __init__(self, root: Path) -> None:
        self._root = root

    async def index(self, _request: web.Request) -> web.StreamResponse:
        index = self._root / "index.html"
        if not index.is_file():
            raise HttpError(
                "The meeting page has not been built. Run `make page` in the source tree, or install a release wheel.",
                code="page_not_built",
            )
        return web.FileResponse(index, headers={**_HEADERS, "Cache-Control": "no-cache"})

    async def asset(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        path = self._root / "assets" / name
        # A name is one path segment, so only `..` itself could lead out.
        if name in {".", ".."} or "/" in name or not path.is_file():
            raise HttpError("There is no such file. Reload the page: it may have been updated.", code="not_found")
        return web.FileResponse(path, headers={**_HEADERS, "Cache-Control": "public, max-age=31536000, immutable"})


#: No other host, no inline script, no eval; blob: for workers, media recorders and object URLs that livekit-client makes.
CONTENT_POLICY = (
    "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data: blob:; media-src 'self' blob: mediastream:; "
    "style-src 'self' 'unsafe-inline'; worker-src 'self' blob:; frame-ancestors 'self'; base-uri 'none'; form-action 'self'"
)

_HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

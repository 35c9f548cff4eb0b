"""Serves the built test page on an origin of its own: signalling is then cross-origin, as for most applications.

The page's content policy is that of our own page, but that its client may ask the server over HTTP too (`/rtc/validate`).
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import threading
from collections.abc import Iterator

from control.page import CONTENT_POLICY
from tests.support.server import ROOT

BUILT = ROOT / "web" / "dist-e2e"


@contextlib.contextmanager
def served() -> Iterator[str]:
    """The page's address, while the context lasts."""
    handler = functools.partial(_Quiet, directory=str(BUILT))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/index.html"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", CONTENT_POLICY.replace("connect-src", "connect-src http:"))
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

"""`python -m bench calls --peers`: builds LiveKit's server, and says what else there is to install. Installs nothing itself."""

from __future__ import annotations

from collections.abc import Iterable

from bench import install
from bench.calls.servers import LIVEKIT, SERVERS, LiveKit


def build() -> list[str]:
    """Builds what can be built; the lines that are left to do."""
    left = install.build_go(LIVEKIT, "livekit", "github.com/livekit/livekit-server/cmd/server")
    return [
        *([left] if left else []),
        *missing(name for name, kind in SERVERS.items() if not issubclass(kind, LiveKit)),
    ]


def missing(names: Iterable[str]) -> list[str]:
    """The lines that install what these servers and the bench itself need."""
    return install.missing(*dict.fromkeys(SERVERS[name].missing() for name in names))

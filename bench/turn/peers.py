"""`python -m bench turn --peers`: builds pion/turn, and says what else there is to install. Installs nothing itself."""

from __future__ import annotations

from collections.abc import Iterable

from bench import install
from bench.turn.servers import PION, SERVERS


def build() -> list[str]:
    """Builds what can be built; the lines that are left to do."""
    left = install.build_go(PION, "pion_turn")
    return [*([left] if left else []), *missing(name for name in SERVERS if name != "pion")]


def missing(names: Iterable[str]) -> list[str]:
    """The lines that install what these servers and the bench itself need."""
    return install.missing(*(SERVERS[name].missing() for name in names))

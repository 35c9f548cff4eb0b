"""`beep-media` as clients see it behind a firewall that lets no UDP through: it offers its TCP candidates only.

Run as a module, with the arguments of the real one.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from control.cli import main
from control.signal.server import SignalServer
from sfu.negotiation import Candidate

_candidates = SignalServer._candidates


def _only_tcp(self: SignalServer, shard: int) -> Sequence[Candidate]:
    return [candidate for candidate in _candidates(self, shard) if candidate.protocol == "tcp"]


if __name__ == "__main__":
    SignalServer._candidates = _only_tcp  # type: ignore[method-assign]
    sys.exit(main())

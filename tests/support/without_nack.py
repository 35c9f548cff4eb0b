"""`beep-media` as it would be without NACK and RTX: it does not see that clients offer them. For control runs.

Run as a module, with the arguments of the real one.
"""

from __future__ import annotations

import re
import sys

from control.cli import main
from sfu.negotiation.description import SessionDescription

_NACK = re.compile(r"a=rtcp-fb:\S+ nack\r?\n")
_parse = SessionDescription.parse


def _parse_without_nack(text: str) -> SessionDescription:
    return _parse(_NACK.sub("", text))


if __name__ == "__main__":
    SessionDescription.parse = _parse_without_nack  # type: ignore[method-assign]
    sys.exit(main())

"""A session description (RFC 8866) as lines: nothing is dropped, reordered or reformatted."""

from __future__ import annotations


class SessionDescription:
    """One parsed description."""

    @classmethod
    def parse(cls, text: str) -> SessionDescription:
        """Raises `SdpError` on anything that is not a description or is larger than any honest one."""
        raise NotImplementedError

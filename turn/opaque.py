"""PRECIS OpaqueString (RFC 8265 section 4.2): the form in which names and passwords are compared."""

from __future__ import annotations

import unicodedata


def prepare(text: str) -> str:
    """Other spaces become a space, the whole becomes NFC. Raises ValueError when it is empty or has what nobody can type."""
    if text.isascii() and text.isprintable() and text:
        return text
    spaced = "".join(" " if unicodedata.category(character) == "Zs" else character for character in text)
    prepared = unicodedata.normalize("NFC", spaced)
    if not prepared or any(unicodedata.category(character) in FORBIDDEN for character in prepared):
        raise ValueError("empty, or with control characters")
    return prepared


#: Controls (NUL, CR, LF), surrogates, and what is not or never will be a character.
FORBIDDEN = frozenset({"Cc", "Cs", "Cn", "Co"})

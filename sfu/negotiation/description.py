"""A session description (RFC 8866), cut into its sections: nothing is dropped, reordered or reformatted.

`str(SessionDescription.parse(text)) == text` for every text with CRLF line ends; bare LF is read and written as CRLF.
A section is cut into lines, and its attributes indexed, on first use: a large description repeats what is known already.
Codec tables are made once per distinct text: a large offer repeats a few.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Literal

from sfu.negotiation.codecs import CodecTable
from sfu.negotiation.types import SdpError

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
Attributes = dict[str, list[str]]


class SessionLevel:
    """What comes before the first m= line, and what the sections share. Sections hold this and not the description:
    a description is not part of a cycle, so its hundreds of objects go as soon as it is not needed."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = text.split(_CRLF)
        self.codec_tables: dict[tuple[object, ...], CodecTable] = {}

    @cached_property
    def attributes(self) -> Attributes:
        return _index(self.lines)

    @cached_property
    def inheritable(self) -> tuple[str, ...]:
        """The attributes, without the groups, which say nothing of a single section."""
        return tuple(line for line in self.lines if line.startswith("a=") and not line.startswith("a=group:"))


class Section:
    """From one m= line to the next. `text` has CRLF between its lines."""

    def __init__(self, text: str, session: SessionLevel) -> None:
        match = _MEDIA_LINE.match(text)
        if match is None:
            raise SdpError(f"bad media line: {text.partition(_CRLF)[0][:80]!r}")
        self.text = text
        self.kind: str = match[1]
        self.port = int(match[2])
        self.protocol: str = match[3]
        self.formats: list[str] = match[4].split()
        self._session = session

    @property
    def lines(self) -> list[str]:
        """Without their ends."""
        return self.text.split(_CRLF)

    @cached_property
    def attributes(self) -> Attributes:
        """Values by attribute name, in order; a property attribute has the value ""."""
        return _index(self.lines)

    def first(self, name: str) -> str | None:
        """The first value of an attribute; None if it is absent."""
        values = self.attributes.get(name)
        return values[0] if values else None

    def inherited(self, name: str) -> list[str]:
        """The values here, else those of the session (for ice-ufrag, fingerprint, setup ...)."""
        return self.attributes.get(name) or self._session.attributes.get(name, [])

    @cached_property
    def digest(self) -> int:
        """The same, in this process, for sections of which everything is the same, what they inherit included."""
        return hash((self._session.inheritable, self.text))

    @cached_property
    def mid(self) -> str:
        """The identification tag (RFC 5888): at most 16 characters, so that it fits a one-byte header extension."""
        mid = self.first("mid")
        if mid is None:
            raise SdpError("a media section has no a=mid")
        if not _MID.fullmatch(mid):
            raise SdpError(f"a=mid must be 1 to 16 letters, digits or punctuation: {mid[:40]!r}")
        return mid

    @cached_property
    def direction(self) -> Direction:
        """The sender's view; sendrecv unless said otherwise (RFC 8866 section 6.7)."""
        for name in _DIRECTIONS:
            if name in self.attributes:
                return name
        for name in _DIRECTIONS:
            if name in self._session.attributes:
                return name
        return "sendrecv"

    @property
    def rejected(self) -> bool:
        """Port 0 without a=bundle-only (RFC 9143 section 6: there port 0 only means "together with the others")."""
        return self.port == 0 and "bundle-only" not in self.attributes

    @cached_property
    def codecs(self) -> CodecTable:
        """What the section can carry, in order of preference."""
        lines = self.attributes
        key = (self.kind, *self.formats, *(tuple(lines.get(name, ())) for name in ("rtpmap", "fmtp", "rtcp-fb")))
        tables = self._session.codec_tables
        if key not in tables:
            tables[key] = CodecTable.parse(self.kind, self.formats, lines)
        return tables[key]


class SessionDescription:
    """One parsed description: session lines, then `sections`."""

    def __init__(self, session: str, sections: Sequence[str]) -> None:
        """Texts with CRLF between their lines."""
        if len(sections) > MAX_SECTIONS:
            raise SdpError(f"{len(sections)} media sections; at most {MAX_SECTIONS} are read")
        self._session = SessionLevel(session)
        self.sections = [Section(text, self._session) for text in sections]

    @classmethod
    def parse(cls, text: str) -> SessionDescription:
        """Raises `SdpError` on anything that is not a description or is larger than any honest one."""
        if len(text) > MAX_CHARACTERS:
            raise SdpError(f"{len(text)} characters; at most {MAX_CHARACTERS} are read")
        if not _is_plain(text):
            good = _GOOD_LINES.match(text)
            end = 0 if good is None else good.end()
            if end < len(text):
                raise SdpError(f"line {text.count(chr(10), 0, end) + 1} is not of the form <letter>=<text>")
            text = text.replace(_CRLF, "\n").replace("\n", _CRLF)
        if not text.startswith("v=0"):
            raise SdpError("a description starts with v=0")
        session, *sections = _BEFORE_SECTION.split(text.removesuffix(_CRLF))
        return cls(session, sections)

    def __str__(self) -> str:
        return _CRLF.join([self._session.text, *(section.text for section in self.sections), ""])

    @property
    def attributes(self) -> Attributes:
        """Attributes of the session level."""
        return self._session.attributes

    @cached_property
    def bundle(self) -> list[str] | None:
        """The mids of the BUNDLE group (RFC 9143), None if there is none."""
        for group in self.attributes.get("group", ()):
            words = group.split()
            if words[:1] == ["BUNDLE"]:
                return list(dict.fromkeys(words[1:]))
        return None

    @property
    def allows_mixed_extensions(self) -> bool:
        """One- and two-byte header extensions may be mixed (RFC 8285 section 6); clients say so for the whole session."""
        return "extmap-allow-mixed" in self.attributes

    def check_mids(self) -> None:
        """Raises `SdpError` unless every section has a mid of its own."""
        seen: set[str] = set()
        for section in self.sections:
            if section.mid in seen:
                raise SdpError(f"two sections have a=mid:{section.mid}")
            seen.add(section.mid)


def as_description(description: str | SessionDescription) -> SessionDescription:
    """Parses a text, passes a description through."""
    return SessionDescription.parse(description) if isinstance(description, str) else description


def _is_plain(text: str) -> bool:
    """Whether it is like all but a few: good lines of printable ASCII that end with CRLF. A fourth of the time of a look at all."""
    return (
        text.isascii()
        and not text.encode().translate(None, _PLAIN)
        and _PLAIN_LINES.fullmatch(text) is not None
        and text.count("\r") == text.count("\n")
    )


def _index(lines: list[str]) -> Attributes:
    index: Attributes = {}
    for line in lines:
        if line[0] != "a":
            continue
        name, _, value = line[2:].partition(":")
        values = index.get(name)
        if values is None:
            index[name] = [value]
        else:
            values.append(value)
    return index


# An offer with 100 sections has 300 kB; v1 clients send that much in the largest rooms we lay out for.
MAX_CHARACTERS = 1 << 20
MAX_SECTIONS = 1000

_DIRECTIONS: tuple[Direction, ...] = ("recvonly", "sendonly", "inactive", "sendrecv")
_MEDIA_LINE = re.compile(
    r"m=([a-z]{1,16}) ([0-9]{1,5})(?:/[0-9]{1,5})? ([A-Z/]{1,32}) ([!-~]{1,32}(?: [!-~]{1,32})*) ?(?:\r\n|\Z)"
)
_CRLF = "\r\n"
_BEFORE_SECTION = re.compile(r"\r\n(?=m=)")
_PLAIN = bytes((*b"\t\r\n", *range(0x20, 0x7F)))
_PLAIN_LINES = re.compile(r"(?:[a-z]=.*+(?<=\r)\n)*+")
_MID = re.compile(r"[!#$%&'*+\-.^_`{|}~0-9A-Za-z]{1,16}")
# No control character but a tab, and no carriage return on its own. Possessive, so that a bad line is not tried in other ways.
_GOOD_LINES = re.compile(r"(?:[a-z]=[^\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]*+(?:\r?\n|\Z))*+")

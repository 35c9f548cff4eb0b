"""What `perf report` says, read: symbols and their shares, and whose they are. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Group = Literal["kernel", "AES", "ours", "Python", "libc"]


@dataclass(frozen=True, slots=True)
class Symbol:
    name: str
    group: Group
    #: Of all samples.
    share: float


def parse(text: str) -> list[Symbol]:
    """Of lines `samples<tab>library<tab>[.] symbol`; the largest first, what is called alike taken together."""
    samples: dict[tuple[str, Group], int] = {}
    for line in text.splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        count, library, level, symbol = found.groups()
        key = _short(symbol), _group(library.strip(), level, symbol)
        samples[key] = samples.get(key, 0) + int(count)
    total = sum(samples.values())
    symbols = [Symbol(name, group, count / total) for (name, group), count in samples.items()]
    return sorted(symbols, key=lambda symbol: -symbol.share)


def shares(symbols: Sequence[Symbol]) -> dict[Group, float]:
    """Of each group, the largest first."""
    sums: dict[Group, float] = {}
    for symbol in symbols:
        sums[symbol.group] = sums.get(symbol.group, 0) + symbol.share
    return dict(sorted(sums.items(), key=lambda each: -each[1]))


def _group(library: str, level: str, symbol: str) -> Group:
    if level == "k":
        return "kernel"
    if library.startswith("_native"):
        return "AES" if _AES.search(symbol) else "ours"
    return "libc" if _LIBC.match(library) else "Python"


def _short(symbol: str) -> str:
    """Without what tells instances of a generic function, or builds of a library, apart."""
    name = _BUILD.sub("", symbol.strip())
    while (shorter := _GENERICS.sub("", name)) != name:
        name = shorter
    return name or symbol.strip()


_LINE = re.compile(r"\s*(\d+)\s*\t([^\t]+)\t\[(.)\] (.+)")
_AES = re.compile(r"aes|gcm|ghash", re.IGNORECASE)
_LIBC = re.compile(r"libc[.-]|libm[.-]|libpthread|ld-linux|\[vdso\]")
#: Rust's hash at the end; the version that AWS-LC puts before each name.
_BUILD = re.compile(r"::h[0-9a-f]{16}$|^aws_lc_(fips_)?(\d+_)+")
#: Arguments; what stands in front of a path is the type that implements something.
_GENERICS = re.compile(r"(?<=\w)(::)?<[^<>]*>")

"""Seeded mutations of texts and bytes: whole lines and words first, because that is what our parsers split by, then bytes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

MAX_BYTES = 64_000
_STACKED = 6
_WORDS = (
    b"", b"0", b"-1", b"65536", b"99999999999999999999", b"1e9", b"a" * 300, b"\x00", b"\xff\xfe", "\u00e9\u0130".encode(),
    b"null", b"true", b"[]", b"{}", b'"', b"\\u0000", b"[" * 60, b'{"a":' * 60, b"NaN", b"=", b":", b" ", b"\r\n", b"\n", b"%00",
)  # fmt: skip
_SEPARATORS = (b"\n", b" ", b":", b";", b"=", b",", b".", b"&", b'"', b"/")

Mutation = Callable[[random.Random, bytes, Sequence[bytes]], bytes]


def mutate(rng: random.Random, base: bytes, pool: Sequence[bytes]) -> bytes:
    """A changed copy of `base`; `pool` lends pieces."""
    data = base
    for _ in range(rng.randint(1, _STACKED)):
        data = rng.choice(_MUTATIONS)(rng, data, pool)
    return data[:MAX_BYTES]


def _parts(rng: random.Random, data: bytes, pool: Sequence[bytes]) -> bytes:
    """Deletes, repeats, swaps or replaces one of the parts between separators."""
    separator = rng.choice(_SEPARATORS)
    parts = data.split(separator)
    here, there = rng.randrange(len(parts)), rng.randrange(len(parts))
    match rng.randrange(5):
        case 0:
            del parts[here]
        case 1:
            parts.insert(there, parts[here])
        case 2:
            parts[here], parts[there] = parts[there], parts[here]
        case 3:
            parts[here] = rng.choice(_WORDS)
        case _:
            parts[here] = rng.choice(rng.choice(pool).split(separator))
    return separator.join(parts)


def _bytes(rng: random.Random, data: bytes, _pool: Sequence[bytes]) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        if changed:
            at = rng.randrange(len(changed))
            changed[at] = rng.choice((changed[at] ^ (1 << rng.randrange(8)), rng.randrange(256), 0, 255))
    return bytes(changed)


def _insert(rng: random.Random, data: bytes, _pool: Sequence[bytes]) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + rng.choice((rng.choice(_WORDS), rng.randbytes(rng.randint(1, 16)))) + data[at:]


def _remove(rng: random.Random, data: bytes, _pool: Sequence[bytes]) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + data[at + rng.randint(1, 64) :]


def _truncate(rng: random.Random, data: bytes, _pool: Sequence[bytes]) -> bytes:
    return data[: rng.randint(0, len(data))]


def _splice(rng: random.Random, data: bytes, pool: Sequence[bytes]) -> bytes:
    other = rng.choice(pool)
    return data[: rng.randint(0, len(data))] + other[rng.randint(0, len(other)) :]


_MUTATIONS: tuple[Mutation, ...] = (_parts, _parts, _parts, _bytes, _bytes, _insert, _remove, _truncate, _splice)

"""Datagrams for tests: which protocol one is of, and seeded damage to the captured ones of the fuzz corpora."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache

from tests.support.server import ROOT

_CORPUS = ROOT / "crates/fuzz/corpus"
#: Corpora whose files are datagrams as they come from the network.
_SETS = ("datagram", "demux", "stun", "rtp", "rtcp", "channeldata")
#: First bytes of STUN, ZRTP, DTLS, ChannelData, QUIC, RTP and RTCP, and of nothing (RFC 7983).
_FIRST = (0, 1, 2, 3, 4, 16, 19, 20, 21, 22, 23, 25, 63, 64, 79, 80, 127, 128, 0x90, 0xBF, 192, 255)
MAX_BYTES = 1_400


def protocol_of(datagram: bytes) -> str | None:
    """RFC 7983, and RFC 5761 for RTP against RTCP."""
    first = datagram[0] if datagram else 0xFF
    if first < 4:
        return "stun"
    if 20 <= first < 64:
        return "dtls"
    if 128 <= first < 192 and len(datagram) > 1:
        return "rtcp" if 192 <= datagram[1] <= 223 else "rtp"
    return None


@cache
def captured() -> tuple[bytes, ...]:
    files = sorted(path for name in _SETS for path in (_CORPUS / name).iterdir() if path.is_file())
    assert len(files) >= 50 * len(_SETS)
    return tuple(path.read_bytes()[:MAX_BYTES] for path in files)


def damaged(seed: int) -> Iterator[bytes]:
    """Without end: captured datagrams truncated, with flipped bits, grown or as they are, and noise under every first byte."""
    rng = random.Random(seed)
    while True:
        base = bytearray(rng.choice(captured()))
        match rng.randrange(5):
            case 0:
                yield bytes(base[: rng.randint(0, len(base))])
            case 1 if base:
                for _ in range(rng.randint(1, 8)):
                    base[rng.randrange(len(base))] ^= 1 << rng.randrange(8)
                yield bytes(base)
            case 2:
                yield bytes(base + rng.randbytes(rng.randint(1, 64)))[:MAX_BYTES]
            case 3:
                yield bytes(base)
            case _:
                yield bytes([rng.choice(_FIRST)]) + rng.randbytes(rng.randint(0, MAX_BYTES - 1))

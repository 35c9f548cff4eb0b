"""From encoded frames to RTP payloads, as browsers cut them: VP8 (RFC 7741), H.264 in packetization mode 1 (RFC 6184), Opus (RFC 7587)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import cycle, pairwise

from aiortc.codecs.vpx import VpxPayloadDescriptor

from bench.calls.encode import LAYERS
from bench.calls.rtpfile import Packet


def vp8(frames: Iterable[bytes], interval: int) -> Iterator[Packet]:
    """One frame each `interval`. Every packet carries picture id (15 bits), TL0PICIDX and temporal layer."""
    base = -1
    for number, (frame, layer) in enumerate(zip(frames, cycle(LAYERS), strict=False)):
        base += layer == 0
        place = (number & 0x7FFF, base & 0xFF, (layer, int(number % 4 in SYNCS)))
        first, other = (bytes(VpxPayloadDescriptor(start, 0, *place)) for start in (1, 0))
        pieces = _even(frame, LIMIT - len(first))
        payloads = [(other if at else first) + piece for at, piece in enumerate(pieces)]
        # The lowest bit of the frame's first byte says that it is no keyframe.
        yield from _packets(payloads, number * interval, is_keyframe=not frame[0] & 1)


def h264(access_units: Iterable[bytes], interval: int) -> Iterator[Packet]:
    """One access unit (Annex B) each `interval`: parameter sets in one STAP-A, slices alone or in FU-As, nothing else."""
    for number, unit in enumerate(access_units):
        nals = [nal for nal in re.split(rb"\x00*\x00\x00\x01", unit) if nal]
        sets = [nal for nal in nals if _kind(nal) in (SPS, PPS)]
        slices = [nal for nal in nals if _kind(nal) in (SLICE, IDR)]
        payloads = [_aggregate(sets)] if sets else []
        payloads += [payload for nal in slices for payload in _fragments(nal)]
        yield from _packets(payloads, number * interval, is_keyframe=IDR in map(_kind, slices))


def opus(frames: Iterable[bytes], interval: int) -> Iterator[Packet]:
    """One frame each `interval`. A decoder can start with any."""
    for number, frame in enumerate(frames):
        yield Packet(number * interval, marker=False, keyframe=True, payload=frame)


def _packets(payloads: list[bytes], timestamp: int, *, is_keyframe: bool) -> Iterator[Packet]:
    last = len(payloads) - 1
    for at, payload in enumerate(payloads):
        yield Packet(timestamp, marker=at == last, keyframe=is_keyframe and at == 0, payload=payload)


def _even(data: bytes, limit: int) -> list[bytes]:
    """As few pieces as the limit allows, of about one size: the last packet of a frame shall not be a crumb."""
    count = -(-len(data) // limit)
    edges = [len(data) * at // count for at in range(count + 1)]
    return [data[start:end] for start, end in pairwise(edges)]


def _aggregate(nals: list[bytes]) -> bytes:
    importance = max(nal[0] & NRI for nal in nals)
    return bytes([importance | STAP_A]) + b"".join(len(nal).to_bytes(2, "big") + nal for nal in nals)


def _fragments(nal: bytes) -> list[bytes]:
    if len(nal) <= LIMIT:
        return [nal]
    indicator, kind = nal[0] & NRI | FU_A, _kind(nal)
    pieces = _even(nal[1:], LIMIT - 2)
    flags = [FU_START, *[0] * (len(pieces) - 2), FU_END]
    return [bytes([indicator, flag | kind]) + piece for flag, piece in zip(flags, pieces, strict=True)]


def _kind(nal: bytes) -> int:
    return nal[0] & 0x1F


#: Of a payload: leaves room for headers, extensions and tag in the 1,200 bytes that browsers make of a packet.
LIMIT = 1_100
#: Of four VP8 frames those that need nothing but layer 0: a receiver may start with their layer here.
SYNCS = (1, 2)
SLICE, IDR, SPS, PPS, STAP_A, FU_A = 1, 5, 7, 8, 24, 28
NRI = 0x60
FU_START, FU_END = 0x80, 0x40

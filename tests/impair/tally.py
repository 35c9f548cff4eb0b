"""What a link did, in numbers, and to which RTP streams: their headers are in the clear (RFC 3711)."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from tests.impair.link import Fate
from tests.support.datagrams import protocol_of


@dataclass(slots=True)
class Stream:
    """RTP packets of one SSRC. What a sender sends again under the old number (it has no RTX) is told apart."""

    payload_type: int = 0
    #: Without padding-only ones: libwebrtc sends many to find out how much a path carries, and nobody misses them.
    packets: int = 0
    dropped: int = 0
    padding: int = 0
    #: Sent again, and how many of the dropped ones came through then.
    repeats: int = 0
    repaired: int = 0
    _newest: int | None = None
    _missing: set[int] = field(default_factory=set)
    #: What was dropped, by timestamp and marker, which a retransmission on a stream of its own (RTX) keeps.
    _lost_parts: Counter[tuple[bytes, bool]] = field(default_factory=Counter)
    #: How many of the dropped ones came through on another stream.
    repaired_by_rtx: int = 0

    def note(self, datagram: bytes, *, passed: bool) -> None:
        self.payload_type = datagram[1] & 0x7F
        seq = int.from_bytes(datagram[2:4], "big")
        is_repeat = self._newest is not None and (seq - self._newest - 1) & 0xFFFF >= 0x8000
        if is_repeat:
            self.repeats += 1
            if passed and seq in self._missing:
                self._missing.remove(seq)
                self.repaired += 1
            return
        self._newest = seq
        self._missing.discard(seq)  # of the round before
        # Media has no padding at its end, so the P bit says that there is nothing else.
        if datagram[0] & _PADDING:
            self.padding += 1
            return
        self.packets += 1
        if not passed:
            self.dropped += 1
            self._missing.add(seq)
            self._lost_parts[_part(datagram)] += 1
            if len(self._lost_parts) > _MAX_LOST_PARTS:
                del self._lost_parts[next(iter(self._lost_parts))]

    def note_elsewhere(self, datagram: bytes) -> None:
        """A packet passed on another stream: it may be one of ours again. What had not been lost does not count."""
        part = _part(datagram)
        if part in self._lost_parts:
            self.repaired_by_rtx += 1
            self._lost_parts[part] -= 1
            if not self._lost_parts[part]:
                del self._lost_parts[part]


@dataclass(slots=True)
class Tally:
    """One direction of one client."""

    datagrams: int = 0
    size: int = 0
    fates: Counter[Fate] = field(default_factory=Counter)
    #: By SSRC; what comes after `_MAX_STREAMS` of them is not told apart.
    streams: defaultdict[int, Stream] = field(default_factory=lambda: defaultdict(Stream))

    def note(self, datagram: bytes, fate: Fate) -> None:
        self.datagrams += 1
        self.size += len(datagram)
        self.fates[fate] += 1
        if len(datagram) < 12 or protocol_of(datagram) != "rtp":
            return
        ssrc = int.from_bytes(datagram[8:12], "big")
        if ssrc not in self.streams and len(self.streams) >= _MAX_STREAMS:
            return
        self.streams[ssrc].note(datagram, passed=fate is Fate.SENT)
        if fate is Fate.SENT:
            for other, stream in self.streams.items():
                if other != ssrc:
                    stream.note_elsewhere(datagram)

    @property
    def dropped(self) -> int:
        return self.datagrams - self.fates[Fate.SENT]


def _part(datagram: bytes) -> tuple[bytes, bool]:
    return datagram[4:8], bool(datagram[1] & 0x80)


def may_hold_nack(datagram: bytes) -> bool:
    """Whether this SRTCP has a generic NACK (RFC 4585 section 6.2.1), as far as one can see: the first header is in the clear.

    libwebrtc sends it alone (browsers) or after a receiver report (the SDKs), where more than a PLI tells it.
    """
    if len(datagram) < 12 or datagram[0] >> 6 != 2:
        return False
    first = 4 * (1 + int.from_bytes(datagram[2:4], "big"))
    if datagram[1] == _RECEIVER_REPORT:
        return len(datagram) - first - _SRTCP_TRAILER > _PLI
    return datagram[1] == _TRANSPORT_FEEDBACK and datagram[0] & 0x1F == 1


_PADDING = 0x20
_RECEIVER_REPORT, _TRANSPORT_FEEDBACK = 201, 205
#: Index and tag with AES-GCM (RFC 7714).
_SRTCP_TRAILER = 20
_PLI = 12
#: Nobody repairs anything older.
_MAX_LOST_PARTS = 1_000
_MAX_STREAMS = 1_000

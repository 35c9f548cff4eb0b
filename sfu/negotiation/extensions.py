"""RTP header extensions (RFC 8285) that we use, and which of the offered ones an answer takes.

One and the same set is taken on every section of a kind, whatever its direction: libwebrtc refuses its own later
simulcast offer if any answered video section of the bundle declined RID or repaired RID.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sfu.seam import Kind

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_RID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
ABS_CAPTURE_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
VIDEO_ORIENTATION = "urn:3gpp:video-orientation"
PLAYOUT_DELAY = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
DEPENDENCY_DESCRIPTOR = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"

#: What an answer takes where it is offered.
TAKEN: Mapping[Kind, frozenset[str]] = {
    "audio": frozenset({MID, AUDIO_LEVEL, TRANSPORT_CC, ABS_SEND_TIME, ABS_CAPTURE_TIME}),
    "video": frozenset(
        {
            MID,
            RID,
            REPAIRED_RID,
            TRANSPORT_CC,
            ABS_SEND_TIME,
            VIDEO_ORIENTATION,
            PLAYOUT_DELAY,
            DEPENDENCY_DESCRIPTOR,
            ABS_CAPTURE_TIME,
        }
    ),
}

#: What our own offers contain and under which ids; all are below 15, so every client can write them in one-byte form.
OFFERED: Mapping[Kind, Mapping[str, int]] = {
    "audio": {MID: 1, AUDIO_LEVEL: 2, ABS_SEND_TIME: 3, TRANSPORT_CC: 4, ABS_CAPTURE_TIME: 5},
    "video": {
        MID: 1,
        ABS_SEND_TIME: 3,
        TRANSPORT_CC: 4,
        ABS_CAPTURE_TIME: 5,
        VIDEO_ORIENTATION: 6,
        PLAYOUT_DELAY: 7,
        DEPENDENCY_DESCRIPTOR: 8,
    },
}


class ExtensionMap:
    """The extensions of one bundle while an answer is made: an id means one URI and a URI one id on all its sections."""

    def __init__(self, *, allows_mixed: bool) -> None:
        self.ids: dict[str, int] = {}
        self._uris: dict[int, str] = {}
        self._highest = 255 if allows_mixed else _HIGHEST_ONE_BYTE_ID
        self._taken: dict[tuple[str, ...], tuple[str, ...]] = {}

    def take(self, kind: Kind, offered: Sequence[str]) -> tuple[str, ...]:
        """The a=extmap values of the answer to a section that offers these."""
        key = (kind, *offered)
        if key not in self._taken:
            self._taken[key] = tuple(self._take(TAKEN[kind], offered))
        return self._taken[key]

    def _take(self, wanted: frozenset[str], offered: Sequence[str]) -> Iterable[str]:
        taken: set[str] = set()
        for value in offered:
            number, uri, direction = parse_extmap(value)
            if uri not in wanted or uri in taken or not self._is_usable(number):
                continue
            if self.ids.get(uri, number) != number or self._uris.get(number, uri) != uri:
                continue
            self.ids[uri], self._uris[number] = number, uri
            taken.add(uri)
            yield f"{number}{_REVERSED[direction]} {uri}"

    def _is_usable(self, number: int) -> bool:
        """15 is reserved in the one-byte form; ids above it need the two-byte form (RFC 8285 sections 4.2, 4.3)."""
        return 1 <= number <= self._highest and number != _HIGHEST_ONE_BYTE_ID + 1


def parse_extmap(value: str) -> tuple[int, str, str]:
    """(id, URI, direction): `3/sendonly urn:x attributes` is (3, "urn:x", "sendonly"); id 0 if it is none."""
    number_and_direction, _, rest = value.partition(" ")
    number, _, direction = number_and_direction.partition("/")
    valid = number.isascii() and number.isdigit() and len(number) <= 3 and direction in _REVERSED
    return (int(number) if valid else 0), rest.partition(" ")[0], direction


_HIGHEST_ONE_BYTE_ID = 14
_REVERSED = {
    "": "",
    "sendrecv": "/sendrecv",
    "sendonly": "/recvonly",
    "recvonly": "/sendonly",
    "inactive": "/inactive",
}

"""What the bridge to Janus does to descriptions."""

from __future__ import annotations

from bench.calls.bridge import largest_first, mids

OFFER = """v=0\r
m=audio 9 UDP/TLS/RTP/SAVPF 111\r
a=mid:a1\r
m=video 9 UDP/TLS/RTP/SAVPF 96\r
a=rid:q send\r
a=rid:h send\r
a=rid:f send\r
a=mid:v1\r
m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r
a=mid:d1\r
"""


def test_sections_are_known_by_their_kind() -> None:
    assert mids(OFFER) == {"audio": "a1", "video": "v1", "application": "d1"}


def test_the_largest_size_comes_first() -> None:
    sizes = ["a=rid:q send\r\n", "a=rid:h send\r\n", "a=rid:f send\r\n"]
    assert largest_first(OFFER) == OFFER.replace("".join(sizes), "".join(reversed(sizes)))

"""Broken and hostile offers: an answer or an SdpError, quickly, and never text of the client where it does not belong."""

from __future__ import annotations

import random
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.negotiation import Answerer, SdpError, SessionDescription
from sfu.negotiation.description import MAX_CHARACTERS
from tests.unit.negotiation.support import LOCAL, OFFERS, audio, first_choice, grow, load, video

TRACKS = [*map(audio, range(4)), *map(video, range(4)), video(9, "video/H264", "packetization-mode=1")]
VALUES = ["", "\u00e9", "0", "-1", "99999999999999999999", "a" * 5000, "send", "1 2 3", ";;;", "a=b", ":", "/", "%00"]


def attempt(offer: str) -> None:
    try:
        result = Answerer(LOCAL).answer(offer, TRACKS, first_choice)
    except SdpError:
        return
    ours = SessionDescription.parse(result.sdp)
    theirs = SessionDescription.parse(offer)
    assert [section.mid for section in ours.sections] == [section.mid for section in theirs.sections]
    assert len({track.mid for track in result.placed}) == len(result.placed)
    assert {track.mid for track in result.placed}.isdisjoint(track.mid for track in result.inbound)
    assert all(1 <= len(track.encodings) <= 3 for track in result.inbound)
    for section in ours.sections:
        assert section.rejected or section.first("ice-ufrag") == LOCAL.ufrag


@pytest.mark.parametrize("seed", range(60))
def test_damaged_offers_are_answered_or_refused(seed: int) -> None:
    rng = random.Random(seed)
    for name in OFFERS:
        lines = load(name).split("\r\n")[:-1]
        for _ in range(rng.randint(1, 8)):
            here, there = rng.randrange(1, len(lines)), rng.randrange(1, len(lines))
            match rng.randrange(5):
                case 0:
                    del lines[here]
                case 1:
                    lines.insert(there, lines[here])
                case 2:
                    lines[here], lines[there] = lines[there], lines[here]
                case 3:
                    lines[here] = lines[here].partition(":")[0] + ":" + rng.choice(VALUES)
                case _:
                    lines[here] = lines[here][: rng.randrange(len(lines[here]) + 1)]
        attempt("\r\n".join(lines) + "\r\n")


@given(st.text(max_size=300))
def test_any_text_is_answered_or_refused(text: str) -> None:
    attempt(text)
    attempt("v=0\r\n" + text)


@given(
    st.text(max_size=60), st.sampled_from(["mid", "rid", "msid", "ice-ufrag", "ice-pwd", "fmtp", "rtpmap", "extmap"])
)
def test_any_attribute_value_is_answered_or_refused(value: str, name: str) -> None:
    offer = load("chromium-v0-vp8.offer.sdp")
    start = offer.index(f"a={name}:")
    attempt(offer[:start] + f"a={name}:{value}" + offer[offer.index("\r\n", start) :])


@pytest.mark.parametrize(
    "injected", ["\r", "\n", "\x00", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r\na=evil:1\r", "\na=evil:1", "\r\r\n"]
)
def test_line_ends_cannot_be_smuggled_into_an_answer(injected: str) -> None:
    for name in ("mid:0", "fmtp:111 minptime=10", "rtpmap:111 opus/48000"):
        offer = load("chromium-v1-join.offer.sdp").replace(f"a={name}", f"a={name}{injected}x", 1)
        try:
            result = Answerer(LOCAL).answer(offer, TRACKS, first_choice)
        except SdpError:
            continue
        assert "evil" not in result.sdp
        assert all(line[1:2] == "=" for line in result.sdp.splitlines())


def seconds(offer: str) -> float:
    assert len(offer) <= MAX_CHARACTERS, "the size limit is not what is tested"
    started = time.process_time()
    attempt(offer)
    return time.process_time() - started


def test_a_mebibyte_of_anything_costs_less_than_a_second() -> None:
    join = load("chromium-v1-join.offer.sdp")
    head, _, tail = join.partition("a=mid:3\r\n")
    fillings = [
        "a=\r\n",
        "a=extmap:1 urn:x\r\n",
        "a=rtpmap:96 VP8/90000\r\n",
        "a=fmtp:96 a;b;c;d\r\n",
        "a=rtcp-fb:96 nack\r\n",
        "a=rid:q send\r\n",
        "a=ssrc:1 cname:x\r\n",
        "a=ssrc-group:FID 1 2\r\n",
        "a=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\n",
    ]
    for filling in fillings:
        assert seconds(head + filling * ((1_000_000 - len(join)) // len(filling)) + "a=mid:3\r\n" + tail) < 1
    assert seconds(head + "a=fmtp:97 " + ";" * 900_000 + "\r\na=mid:3\r\n" + tail) < 1
    for distinct in (
        "a=ssrc-group:FID {0} 9{0}\r\na=ssrc:9{0} cname:x\r\n",
        "a=rid:{0} send\r\n",
        "a=extmap:9 urn:{0}\r\n",
    ):
        lines = "".join(distinct.format(number) for number in range(10_000, 20_000))
        rids = "a=simulcast:send " + ";".join(map(str, range(20_000, 10_000, -1))) + "\r\n"
        assert seconds(f"{head}{lines}{rids}a=sendonly\r\na=mid:3\r\n" + tail.replace("a=recvonly\r\n", "", 1)) < 1
    assert seconds(head + "a=simulcast:send " + ";".join(["q"] * 400_000) + "\r\na=mid:3\r\n" + tail) < 1


def test_a_thousand_sections_cost_less_than_a_second() -> None:
    lines = (load("chromium-v1-join.offer.sdp")).split("\r\n")
    small = "\r\n".join(line for line in lines if not line.startswith(("a=rtcp-fb", "a=extmap", "a=candidate")))
    offer = grow(small, 990, 0)
    assert offer.count("\r\nm=") == 997
    tracks = list(map(audio, range(1500)))
    started = time.process_time()
    result = Answerer(LOCAL).answer(offer, tracks, first_choice)
    assert time.process_time() - started < 1
    assert len(result.placed) == 993
    assert result.missing["audio"] == 1500 - 993


@pytest.mark.parametrize("filling", ["x-note=" + "y" * 900_000, "x-note=\u00e9"])
def test_a_format_that_nobody_writes_is_not_repeated(filling: str) -> None:
    offer = load("chromium-v1-join.offer.sdp").replace("a=fmtp:111 minptime=10", f"a=fmtp:111 {filling}", 1)
    assert "x-note" not in Answerer(LOCAL).answer(offer, TRACKS, first_choice).sdp


def test_an_endless_track_id_is_no_track_id() -> None:
    offer = re.sub("(?m)^a=msid:.*\r$", "a=msid:- " + "t" * 100_000 + "\r", load("chromium-v1-vp8.offer.sdp"))
    assert {track.cid for track in Answerer(LOCAL).answer(offer, (), first_choice).inbound} == {""}

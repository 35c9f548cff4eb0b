"""Offers captured from real clients, sent over the wire: their tracks reach a second client."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from livekit.protocol import rtc

from tests.unit.signal.harness import Call

FOLDER = Path(__file__).parents[2] / "data" / "sdp"
VIDEO = {
    "chromium-v1-vp8": ("video/VP8", 3),
    "chromium-v1-h264": ("video/H264", 3),
    "chromium-v1-vp9": ("video/VP9", 1),
    "chromium-v1-av1": ("video/AV1", 1),
    "python-v1-vp8": ("video/VP8", None),
    "python-v1-h264": ("video/H264", None),
}


def load(name: str) -> str:
    return (FOLDER / f"{name}.offer.sdp").read_bytes().decode()


def video_cid(offer: str) -> str:
    """The track id on the last video section that sends."""
    sections = re.split(r"(?m)^(?=m=)", offer)
    sending = [part for part in sections if part.startswith("m=video") and re.search(r"(?m)^a=send(only|recv)", part)]
    found = re.search(r"(?m)^a=msid:\S+ (\S+)", sending[-1])
    assert found is not None
    return found[1]


@pytest.mark.parametrize("name", VIDEO)
async def test_a_real_clients_video_is_published_with_the_codec_it_asked_for(call: Call, name: str) -> None:
    mime_type, encodings = VIDEO[name]
    offer = load(name)
    cid = video_cid(offer)
    alice, bob = await call.join("alice", offer_in_join=False), await call.join("bob")
    await alice.add_track("video", cid, simulcast_codecs=[rtc.SimulcastCodec(codec=mime_type[6:].lower(), cid=cid)])
    await alice.send(offer=rtc.SessionDescription(type="offer", sdp=offer, id=9))
    answer = (await alice.expect("answer", lambda message: message.answer.id == 9)).answer
    seen = await bob.expect_participant("alice", lambda info: bool(info.tracks))
    assert seen.tracks[0].mime_type == seen.tracks[0].codecs[0].mime_type == mime_type
    producer = next(item for item in call.engine.producers.values() if item.mime_type == mime_type)
    if encodings is not None:
        assert len(producer.encodings) == encodings
    if len(producer.encodings) > 1:
        rids = [encoding.rid for encoding in producer.encodings]
        assert rids == [rid for rid in ("q", "h", "f") if rid in rids]
        assert all(f"a=rid:{rid} recv" in answer.sdp for rid in rids)
    await bob.settle()
    await bob.settle()
    assert [item.producer for item in call.consumers_of(bob)] == [producer.producer]


@pytest.mark.parametrize("name", ["chromium-v1-join", "python-v1-join"])
async def test_a_real_clients_first_offer_receives_audio_and_video_at_once(call: Call, name: str) -> None:
    bob = await call.join("bob")
    await bob.publish("audio", "mic")
    await bob.publish("video", "cam", rids=("q", "h", "f"))
    alice = await call.join("alice", offer_in_join=False, automatic=False)
    await alice.send(offer=rtc.SessionDescription(type="offer", sdp=load(name), id=1))
    answer = (await alice.expect("answer")).answer
    assert len(answer.mid_to_track_id) == 2
    await alice.settle()
    assert len(call.consumers_of(alice)) == 2
    assert not alice.received("media_sections_requirement")

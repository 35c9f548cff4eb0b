"""What clients require of us, one test each: each of these was seen to crash, stall or silence a client when violated."""

from __future__ import annotations

import re

import pytest
from livekit.protocol import rtc

from sfu import seam
from tests.unit.signal.harness import Call, Client
from tests.unit.signal.sdp import attribute, sections

RID_EXTENSIONS = (
    "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
    "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
)


async def busy(call: Call) -> tuple[Client, Client]:
    """Two participants who have done a bit of everything."""
    alice, bob = await call.join("alice"), await call.join("bob", v1=False)
    track = await alice.publish("video", "cam", rids=("q", "h", "f"))
    await alice.publish("audio", "mic")
    await alice.send(mute=rtc.MuteTrackRequest(sid=track.sid, muted=True))
    audio = [key for key, producer in call.engine.producers.items() if producer.kind == "audio"]
    call.engine.emit(*[seam.AudioLevels(((audio[0], 5),))] * 4)
    await bob.settle()
    call.tick(6)
    await alice.settle()
    await bob.settle()
    return alice, bob


async def test_the_participant_has_a_sid(call: Call) -> None:
    assert re.fullmatch(r"PA_\w{12}", (await call.join("alice")).joined.participant.sid)


async def test_the_join_response_has_a_room_with_a_sid(call: Call) -> None:
    joined = (await call.join("alice")).joined
    assert joined.HasField("room")
    assert re.fullmatch(r"RM_\w{12}", joined.room.sid)


async def test_the_ping_interval_is_not_zero(call: Call) -> None:
    joined = (await call.join("alice")).joined
    assert 0 < joined.ping_interval < joined.ping_timeout


async def test_the_server_has_a_version(call: Call) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", (await call.join("alice")).joined.server_info.version)


@pytest.mark.parametrize(
    ("v1", "protocol", "advertised"), [(True, 16, 17), (True, 17, 17), (True, 18, 18), (True, 19, 18), (False, 18, 17)]
)
async def test_protocol_18_is_advertised_exactly_where_negotiated_channels_are_open(
    call: Call, v1: bool, protocol: int, advertised: int
) -> None:
    alice = await call.join("alice", v1=v1, protocol=protocol)
    assert alice.joined.server_info.protocol == advertised
    await alice.settle()
    streams = {channel.stream for channel in call.engine.channels.get(call.transport_of(alice), [])}
    assert (streams == {100, 101, 102}) == (advertised == 18)


async def test_every_sid_on_the_wire_has_its_prefix(call: Call) -> None:
    alice, bob = await busy(call)
    text = "".join(str(message) for client in (alice, bob) for message in client.messages)
    for field, prefix in (("track_sid", "TR_"), ("participant_sid", "PA_")):
        assert all(value.startswith(prefix) for value in re.findall(rf'{field}: "([^"]*)"', text))
    speakers = [
        s for client in (alice, bob) for m in client.received("speakers_changed") for s in m.speakers_changed.speakers
    ]
    assert speakers
    assert all(speaker.sid.startswith("PA_") for speaker in speakers)
    people = [info for client in (alice, bob) for m in client.received("update") for info in m.update.participants]
    assert all(info.sid.startswith("PA_") for info in people)
    assert all(track.sid.startswith("TR_") for info in people for track in info.tracks)


async def test_updates_of_rooms_and_tracks_carry_their_subject(call: Call) -> None:
    alice, bob = await busy(call)
    updates = [m for client in (alice, bob) for m in client.received("room_update")]
    assert updates
    assert all(message.room_update.room.sid.startswith("RM_") for message in updates)
    assert alice.received("track_published")
    assert all(message.track_published.track.sid for message in alice.received("track_published"))


@pytest.mark.parametrize("v1", [True, False])
async def test_the_stream_id_of_a_remote_track_names_participant_and_track(call: Call, v1: bool) -> None:
    alice, bob = await call.join("alice"), await call.join("bob", v1=v1)
    track = await alice.publish("audio", "mic")
    await bob.settle()
    await bob.settle()
    description = bob.answers[-1] if v1 else bob.offers[-1]
    msids = [attribute(section, "msid") for section in sections(description.sdp)]
    assert [msid for msid in msids if msid] == [f"{alice.joined.participant.sid}|{track.sid} {track.sid}"]


async def test_every_answer_maps_sections_to_tracks(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    track = await alice.publish("audio", "mic")
    await bob.settle()
    await bob.settle()
    before = len(bob.answers)
    await bob.offer()
    await bob.settle()
    assert len(bob.answers) == before + 1
    assert list(bob.answers[-1].mid_to_track_id.values()) == [track.sid]


async def test_the_id_of_every_answer_is_that_of_its_offer(call: Call) -> None:
    alice = await call.join("alice")
    ids = [await alice.offer() for _ in range(3)]
    await alice.settle()
    assert [answer.id for answer in alice.answers] == [1, *ids]


async def test_we_never_trickle(call: Call) -> None:
    for client in await busy(call):
        assert not client.received("trickle")


async def test_rid_extensions_are_accepted_in_every_video_section_whatever_its_direction(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    await alice.publish("video", "cam", rids=("q", "h", "f"))
    await bob.settle()
    await bob.settle()
    directions = set()
    for answer in (*alice.answers, *bob.answers):
        for section in sections(answer.sdp):
            if section[0].startswith("m=video"):
                directions |= {line for line in section if line in ("a=inactive", "a=sendonly", "a=recvonly")}
                assert all(
                    any(uri in line for line in section if line.startswith("a=extmap")) for uri in RID_EXTENSIONS
                )
    assert directions == {"a=inactive", "a=sendonly", "a=recvonly"}
    assert "a=simulcast:recv" in alice.answers[-1].sdp


async def test_an_identity_is_in_the_room_once(call: Call) -> None:
    sockets = [await call.join("alice") for _ in range(3)]
    assert list(call.room().participants) == ["alice"]
    for older in sockets[:2]:
        await older.closed.wait()
    await sockets[2].settle()


async def test_published_video_says_all_about_its_codec(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    await alice.publish("video", "cam", rids=("q", "h", "f"))
    info = (await bob.expect_participant("alice", lambda info: bool(info.tracks))).tracks[0]
    assert info.mime_type == "video/VP8"
    assert info.source == 1
    assert not info.muted
    (codec,) = info.codecs
    assert codec.mime_type == "video/VP8"
    assert [layer.width for layer in codec.layers] == [320, 640, 1280]


async def test_updates_of_one_participant_have_rising_versions(call: Call) -> None:
    alice, bob = await busy(call)
    versions = [
        info.version
        for m in bob.received("update")
        for info in m.update.participants
        if info.identity == alice.identity
    ]
    assert versions == sorted(set(versions))

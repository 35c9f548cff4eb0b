"""Muting by the owner and by the server, seen from a second client."""

from __future__ import annotations

import pytest
from livekit.protocol import rtc

from sfu.errors import NotAllowed
from tests.unit.signal.harness import Call


async def test_the_owners_mute_and_unmute_reach_others(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    track = await alice.publish("audio", "mic")
    await alice.send(mute=rtc.MuteTrackRequest(sid=track.sid, muted=True))
    await bob.expect_participant("alice", lambda info: bool(info.tracks) and info.tracks[0].muted)
    await bob.settle()
    assert call.consumers_of(bob)[0].paused, "what its client may still send goes nowhere"
    await alice.send(mute=rtc.MuteTrackRequest(sid=track.sid, muted=False))
    await bob.expect_participant("alice", lambda info: bool(info.tracks) and not info.tracks[0].muted)
    await bob.settle()
    assert not call.consumers_of(bob)[0].paused


async def test_a_track_muted_before_its_media_is_published_muted(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    await alice.publish("audio", "mic", muted=True)
    seen = await bob.expect_participant("alice", lambda info: bool(info.tracks))
    assert seen.tracks[0].muted


async def test_the_servers_mute_tells_the_owner_and_stops_media_until_the_owner_unmutes(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    track = await alice.publish("audio", "mic")
    await bob.settle()
    call.room().mute_track("alice", track.sid, True)  # type: ignore[arg-type]
    told = (await alice.expect("mute")).mute
    assert (told.sid, told.muted) == (track.sid, True)
    await bob.expect_participant("alice", lambda info: bool(info.tracks) and info.tracks[0].muted)
    await bob.settle()
    assert call.consumers_of(bob)[0].paused
    await alice.send(mute=rtc.MuteTrackRequest(sid=track.sid, muted=False))
    await bob.expect_participant("alice", lambda info: bool(info.tracks) and not info.tracks[0].muted)
    await bob.settle()
    assert not call.consumers_of(bob)[0].paused


async def test_the_server_never_opens_a_microphone(call: Call) -> None:
    alice = await call.join("alice")
    track = await alice.publish("audio", "mic")
    with pytest.raises(NotAllowed):
        call.room().mute_track("alice", track.sid, False)  # type: ignore[arg-type]


async def test_muting_an_unknown_track_is_answered(call: Call) -> None:
    alice = await call.join("alice")
    await alice.send(mute=rtc.MuteTrackRequest(sid="TR_nope", muted=True))
    response = (await alice.expect("request_response")).request_response
    assert response.reason == rtc.RequestResponse.Reason.NOT_FOUND

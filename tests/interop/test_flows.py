"""What one SDK client does is seen by another: mute, (un)subscribe, unpublish, metadata, speaking, leaving, joining twice."""

from __future__ import annotations

import asyncio
import functools
import time

import pytest
from livekit import rtc

from tests.interop.call import AUDIO, MODES, VIDEO, call
from tests.interop.client import Client, decoded_video, eventually, join, watch
from tests.support.server import Server

EVERY_MODE = pytest.mark.parametrize("modes", MODES.values(), ids=MODES.keys())


@EVERY_MODE
async def test_tracks_that_were_dropped_come_back(server: Server, modes: tuple[bool, bool]) -> None:
    async with call(server, f"again-{modes}", modes) as (ada, bob):
        await ada.publish_video(320, 180, simulcast=False)
        await ada.publish_tone()
        publications = await _publications(bob, "ada", 2)
        for _ in range(3):
            for kind in (VIDEO, AUDIO):
                await bob.track_of("ada", kind)
            video = bob.subscribed["ada", VIDEO]
            start = (await decoded_video(video)).frames_decoded
            await bob.see(video)
            assert len(await bob.hear(bob.subscribed["ada", AUDIO], 0.2))
            await _frames_beyond(video, start)
            for publication in publications:
                publication.set_subscribed(False)
            await eventually(lambda: not bob.subscribed, "bob has dropped both tracks")
            for publication in publications:
                publication.set_subscribed(True)
        await bob.track_of("ada", VIDEO)


@EVERY_MODE
async def test_mute_and_unmute_are_seen(server: Server, modes: tuple[bool, bool]) -> None:
    async with call(server, f"mute-{modes}", modes) as (ada, bob):
        track = await ada.publish_tone()
        await bob.track_of("ada", AUDIO)
        for mute in (True, False, True):
            (track.mute if mute else track.unmute)()
            seen = functools.partial(_is_muted, bob, muted=mute)
            await eventually(seen, f"bob sees ada's microphone muted: {mute}")
        track.unmute()
        assert len(await bob.hear(bob.subscribed["ada", AUDIO], 0.2))


@EVERY_MODE
async def test_an_unpublished_track_goes_away(server: Server, modes: tuple[bool, bool]) -> None:
    async with call(server, f"unpublish-{modes}", modes) as (ada, bob):
        for _ in range(2):
            track = await ada.publish_tone()
            await bob.track_of("ada", AUDIO)
            await ada.room.local_participant.unpublish_track(track.sid)
            await eventually(
                lambda: not bob.subscribed and not bob.room.remote_participants["ada"].track_publications,
                "the track is gone",
            )


@EVERY_MODE
async def test_name_metadata_and_attributes_are_seen(server: Server, modes: tuple[bool, bool]) -> None:
    room = f"metadata-{modes}"
    async with (
        join(server.url, server.token(room, "ada", can_update_own_metadata=True), "ada", single=modes[0]) as ada,
        join(server.url, server.token(room, "bob"), "bob", single=modes[1]) as bob,
    ):
        await eventually(lambda: "ada" in bob.room.remote_participants, "bob sees ada")
        await ada.room.local_participant.set_metadata("some")
        await ada.room.local_participant.set_name("Ada L.")
        await ada.room.local_participant.set_attributes({"mood": "fine"})
        seen = bob.room.remote_participants["ada"]
        await eventually(
            lambda: (seen.metadata, seen.name, dict(seen.attributes)) == ("some", "Ada L.", {"mood": "fine"}),
            "bob sees ada's changes",
        )


@EVERY_MODE
async def test_speaking_is_seen(server: Server, modes: tuple[bool, bool]) -> None:
    async with call(server, f"speaking-{modes}", modes) as (ada, bob):
        heard: list[list[str]] = []
        bob.room.on("active_speakers_changed", lambda speakers: heard.append([each.identity for each in speakers]))
        track = await ada.publish_tone()
        await eventually(lambda: ["ada"] in heard, "ada speaks")
        track.mute()
        await eventually(lambda: heard[-1] == [], "ada is silent")


@EVERY_MODE
async def test_a_leaver_is_gone_at_once(server: Server, modes: tuple[bool, bool]) -> None:
    async with call(server, f"leave-{modes}", modes) as (ada, bob):
        await eventually(lambda: "ada" in bob.room.remote_participants, "bob sees ada")
        started = time.monotonic()
        await ada.room.disconnect()
        await eventually(lambda: "ada" not in bob.room.remote_participants, "ada is gone")
        assert time.monotonic() - started < 2


@EVERY_MODE
async def test_a_second_join_of_an_identity_ends_the_first(server: Server, modes: tuple[bool, bool]) -> None:
    room = f"twice-{modes}"
    async with call(server, room, modes) as (ada, bob):
        await ada.publish_tone()
        await bob.track_of("ada", AUDIO)
        reasons: list[int] = []
        ada.room.on("disconnected", reasons.append)
        async with join(server.url, server.token(room, "ada"), "ada", single=modes[0]) as again:
            await eventually(lambda: bool(reasons), "the first is told")
            assert reasons == [rtc.DisconnectReason.DUPLICATE_IDENTITY]
            await eventually(
                lambda: bob.room.remote_participants["ada"].sid == again.room.local_participant.sid, "bob sees the new"
            )
            await again.publish_tone()
            assert len(await bob.hear(await bob.track_of("ada", AUDIO), 0.2))


@EVERY_MODE
async def test_without_auto_subscribe_nothing_comes_unasked(server: Server, modes: tuple[bool, bool]) -> None:
    room = f"unasked-{modes}"
    async with join(server.url, server.token(room, "ada"), "ada", single=modes[0]) as ada:
        await ada.publish_tone()
        bob = Client("bob", rtc.Room())
        watch(bob)
        options = rtc.RoomOptions(single_peer_connection=modes[1], auto_subscribe=False)
        await bob.room.connect(server.url, server.token(room, "bob"), options)
        try:
            (publication,) = await _publications(bob, "ada", 1)
            await asyncio.sleep(1)
            assert not bob.subscribed
            publication.set_subscribed(True)
            assert len(await bob.hear(await bob.track_of("ada", AUDIO), 0.2))
        finally:
            await bob.close()


def _is_muted(client: Client, *, muted: bool) -> bool:
    publications = client.room.remote_participants["ada"].track_publications.values()
    return all(publication.muted is muted for publication in publications)


async def _publications(client: Client, identity: str, count: int) -> list[rtc.RemoteTrackPublication]:
    """All `count` publications of another participant, once they are announced."""

    def known() -> list[rtc.RemoteTrackPublication]:
        other = client.room.remote_participants.get(identity)
        return [] if other is None else list(other.track_publications.values())

    await eventually(lambda: len(known()) == count, f"{identity} publishes {count} tracks")
    return known()


async def _frames_beyond(track: rtc.Track, frames: int) -> None:
    deadline = time.monotonic() + 10
    while (await decoded_video(track)).frames_decoded <= frames + 5:
        assert time.monotonic() < deadline, "no new pictures are decoded"
        await asyncio.sleep(0.1)

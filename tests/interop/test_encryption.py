"""The SDK's own end-to-end encryption: media and data pass in both directions, and mean nothing without the key."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
from livekit import rtc

from tests.interop.call import AUDIO, MODES, VIDEO, publish_everything, tone_is_heard
from tests.interop.client import Client, decoded_video, difference, eventually, join, tone_of
from tests.support.server import Server

#: Of `difference`: below it is the picture that was sent, above it another.
RECOGNISED = 20.0
KEY, WRONG = b"correct horse battery staple", b"incorrect horse"
EVERY_MODE = pytest.mark.parametrize(
    "modes",
    [pytest.param(modes, marks=[] if name == "v1-v0" else pytest.mark.slow) for name, modes in MODES.items()],
    ids=MODES.keys(),
)


@contextlib.asynccontextmanager
async def _join(server: Server, room: str, identity: str, key: bytes | None, *, single: bool) -> AsyncIterator[Client]:
    options = {}
    if key is not None:
        options["encryption"] = rtc.E2EEOptions(key_provider_options=rtc.KeyProviderOptions(shared_key=key))
    async with join(server.url, server.token(room, identity), identity, single=single, **options) as client:
        yield client


@EVERY_MODE
async def test_media_and_data_pass_and_only_the_key_opens_them(server: Server, modes: tuple[bool, bool]) -> None:
    room = f"encrypted-{modes}"
    async with (
        _join(server, room, "ada", KEY, single=modes[0]) as ada,
        _join(server, room, "bob", KEY, single=modes[1]) as bob,
        _join(server, room, "eve", WRONG, single=modes[0]) as eve,
        _join(server, room, "dan", None, single=modes[1]) as dan,
    ):
        # Small: the strangers' keyframe requests alone keep the encoders busy, and all four run on this machine.
        await publish_everything(ada, bob, width=320, height=180, fps=10, simulcast=False)
        for sender, listener in ((ada, bob), (bob, ada)):
            await _decodes(listener, sender, 15)
            await tone_is_heard(listener, sender)
            publications = listener.room.remote_participants[sender.identity].track_publications.values()
            assert {each.encryption_type for each in publications} == {rtc.EncryptionType.GCM}
        for stranger in (eve, dan):
            await _receives_but_understands_nothing(stranger, ada)
        # What a key does not open is dropped before the decoder.
        assert (await decoded_video(eve.subscribed["ada", VIDEO])).frames_decoded == 0
        await ada.room.local_participant.publish_data(b"for friends", topic="secret")
        await eventually(lambda: bob.data_on("secret"), "bob reads the message")
        assert [(each.sender, each.payload) for each in bob.data_on("secret")] == [("ada", b"for friends")]
        await asyncio.sleep(0.3)
        assert eve.data == dan.data == []


async def _decodes(listener: Client, sender: Client, frames: int) -> None:
    track = await listener.track_of(sender.identity, VIDEO)

    async def enough() -> bool:
        return (await decoded_video(track)).frames_decoded >= frames

    await eventually(enough, f"{listener.identity} decodes {frames} frames of {sender.identity}", 20)
    assert difference(await listener.see(track)) < RECOGNISED


async def _receives_but_understands_nothing(stranger: Client, sender: Client) -> None:
    """VP8 has no checksum, so a decoder may take what is encrypted for a picture: it must be noise then."""
    video = await stranger.track_of(sender.identity, VIDEO)
    audio = await stranger.track_of(sender.identity, AUDIO)
    differences: list[float] = []
    watching = asyncio.create_task(_watch(stranger, video, lambda picture: differences.append(difference(picture))))

    async def arrived() -> bool:
        stats = [each.inbound_rtp for each in await video.get_stats() if each.WhichOneof("stats") == "inbound_rtp"]
        return any(each.received.packets_received > 50 for each in stats)

    await eventually(arrived, f"{stranger.identity} receives what {sender.identity} encrypted", 20)
    _, share = tone_of(await stranger.hear(audio, 0.5))
    assert share < 0.5, f"{share:.0%} of what {stranger.identity} hears is the tone"
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    assert all(each > RECOGNISED for each in differences), differences


async def _watch(client: Client, track: rtc.Track, seen: Callable[[rtc.VideoFrame], object]) -> None:
    async with contextlib.aclosing(client.pictures(track)) as pictures:
        async for picture in pictures:
            seen(picture)

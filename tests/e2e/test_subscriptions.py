"""Tracks that a page drops and takes again come back, also when their sections of the description have carried others since."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.browser import Browser
from tests.e2e.call import Participant, join, videos
from tests.e2e.firefox import Firefox
from tests.support.server import Server

SMALL = {"width": 320, "height": 180, "frameRate": 15}
#: Every remote publication of a participant.
PUBLICATIONS = "[...client.room.remoteParticipants.get({identity!r}).trackPublications.values()]"


async def _subscribe(page: Participant, identity: str, *, subscribed: bool) -> None:
    each = PUBLICATIONS.format(identity=identity)
    await page.page.value(f"{each}.forEach((publication) => publication.setSubscribed({str(subscribed).lower()}))")
    if not subscribed:
        await page.page.until(f"{each}.every((publication) => !publication.track)", f"{identity}'s tracks are gone")


async def _plays(page: Participant, *identities: str) -> None:
    """Waits until pictures and sound of exactly these move."""

    async def heard() -> dict[str, tuple[float, float]]:
        inbound = (await page.sample())["inbound"]
        pictures = {each["identity"]: each["framesDecoded"] for each in videos(inbound)}
        sounds = {each["identity"]: each["audioEnergy"] for each in inbound if each["kind"] == "audio"}
        return {identity: (pictures[identity], sounds.get(identity, 0)) for identity in pictures}

    loop = asyncio.get_running_loop()
    deadline = loop.time() + 15
    before = await heard()
    while True:
        await asyncio.sleep(0.5)
        now = await heard()
        moving = {
            who
            for who, (frames, energy) in now.items()
            if frames > before.get(who, (0, 0))[0] and energy > before.get(who, (0, 0))[1]
        }
        if moving == set(identities) == now.keys():
            return
        assert loop.time() < deadline, f"expected {identities}: {before} -> {now}"


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("single", [True, False], ids=["v1", "v0"])
async def test_dropped_tracks_come_back_in_recycled_sections(
    browser: Browser, client_page: str, server: Server, single: bool
) -> None:
    room = f"again-{single}"
    bob = await join(browser, client_page, server, room, "bob", single=single)
    await _drop_and_take_again(bob, browser, client_page, server, room, codecs=("vp8", "h264"))


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("single", [True, False], ids=["v1", "v0"])
async def test_dropped_tracks_come_back_in_firefox(
    browser: Browser, firefox: Firefox, client_page: str, server: Server, single: bool
) -> None:
    room = f"again-fox-{single}"
    bob = await join(firefox, client_page, server, room, "bob", single=single)
    await _drop_and_take_again(bob, browser, client_page, server, room, codecs=("vp8", "vp9"))


async def _drop_and_take_again(
    bob: Participant, browser: Browser, client_page: str, server: Server, room: str, codecs: tuple[str, str]
) -> None:
    ada = await join(browser, client_page, server, room, "ada", single=True)
    await ada.publish(codecs[0], SMALL, simulcast=False)
    await ada.page.run("client.publishAudio")
    await _plays(bob, "ada")
    for _ in range(2):
        await _subscribe(bob, "ada", subscribed=False)
        await _subscribe(bob, "ada", subscribed=True)
        await _plays(bob, "ada")
    # Others' tracks of another codec take the sections that ada's leave.
    await _subscribe(bob, "ada", subscribed=False)
    cleo = await join(browser, client_page, server, room, "cleo", single=False)
    await cleo.publish(codecs[1], SMALL, simulcast=False)
    await cleo.page.run("client.publishAudio")
    await _plays(bob, "cleo")
    await _subscribe(bob, "ada", subscribed=True)
    await _plays(bob, "ada", "cleo")
    await _subscribe(bob, "cleo", subscribed=False)
    await _subscribe(bob, "ada", subscribed=False)
    await _subscribe(bob, "cleo", subscribed=True)
    await _subscribe(bob, "ada", subscribed=True)
    await _plays(bob, "ada", "cleo")

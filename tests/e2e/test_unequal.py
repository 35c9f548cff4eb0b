"""Pages that decode different codecs: who lacks a track's codec gets its backup, or is told that there is none."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.browser import Browser
from tests.e2e.call import Participant, join, videos
from tests.support.server import Server

SIMULCAST, REGRESSION = 1, 2
CODEC_UNSUPPORTED = 1
SINGLE = pytest.mark.parametrize("single", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["v1", "v0"])


async def _decodes(page: Participant, identity: str, codec: str, *, more: int = 10, timeout_s: float = 20) -> None:
    """Waits until the page decodes that many more pictures of `identity`, in this codec."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    start: int | None = None
    while True:
        inbound = [each for each in videos((await page.sample())["inbound"]) if each["identity"] == identity]
        matching = [each for each in inbound if each["mimeType"].lower() == f"video/{codec}"]
        if matching:
            decoded = matching[0]["framesDecoded"]
            start = decoded if start is None else start
            if decoded >= start + more:
                return
        assert loop.time() < deadline, f"{page.identity} does not decode {identity} in {codec}: {inbound}"
        await asyncio.sleep(0.2)


async def _hears(page: Participant, identity: str) -> None:
    async with asyncio.timeout(15):
        while True:
            inbound = (await page.sample())["inbound"]
            if any(each["identity"] == identity and each["audioEnergy"] > 0 for each in inbound):
                return
            await asyncio.sleep(0.2)


async def _sent(page: Participant) -> dict[str, int]:
    """Codec -> packets sent so far, over all its encodings."""
    packets: dict[str, int] = {}
    for each in videos(await page.page.run("client.sampleSenders")):
        codec = each["mimeType"].partition("/")[2].lower()
        packets[codec] = packets.get(codec, 0) + each["packetsSent"]
    return packets


async def _until_silent(page: Participant, codec: str, timeout_s: float) -> None:
    """Waits until nothing more is sent in this codec."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    before = await _sent(page)
    while True:
        await asyncio.sleep(1)
        now = await _sent(page)
        if now[codec] == before[codec]:
            return
        assert loop.time() < deadline, f"{page.identity} still sends {codec}: {before} -> {now}"
        before = now


@pytest.mark.timeout(120)
@SINGLE
async def test_a_page_without_av1_sees_vp8_and_another_sees_av1(
    browser: Browser, client_page: str, server: Server, single: bool
) -> None:
    room = f"backup-{single}"
    ada = await join(browser, client_page, server, room, "ada", single=single)
    await ada.publish("av1", simulcast=False, backup="vp8", backupPolicy=SIMULCAST)
    bob = await join(browser, client_page, server, room, "bob", single=single)
    await _decodes(bob, "ada", "av1")
    assert "vp8" not in await _sent(ada)
    cleo = await join(browser, client_page, server, room, "cleo", single=single, without=["av1"])
    await _decodes(cleo, "ada", "vp8")
    await _decodes(bob, "ada", "av1")
    assert await cleo.page.value("client.refusals") == []
    await cleo.page.run("client.leave")
    await _until_silent(ada, "vp8", 10)
    await _decodes(bob, "ada", "av1")


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("single", "lacking"),
    [
        (True, "h264"),
        (False, "h264"),
        pytest.param(True, "h264;packetization-mode=1", marks=pytest.mark.slow),
        pytest.param(False, "h264;packetization-mode=1", marks=pytest.mark.slow),
    ],
)
async def test_a_codec_that_a_page_lacks_is_an_event_there(
    browser: Browser, client_page: str, server: Server, single: bool, lacking: str
) -> None:
    room = f"unsupported-{single}-{len(lacking)}"
    ada = await join(browser, client_page, server, room, "ada", single=single)
    bob = await join(browser, client_page, server, room, "bob", single=single, without=[lacking])
    await ada.publish("h264", simulcast=False)
    await bob.page.until("client.refusals.length > 0", "the refusal")
    sid = await ada.page.value("[...client.room.localParticipant.trackPublications.keys()][0]")
    assert await bob.page.value("client.refusals") == [{"sid": sid, "reason": CODEC_UNSUPPORTED}]
    await ada.page.run("client.publishAudio")
    await _hears(bob, "ada")


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_page_whose_decoders_are_for_higher_profiles_sees_a_lower_one(
    browser: Browser, client_page: str, server: Server
) -> None:
    ada = await join(browser, client_page, server, "profiles", "ada", single=True)
    bob = await join(browser, client_page, server, "profiles", "bob", single=True, without=["h264;profile-level-id=42"])
    await ada.publish("h264", simulcast=False)
    await _decodes(bob, "ada", "h264")


@pytest.mark.slow
@pytest.mark.timeout(120)
@SINGLE
async def test_with_regression_everybody_moves_to_the_backup(
    browser: Browser, client_page: str, server: Server, single: bool
) -> None:
    room = f"regression-{single}"
    ada = await join(browser, client_page, server, room, "ada", single=single)
    await ada.publish("vp9", simulcast=False, backup="vp8", backupPolicy=REGRESSION)
    bob = await join(browser, client_page, server, room, "bob", single=single)
    await _decodes(bob, "ada", "vp9")
    cleo = await join(browser, client_page, server, room, "cleo", single=single, without=["vp9"])
    await _decodes(cleo, "ada", "vp8")
    await _decodes(bob, "ada", "vp8")
    await _until_silent(ada, "vp9", 10)

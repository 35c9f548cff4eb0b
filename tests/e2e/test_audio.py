"""Sound between Chromium pages: redundant where both know RED, plain where one of them does not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.e2e.browser import DESKTOP, Browser
from tests.e2e.call import Participant, join
from tests.interop.client import eventually
from tests.support.server import Server

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


async def heard(listener: Participant, sender: str) -> dict[str, Any]:
    """The listener's statistics of the sender's sound, once some of it was heard."""
    deadline = asyncio.get_running_loop().time() + 15
    while True:
        inbound = (await listener.sample())["inbound"]
        found: dict[str, Any] = next(
            (each for each in inbound if each["kind"] == "audio" and each["identity"] == sender), {}
        )
        if found.get("packetsReceived", 0) > 100:
            return found
        assert asyncio.get_running_loop().time() < deadline, f"{listener.identity} hears nothing of {sender}: {found}"
        await asyncio.sleep(0.2)


@pytest.mark.timeout(90)
async def test_red_is_heard_by_those_who_know_it_and_opus_by_the_others(
    browser: Browser, client_page: str, server: Server
) -> None:
    room = "e2e-red"
    ada = await join(browser, client_page, server, room, "ada", single=True)
    bob = await join(browser, client_page, server, room, "bob", single=False)
    # Chromium knows RED; but what says that it is Firefox is not offered any.
    page = await browser.open(client_page, {**DESKTOP, "userAgent": FIREFOX}, "fox")
    await page.run("client.connect", {"url": server.url, "token": server.token(room, "fox"), "single": False})
    fox = Participant("fox", page)
    sent = 'sfu_red_packets_total{result="sent"}'
    before = server.metrics()[sent]
    await ada.page.run("client.publishAudio", {"red": True})
    as_red, as_plain = await asyncio.gather(heard(bob, "ada"), heard(fox, "ada"))
    for each in (as_red, as_plain):
        assert each["audioEnergy"] > 0, each
    # The engine's counters are posted once a second.
    await eventually(lambda: server.metrics()[sent] - before > 50, "RED was sent")
    # Chromium's statistics name what is inside, audio/opus; but they count the copies of what had come already.
    assert as_red["discarded"] > 50, as_red
    assert as_plain["discarded"] < 10, as_plain

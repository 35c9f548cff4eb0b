"""A subscriber who asks for another quality gets it within a second; and the picture freezes no more than without a server."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.browser import Browser
from tests.e2e.call import LIGHT, Participant, flows, join, until_best, videos
from tests.support.server import Server

#: livekit-client makes three layers of it, of 180, 360 and 540 lines.
THREE_LAYERS = {"width": 960, "height": 540, "frameRate": 15}
LAYERS = ("low", "medium", "high")


async def _heights(sender: Participant) -> list[int]:
    """Lines of each encoding that is being sent, lowest first."""
    before = videos((await sender.sample())["outbound"])
    await asyncio.sleep(1)
    after = videos((await sender.sample())["outbound"])
    sent = {each["rid"]: each["framesSent"] for each in before}
    return sorted(each["height"] for each in after if each["framesSent"] > sent.get(each["rid"], 0))


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("codec", ["vp8", "h264"])
@pytest.mark.parametrize("single", [True, False], ids=["v1", "v0"])
async def test_a_quality_is_reached_within_a_second(
    browser: Browser, client_page: str, server: Server, codec: str, single: bool
) -> None:
    room = f"layers-{codec}-{single}"
    ada = await join(browser, client_page, server, room, "ada", single=single)
    bob = await join(browser, client_page, server, room, "bob", single=single)
    await ada.publish(codec, THREE_LAYERS)
    await bob.page.until("client.pictureHeight('ada') === 540", "the best layer", 30)
    heights = await _heights(ada)
    assert heights == [180, 360, 540]
    by_quality = dict(zip(LAYERS, heights, strict=True))
    for quality in ("low", "high", "medium", "low", "medium", "high"):
        took = await bob.page.run("client.switchTo", "ada", quality, by_quality[quality])
        print(f"{codec} {quality}: {took} ms")
        assert took is not None, f"{quality} ({by_quality[quality]} lines) was never reached"
        assert took < 1000, f"{quality} took {took:.0f} ms"
        await asyncio.sleep(0.5)
    inbound = videos((await bob.sample())["inbound"])[0]
    assert inbound["packetsLost"] == 0


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_no_more_freezes_than_between_two_browsers_alone(
    browser: Browser, client_page: str, server: Server
) -> None:
    control = await _direct_freezes(browser, client_page, 10)
    pair = [
        await join(browser, client_page, server, "freezes", "ada", single=True),
        await join(browser, client_page, server, "freezes", "bob", single=False),
    ]
    for each in pair:
        await each.publish("vp8", simulcast=False)
    await until_best(pair)
    ours = sum(flow.freezes for flow in await flows(pair, 10))
    print(f"freezes: {ours} through the server, {control} directly")
    assert ours <= control


async def _direct_freezes(browser: Browser, client_page: str, seconds: float) -> int:
    pages = [await browser.open(client_page, name=name) for name in ("left", "right")]
    for page in pages:
        await page.run("direct.capture", {**LIGHT, "codec": "vp8", "maxBitrate": 500_000})
    answer = await pages[1].run("direct.answer", await pages[0].run("direct.offer"))
    await pages[0].run("direct.accept", answer)
    await asyncio.sleep(3)

    async def freezes() -> int:
        samples = await asyncio.gather(*(page.run("direct.sample") for page in pages))
        inbound = [each for sample in samples for each in videos(sample["inbound"])]
        assert len(inbound) == 2
        assert all(each["framesDecoded"] > 0 for each in inbound)
        return sum(each["freezeCount"] for each in inbound)

    before = await freezes()
    await asyncio.sleep(seconds)
    after = await freezes()
    for page in pages:
        await browser.ask("close", page=page.number)
    return after - before

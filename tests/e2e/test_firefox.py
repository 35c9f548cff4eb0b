"""Firefox and Chromium in one call: Firefox nominates every pair it checks, makes its offer after the join, and lacks H264."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.e2e.browser import Browser
from tests.e2e.call import LIGHT, Participant, flows, join, samples_of, until_best, videos
from tests.e2e.firefox import Firefox
from tests.support.server import Server

GENERATIONS = pytest.mark.parametrize("single", [True, False], ids=["v1", "v0"])


async def _pair(
    firefox: Firefox, browser: Browser, client_page: str, server: Server, room: str, *, single: bool
) -> list[Participant]:
    """Firefox first; the two speak different generations of the protocol."""
    return [
        await join(firefox, client_page, server, room, "fox", single=single),
        await join(browser, client_page, server, room, "ada", single=not single),
    ]


async def _both_directions_decode(pair: list[Participant], seconds: float = 3) -> None:
    """In a window so long that the picture which is on its way as it closes is less than what may be missing."""
    await until_best(pair)
    for flow in await flows(pair, seconds):
        print(flow, f"{flow.ratio:.3f}")
        assert flow.sent > 5 * seconds, flow
        assert (flow.mime_type, flow.height, flow.lost) == ("video/VP8", LIGHT["height"], 0), flow
        assert flow.ratio >= 0.95, flow


async def _frames(participant: Participant) -> int:
    inbound = videos((await participant.sample())["inbound"])
    return inbound[0]["framesDecoded"] if inbound else 0


@pytest.mark.timeout(120)
async def test_firefox_and_chromium_see_hear_and_read_each_other(
    browser: Browser, firefox: Firefox, client_page: str, server: Server
) -> None:
    pair = await _pair(firefox, browser, client_page, server, "firefox", single=True)
    for each in pair:
        await each.publish("vp8", simulcast=False)
        await each.page.run("client.publishAudio")
        await each.page.run("client.sendText", f"from {each.identity}")
    await _both_directions_decode(pair)
    for identity, sample in (await samples_of(pair)).items():
        energy = [each["audioEnergy"] for each in sample["inbound"] if each["kind"] == "audio"]
        assert energy, f"{identity} has no sound"
        assert energy[0] > 0, f"{identity} hears nothing"
    assert [await each.page.value("client.messages") for each in pair] == [["from ada"], ["from fox"]]


@pytest.mark.slow
@pytest.mark.timeout(120)
@GENERATIONS
async def test_simulcast_of_firefox(
    browser: Browser, firefox: Firefox, client_page: str, server: Server, single: bool
) -> None:
    pair = await _pair(firefox, browser, client_page, server, f"fox-simulcast-{single}", single=single)
    for each in pair:
        await each.publish("vp8")
    await _both_directions_decode(pair, 8)
    fox, ada = pair
    assert {each["rid"] for each in videos((await fox.sample())["outbound"])} == {"q", "h"}
    for quality, height in (("low", 180), ("medium", 360)):
        took = await ada.page.run("client.switchTo", "fox", quality, height)
        assert took is not None, f"{quality} of Firefox's simulcast never came"


@pytest.mark.slow
@pytest.mark.timeout(120)
@GENERATIONS
async def test_codecs_that_firefox_decodes(
    browser: Browser, firefox: Firefox, client_page: str, server: Server, single: bool
) -> None:
    """VP9 and AV1. Without H264, which it has only when it may fetch a decoder, it is told so."""
    room = f"fox-codecs-{single}"
    fox = await join(firefox, client_page, server, room, "fox", single=single)
    decodes = {str(each).lower() for each in await fox.page.value(_CODECS)}
    for codec in ("vp9", "av1", "h264"):
        sender = await join(browser, client_page, server, room, codec, single=not single)
        await sender.publish(codec, simulcast=False)
        if f"video/{codec}" in decodes:
            await fox.page.until(f"client.pictureHeight({codec!r}) === {LIGHT['height']}", f"{codec} is decoded")
        else:
            await fox.page.until("client.refusals.length > 0", f"{codec} is refused")
            refused: list[dict[str, Any]] = await fox.page.value("client.refusals")
            assert {each["reason"] for each in refused} == {_CODEC_UNSUPPORTED}


@pytest.mark.slow
@pytest.mark.timeout(120)
@GENERATIONS
@pytest.mark.parametrize("scenario", ["signal-reconnect", "full-reconnect"])
async def test_firefox_comes_back(
    browser: Browser, firefox: Firefox, client_page: str, server: Server, scenario: str, single: bool
) -> None:
    pair = await _pair(firefox, browser, client_page, server, f"{scenario}-{single}", single=single)
    for each in pair:
        await each.publish("vp8", simulcast=False)
    await _both_directions_decode(pair)
    await pair[0].page.value(f"(client.room.once('reconnected', () => (window.isBack = true)), {_simulate(scenario)})")
    await pair[0].page.until("window.isBack", "Firefox is back", 20)
    await until_best(pair)
    before = [await _frames(each) for each in pair]
    await asyncio.sleep(2)
    after = [await _frames(each) for each in pair]
    assert all(then + 10 < now for then, now in zip(before, after, strict=True)), (before, after)


def _simulate(scenario: str) -> str:
    return f"client.room.simulateScenario({scenario!r})"


_CODECS = "RTCRtpReceiver.getCapabilities('video').codecs.map((codec) => codec.mimeType)"
#: SubscriptionError.SE_CODEC_UNSUPPORTED
_CODEC_UNSUPPORTED = 1

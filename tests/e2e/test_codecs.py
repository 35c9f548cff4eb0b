"""Two Chromium pages, one on each signalling generation, see each other in every codec."""

from __future__ import annotations

import pytest

from tests.e2e.browser import Browser
from tests.e2e.call import Flow, Participant, flows, join, samples_of, until_best
from tests.support.server import Server

#: Codec -> whether it is sent as simulcast (the others are SVC on one stream).
CODECS = {"vp8": True, "h264": True, "vp9": False, "av1": False}


async def _pair(browser: Browser, client_page: str, server: Server, room: str) -> list[Participant]:
    return [
        await join(browser, client_page, server, room, "ada", single=True),
        await join(browser, client_page, server, room, "bob", single=False),
    ]


def _check(flow: Flow, codec: str) -> None:
    assert flow.mime_type.lower() == f"video/{codec}", flow
    assert flow.lost == 0, flow
    assert flow.ratio >= 0.95, flow


@pytest.mark.timeout(90)
async def test_two_pages_see_each_other(browser: Browser, client_page: str, server: Server) -> None:
    pair = await _pair(browser, client_page, server, "e2e-first")
    for each in pair:
        await each.publish("vp8")
        await each.page.run("client.publishAudio")
    await until_best(pair)
    for flow in await flows(pair, 3):
        print(flow, f"{flow.ratio:.3f}")
        assert flow.sent > 10, flow
        _check(flow, "vp8")
    for sample in (await samples_of(pair)).values():
        assert any(each["kind"] == "audio" and each["audioEnergy"] > 0 for each in sample["inbound"]), "no sound"


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("codec", CODECS)
async def test_each_codec_over_ten_seconds(browser: Browser, client_page: str, server: Server, codec: str) -> None:
    pair = await _pair(browser, client_page, server, f"e2e-{codec}")
    for each in pair:
        await each.publish(codec, simulcast=CODECS[codec])
    await until_best(pair)
    for flow in await flows(pair, 10):
        print(flow, f"{flow.ratio:.3f}")
        assert flow.sent > 40, f"Chromium hardly encodes on this machine: {flow}"
        _check(flow, codec)


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_four_pages_of_360_lines(browser: Browser, client_page: str, server: Server) -> None:
    four = [
        await join(browser, client_page, server, "e2e-four", name, single=name in {"ada", "bob"})
        for name in ("ada", "bob", "cleo", "dan")
    ]
    for each in four:
        await each.publish("vp8")
    await until_best(four, 45)
    measured = await flows(four, 10)
    assert len(measured) == 12
    for flow in measured:
        print(flow, f"{flow.ratio:.3f}")
        _check(flow, "vp8")
        assert flow.height == 360, flow


@pytest.mark.timeout(60)
async def test_media_is_encrypted_with_our_choice_of_gcm(browser: Browser, client_page: str, server: Server) -> None:
    pair = await _pair(browser, client_page, server, "e2e-cipher")
    await pair[0].publish("vp8", simulcast=False)
    await pair[1].page.until("client.pictureHeight('ada') > 0", "a picture of ada")
    for identity, sample in (await samples_of(pair)).items():
        ciphers = {each["srtpCipher"] for each in sample["transports"]}
        assert ciphers == {"SRTP_AEAD_AES_128_GCM"}, f"{identity}: {ciphers}"
        assert {each["dtlsState"] for each in sample["transports"]} == {"connected"}

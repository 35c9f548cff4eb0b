"""The project's own meeting page, used as people use it. Screenshots of each step stay in tests/e2e/screenshots."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tests.e2e.browser import DESKTOP, PHONE, Browser, Page
from tests.support.server import Server


async def _enter(page: Page, *, size: str = "360") -> None:
    """From pre-join into the call."""
    await page.until("document.querySelector('.preview video')?.videoWidth > 0", "the camera preview")
    await page.until("document.querySelectorAll('#microphone option').length > 0", "the list of microphones")
    await page.call("selectOption", "#size", size)
    await page.until("document.querySelector('.preview video')?.videoHeight === 360", "the preview in the chosen size")
    await page.call("click", "button.join")
    await page.until("!document.querySelector('.call .banner:not([hidden])')", "the call", 20)


def _video_of(identity: str, kind: str = "camera") -> str:
    return f"document.querySelector('[data-identity={identity}][data-kind={kind}] video')"


async def _sees(page: Page, identity: str, kind: str = "camera") -> None:
    video = _video_of(identity, kind)
    await page.until(f"{video}?.videoWidth > 0 && !{video}.hidden", f"{identity}'s {kind}", 20)
    start = await page.value(f"{video}.getVideoPlaybackQuality().totalVideoFrames")
    await page.until(
        f"{video}.getVideoPlaybackQuality().totalVideoFrames > {start} + 15", f"{identity}'s {kind} moves", 15
    )


def _no_errors(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith(("pageerror", "error:")) and "favicon" not in line]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("name", "device"), [("desktop", DESKTOP), ("phone", PHONE)])
async def test_without_a_token_the_page_says_what_to_do(
    browser: Browser, server: Server, name: str, device: dict[str, object]
) -> None:
    page = await browser.open(f"{server.origin}/meet?room=lobby", device)
    await page.until("document.querySelector('h1')?.textContent === 'You need a link to join'", "the sentence")
    assert "beep-media token --room lobby" in await page.call("textContent", "pre")
    assert await page.value("document.documentElement.scrollWidth <= innerWidth")
    await page.screenshot(f"meet-no-token-{name}")
    await page.call("fill", "#token", server.token("lobby", "ada"))
    await page.call("click", ".token-form button")
    await page.until("document.querySelector('.prejoin h1')?.textContent === 'lobby'", "pre-join after pasting a token")


@pytest.mark.timeout(60)
async def test_a_refused_token_ends_in_a_sentence(browser: Browser, server: Server) -> None:
    claims = server.token("closed", "ada").rpartition(".")[0]
    forged = claims + "." + server.token("open", "ada").rpartition(".")[2]
    page = await browser.open(f"{server.origin}/meet?room=closed&token={forged}")
    await page.until("document.querySelector('.preview video')?.videoWidth > 0", "the camera preview")
    await page.call("click", "button.join")
    await page.until("document.querySelector('.notice h1')?.textContent === 'Could not join'", "the sentence")
    sentence = await page.call("textContent", ".notice p")
    assert "signature" in sentence
    assert "{" not in sentence
    await page.screenshot("meet-refused")


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_a_meeting_of_two(browser: Browser, server: Server) -> None:
    ada = await browser.open(server.meet_link("planning", "ada"), DESKTOP, name="ada")
    await ada.until("document.querySelector('.preview video')?.videoWidth > 0", "the camera preview")
    await ada.screenshot("meet-prejoin-desktop")
    await _enter(ada)
    bob = await browser.open(server.meet_link("planning", "bob") + "&peers=2", PHONE, name="bob")
    await bob.until("document.querySelector('.preview video')?.videoWidth > 0", "the camera preview")
    await bob.screenshot("meet-prejoin-phone")
    await _enter(bob)
    await _sees(ada, "bob")
    await _sees(bob, "ada")
    await ada.screenshot("meet-call-desktop")
    await bob.screenshot("meet-call-phone")

    await _speaking_ring(ada, "bob")
    await _mute_by_key(ada, bob)
    await _camera_off_and_on(ada, bob)
    await _numbers(ada)
    await _chat(ada, bob)
    await _share_screen(ada, bob)
    await _leave(ada, bob)

    for page in (ada, bob):
        hosts = {
            urlsplit(address).netloc for address in await page.requests() if not address.startswith(("data:", "blob:"))
        }
        assert hosts == {server.address}, f"{page.name} talked to {hosts}"
        assert _no_errors(await page.logs()) == []


async def _speaking_ring(page: Page, identity: str) -> None:
    """Chromium's fake microphone beeps once a second."""
    await page.until(f"document.querySelector('[data-identity={identity}].speaking')", f"the ring around {identity}")


async def _mute_by_key(ada: Page, bob: Page) -> None:
    muted = "!document.querySelector('[data-identity=ada] .mute-mark').hidden"
    await ada.call("press", "body", "m")
    await bob.until(muted, "ada's mute mark at bob's")
    await ada.call("click", "button.microphone")
    await bob.until(f"!({muted})", "ada is unmuted at bob's")


async def _camera_off_and_on(ada: Page, bob: Page) -> None:
    await ada.call("click", "button.camera")
    await bob.until(f"{_video_of('ada')}.hidden", "ada's camera is off at bob's")
    await ada.call("click", "button.camera")
    await _sees(bob, "ada")


async def _numbers(page: Page) -> None:
    readout = "document.querySelector('[data-identity=bob] .readout').textContent"
    await page.call("click", "button.numbers")
    await page.until(
        f"/\\d+.\\d+ · \\d+ fps/.test({readout}) && {readout}.includes('VP8')", "size, rate and codec of bob"
    )
    await page.until(f"/layer 2 of 2/.test({readout})", "the layer of bob's video")
    await page.screenshot("meet-numbers")


async def _chat(ada: Page, bob: Page) -> None:
    text = "Guten Morgen <b>all</b> 👋"
    await ada.call("click", "button.chat")
    await ada.call("fill", ".chat-panel textarea", text)
    await ada.call("press", ".chat-panel textarea", "Enter")
    await bob.until("document.querySelector('button.chat .badge')?.textContent === '1'", "the unread mark")
    await bob.call("click", "button.chat")
    await bob.until(f"document.querySelector('.chat-message p')?.textContent === {text!r}", "the message, as text")
    await ada.screenshot("meet-chat-desktop")
    await bob.screenshot("meet-chat-phone")
    await bob.call("press", ".chat-panel textarea", "Escape")
    await bob.until("document.querySelector('.chat-panel').hidden", "the chat is closed by Escape")


async def _share_screen(ada: Page, bob: Page) -> None:
    await ada.call("click", "button.screen")
    await _sees(bob, "ada", "screen")
    await bob.until("document.querySelector('.stage [data-kind=screen]')", "the screen is on the stage")
    await bob.screenshot("meet-screen-phone")
    await ada.screenshot("meet-screen-desktop")
    await ada.call("click", "button.screen")
    await bob.until("!document.querySelector('[data-kind=screen]')", "the screen is gone")


async def _leave(ada: Page, bob: Page) -> None:
    assert await bob.value("document.documentElement.scrollWidth <= innerWidth"), "the phone page scrolls sideways"
    await bob.call("click", "button.leave")
    await bob.until("document.querySelector('.notice h1')?.textContent === 'You left'", "the goodbye")
    await bob.screenshot("meet-left")
    await ada.until("!document.querySelector('[data-identity=bob]')", "bob's tile is gone")

"""The User-Agent of real browsers, and of clients that tell it themselves."""

from __future__ import annotations

import pytest
from livekit.protocol import models

from control.signal import browser
from tests.unit.signal.harness import Call

_MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"
_PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_3_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
AGENTS = {
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0": ("firefox", "140.0", "linux"),
    "Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0": ("firefox", "140.0", "android"),
    f"{_MAC} AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Safari/605.1.15": ("safari", "18.3", "macos"),
    f"{_MAC} AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36": ("chrome", "140.0.0.0", "macos"),
    f"{_PHONE} Version/18.3 Mobile/15E148 Safari/604.1": ("safari", "18.3.1", "ios"),
    f"{_PHONE} CriOS/140.0 Mobile/15E148 Safari/604.1": ("safari", "18.3.1", "ios"),
    f"{_PHONE} FxiOS/140.0 Mobile/15E148 Safari/605.1.15": ("safari", "18.3.1", "ios"),
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0": (
        "chrome",
        "140.0.0.0",
        "windows",
    ),
    "livekit-python/1.2.1": ("", "", ""),
    "": ("", "", ""),
    "firefox/" * 100_000: ("firefox", "", ""),
    "chrome/1" + ".1" * 100_000: ("chrome", "1.1.1.1", ""),
}


@pytest.mark.parametrize(("agent", "expected"), AGENTS.items(), ids=range(len(AGENTS)))
def test_the_engine_is_told_by_the_user_agent(agent: str, expected: tuple[str, str, str]) -> None:
    client = models.ClientInfo()
    browser.complete(client, agent)
    assert (client.browser, client.browser_version, client.os) == expected


def test_what_the_client_says_of_itself_counts() -> None:
    client = models.ClientInfo(browser="Safari", browser_version="17.1", os="ios")
    browser.complete(client, next(iter(AGENTS)))
    assert (client.browser, client.browser_version, client.os) == ("Safari", "17.1", "ios")


@pytest.mark.parametrize("v1", [True, False])
async def test_a_participant_knows_its_browser(call: Call, v1: bool) -> None:
    call.http.headers["User-Agent"] = next(iter(AGENTS))
    await call.join("alice", v1=v1)
    assert call.room().participants["alice"].options.client.browser == "firefox"  # type: ignore[index]

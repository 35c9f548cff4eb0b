"""What browser a client runs in, from its User-Agent: livekit-client leaves that to the server. The names are LiveKit's.

What matters is the engine, whose codecs and bugs it has: every browser on iOS is WebKit, so "safari".
"""

from __future__ import annotations

import re

from livekit.protocol import models


def complete(client: models.ClientInfo, user_agent: str) -> None:
    """Fills in what the client did not say of itself."""
    text = user_agent[:_MAX_CHARACTERS].lower()
    system = next((name for name, words in _SYSTEMS.items() if any(word in text for word in words)), "")
    if not client.os:
        client.os = system
    if client.browser:
        return
    if system == "ios":
        client.browser, client.browser_version = "safari", _version(_IOS, text).replace("_", ".")
        return
    for name, sign, version in _BROWSERS:
        if sign in text:
            client.browser, client.browser_version = name, _version(version, text)
            return


def _version(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""


# Real ones have about 150.
_MAX_CHARACTERS = 512
# In this order: Android says Linux too, and iPhones say "like Mac OS X".
_SYSTEMS = {
    "android": ("android",),
    "ios": ("iphone", "ipad", "ipod"),
    "macos": ("mac os x", "macintosh"),
    "windows": ("windows",),
    "linux": ("linux", "x11"),
}
_NUMBER = r"(\d{1,4}(?:\.\d{1,6}){0,3})"
_IOS = re.compile(r" os (\d{1,4}(?:_\d{1,4}){0,2}) like")
# In this order: Chromium says Safari too, and everybody says Mozilla.
_BROWSERS = (
    ("firefox", "firefox/", re.compile("firefox/" + _NUMBER)),
    ("chrome", "chrom", re.compile("chrom(?:e|ium)/" + _NUMBER)),
    ("safari", "applewebkit", re.compile("version/" + _NUMBER)),
)

"""What clients of a certain make cannot do although their offers say so."""

from __future__ import annotations

from livekit.protocol import models


def knows_red(client: models.ClientInfo) -> bool:
    """Firefox has no RED, and WebKit's answers to it are not to be relied on: LiveKit's server spares both, too."""
    return not any(name in client.browser.lower() for name in ("firefox", "safari"))


def may_publish(client: models.ClientInfo, mime_type: str) -> bool:
    """LiveKit's list of encoders that are there and do not work: they stall, or send what others cannot decode."""
    browser, system = client.browser.lower(), client.os.lower()
    match mime_type:
        case "video/AV1":
            return "safari" not in browser
        case "video/VP9":
            return "safari" not in browser or _version(client.browser_version) <= (18, 3)
        case "video/H264":
            return "firefox" not in browser or system not in {"linux", "android"}
        case _:
            return True


def _version(text: str) -> tuple[int, int]:
    """Major and minor; what cannot be read counts as old."""
    parts = [int(part) if part.isascii() and part.isdigit() and len(part) < 6 else 0 for part in text.split(".")[:2]]
    return (parts[0], parts[1] if len(parts) > 1 else 0)

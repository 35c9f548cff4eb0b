"""What a client is told that it may publish, by its browser."""

from __future__ import annotations

import pytest
from livekit.protocol import models

from sfu.policy.clients import may_publish
from tests.unit.signal.harness import Call

CODECS = ("audio/opus", "video/VP8", "video/H264", "video/VP9", "video/AV1")


@pytest.mark.parametrize(
    ("browser", "version", "system", "missing"),
    [
        ("", "", "", set()),
        ("chrome", "140.0", "linux", set()),
        ("Safari", "18.3", "macos", {"video/AV1"}),
        ("safari", "18.4", "ios", {"video/AV1", "video/VP9"}),
        ("safari", "26", "macos", {"video/AV1", "video/VP9"}),
        ("safari", "99999999999.x", "macos", {"video/AV1"}),
        ("Firefox", "140.0", "Linux", {"video/H264"}),
        ("firefox", "140.0", "android", {"video/H264"}),
        ("firefox", "140.0", "windows", set()),
    ],
)
def test_encoders_that_do_not_work_are_not_to_be_used(
    browser: str, version: str, system: str, missing: set[str]
) -> None:
    client = models.ClientInfo(browser=browser, browser_version=version, os=system)
    assert {codec for codec in CODECS if not may_publish(client, codec)} == missing


@pytest.fixture
async def firefox(call: Call) -> Call:
    call.http.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    return call


async def test_the_join_response_lists_what_this_client_may_publish(firefox: Call) -> None:
    alice = await firefox.join("alice")
    codecs = [codec.mime for codec in alice.joined.enabled_publish_codecs]
    assert codecs == ["audio/opus", "video/VP8", "video/VP9", "video/AV1"]
    assert "video/H264" in [codec.mime for codec in alice.joined.room.enabled_codecs], "others may"

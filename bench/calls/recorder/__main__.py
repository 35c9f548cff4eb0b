"""`python -m bench.calls.recorder [vp9] [av1]` makes `recorded/` anew, with Chromium and on an idle machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from bench.calls import rtpfile
from bench.calls.media import RECORDED, stream
from bench.calls.recorder.endpoint import Endpoint
from bench.calls.recorder.received import CLOCK_RATE, UnusableError, cut, loop_length
from bench.calls.rtpfile import Packet


def main(codecs: Sequence[str]) -> int:
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.stderr.write("there is no `chromium` on the PATH (apt-get install chromium)\n")
        return 2
    about = RECORDED / "media.json"
    media: dict[str, Any] = json.loads(about.read_text())
    for codec in codecs:
        packets = asyncio.run(_record_until_usable(chromium, codec))
        rtpfile.write(RECORDED / f"{codec}.rtp", packets)
        media[codec] = describe(codec, packets)
        print(f"{codec}: {len(packets)} packets, {media[codec]['streams'][0]['bps'] / 1000:.0f} kbit/s")
    about.write_text(json.dumps(media, indent=2) + "\n")
    return 0


def describe(codec: str, packets: Sequence[Packet]) -> dict[str, Any]:
    """The entry of media.json."""
    duration = loop_length(packets)
    return {
        "mime": f"video/{codec.upper()}",
        "clock_rate": CLOCK_RATE,
        "duration": duration,
        "scalability_mode": SCALABILITY_MODE,
        "streams": [stream(f"{codec}.rtp", packets, duration / CLOCK_RATE, width=WIDTH, height=HEIGHT)],
    }


async def _record_until_usable(chromium: str, codec: str) -> list[Packet]:
    while True:
        try:
            packets = await _record(chromium, codec)
        except UnusableError as error:
            print(f"{codec}: once more, {error}")
            continue
        size = sum(len(packet.payload) for packet in packets)
        if size <= MAX_BYTES:
            return packets
        print(f"{codec}: once more, {size} bytes are too many to keep")


async def _record(chromium: str, codec: str) -> list[Packet]:
    endpoint = Endpoint(BPS[codec])
    async with _served(endpoint, codec) as url, _browsing(chromium, url):
        await asyncio.wait_for(endpoint.has_media.wait(), 60)
        # The rates of the layers have to settle.
        await asyncio.sleep(WARM_UP_S)
        before = len(endpoint.received())
        await endpoint.ask_for_keyframe()
        await asyncio.sleep(SECONDS + 1)
        await endpoint.close()
    return cut(endpoint.received()[before:], SECONDS, round(0.9 * SECONDS * FRAME_RATE))


@contextlib.asynccontextmanager
async def _served(endpoint: Endpoint, codec: str) -> AsyncIterator[str]:
    async def page(_: web.Request) -> web.Response:
        settings = {
            "mimeType": f"video/{codec.upper()}",
            "scalabilityMode": SCALABILITY_MODE,
            "width": WIDTH,
            "height": HEIGHT,
            "frameRate": FRAME_RATE,
            "maxBitrate": BPS[codec],
        }
        text = PAGE.read_text().replace("SETTINGS", json.dumps(settings))
        return web.Response(text=text, content_type="text/html")

    async def offer(request: web.Request) -> web.Response:
        return web.Response(text=await endpoint.answer(await request.text()))

    async def failed(request: web.Request) -> web.Response:
        sys.stderr.write(await request.text() + "\n")
        return web.Response()

    app = web.Application()
    app.add_routes([web.get("/", page), web.post("/offer", offer), web.post("/failed", failed)])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def _browsing(chromium: str, url: str) -> AsyncIterator[None]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-features=WebRtcHideLocalIpsWithMdns",
            f"--user-data-dir={profile}",
        ]
        process = await asyncio.create_subprocess_exec(
            chromium, *options, url, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            yield
        finally:
            process.terminate()
            await process.wait()


PAGE = Path(__file__).resolve().parent / "page.html"
SCALABILITY_MODE = "L3T3_KEY"
#: Chromium has no layers below 240 pixels across.
WIDTH, HEIGHT, FRAME_RATE = 960, 540, 15
#: Little more than all three layers need: the files are to be small.
BPS = {"vp9": 630_000, "av1": 560_000}
MAX_BYTES = 295_000
WARM_UP_S, SECONDS = 5.0, 3.6

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(BPS)))

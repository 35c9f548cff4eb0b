"""Headless Firefox for the tests, over WebDriver BiDi: answers what tests/e2e/browser.py's `Page` asks of Chromium."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from tests.e2e.browser import BrowserError, Page


class Firefox:
    """One Firefox process tree with a profile of its own."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._contexts: list[str] = []
        self._logs: dict[str, list[str]] = {}
        self._reader = asyncio.create_task(self._read())
        self.pages: list[Page] = []

    async def open(self, url: str, options: dict[str, Any] | None = None, name: str = "") -> Page:
        """A new tab. `options` are Chromium's."""
        created = await self._command("browsingContext.create", type="tab")
        context: str = created["context"]
        self._contexts.append(context)
        await self._command("browsingContext.navigate", context=context, url=url, wait="complete")
        page = Page(self, len(self._contexts), name or f"page{len(self._contexts)}")
        self.pages.append(page)
        return page

    async def ask(self, what: str, timeout_s: float = 60, **parameters: Any) -> Any:
        context = self._contexts[parameters["page"] - 1]
        match what, parameters.get("method"):
            case "call", "evaluate":
                return await asyncio.wait_for(self._evaluate(context, *parameters["args"]), timeout_s)
            case "logs", _:
                return self._logs.get(context, [])
            case "close", _:
                return await self._command("browsingContext.close", context=context)
        raise BrowserError(f"Firefox is not taught {what} {parameters}")

    async def logs(self) -> str:
        """What the pages wrote to their consoles: for failure reports."""
        parts = [f"--- {page.name}\n" + "\n".join((await page.logs())[-60:]) for page in self.pages]
        return "\n".join(parts)

    async def start(self) -> None:
        await self._command("session.new", capabilities={})
        await self._command("session.subscribe", events=["log.entryAdded"])

    async def close(self) -> None:
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader

    async def _evaluate(self, context: str, expression: str) -> Any:
        # As JSON: the protocol's own form of values is made for debuggers.
        wrapped = f"(async () => JSON.stringify((await ({expression})) ?? null))()"
        answer = await self._command(
            "script.evaluate", expression=wrapped, target={"context": context}, awaitPromise=True
        )
        if answer["type"] == "exception":
            details = answer["exceptionDetails"]
            frames = details["stackTrace"]["callFrames"][:5]
            places = (f"  at {each['functionName']} {each['lineNumber']}:{each['columnNumber']}" for each in frames)
            raise BrowserError("\n".join((details["text"], *places)))
        return json.loads(answer["result"]["value"])

    async def _command(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        return await asyncio.wait_for(future, 60)

    async def _read(self) -> None:
        async for message in self._socket:
            answer = message.json()
            if answer.get("method") == "log.entryAdded":
                entry = answer["params"]
                self._logs.setdefault(entry["source"].get("context", ""), []).append(
                    f"{entry['level']}: {entry['text']}"
                )
            future = self._waiting.pop(answer.get("id") or 0, None)
            if future is None or future.done():
                continue
            if answer["type"] == "error":
                future.set_exception(BrowserError(f"{answer['error']}: {answer['message']}"))
            else:
                future.set_result(answer["result"])
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(BrowserError("Firefox has ended"))


@contextlib.asynccontextmanager
async def launch(
    firefox: str, profile: Path, preferences: Mapping[str, object] | None = None
) -> AsyncIterator[Firefox]:
    """Runs `firefox` with an empty directory as its profile."""
    lines = (
        f"user_pref({json.dumps(name)}, {json.dumps(value)});"
        for name, value in {**_PREFERENCES, **(preferences or {})}.items()
    )
    (profile / "user.js").write_text("\n".join(lines))
    process = await asyncio.create_subprocess_exec(
        firefox,
        *("--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "HOME": str(profile), "MOZ_CRASHREPORTER_DISABLE": "1"},
        start_new_session=True,
    )
    try:
        async with aiohttp.ClientSession() as session:
            address = await asyncio.wait_for(_address(process), _START_S)
            async with session.ws_connect(f"{address}/session", max_msg_size=0) as socket:
                browser = Firefox(socket)
                try:
                    await browser.start()
                    yield browser
                finally:
                    await browser.close()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its own session: the process of each tab, too
        await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    """Where it listens; it says so on stderr, which is read on so that it never blocks."""
    assert process.stderr is not None
    said = []
    async for line in process.stderr:
        said.append(line.decode(errors="replace"))
        found = re.search(r"WebDriver BiDi listening on (ws://\S+)", said[-1])
        if found:
            asyncio.get_running_loop().create_task(_drain(process.stderr))
            return found[1]
    raise BrowserError("Firefox ended before it could be driven:\n" + "".join(said))


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.read(65_536):
        pass


_START_S = 30.0
_PREFERENCES: Mapping[str, object] = {
    # Pictures and a tone instead of devices, without asking.
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    # Everything is on this machine.
    "media.peerconnection.ice.loopback": True,
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    # Nothing is fetched from elsewhere.
    "media.gmp-manager.updateEnabled": False,
    "media.gmp-provider.enabled": False,
    "nimbus.rollouts.enabled": False,
    "app.normandy.enabled": False,
}

"""Headless Chromium for the tests: `Browser` talks to driver.mjs, `Page` to one page in it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

HERE = Path(__file__).resolve().parent
SCREENSHOTS = HERE / "screenshots"
DESKTOP = {"viewport": {"width": 1280, "height": 760}}
PHONE = {"viewport": {"width": 390, "height": 780}, "hasTouch": True, "isMobile": True}


class BrowserError(AssertionError):
    """Something in the page or in Playwright went wrong; the message is theirs."""


class Browser:
    """One Chromium process tree. Requests may be in flight side by side."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._reader = asyncio.create_task(self._read())
        self.pages: list[Page] = []

    async def open(self, url: str, options: dict[str, Any] | None = None, name: str = "") -> Page:
        """A new page with storage of its own (a stranger's browser, so to say)."""
        number = await self.ask("open", url=url, options=options or DESKTOP)
        page = Page(self, number, name or f"page{number}")
        self.pages.append(page)
        return page

    async def ask(self, what: str, timeout_s: float = 60, **parameters: Any) -> Any:
        number = next(self._numbers)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": number, "do": what, **parameters}).encode() + b"\n")
        return await asyncio.wait_for(future, timeout_s)

    async def logs(self) -> str:
        """What the pages wrote to their consoles: for failure reports."""
        parts = []
        for page in self.pages:
            with contextlib.suppress(BrowserError, TimeoutError):
                parts.append(f"--- {page.name}\n" + "\n".join((await page.logs())[-60:]))
        return "\n".join(parts)

    async def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), 15)
        except TimeoutError:
            os.killpg(self._process.pid, signal.SIGKILL)  # its own session: node and every Chromium process
            await self._process.wait()
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            answer = json.loads(line)
            future = self._waiting.pop(answer.get("id", 0), None)
            if future is None or future.done():
                continue
            if "error" in answer:
                future.set_exception(BrowserError(answer["error"]))
            else:
                future.set_result(answer["result"])
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(BrowserError("the browser's driver has ended"))


class Driver(Protocol):
    """A browser, as tests that take any of them see it."""

    async def open(self, url: str, options: dict[str, Any] | None = None, name: str = "") -> Page: ...
    async def ask(self, what: str, timeout_s: float = 60, **parameters: Any) -> Any: ...


@dataclass(slots=True)
class Page:
    browser: Driver
    number: int
    name: str

    async def call(self, method: str, *arguments: Any, timeout_s: float = 60) -> Any:
        """Any method of Playwright's `Page`: `call("click", "text=Join")`."""
        return await self.browser.ask("call", timeout_s, page=self.number, method=method, args=arguments)

    async def run(self, function: str, *arguments: Any, timeout_s: float = 60) -> Any:
        """Calls a function of the page with JSON arguments, awaits it, returns its JSON result: `run("client.leave")`."""
        spread = ", ".join(json.dumps(argument) for argument in arguments)
        return await self.call("evaluate", f"{function}({spread})", timeout_s=timeout_s)

    async def value(self, expression: str) -> Any:
        return await self.call("evaluate", expression)

    async def until(self, expression: str, what: str, timeout_s: float = 15) -> None:
        """Waits until a JavaScript expression is truthy. (Playwright's own waiting needs `eval`, which our page forbids.)"""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while not await self.value(f"Boolean({expression})"):
            if loop.time() > deadline:
                raise BrowserError(f"{self.name}: not within {timeout_s} s: {what}")
            await asyncio.sleep(0.1)

    async def screenshot(self, name: str) -> Path:
        SCREENSHOTS.mkdir(exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        await self.call("screenshot", {"path": str(path)})
        assert path.stat().st_size > 2000, f"{path} is empty"
        return path

    async def logs(self) -> list[str]:
        lines: list[str] = await self.browser.ask("logs", page=self.number)
        return lines

    async def requests(self) -> Sequence[str]:
        addresses: list[str] = await self.browser.ask("requests", page=self.number)
        return addresses


@contextlib.asynccontextmanager
async def launch(chromium: str, prefix: Sequence[str] = (), home: Path | None = None) -> AsyncIterator[Browser]:
    """`prefix` goes in front of the command, to run it in another network namespace for example. In `home` it finds whom it trusts."""
    process = await asyncio.create_subprocess_exec(
        *prefix,
        shutil.which("node") or "node",
        str(HERE / "driver.mjs"),
        chromium,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=16 * 1024 * 1024,
        start_new_session=True,
        env={**os.environ, "HOME": str(home)} if home else None,
    )
    browser = Browser(process)
    try:
        yield browser
    finally:
        await browser.close()

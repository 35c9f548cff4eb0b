"""Chromium and the livekit-client test page. Without Chromium these tests are skipped, except in CI, where that is a failure."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.e2e.browser import Browser, launch
from tests.e2e.firefox import Firefox
from tests.e2e.firefox import launch as launch_firefox
from tests.e2e.static import served
from tests.support.missing import skip_without
from tests.support.server import ROOT


@pytest.fixture(scope="session")
def chromium() -> str:
    path = shutil.which("chromium")
    if path is None:
        skip_without("there is no `chromium` on the PATH (apt-get install chromium)")
    return path


@pytest.fixture(scope="session")
def client_page() -> Iterator[str]:
    """Address of the test page, freshly built."""
    if not (ROOT / "web" / "node_modules").is_dir():
        skip_without("web/node_modules is missing (make page)")
    subprocess.run(["npm", "run", "--silent", "build:e2e"], cwd=ROOT / "web", check=True, timeout=120)
    with served() as address:
        yield address


@pytest.fixture
async def firefox(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Firefox]:
    """Without Firefox the tests that ask for it are skipped, except in CI."""
    path = shutil.which("firefox-esr") or shutil.which("firefox")
    if path is None:
        skip_without("there is no `firefox-esr` on the PATH (apt-get install firefox-esr)")
    async with launch_firefox(path, tmp_path) as running:
        yield running
        report = getattr(request.node, "report_of_call", None)
        if report is not None and report.failed:
            print(await running.logs())


@pytest.fixture
async def browser(chromium: str, request: pytest.FixtureRequest) -> AsyncIterator[Browser]:
    async with launch(chromium) as running:
        yield running
        report = getattr(request.node, "report_of_call", None)
        if report is not None and report.failed:
            print(await running.logs())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if report.when == "call":
        item.report_of_call = report  # type: ignore[attr-defined]
    return report  # type: ignore[return-value]

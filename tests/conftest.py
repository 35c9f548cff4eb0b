"""Fixtures that every kind of test shares: a running server, whose log is shown when a test fails."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.server import Server

_running: list[Server] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--shards",
        type=int,
        default=1,
        help="Shards of every server that does not ask for a number; with several, neighbours in a room are on different ones.",
    )


@pytest.fixture(scope="module")
def start_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Server]]:
    """Starts a server; each distinct set of options once per module. Keyword arguments are configuration for the environment."""
    servers: dict[tuple[object, ...], Server] = {}

    def start(
        host: str | None = None,
        shards: int | None = None,
        udp_port: int = 0,
        module: str = "control.cli",
        **environment: str,
    ) -> Server:
        if shards is None:
            shards = request.config.getoption("--shards")
            environment = environment if shards == 1 else {"BEEP_MEDIA_RTC__ROOM_SPREAD": "1", **environment}
        key = (host, shards, udp_port, module, *sorted(environment.items()))
        if key not in servers:
            log: Path = tmp_path_factory.mktemp("server") / "log"
            servers[key] = Server(
                log, host=host, shards=shards, udp_port=udp_port, module=module, environment=environment
            )
            _running.append(servers[key])
        return servers[key]

    yield start
    statuses = []
    for server in servers.values():
        _running.remove(server)
        statuses.append(server.stop())
    assert all(status == 0 for status in statuses), f"servers ended with {statuses}"


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """One server on 127.0.0.1, with one shard unless `--shards` says otherwise, shared by the tests of a module."""
    return start_server()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if report.failed:
        report.sections += [(f"log of {server.origin}", server.log()) for server in _running]
    return report  # type: ignore[return-value]


_exit_status = pytest.StashKey[int]()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[_exit_status] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Ends the process at once after an SDK was in use, when everything is reported and every server has ended.

    The SDK's threads call into Python; one that does so while the interpreter shuts down aborts the process (status 134).
    """
    if "livekit.rtc" in sys.modules and _exit_status in config.stash:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[_exit_status])

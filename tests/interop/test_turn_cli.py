"""The operator's commands against a server: `beep-media check turn`, `turn allocations` and `turn kill`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from tests.support import namespaces
from tests.support.server import ROOT
from tests.support.turn_server import ADA, SECRET, TurnServer, apart

TRANSPORTS = pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
WITH_PASSWORD = ["--user", ADA.username, "--password", ADA.password]


def _command(*arguments: str, prefix: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    command = [*prefix, sys.executable, "-m", "control.cli", *arguments]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60)


def _check(server: TurnServer, transport: str, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """The status, and the steps by name."""
    prefix = server.network.client.enter if server.network else ()
    port = getattr(server.ports, transport)
    options = ["--transport", transport, *(["--insecure"] if transport == "tls" else []), "--json"]
    done = _command("check", "turn", f"{server.host}:{port}", *options, *arguments, prefix=prefix)
    return done.returncode, {step["name"]: step for step in json.loads(done.stdout)["steps"]}


@pytest.fixture(scope="module")
def distant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TurnServer]:
    """In another namespace than those who ask, which may be peers."""
    namespaces.required()
    with (
        namespaces.network(4, private=True) as network,
        apart(network, tmp_path_factory.mktemp("turn")) as server,
    ):
        yield server


@TRANSPORTS
def test_a_check_from_elsewhere_tries_everything_and_leaves_nothing(distant: TurnServer, transport: str) -> None:
    status, steps = _check(distant, transport, *WITH_PASSWORD)
    assert (status, all(step["ok"] for step in steps.values())) == (0, True), steps
    assert list(steps) == ["connect", "binding", "challenge", "allocate", "permission", "round trip", "end"]
    distant.until_metric("turn_allocations", lambda value: value == 0)


def test_a_check_from_the_servers_own_machine_says_what_it_cannot_try(closed_turn_server: TurnServer) -> None:
    status, steps = _check(closed_turn_server, "udp", "--secret", SECRET)
    assert (status, list(steps)) == (0, ["connect", "binding", "challenge", "allocate", "permission", "end"])
    assert steps["permission"]["detail"].startswith("not tried")
    closed_turn_server.until_metric("turn_allocations", lambda value: value == 0)


def test_a_check_fails_at_the_step_that_fails(closed_turn_server: TurnServer) -> None:
    status, steps = _check(closed_turn_server, "tcp", "--user", "ada", "--password", "guessed")
    assert (status, list(steps)[-1], steps["allocate"]["ok"]) == (1, "allocate", False)
    assert "401" in steps["allocate"]["detail"]
    port = closed_turn_server.ports.tcp
    done = _command("check", "turn", f"{closed_turn_server.host}:{port}", "--transport", "tls")
    assert (done.returncode, "FAIL  connect" in done.stdout) == (1, True), "no TLS is spoken there"


def test_the_operator_lists_allocations_and_ends_one(launch_turn: Callable[..., TurnServer]) -> None:
    server = launch_turn(realm="operated")
    admin = ["--admin", server.server.origin]
    stays, goes = server.probe(), server.probe("tcp")
    stays.allocate()
    goes.allocate()
    listed = json.loads(_command("turn", "allocations", "--json", *admin).stdout)["allocations"]
    assert sorted((one["username"], one["transport"]) for one in listed) == [("ada", "tcp"), ("ada", "udp")]
    victim = next(one["id"] for one in listed if one["transport"] == "tcp")
    assert _command("turn", "kill", str(victim), *admin).returncode == 0
    server.until_metric("turn_allocations", lambda value: value == 1)
    table = _command("turn", "allocations", *admin).stdout.splitlines()
    assert [line.split()[1:3] for line in table] == [["USER", "BY"], ["ada", "udp"]]
    again = _command("turn", "kill", str(victim), *admin)
    assert (again.returncode, again.stderr.strip()) == (1, "There is no such allocation; it may have ended by itself.")
    assert stays.refresh(600).error is None

"""`beep-media turn allocations`, `turn kill` and `check turn`: the operator's side of TURN, from outside of the process."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from control import config as configuration
from control.errors import ConfigError, ControlError
from control.section import Listen
from control.turn import check


class AdminError(ControlError):
    """The node did not do what it was asked to."""

    code = "admin_failed"


def add_turn(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    shown = actions.add_parser("allocations", help="list them: who, by what, from where, to whom")
    shown.add_argument("--json", action="store_true", help="for machines")
    kill = actions.add_parser("kill", help="end one")
    kill.add_argument("id", type=int, metavar="ID", help="as `turn allocations` lists it")
    for action in (shown, kill):
        action.add_argument("--config", type=Path, metavar="FILE", help="take admin.listen from here")
        action.add_argument(
            "--admin", metavar="URL", help="the admin listener, or that of `serve --dev`: http://127.0.0.1:7880"
        )


def add_check(parser: argparse.ArgumentParser) -> None:
    subjects = parser.add_subparsers(dest="subject", required=True, metavar="WHAT")
    turn = subjects.add_parser("turn", help="a TURN server, step by step as a client (status 1 if one fails)")
    turn.add_argument(
        "host", metavar="HOST[:PORT]", help="port 3478, with tls 5349; an IPv6 address with port in brackets"
    )
    turn.add_argument("--transport", choices=["udp", "tcp", "tls"], default="udp")
    turn.add_argument("--user", default="", metavar="NAME")
    turn.add_argument("--password", default="")
    turn.add_argument("--secret", default="", help="make credentials with it, as the REST scheme does")
    turn.add_argument("--insecure", action="store_true", help="with tls: take any certificate")
    turn.add_argument("--json", action="store_true", help="for machines")


def run_turn(options: argparse.Namespace) -> int:
    """Raises `ControlError`."""
    admin = _admin(options)
    if options.action == "kill":
        _ask(admin, "DELETE", f"/turn/allocations/{options.id}")
        return 0
    answer = _ask(admin, "GET", "/turn/allocations")
    sys.stdout.write(f"{answer}\n" if options.json else _table(json.loads(answer)["allocations"]))
    return 0


def run_check(options: argparse.Namespace) -> int:
    """Raises `ControlError` when a step fails."""
    target = _target(options)
    steps = check.check(target)
    report = json.dumps(check.as_json(target, steps)) + "\n" if options.json else check.as_text(target, steps)
    sys.stdout.write(report)
    sys.stdout.flush()
    if not steps[-1].ok:
        raise check.CheckFailed(f"{steps[-1].name}: {steps[-1].detail}")
    return 0


def _target(options: argparse.Namespace) -> check.Target:
    if bool(options.user) != bool(options.password) or (options.user and options.secret):
        raise ConfigError("Give --user with --password, or --secret alone, or none of them.")
    username, password = options.user, options.password
    if options.secret:
        username, password = check.rest_credentials(options.secret, time.time())
    host, port = _host_and_port(options.host, 5349 if options.transport == "tls" else 3478)
    return check.Target(host, port, options.transport, username, password, insecure=options.insecure)


def _host_and_port(text: str, default: int) -> tuple[str, int]:
    if text.count(":") > 1 and not text.startswith("["):
        return text, default
    try:
        listen = Listen.parse(text if ":" in text.rpartition("]")[2] else f"{text}:{default}")
    except ValueError as error:
        raise ConfigError(f"{text}: {error}.") from error
    return listen.host, listen.port


# ------------------------------------------------------------------------------------------------ the admin listener


def _admin(options: argparse.Namespace) -> str:
    if options.admin:
        return str(options.admin).rstrip("/")
    listen = configuration.load(options.config, os.environ).admin.listen
    if listen is None:
        raise ConfigError("admin.listen: there is no admin listener in this configuration; give --admin URL.")
    return f"http://{Listen(_ON_THIS_MACHINE.get(listen.host, listen.host), listen.port)}"


def _ask(admin: str, method: str, path: str) -> str:
    # Never through a proxy of the environment: this is between two processes of one machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        request = urllib.request.Request(admin + path, method=method)  # noqa: S310 (the operator's own URL)
        with opener.open(request, timeout=_PATIENCE_S) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        raise AdminError(_detail(error)) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise AdminError(
            f"{admin} does not answer: {reason}. Is the node running? Its address is admin.listen, or --admin."
        ) from error


def _detail(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["detail"])
    except (ValueError, KeyError, TypeError):
        return f"The answer is {error.code} {error.reason}."


def _table(allocations: list[dict[str, Any]]) -> str:
    rows = [_COLUMNS, *(_row(one) for one in allocations)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines) + "\n"


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(one["id"]),
        ascii(one["username"])[1:-1],
        one["transport"],
        one["client"],
        " ".join(one["relayed"]),
        f"{one['expires_in_s']:.0f} s",
        str(len(one["permissions"])),
        f"{one['packets_out']}",
        f"{one['packets_in']}",
    )


_COLUMNS = ("ID", "USER", "BY", "CLIENT", "RELAYED", "LEFT", "PEERS", "FROM CLIENT", "TO CLIENT")
_ON_THIS_MACHINE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (compared, not bound)
_PATIENCE_S = 10.0

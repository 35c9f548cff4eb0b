"""`python -m bench calls`: see bench/README.md. Exit 1 on a missed gate, 2 when something is not installed."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench import compare, namespace
from bench.calls import gates, page, peers, report, scenarios
from bench.calls.measure import Bench
from bench.calls.scenarios import GROUPS
from bench.calls.servers import SERVERS
from bench.commandline import COMPARE_HELP, earlier_report, names_of, say, say_missed
from bench.machine import about
from bench.report import dump


def main(argv: Sequence[str]) -> int:
    arguments = _parser().parse_args(argv)
    if arguments.render:
        if arguments.compare:
            compare.add_to(Path(arguments.render), arguments.compare)
        _write_pages(Path(arguments.render))
        return 0
    servers = arguments.servers or list(scenarios.QUICK_SERVERS if arguments.quick else SERVERS)
    if lines := peers.build() if arguments.peers else peers.missing(servers):
        say("\n".join(["missing, install with:", *lines]))
        return 2
    if arguments.peers:
        return 0
    from bench.calls import media  # needs PyAV, which nothing above does

    directory = media.make()
    namespace.enter("bench", ["calls", *argv])
    return _measure(arguments, argv, servers, directory)


def _measure(arguments: argparse.Namespace, argv: Sequence[str], servers: Sequence[str], media: Path) -> int:
    kind = scenarios.quick if arguments.quick else scenarios.full
    rounds = arguments.rounds or (2 if arguments.quick else 5)
    plan = scenarios.only(kind(rounds, arguments.seconds or (0.6 if arguments.quick else 1.5)), arguments.only)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-calls-") as directory:
        bench = Bench(servers, Path(directory), media, say)
        results = bench.run(plan)
    verdicts = gates.verdicts(results)
    circumstances = {
        **about(["calls", *argv], started),
        "versions": bench.versions,
        "commands": bench.commands,
        "configurations": bench.configurations,
        "rounds": rounds,
        "seconds": plan.seconds,
    }
    result = report.as_json(results, verdicts, circumstances)
    if arguments.compare:
        result = compare.beside(result, arguments.compare)
    say(report.markdown(result))
    if arguments.json:
        Path(arguments.json).write_text(dump(result))
        _write_pages(Path(arguments.json))
    return 1 if say_missed(verdicts) or results.failures else 0


def _write_pages(file: Path) -> None:
    result: dict[str, Any] = json.loads(file.read_text())
    file.with_suffix(".md").write_text(report.markdown(result))
    file.with_suffix(".html").write_text(page.html(result))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench calls", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small room of each kind, in under three minutes")
    parser.add_argument(
        "--servers",
        type=names_of(SERVERS),
        help=f"{_choice(SERVERS)}, quick {','.join(scenarios.QUICK_SERVERS)}",
    )
    parser.add_argument("--only", type=names_of(GROUPS), default=list(GROUPS), help=_choice(GROUPS))
    parser.add_argument("--rounds", type=int, help="of each case on each server; default 5, quick 2")
    parser.add_argument("--seconds", type=float, help="length of a measuring window; default 1.5, quick 0.6")
    parser.add_argument("--json", metavar="FILE", help="write everything to FILE, and the pages beside it (.md, .html)")
    parser.add_argument("--render", metavar="FILE", help="only write the pages of an earlier --json FILE again")
    parser.add_argument("--compare", metavar="EARLIER", type=earlier_report, help=COMPARE_HELP)
    parser.add_argument(
        "--peers", action="store_true", help="only build the servers to compare with, and say what is missing"
    )
    return parser


def _choice(names: Iterable[str]) -> str:
    return f"comma separated, of {', '.join(names)}; default: all"

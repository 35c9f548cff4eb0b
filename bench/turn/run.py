"""`python -m bench turn`: see bench/README.md. Exit 1 on a missed gate, 2 when something is not installed."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import compare, namespace
from bench.commandline import COMPARE_HELP, earlier_report, names_of, say, say_missed
from bench.machine import about
from bench.report import dump
from bench.turn import cells, gates, peers, report
from bench.turn.measure import Bench
from bench.turn.servers import SERVERS


def main(argv: Sequence[str]) -> int:
    arguments = _parser().parse_args(argv)
    if arguments.render:
        if arguments.compare:
            compare.add_to(Path(arguments.render), arguments.compare)
        _write_markdown(Path(arguments.render))
        return 0
    if lines := peers.build() if arguments.peers else peers.missing(arguments.servers):
        say("\n".join(["missing, install with:", *lines]))
        return 2
    if arguments.peers:
        return 0
    namespace.enter("bench", ["turn", *argv])
    return _measure(arguments, argv)


def _measure(arguments: argparse.Namespace, argv: Sequence[str]) -> int:
    kind = cells.quick if arguments.quick else cells.full
    rounds = arguments.rounds or (2 if arguments.quick else 5)
    plan = cells.only(kind(rounds, arguments.seconds), arguments.only)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-turn-") as directory:
        # coturn gives root up and still has to write there.
        Path(directory).chmod(0o755)
        bench = Bench(arguments.servers, Path(directory), say)
        results = bench.run(plan)
    verdicts = gates.verdicts(results)
    circumstances = {
        **about(["turn", *argv], started),
        "versions": bench.versions,
        "commands": bench.commands,
        "rounds": rounds,
        "seconds": plan.seconds,
    }
    result = report.as_json(results, verdicts, circumstances)
    if arguments.compare:
        result = compare.beside(result, arguments.compare)
    say(report.markdown(result))
    if arguments.json:
        Path(arguments.json).write_text(dump(result))
        _write_markdown(Path(arguments.json))
    return 1 if say_missed(verdicts) else 0


def _write_markdown(file: Path) -> None:
    result: dict[str, Any] = json.loads(file.read_text())
    file.with_suffix(".md").write_text(report.markdown(result))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench turn", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one size of everything, in under three minutes")
    parser.add_argument(
        "--servers",
        type=names_of(SERVERS),
        default=list(SERVERS),
        help=f"comma separated, of {', '.join(SERVERS)}; default: all",
    )
    parser.add_argument(
        "--only", type=names_of(cells.PARTS), default=cells.PARTS, help=f"comma separated, of {', '.join(cells.PARTS)}"
    )
    parser.add_argument("--rounds", type=int, help="of each load on each server; default 5, quick 2")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a measuring window; default 0.5")
    parser.add_argument("--json", metavar="FILE", help="write everything to FILE, and the report beside it (.md)")
    parser.add_argument("--render", metavar="FILE", help="only write the report of an earlier --json FILE again")
    parser.add_argument("--compare", metavar="EARLIER", type=earlier_report, help=COMPARE_HELP)
    parser.add_argument(
        "--peers", action="store_true", help="only build the servers to compare with, and say what is missing"
    )
    return parser

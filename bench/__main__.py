"""`python -m bench`: measurements that anyone can repeat. Exit 1 on a missed gate."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import engine, instructions, sdp
from bench.calls import peers as calls_peers
from bench.calls import profile
from bench.calls import run as calls
from bench.commandline import say
from bench.machine import machine
from bench.turn import peers as turn_peers
from bench.turn import run as turn


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in _OTHER_BENCHES:
        return _OTHER_BENCHES[argv[0]](argv[1:])
    arguments = _parser().parse_args(argv)
    result: dict[str, Any] = {"machine": machine(), "command": ["python", "-m", "bench", *argv]}
    missed: list[str] = []
    if arguments.what in ("engine", "all"):
        rows = [
            row
            for consumers in arguments.consumers
            for row in engine.measure(consumers, arguments.bursts, arguments.seconds, arguments.rounds)
        ]
        say(engine.report(rows))
        result["engine"] = engine.as_json(rows)
        missed += filter(None, [engine.gate(rows)])
    if arguments.what in ("sdp", "all"):
        offer = sdp.measure()
        say(sdp.report(offer))
        result["sdp"] = offer
        missed += filter(None, [sdp.gate(offer)])
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(result, indent=2) + "\n")
    for sentence in missed:
        say(f"missed: {sentence}")
    return 1 if missed else 0


def _build_peers(_: Sequence[str]) -> int:
    """Everything that is compared with; `perf` belongs to it."""
    lines = list(dict.fromkeys([*turn_peers.build(), *calls_peers.build(), *filter(None, [profile.missing()])]))
    say("\n".join(["missing, install with:", *lines] if lines else ["nothing is missing"]))
    return 2 if lines else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        epilog="`python -m bench calls --help`, `python -m bench turn --help`: beside others; `python -m bench peers` builds them; "
        "`python -m bench instructions --help`: under callgrind; `python -m bench profile --help`: where our time goes.",
    )
    parser.add_argument("what", choices=["engine", "sdp", "all"], nargs="?", default="all")
    parser.add_argument("--consumers", type=_numbers, default=[10, 50, 200], help="consumers per run, comma separated")
    parser.add_argument("--bursts", type=_numbers, default=[1, 4, 16], help="packets per burst, comma separated")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds per case; medians are printed")
    parser.add_argument("--json", metavar="FILE", help="write everything measured to FILE")
    return parser


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


_OTHER_BENCHES: dict[str, Callable[[Sequence[str]], int]] = {
    "calls": calls.main,
    "turn": turn.main,
    "instructions": instructions.main,
    "profile": profile.main,
    "peers": _build_peers,
}

if __name__ == "__main__":
    sys.exit(main())

"""`python -m bench`: measurements that anyone can repeat. Exit 1 on a missed gate."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bench import engine, instructions, sdp
from bench.machine import machine
from bench.turn import run as turn


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["turn"]:
        return turn.main(argv[1:])
    if argv[:1] == ["instructions"]:
        return instructions.main(argv[1:])
    arguments = _parser().parse_args(argv)
    result: dict[str, Any] = {"machine": machine(), "command": ["python", "-m", "bench", *argv]}
    missed: list[str] = []
    if arguments.what in ("engine", "all"):
        rows = [
            row
            for consumers in arguments.consumers
            for row in engine.measure(consumers, arguments.bursts, arguments.seconds, arguments.rounds)
        ]
        _say(engine.report(rows))
        result["engine"] = engine.as_json(rows)
        missed += filter(None, [engine.gate(rows)])
    if arguments.what in ("sdp", "all"):
        offer = sdp.measure()
        _say(sdp.report(offer))
        result["sdp"] = offer
        missed += filter(None, [sdp.gate(offer)])
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(result, indent=2) + "\n")
    for sentence in missed:
        _say(f"missed: {sentence}")
    return 1 if missed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        epilog="`python -m bench turn --help`: TURN, beside others; `python -m bench instructions --help`: under callgrind.",
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


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())

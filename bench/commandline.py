"""What the commands of the bench have in common."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from bench.verdict import Verdict


def names_of(known: Collection[str]) -> Callable[[str], list[str]]:
    """For `argparse`: comma separated names, each of them known."""

    def parse(text: str) -> list[str]:
        names = text.split(",")
        if unknown := set(names) - set(known):
            raise argparse.ArgumentTypeError(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(known)}")
        return names

    return parse


def earlier_report(name: str) -> dict[str, Any]:
    """For `argparse`: an earlier --json FILE, so that a run of hours does not end at its absence."""
    try:
        result: dict[str, Any] = json.loads(Path(name).read_text())
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{name}: {error}") from error
    return result


def say_missed(verdicts: Iterable[Verdict]) -> bool:
    """Whether there is one."""
    missed = [verdict for verdict in verdicts if not verdict.passed]
    for verdict in missed:
        say(str(verdict))
    return bool(missed)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


COMPARE_HELP = (
    "mark every ratio that is over a tenth away from that in an earlier --json FILE; with --render, after the fact"
)

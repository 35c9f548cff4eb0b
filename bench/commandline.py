"""What the commands of the bench have in common."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Iterable

from bench.verdict import Verdict


def names_of(known: Collection[str]) -> Callable[[str], list[str]]:
    """For `argparse`: comma separated names, each of them known."""

    def parse(text: str) -> list[str]:
        names = text.split(",")
        if unknown := set(names) - set(known):
            raise argparse.ArgumentTypeError(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(known)}")
        return names

    return parse


def say_missed(verdicts: Iterable[Verdict]) -> bool:
    """Whether there is one."""
    missed = [verdict for verdict in verdicts if not verdict.passed]
    for verdict in missed:
        say(str(verdict))
    return bool(missed)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()

"""What the commands of the bench have in common."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection


def names_of(known: Collection[str]) -> Callable[[str], list[str]]:
    """For `argparse`: comma separated names, each of them known."""

    def parse(text: str) -> list[str]:
        names = text.split(",")
        if unknown := set(names) - set(known):
            raise argparse.ArgumentTypeError(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(known)}")
        return names

    return parse


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()

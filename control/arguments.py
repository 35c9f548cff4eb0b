"""What `argparse` makes of an argument's text, where more than one command takes it."""

from __future__ import annotations

import argparse
import re


def duration_s(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"'{text}' is not a time; write 30s, 10m, 6h or 2d")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]

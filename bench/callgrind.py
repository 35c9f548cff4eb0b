"""Reads what callgrind writes: how many instructions each function executed by itself. Pure.

The format is the one that Valgrind's manual describes ("Callgrind Format Specification"); of it only what callgrind itself writes with
one event and without jumps.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple


class Function(NamedTuple):
    """Where an instruction belongs: the executable or library, and the demangled name."""

    object: str
    name: str


def self_cost(lines: Iterable[str]) -> Counter[Function]:
    """Instructions by function, those of the functions it calls not included. Raises `ValueError` for anything else than `Ir`."""
    costs: Counter[Function] = Counter()
    names: dict[str, dict[str, str]] = {"ob": {}, "fn": {}}
    current = {"ob": "", "fn": ""}
    is_call = False
    for line in lines:
        if position := _POSITION.match(line):
            kind, number, name = position.groups()
            kind = _KINDS.get(kind, kind)
            # A name is written out once; later its number stands for it. Callees are named by the same numbers.
            if kind in names and number and name:
                names[kind][number] = name
            if position[1] in current:
                current[position[1]] = names[kind][number] if number else name
        elif line.startswith("calls="):
            is_call = True
        elif line[:1] in _COST_STARTS:
            # The line behind `calls=` is what the callee took, with everything below it.
            if not is_call:
                costs[Function(current["ob"], current["fn"])] += int(line.split()[1])
            is_call = False
        elif line.startswith("events:") and line.split()[1:] != ["Ir"]:
            raise ValueError(f"callgrind counted {line.split()[1:]}, not instructions alone")
    return costs


#: `fn=(12) name`, or `fn=(12)` once the name is known. Files do not matter here.
_POSITION = re.compile(r"(ob|fn|cob|cfn|fl|fi|fe|cfi|cfl)=(?:\((\d+)\))?\s?(.*)")
_KINDS = {"cob": "ob", "cfn": "fn"}
#: Line numbers: absolute, relative to the line before, or the same again.
_COST_STARTS = frozenset("0123456789+-*")

"""Whether two runs say the same: every ratio of one beside that of the other, of calls as of TURN. Works on the JSON of both."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.report import dump, table

#: Group, case, server.
Place = tuple[str, str, str]


def beside(result: Mapping[str, Any], earlier: Mapping[str, Any]) -> dict[str, Any]:
    """`result` with what an earlier run says of the same ratios; what an even earlier one said is replaced."""
    now, before = dict(_ratios(result)), dict(_ratios(earlier))
    both = [place for place in now if place in before]
    apart = [_apart(place, before[place], now[place]) for place in both if differ(before[place], now[place])]
    two_runs = {
        "command": earlier["command"],
        "date": earlier["date"],
        "cpu": earlier["machine"]["cpu"],
        "ratios": len(both),
        "agree": len(both) - len(apart),
        "only_earlier": len(before) - len(both),
        "only_now": len(now) - len(both),
        "apart": apart,
    }
    return {**result, "two_runs": two_runs}


def add_to(file: Path, earlier: Mapping[str, Any]) -> None:
    """The same for a --json FILE, which keeps it."""
    file.write_text(dump(beside(json.loads(file.read_text()), earlier)))


def earlier_ratios(result: Mapping[str, Any]) -> dict[Place, float]:
    """Those of the earlier run that this one does not repeat, by their rows."""
    apart = result.get("two_runs", {}).get("apart", ())
    return {(each["group"], each["case"], each["server"]): each["earlier"] for each in apart}


def markdown(found: Mapping[str, Any]) -> str:
    """The section of a report about its `two_runs`."""
    share = f" ({found['agree'] / found['ratios']:.0%})" if found["ratios"] else ""
    text = (
        f"## Two runs\n\nBeside `{' '.join(found['command'])}` on {found['date']}, {found['cpu']}: {found['agree']} of {found['ratios']} "
        f"ratios{share} are within {TOLERANCE:.0%} of that run's. The rows of the others are marked as disturbed."
    )
    if alone := found["only_earlier"] + found["only_now"]:
        text += f" Ratios in one of the runs only: {alone}."
    if not found["apart"]:
        return text
    rows = [
        [f"{each['group']}: {each['case']}", each["server"], f"{each['earlier']:.2f}", f"{each['now']:.2f}"]
        for each in found["apart"]
    ]
    return f"{text}\n\n{table(['case', 'server', 'earlier', 'now'], rows)}"


def differ(one: float, other: float) -> bool:
    """Whichever of them is taken as the right one."""
    least, most = sorted((one, other))
    return most > least * (1 + TOLERANCE)


def _apart(place: Place, earlier: float, now: float) -> dict[str, Any]:
    group, case, server = place
    return {"group": group, "case": case, "server": server, "earlier": earlier, "now": now}


def _ratios(result: Mapping[str, Any]) -> Iterator[tuple[Place, float]]:
    for case in (case for name in _CASES for case in result.get(name, ())):
        for server, spread in case["over_ours"].items():
            yield (case["group"], case["case"], server), spread["median"]


TOLERANCE = 0.1
#: Where the reports of calls and of TURN have what they measured beside others.
_CASES = ("cases", "loads", "zero_hop")

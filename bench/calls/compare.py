"""Whether two runs say the same: every ratio of one beside that of the other. Pure: works on the JSON of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

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
        "ratios": len(both),
        "agree": len(both) - len(apart),
        "only_earlier": len(before) - len(both),
        "only_now": len(now) - len(both),
        "apart": apart,
    }
    return {**result, "two_runs": two_runs}


def earlier_ratios(result: Mapping[str, Any]) -> dict[Place, float]:
    """Those of the earlier run that this one does not repeat, by their rows."""
    apart = result.get("two_runs", {}).get("apart", ())
    return {(each["group"], each["case"], each["server"]): each["earlier"] for each in apart}


def differ(one: float, other: float) -> bool:
    """Whichever of them is taken as the right one."""
    least, most = sorted((one, other))
    return most > least * (1 + TOLERANCE)


def _apart(place: Place, earlier: float, now: float) -> dict[str, Any]:
    group, case, server = place
    return {"group": group, "case": case, "server": server, "earlier": earlier, "now": now}


def _ratios(result: Mapping[str, Any]) -> Iterator[tuple[Place, float]]:
    for case in result["cases"]:
        for server, spread in case["over_ours"].items():
            yield (case["group"], case["case"], server), spread["median"]


TOLERANCE = 0.1

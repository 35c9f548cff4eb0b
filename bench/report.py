"""What reports have in common: the JSON file, and cells and tables in Markdown. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def dump(result: Mapping[str, Any]) -> str:
    """As text: one line for each load, numbers as precise as they mean something."""
    parts = []
    for name, value in result.items():
        rounded = _rounded(value)
        if isinstance(value, list) and value and isinstance(value[0], dict):
            text = ",\n".join(f"  {json.dumps(each)}" for each in rounded)
            parts.append(f' "{name}": [\n{text}\n ]')
        else:
            parts.append(f' "{name}": {json.dumps(rounded)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def circumstances(result: Mapping[str, Any]) -> str:
    """Machine, versions, command, date and rounds: how every report begins, up to what it says of its rounds."""
    machine, versions = result["machine"], result["versions"]
    known = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    return (
        f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}; {known}. "
        f"`{' '.join(result['command'])}` on {result['date']}; {result['rounds']} rounds"
    )


def spread_cell(spread: Mapping[str, float] | None, form: str) -> str:
    """Median (min-max)."""
    if spread is None:
        return "-"
    median, least, most = (form.format(spread[key]) for key in ("median", "min", "max"))
    return f"{median} ({least}-{most})"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: bool = False) -> str:
    """`numbers`: all columns but the first are aligned to the right."""
    lines = [f"| {' | '.join(heads)} |", f"|---|{('---:|' if numbers else '---|') * (len(heads) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def gates_table(found: Sequence[Mapping[str, Any]]) -> str:
    """Each gate with its worst row."""
    if not found:
        return "No gate applies: ours was not measured beside the others."
    lines = ["| gate | limit | rows | worst | |", "|---|---:|---:|---|---|"]
    for gate, limit in dict.fromkeys((each["gate"], each["limit"]) for each in found):
        rows = [each for each in found if (each["gate"], each["limit"]) == (gate, limit)]
        missed = [each for each in rows if not each["passed"]]
        worst = _worst(rows)
        word = f"{len(missed)} missed" if missed else "passed"
        lines.append(f"| {gate} | {limit:g} | {len(rows)} | {worst['value']:.3g} ({worst['case']}) | {word} |")
    return "## Gates\n\n" + "\n".join(lines)


def _worst(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    # A row that misses is worse than any that does not; among equals the one that is closest to the limit, or farthest beyond.
    def distance(row: Mapping[str, Any]) -> float:
        away: float = abs(row["value"] - row["limit"])
        return away if row["passed"] else -away

    return min(rows, key=distance)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, Mapping):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return value

"""What a run measured, as JSON with everything and as Markdown with what matters. Pure: Markdown comes from the JSON alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench import compare
from bench.report import circumstances, gates_table, spread_cell, table
from bench.statistics import Spread
from bench.turn import gates
from bench.turn.gates import Measured, Results, ZeroHop
from bench.turn.statistics import Row, ratio
from bench.verdict import Verdict


def as_json(results: Results, verdicts: Sequence[Verdict], about: Mapping[str, Any]) -> dict[str, Any]:
    """`about` is what was measured where: versions, machine, commands."""
    return {
        **about,
        "gates": [asdict(verdict) for verdict in verdicts],
        "loads": [_load(each, each.group.name, each.group.allocations) for each in results.measured],
        "zero_hop": [_load(each, "zero hop", each.allocations) for each in results.zero_hop],
        "memory": [asdict(each) for each in results.memory],
    }


def markdown(result: Mapping[str, Any]) -> str:
    """The report of `as_json`'s result."""
    parts = [_head(result), gates_table(result["gates"])]
    if "two_runs" in result:
        parts.append(compare.markdown(result["two_runs"]))
    earlier = compare.earlier_ratios(result)
    for name, (title, columns) in _TABLES.items():
        loads = [each for each in (*result["loads"], *result["zero_hop"]) if each["group"] == name]
        if loads:
            parts.append(f"## {title}\n\n{_table(loads, columns, earlier)}")
    if result["memory"]:
        parts.append(f"## Memory\n\n{_memory(result['memory'])}")
    return "\n\n".join(parts) + "\n"


def _load(measured: Measured | ZeroHop, group: str, allocations: int) -> dict[str, Any]:
    load = measured.load
    ours = measured.rows.get("ours")
    ratios = {}
    if ours is not None:
        ratios = {name: asdict(ratio(row, ours)) for name, row in measured.rows.items() if name != "ours"}
    return {
        "group": group,
        "case": gates.case(measured),
        "allocations": allocations,
        **asdict(load),
        "servers": {name: _row(row) for name, row in measured.rows.items()},
        #: CPU of the other divided by ours.
        "over_ours": ratios,
    }


def _row(row: Row) -> dict[str, Any]:
    summaries: dict[str, Spread | None] = {
        "cpu_us": row.cpu_us,
        "arrived_pps": row.arrived_pps,
        "server_busy": row.server_busy,
        "main_busy": row.main_busy,
        "lost": row.lost,
        "latency_p50_us": row.latency_p50_us,
        "latency_p99_us": row.latency_p99_us,
    }
    return {
        **{name: asdict(spread) for name, spread in summaries.items() if spread is not None},
        "disturbed": row.disturbed,
        "disturbances": sorted({each for sample in row.samples for each in sample.disturbances}),
        "samples": [{key: sample.raw[key] for key in _KEPT} for sample in row.samples],
    }


def _head(result: Mapping[str, Any]) -> str:
    return (
        f"# TURN relaying\n\n{circumstances(result)}, interleaved. "
        "How it is measured, and what is charged to whom: [bench/README.md](../README.md). Every sample, and the servers' command "
        "lines, are in the JSON file beside this one.\n\n"
        "CPU is in microseconds of the server's threads for each packet that arrived: median (min-max). A ratio is that server's CPU "
        "divided by ours, round by round. `*` marks rows with disturbed samples: their number, and the JSON file says what it was. "
        "`~` marks a flood in which the server was idle for more than a tenth of the time: the generator is the slower one, and the "
        "server paid for more wake-ups than it would have under full load. `*earlier` marks a ratio that is over a tenth away from "
        "that of an earlier run, with that one. "
        "coturn 4.17.1 was found 5-8 % cheaper than the 4.6.1 that Debian ships and that runs here."
    )


def _table(loads: Sequence[Mapping[str, Any]], columns: Sequence[str], earlier: Mapping[compare.Place, float]) -> str:
    names = list(dict.fromkeys(name for each in loads for name in each["servers"]))
    others = [name for name in names if name != "ours"] if "ours" in names else []
    heads = [f"{name} {_COLUMNS[column][0]}" for column in columns for name in names]
    heads += [f"{name} / ours" for name in others]
    rows = []
    for each in loads:
        cells = [_cell(each["servers"].get(name), column) for column in columns for name in names]
        for name in others:
            before = earlier.get((each["group"], each["case"], name))
            mark = "" if before is None else f" *earlier {before:.2f}"
            cells.append(spread_cell(each["over_ours"].get(name), "{:.2f}") + mark)
        rows.append([each["case"], *cells])
    return table(["load", *heads], rows)


def _cell(row: Mapping[str, Any] | None, column: str) -> str:
    if row is None:
        return "-"
    text = spread_cell(row.get(column), _COLUMNS[column][1])
    if column != "cpu_us":
        return text
    idle = " ~" if "latency_p99_us" not in row and row["server_busy"]["median"] < _FULL else ""
    return text + idle + (f" *{row['disturbed']}" if row["disturbed"] else "")


def _memory(found: Sequence[Mapping[str, Any]]) -> str:
    requests = list(found[0]["per_stranger"])
    heads = ["server", "per allocation", "engine's part", *(f"per source of one {request}" for request in requests)]
    rows = []
    for each in found:
        engine = each["engine_per_allocation"]
        cells = [
            f"{each['per_allocation']:.0f}",
            "-" if engine is None else f"{engine:.0f}",
            *(f"{each['per_stranger'][request]:.1f}" for request in requests),
        ]
        rows.append([each["server"], *cells])
    return (
        "Growth of resident memory in bytes; what the kernel keeps for sockets is not in it.\n\n"
        f"{table(heads, rows, numbers=True)}"
    )


#: Of what the generator reports on a run; the rest is in the summaries.
_KEPT = ("sent", "received", "arrived", "flow_min", "flow_max", "busy", "spent", "latency_us")
#: Column -> what stands behind a server's name in the head, and the format of its numbers.
_COLUMNS = {
    "cpu_us": ("us", "{:.2f}"),
    "arrived_pps": ("packets/s", "{:.0f}"),
    "lost": ("lost", "{:.2%}"),
    "latency_p50_us": ("p50 us", "{:.0f}"),
    "latency_p99_us": ("p99 us", "{:.0f}"),
}
_FULL = 0.9
_TABLES = {
    "flood": ("As fast as each server can", ("cpu_us",)),
    "wire": ("The same to receivers that take joined datagrams, as a network card does", ("cpu_us",)),
    "spread": ("A rate that leaves servers idle between packets", ("cpu_us", "latency_p50_us", "latency_p99_us")),
    "zero hop": ("Into the SFU of the same process, beside coturn that relays to a socket", ("cpu_us",)),
    "tls": ("Clients on TLS connections", ("lost", "cpu_us")),
}

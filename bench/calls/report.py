"""What a run measured, as JSON with everything and as Markdown with what matters. Pure: Markdown comes from the JSON alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench import compare
from bench.calls import floor, gates
from bench.calls.results import Measured, MemoryGrowth, Results, Swept
from bench.calls.scenarios import GROUPS
from bench.calls.statistics import FIGURES, Row, ratio
from bench.floor import GATE_RATIO
from bench.report import circumstances, gates_table, spread_cell, table
from bench.statistics import Spread
from bench.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Section:
    """A piece of the report: Markdown, and the names of the figures that stand behind it on the HTML page."""

    text: str
    figures: tuple[str, ...] = ()


def as_json(results: Results, verdicts: Sequence[Verdict], about: Mapping[str, Any]) -> dict[str, Any]:
    """`about` is what was measured where: versions, machine, commands."""
    servers = list(dict.fromkeys(name for each in results.measured for name in each.rows))
    fits = {name: gates.growth_fit(results, name) for name in servers}
    return {
        **about,
        "gates": [asdict(verdict) for verdict in verdicts],
        "cases": [_case(each) for each in results.measured],
        "growth": {name: asdict(fit) for name, fit in fits.items() if fit is not None},
        "load": [each for swept in results.swept for each in _loads(swept)],
        "memory": [_memory(each) for each in results.memory],
        "failures": list(results.failures),
    }


def markdown(result: Mapping[str, Any]) -> str:
    """The report of `as_json`'s result."""
    return "\n\n".join(section.text for section in sections(result)) + "\n"


def sections(result: Mapping[str, Any]) -> Iterator[Section]:
    yield Section(_head(result))
    yield Section(gates_table(result["gates"]), ("side by side",))
    if "two_runs" in result:
        yield Section(compare.markdown(result["two_runs"]))
    for name, title in GROUPS.items():
        cases = [case for case in result["cases"] if case["group"] == name and case["servers"]]
        if cases:
            text = _case_table(cases, _COLUMNS[name], compare.earlier_ratios(result))
            yield Section(f"## {title}\n\n{text}", _FIGURES.get(name, ()))
        if name == "growth" and result["growth"]:
            yield Section(_growth_table(result["growth"]))
        if loads := [each for each in result["load"] if each["group"] == name]:
            yield Section(f"## {title}\n\n{_load_table(loads)}", _FIGURES[name])
        if name == "memory" and result["memory"]:
            yield Section(f"## {title}\n\n{_memory_table(result['memory'])}", ("memory against participants",))
    absent = [*result["failures"], *_NOT_INSTALLED]
    yield Section("\n".join(["## Not measured", "", *(f"- {sentence}" for sentence in absent)]))
    yield Section(_configurations(result))


# ------------------------------------------------------------------------------------------------------ to JSON


def _case(measured: Measured) -> dict[str, Any]:
    case, ours = measured.case, measured.rows.get("ours")
    others = {name: row for name, row in measured.rows.items() if name != "ours"} if ours else {}
    return {
        "group": case.group,
        "case": case.name,
        "participants": len(case.participants),
        "subscriptions": case.subscriptions,
        "servers": {
            name: {**_row(row), "other_work": _is_other_work(row, ours)} for name, row in measured.rows.items()
        },
        #: CPU of the other divided by ours.
        "over_ours": {name: asdict(ratio(row, ours)) for name, row in others.items() if ours},
        **_floor(measured),
    }


def _floor(measured: Measured) -> dict[str, Any]:
    ours, floors, over = measured.rows.get("ours"), measured.floors, measured.over_floor
    if ours is None or floors is None or over is None:
        return {}
    found = {
        "cpu_us": asdict(Spread.of(floors.cpu_us)),
        #: CPU of ours in floors.
        "ours": asdict(over),
        "comparable": floor.is_comparable(ours),
        "shapes": [asdict(shape) for shape in floors.shapes],
    }
    return {"floor": found}


def _is_other_work(row: Row, ours: Row | None) -> bool:
    """Whether it forwards so many packets more or fewer than we do that the two do not do the same."""
    if ours is None:
        return False
    forwarded, by_us = row.median("forwarded_pps") or 0, ours.median("forwarded_pps") or 0
    return abs(forwarded - by_us) > SAME_WORK * by_us


def _row(row: Row) -> dict[str, Any]:
    spreads = {figure: row.spread(figure) for figure in FIGURES}
    return {
        **{figure: asdict(spread) for figure, spread in spreads.items() if spread is not None},
        "full": row.is_full,
        "disturbed": row.disturbed,
        "disturbances": sorted({each for sample in row.samples for each in sample.disturbances}),
        "samples": [dict(sample.raw) for sample in row.samples],
    }


def _loads(swept: Swept) -> Iterator[dict[str, Any]]:
    for name, rows in swept.rows.items():
        for load, (listeners, row) in zip(swept.sweep.loads, rows, strict=True):
            yield {
                "group": swept.sweep.group,
                "case": swept.sweep.name,
                "server": name,
                "load": load,
                "listeners": listeners,
                **_row(row),
            }


def _memory(memory: MemoryGrowth) -> dict[str, Any]:
    return {**asdict(memory), "per_participant": memory.per_participant}


# -------------------------------------------------------------------------------------------------- to Markdown


def _head(result: Mapping[str, Any]) -> str:
    return (
        f"# Calls\n\n{circumstances(result)} of {result['seconds']:g} s, interleaved. "
        "How it is measured, and what is charged to whom: [bench/README.md](../README.md). Every sample, and the servers' command "
        "lines, are in the JSON file beside this one; the plots are on the HTML page.\n\n"
        "CPU is in microseconds of the server's threads for each packet that arrived at somebody: median (min-max). A ratio is that "
        "server's CPU divided by ours, round by round. `*` marks rows with disturbed samples: their number, and the JSON file says "
        "what it was. `~` marks a server that had no time left: it does less than it should, later than it should. `#` marks one that "
        "forwards over a tenth more or fewer packets than we do: it does not do the same. `*earlier` marks a ratio that is over a tenth "
        "away from that of an earlier run (see Two runs)."
    )


def _case_table(
    cases: Sequence[Mapping[str, Any]], figures: Sequence[str], earlier: Mapping[compare.Place, float]
) -> str:
    """A row for each server; the name of the case stands at the first of them."""
    rows = []
    has_floor = any("floor" in case for case in cases)
    for case in cases:
        name = case["case"]
        for server, row in case["servers"].items():
            cells = [_floor_cell(case, server)] if has_floor else []
            cells += [_cell(row, figure) for figure in figures]
            over, marks = spread_cell(case["over_ours"].get(server), "{:.2f}"), _marks(row)
            if (before := earlier.get((case["group"], case["case"], server))) is not None:
                over, marks = f"{over}, earlier {before:.2f}", f"{marks} *earlier"
            rows.append([name, f"{server}{marks}", over, *cells])
            name = ""
    heads = ["case", "server", "its CPU / ours", *(["in floors"] if has_floor else [])]
    text = table([*heads, *(COLUMNS[figure].head for figure in figures)], rows)
    return f"{text}\n\n{_FLOOR}" if has_floor else text


def _floor_cell(case: Mapping[str, Any], server: str) -> str:
    found = case.get("floor")
    cpu = case["servers"][server].get("cpu_us")
    if found is None or cpu is None:
        return "-"
    if server != "ours":
        return f"{cpu['median'] / found['cpu_us']['median']:.2f}"
    shape = found["shapes"][0]
    less = "" if found["comparable"] else " idle"
    size = f"{shape['datagram_bytes']} B x {shape['burst']}"
    return f"{spread_cell(found['ours'], '{:.2f}')}{less}; {found['cpu_us']['median']:.2f} us, {size}"


def _cell(row: Mapping[str, Any], figure: str) -> str:
    column = COLUMNS[figure]
    spread = row.get(figure)
    if spread is not None:
        spread = {key: value * column.factor for key, value in spread.items()}
    return spread_cell(spread, column.form)


def _marks(row: Mapping[str, Any]) -> str:
    full, other = " ~" if row["full"] else "", " #" if row.get("other_work") else ""
    return full + other + (f" *{row['disturbed']}" if row["disturbed"] else "")


def _growth_table(fits: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [[name, f"{fit['exponent']:.2f}", f"{fit['points']}"] for name, fit in fits.items()]
    return (
        "Total cost grows with the number of subscriptions to the power of the exponent, fitted over the sizes at which the "
        f"server has time left.\n\n{table(['server', 'exponent', 'sizes'], rows, numbers=True)}"
    )


def _load_table(loads: Sequence[Mapping[str, Any]]) -> str:
    figures = (
        "server_busy",
        "latency_p50_us",
        "latency_p99_us",
        "latency_p999_us",
        "latency_max_us",
        "lost",
        "generator_busy",
    )
    heads = [loads[0]["case"], "listeners", *(COLUMNS[figure].head for figure in figures)]
    rows = [
        [f"{each['server']}{_marks(each)}", f"{each['listeners']}", *(_cell(each, figure) for figure in figures)]
        for each in loads
    ]
    return table(heads, rows)


def _memory_table(found: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            each["server"],
            f"{each['idle'][0]['resident_bytes'] / 1e6:.0f}",
            f"{each['per_participant'] / 1024:.1f}",
            f"{each['per_subscription'] / 1024:.1f}",
        ]
        for each in found
    ]
    heads = ["server", "MB at first", "KiB per idle participant", "KiB per subscription"]
    return (
        "Growth of the whole process's resident memory; what the kernel keeps for sockets is not in it.\n\n"
        f"{table(heads, rows, numbers=True)}"
    )


def _configurations(result: Mapping[str, Any]) -> str:
    parts = ["## Commands"]
    parts += [f"- {name}: `{' '.join(command)}`" for name, command in result["commands"].items()]
    parts += ["", f"Configurations are in the JSON file. The run took {result['took_s'] / 60:.0f} minutes."]
    return "\n".join([parts[0], "", *parts[1:]])


@dataclass(frozen=True, slots=True)
class Column:
    """What stands in the head, and the format of numbers after multiplying them."""

    head: str
    form: str
    factor: float = 1


COLUMNS = {
    "cpu_us": Column("us", "{:.2f}"),
    "forwarded_pps": Column("packets/s", "{:.0f}"),
    "pps_per_core": Column("packets/s per core", "{:.0f}"),
    "server_busy": Column("busy", "{:.0%}"),
    "generator_busy": Column("generator busy", "{:.0%}"),
    "lost": Column("lost", "{:.2%}"),
    "latency_p50_us": Column("p50 us", "{:.0f}"),
    "latency_p99_us": Column("p99 us", "{:.0f}"),
    "latency_p999_us": Column("p99.9 us", "{:.0f}"),
    "latency_max_us": Column("max us", "{:.0f}"),
    "join_p50_ms": Column("join p50 ms", "{:.0f}"),
    "join_p95_ms": Column("join p95 ms", "{:.0f}"),
    "joins_per_s": Column("joins/s", "{:.0f}"),
    "joins_per_core": Column("joins per CPU second", "{:.0f}"),
    "joins_per_core_alone": Column("beyond the rooms at rest", "{:.0f}"),
    "stream_bps": Column("Mbit/s", "{:.0f}", 1e-6),
}
SAME_WORK = 0.1
_FLOOR = (
    "In floors: CPU per packet divided by the floor's, ours in the same round, others' by their medians; then the floor's own, the "
    f"bytes of its packets and how many leave together. `idle`: a server that is busy for less than {floor.LEAST_BUSY:.0%} of its core "
    f"does more beside forwarding than the floor knows of, so that the gate ({GATE_RATIO:g}) is not about it."
)
_NOT_INSTALLED = (
    "mediasoup: `npm install mediasoup` ends with `meson.build: ERROR: could not get openssl-3.0.8.tar.gz`, its worker's source.",
    "MediaMTX: `go install github.com/bluenviron/mediamtx@latest` ends with `403 Forbidden`, named versions likewise; Debian has none.",
)
_MEDIA = (
    "cpu_us",
    "pps_per_core",
    "forwarded_pps",
    "server_busy",
    "generator_busy",
    "lost",
    "latency_p50_us",
    "latency_p99_us",
    "join_p95_ms",
)
_COLUMNS = {
    **dict.fromkeys(GROUPS, _MEDIA),
    "churn": (
        "joins_per_s",
        "joins_per_core",
        "joins_per_core_alone",
        "join_p50_ms",
        "join_p95_ms",
        "server_busy",
        "lost",
    ),
    "data": ("cpu_us", "lost", "latency_p50_us", "latency_p99_us"),
    "stream": ("stream_bps", "server_busy"),
    "neighbour": ("lost", "latency_p50_us", "latency_p99_us", "latency_max_us", "server_busy"),
}
_FIGURES = {
    "growth": ("cost per packet against consumers",),
    "load": ("latency against load, in rooms",),
    "fanout": ("latency against load, of one publisher",),
}

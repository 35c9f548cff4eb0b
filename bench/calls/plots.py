"""The figures of the report as SVG, made by matplotlib from the JSON alone. A development dependency: only the page needs it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: (x, y, lowest y, highest y)
Point = tuple[float, float, float, float]
#: By server.
Lines = Mapping[str, Sequence[Point]]
#: Of the cases that have ratios.
Names = Sequence[str]
Draw = Callable[["Axes", Lines, Names], None]


def figures(result: Mapping[str, Any]) -> dict[str, str]:
    """`<svg>` elements by the names that `report.sections` knows; one without data is left out."""
    drawn = {}
    for name, (draw, select) in _FIGURES.items():
        if lines := select(result):
            drawn[name] = _svg(draw, lines, [case["case"] for case in _ratio_cases(result)])
    return drawn


# ------------------------------------------------------------------------------------------------- what is drawn


def _cost(result: Mapping[str, Any]) -> Lines:
    cases = [case for case in result["cases"] if case["group"] == "growth"]
    return _by_server(
        (name, _point(case["participants"] - 1, row["cpu_us"]))
        for case in cases
        for name, row in case["servers"].items()
    )


def _latency(result: Mapping[str, Any], group: str) -> Lines:
    return _by_server(
        (each["server"], _point(each["server_busy"]["median"] * 100, each["latency_p99_us"], 1e-3))
        for each in result["load"]
        if each["group"] == group and "latency_p99_us" in each
    )


def _memory(result: Mapping[str, Any]) -> Lines:
    points = (
        (each["server"], point["participants"], point["resident_bytes"] / 1e6)
        for each in result["memory"]
        for point in each["idle"]
    )
    return _by_server((name, (x, y, y, y)) for name, x, y in points)


def _side_by_side(result: Mapping[str, Any]) -> Lines:
    """The ratios of every case with media; x is the place of its name in `_ratio_cases`."""
    return _by_server(
        (name, _point(place, spread))
        for place, case in enumerate(_ratio_cases(result))
        for name, spread in case["over_ours"].items()
    )


def _ratio_cases(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [case for case in result["cases"] if case["over_ours"] and case["group"] in _RATIO_GROUPS]


def _by_server(points: Iterator[tuple[str, Point]]) -> Lines:
    lines: dict[str, list[Point]] = {}
    for name, point in points:
        lines.setdefault(name, []).append(point)
    return lines


def _point(x: float, spread: Mapping[str, float], factor: float = 1) -> Point:
    return x, spread["median"] * factor, spread["min"] * factor, spread["max"] * factor


# ----------------------------------------------------------------------------------------------- how it is drawn


def _draw_cost(axes: Axes, lines: Lines, _: Names) -> None:
    _draw_lines(axes, lines)
    axes.set_xscale("log")
    sizes = sorted({x for points in lines.values() for x, *_ in points})
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axes.set_xticks([], minor=True)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("consumers")
    axes.set_ylabel("CPU us per forwarded packet")


def _draw_latency(axes: Axes, lines: Lines, _: Names) -> None:
    _draw_lines(axes, lines)
    axes.set_yscale("log")
    axes.set_xlim(0, 100)
    axes.set_xlabel("load, % of the server's core")
    axes.set_ylabel("forwarding latency p99, ms")


def _draw_memory(axes: Axes, lines: Lines, _: Names) -> None:
    _draw_lines(axes, lines)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("participants")
    axes.set_ylabel("resident memory, MB")


def _draw_ratios(axes: Axes, lines: Lines, cases: Names) -> None:
    height = 0.8 / len(lines)
    for number, (name, points) in enumerate(lines.items()):
        ys = [x + number * height for x, *_ in points]
        errors = _errors(points)
        axes.barh(ys, [y for _, y, *_ in points], height, xerr=errors, label=name, color=_color(name), ecolor=_INK)
    axes.axvline(1, color=_INK, linewidth=0.8)
    if figure := axes.get_figure(root=True):
        figure.set_size_inches(7, 1.5 + 0.45 * len(cases))
    axes.set_yticks([place + (len(lines) - 1) * height / 2 for place in range(len(cases))], cases)
    axes.invert_yaxis()
    axes.set_xlabel("its CPU per packet divided by ours")


def _draw_lines(axes: Axes, lines: Lines) -> None:
    for name, points in lines.items():
        xs, ys = [x for x, *_ in points], [y for _, y, *_ in points]
        axes.errorbar(xs, ys, _errors(points), marker="o", markersize=4, capsize=2, label=name, color=_color(name))


def _errors(points: Sequence[Point]) -> list[list[float]]:
    return [[y - least for _, y, least, _ in points], [most - y for _, y, _, most in points]]


def _svg(draw: Draw, lines: Lines, cases: Names) -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # Text stays text, and the same data gives the same file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "bench", "font.family": "sans-serif"}):
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.add_subplot()
        draw(axes, lines, cases)
        axes.grid(visible=True, alpha=0.3)
        # Beside the data. Looking for the best place among them takes long, and warns when it does.
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    return text[text.index("<svg") :]


def _color(name: str) -> str:
    return _COLORS.get(name, "tab:gray")


_INK = "#333333"
_COLORS = {"ours": "tab:blue", "livekit": "tab:orange", "livekit-batch": "tab:red", "janus": "tab:green"}
_RATIO_GROUPS = ("audio", "meeting", "everyday", "livestream", "codecs")
_FIGURES: Mapping[str, tuple[Draw, Callable[[Mapping[str, Any]], Lines]]] = {
    "cost per packet against consumers": (_draw_cost, _cost),
    "latency against load, in rooms": (_draw_latency, partial(_latency, group="load")),
    "latency against load, of one publisher": (_draw_latency, partial(_latency, group="fanout")),
    "memory against participants": (_draw_memory, _memory),
    "side by side": (_draw_ratios, _side_by_side),
}

"""The report as one HTML page that needs nothing else: the same Markdown, with the figures in it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.calls import plots, report


def html(result: Mapping[str, Any]) -> str:
    """Of `report.as_json`'s result."""
    from markdown_it import MarkdownIt

    render = MarkdownIt("commonmark", {"html": False}).enable("table").render
    drawn = plots.figures(result)
    parts = []
    for section in report.sections(result):
        parts.append(
            render(section.text).replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")
        )
        parts += [_figure(name, drawn[name]) for name in section.figures if name in drawn]
    return _PAGE.replace("BODY", "".join(parts))


def _figure(name: str, svg: str) -> str:
    return (
        f"<figure>{svg}<figcaption>{name[0].upper()}{name[1:]}. Bars: lowest and highest round.</figcaption></figure>\n"
    )


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Beep Media: calls</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
th, td { border-bottom: 1px solid #ddd; padding: .25rem .6rem; text-align: left; white-space: nowrap }
th { background: #f5f5f5 }
figure { margin: 1rem 0 } figure svg { max-width: 100%; height: auto }
figcaption { color: #555; font-size: 13px }
code { font-size: 90%; overflow-wrap: anywhere }
</style>
<main>
BODY</main>
</html>
"""

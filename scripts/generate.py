"""Writes the files that are generated from code, or with --check says which of them are behind (status 1).

config.example.yaml and docs/config.md from `control.config` and the sections in it;
docs/metrics.md from `control.metrics` and `control.engine_metrics`.
"""

from __future__ import annotations

import argparse
import difflib
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from control.addresses import Advertised
from control.config import ENVIRONMENT_PREFIX, Config
from control.engine_metrics import ENGINE_FAMILIES
from control.metrics import describe
from control.section import Listen
from control.turn.config import PortRange, RelayHost, TurnListen

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str] | None = None) -> int:
    """Writes or, with --check, compares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; print the differences")
    options = parser.parse_args(arguments)
    behind = False
    for path, text in generated().items():
        old = path.read_text() if path.exists() else ""
        if old == text:
            continue
        behind = True
        if options.check:
            name = str(path.relative_to(ROOT))
            sys.stdout.writelines(difflib.unified_diff(old.splitlines(True), text.splitlines(True), name, "generated"))
        else:
            path.write_text(text)
    if behind and options.check:
        sys.stdout.write("Run `make generate` and commit what it writes.\n")
    return int(behind and options.check)


def generated() -> dict[Path, str]:
    """Path -> the text it should have."""
    return {
        ROOT / "config.example.yaml": _example(),
        ROOT / "docs" / "config.md": _config_table(),
        ROOT / "docs" / "metrics.md": _metrics_page(),
    }


# ------------------------------------------------------------------------------------------------ configuration


@dataclass(frozen=True)
class Key:
    """One configuration key, or a section (no default)."""

    path: tuple[str, ...]
    field: FieldInfo
    section: type[BaseModel] | None


def _keys(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        path = (*above, name)
        section = _section(field.annotation)
        yield Key(path, field, section)
        if section is not None:
            yield from _keys(section, path)


def _section(annotation: Any) -> type[BaseModel] | None:
    candidates = [annotation, *get_args(annotation)]
    return next((part for part in candidates if isinstance(part, type) and issubclass(part, BaseModel)), None)


def _example() -> str:
    lines = [
        "# Every key with its default; what is commented out is off. Unknown keys are refused.",
        f"# Each can be set by the environment, too: {ENVIRONMENT_PREFIX} + its path with __ between levels, for example",
        f"# {ENVIRONMENT_PREFIX}RTC__UDP_PORT=7882. Check a file with: beep-media config check FILE",
    ]
    off_at: int | None = None
    for key in _keys(Config):
        depth = len(key.path) - 1
        if depth == 0:
            lines.append("")
        if off_at is not None and depth <= off_at:
            off_at = None
        comment = (
            key.field.description or " ".join((key.section.__doc__ or "").split())
            if key.section
            else key.field.description
        )
        lines.append(f"{_indent(depth, off_at)}# {comment}")
        if key.section is not None and key.field.default is None:
            off_at = depth
        value = "" if key.section else _yaml(key.field)
        lines.append(f"{_indent(depth, off_at)}{key.path[-1]}: {value}".rstrip())
        if key.path == ("keys",):
            lines.append("#   APIexample: <output of: openssl rand -hex 32>")
    return "\n".join(lines) + "\n"


def _indent(depth: int, off_at: int | None) -> str:
    """Leading blanks; below a section that is off, with its comment sign, so that removing it leaves valid YAML."""
    return "  " * depth if off_at is None else "  " * off_at + "# " + "  " * (depth - off_at)


def _has_default(field: FieldInfo) -> bool:
    return field.default is not PydanticUndefined or field.default_factory is not None


def _default(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True, validated_data={})


def _yaml(field: FieldInfo) -> str:
    if not _has_default(field):
        return ""
    value = _default(field)
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{item}"' for item in value) + "]"
    if isinstance(value, Listen):
        return f'"{value}"' if str(value).startswith("[") else str(value)
    return "null" if value is None else "{}" if value == {} else str(value)


def _config_table() -> str:
    lines = [
        "# Configuration",
        "",
        "Generated from `control/config.py` by `make generate`. One YAML file (`beep-media serve --config FILE`); every key can be",
        f"set by the environment as well, `{ENVIRONMENT_PREFIX}` + its path in capitals with `__` between levels, the value in YAML",
        f"(`{ENVIRONMENT_PREFIX}RTC__ADVERTISE='[203.0.113.7]'`). The environment wins over the file, the command line over both.",
        "Unknown keys and wrong types are refused: `beep-media config check FILE` says what is wrong and ends with status 2.",
        "",
        "| Key | Type | Default | Meaning |",
        "|---|---|---|---|",
    ]
    for key in _keys(Config):
        if key.section is None:
            default = f"`{_yaml(key.field)}`" if _has_default(key.field) else "required"
            lines.append(f"| `{'.'.join(key.path)}` | {_type(key.field)} | {default} | {key.field.description} |")
    return "\n".join(lines) + "\n"


def _type(field: FieldInfo) -> str:
    bounds = [f"{name} {value}" for name in ("ge", "le") if (value := _bound(field, name)) is not None]
    words = {"ge": "from", "le": "to"}
    limits = " ".join(f"{words[bound.split()[0]]} {bound.split()[1]}" for bound in bounds)
    return f"{_type_name(field.annotation)} {limits}".strip()


def _bound(field: FieldInfo, name: str) -> Any:
    return next((getattr(part, name) for part in field.metadata if hasattr(part, name)), None)


def _type_name(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(_type_name(part) for part in get_args(annotation))
    if get_origin(annotation) is tuple:
        return f"list of {_type_name(get_args(annotation)[0])}"
    if get_origin(annotation) is dict:
        return "mapping"
    if hasattr(annotation, "__metadata__"):
        return _type_name(get_args(annotation)[0])
    return _TYPE_NAMES.get(annotation, str(annotation))


_TYPE_NAMES = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "boolean",
    Listen: "host:port",
    TurnListen: "URL",
    PortRange: "first-last",
    RelayHost: "address or address/address",
    Advertised: "address or address:port",
    SecretStr: "text",
    type(None): "null",
}

# ------------------------------------------------------------------------------------------------------ metrics


def _metrics_page() -> str:
    lines = [
        "# Metrics",
        "",
        "Generated from `control/metrics.py` and `control/engine_metrics.py` by `make generate`. `/metrics` on `admin.listen` (in",
        "development on the public port, too) speaks the Prometheus text format. Seconds, bytes, counters end in `_total`. Labels",
        "are bounded by the code: never a room, a participant, a track, an address or a text that a client chose.",
        "",
        "| Metric | Type | Labels | Meaning |",
        "|---|---|---|---|",
        *(f"| `{row.name}` | {row.type} | {', '.join(row.labels)} | {row.help} |" for row in describe()),
        "",
        "## From the engine's counters",
        "",
        "Each shard keeps plain counters with dotted names and posts them once a second; the collector adds the shards up and maps",
        "them by this table. A counter without a row appears as `sfu_engine_events_total{name=...}`.",
        "",
        "| Counter | Metric |",
        "|---|---|",
        *(f"| `{counter}` | `{metric}` |" for counter, metric in sorted(_mapping())),
    ]
    return "\n".join(lines) + "\n"


def _mapping() -> Iterator[tuple[str, str]]:
    for family in ENGINE_FAMILIES:
        name = family.name if family.gauge else f"{family.name}_total"
        if family.prefix:
            yield f"{family.prefix}<{family.labels[0]}>", f"{name}{{{family.labels[0]}=...}}"
        for counter, values in family.counters.items():
            pairs = ",".join(f'{label}="{value}"' for label, value in zip(family.labels, values, strict=True))
            yield counter, f"{name}{{{pairs}}}" if pairs else name


if __name__ == "__main__":
    sys.exit(main())

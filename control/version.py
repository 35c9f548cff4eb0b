"""The version of this build; Cargo.toml is the one place that says it."""

from __future__ import annotations

from importlib import metadata


def _version() -> str:
    try:
        return metadata.version("beep-media")
    except metadata.PackageNotFoundError:
        return "0+source"  # run from the tree without `make engine`


VERSION = _version()

"""Corpora on disk: `corpus/<target>/gen-*` from `seeds`, the captured descriptions, and whatever else was added."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz import seeds

FOLDER = Path(__file__).parent / "corpus"


def load(name: str) -> dict[str, bytes]:
    """Every input of a target by its file name."""
    own = {path.name: path.read_bytes() for path in sorted((FOLDER / name).iterdir())}
    return own | seeds.captured(name)


def regenerate(name: str) -> int:
    """Rewrites the generated files and leaves the others alone; returns how many there are."""
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("gen-*"):
        path.unlink()
    inputs = seeds.generated(name)
    for number, data in enumerate(inputs):
        (folder / f"gen-{number:03}").write_bytes(data)
    return len(inputs)

"""Every file of the Python corpora runs without breaking its target."""

from __future__ import annotations

import random

import pytest

from tests.fuzz import files, seeds
from tests.fuzz.mutate import mutate
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_a_corpus_holds_fifty_files(name: str) -> None:
    assert len(files.load(name)) >= seeds.COUNT


@pytest.mark.parametrize("name", TARGETS)
def test_every_file_replays(name: str) -> None:
    for file, data in files.load(name).items():
        assert TARGETS[name](data), file


@pytest.mark.parametrize("name", TARGETS)
def test_a_few_mutations_hold_too(name: str) -> None:
    pool, rng = list(files.load(name).values()), random.Random(f"replay {name}")
    for _ in range(100):
        TARGETS[name](mutate(rng, rng.choice(pool), pool))

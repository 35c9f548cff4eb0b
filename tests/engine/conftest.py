"""Engines on ports of the kernel's choice, closed when the test ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sfu._native import Engine
from sfu.seam import EngineConfig
from tests.engine.support import StartEngine


@pytest.fixture
def start_engine() -> Iterator[StartEngine]:
    """Starts an engine; keyword arguments are fields of `EngineConfig`."""
    engines: list[Engine] = []

    def start(
        shards: int = 1,
        udp_port: int = 0,
        bind: tuple[str, ...] = ("0.0.0.0", "::"),
        seed: int = 1,
        tcp_port: int | None = None,
    ) -> Engine:
        engine = Engine(EngineConfig(shards=shards, udp_port=udp_port, tcp_port=tcp_port, bind=bind, seed=seed))
        engines.append(engine)
        return engine

    yield start
    for engine in engines:
        engine.close(1.0)


@pytest.fixture
def engine(start_engine: StartEngine) -> Engine:
    """One shard on all addresses."""
    return start_engine()

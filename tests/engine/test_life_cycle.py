"""A shard that dies is an event, and an engine ends within its deadline."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from sfu._native import Engine
from sfu.seam import EngineConfig, OpenTransport, Refused, ShardFailed, TransportId
from tests.engine.support import PASSWORD, StartEngine, check, client_socket, next_events, open_transport, wait_for


def shard_threads() -> int:
    """Threads of this process that are shards."""
    names = []
    for task in Path("/proc/self/task").iterdir():
        try:
            names.append((task / "comm").read_text())
        except OSError:
            continue  # it ended meanwhile
    return sum(name.startswith("shard-") for name in names)


def test_a_panic_surfaces_and_the_other_shards_go_on(start_engine: StartEngine) -> None:
    engine = start_engine(shards=2, bind=("127.0.0.1",))
    engine._crash_shard(0)
    assert next_events(engine) == [ShardFailed(0, "asked to crash")]

    open_transport(engine, 1, shard=0)
    assert next_events(engine) == [Refused("OpenTransport", 1, "shard_failed")]
    open_transport(engine, 2, shard=1)
    with client_socket() as client:
        check(client, "127.0.0.1", engine.addresses(1)[0].port, number=2)


def test_closing_ends_the_threads_well_before_the_deadline(start_engine: StartEngine) -> None:
    wait_for(lambda: shard_threads() == 0)  # those of the test before
    engine = start_engine(shards=3, bind=("127.0.0.1",))
    wait_for(lambda: shard_threads() == 3)
    engine.submit([OpenTransport(TransportId(number), number % 3, f"u{number}", PASSWORD) for number in range(1, 50)])
    start = time.monotonic()
    engine.close(10.0)
    engine.close(10.0)
    assert time.monotonic() - start < 2.0
    wait_for(lambda: shard_threads() == 0)


def test_closing_frees_the_port_once_the_engine_is_gone(start_engine: StartEngine) -> None:
    first = Engine(EngineConfig(udp_port=0, bind=("127.0.0.1",)))
    port = first.addresses(0)[0].port
    first.close(1.0)
    assert start_engine(udp_port=port, bind=("127.0.0.1",)).addresses(0)[0].port == port


def test_the_interpreter_runs_on_while_an_engine_closes(start_engine: StartEngine) -> None:
    engine = start_engine(bind=("127.0.0.1",))
    engine._crash_shard(0)
    next_events(engine)
    closer = threading.Thread(target=engine.close, args=(2.0,))
    closer.start()
    closer.join(2.5)
    assert not closer.is_alive()


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_a_deadline_that_is_no_time_is_a_value_error(engine: Engine, seconds: float) -> None:
    with pytest.raises(ValueError, match="drain_for_s"):
        engine.close(seconds)

"""Events wait until they are drained, and an event loop hears of them."""

from __future__ import annotations

import asyncio
import select

from sfu._native import Engine
from sfu.seam import Event, PauseData, Refused, TransportId


def refusals(engine: Engine, count: int) -> None:
    engine.submit([PauseData(TransportId(number), paused=True) for number in range(count)])


def is_readable(engine: Engine) -> bool:
    return bool(select.select([engine], [], [], 0)[0])


def test_draining_in_portions_keeps_the_order_and_the_descriptor_readable(engine: Engine) -> None:
    assert engine.drain() == []
    assert not is_readable(engine)
    refusals(engine, 5)
    ids = []
    for count in (2, 2, 1):
        assert is_readable(engine)
        portion = engine.drain(2)
        assert len(portion) == count
        ids += [event.id for event in portion if isinstance(event, Refused)]
    assert ids == [0, 1, 2, 3, 4]
    assert not is_readable(engine)
    assert engine.drain(0) == []


async def test_an_event_loop_is_woken_for_every_event(engine: Engine) -> None:
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Event] = asyncio.Queue()

    def handle_events() -> None:
        for event in engine.drain(3):
            queue.put_nowait(event)

    loop.add_reader(engine.fileno(), handle_events)
    try:
        for _ in range(3):
            refusals(engine, 10)
            async with asyncio.timeout(5):
                ids = [event.id for event in [await queue.get() for _ in range(10)] if isinstance(event, Refused)]
            assert ids == list(range(10))
    finally:
        loop.remove_reader(engine.fileno())

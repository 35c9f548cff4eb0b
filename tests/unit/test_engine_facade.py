"""The facade: batches, ids, dispatch, isolation of faults."""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any

from sfu import seam
from sfu.engine import MAX_EVENTS_PER_TURN, EngineFacade
from sfu.testing import FakeEngine


class Loop:
    def __init__(self) -> None:
        self.ready: list[Callable[[], object]] = []
        self.readers: dict[int, Callable[..., Any]] = {}

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> None:
        self.ready.append(lambda: callback(*args))

    def add_reader(self, fd: int, callback: Callable[..., Any], *_args: Any) -> None:
        self.readers[fd] = callback

    def remove_reader(self, fd: int) -> bool:
        return self.readers.pop(fd, None) is not None

    def run(self) -> None:
        while self.ready:
            self.ready.pop(0)()


class Listener:
    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def handle_connected(self) -> None:
        self.heard.append(("connected",))

    def handle_closed(self, reason: str) -> None:
        self.heard.append(("closed", reason))

    def handle_channel_opened(self, transport: seam.TransportId, label: str) -> None:
        self.heard.append(("opened", transport, label))

    def handle_report(self, report: seam.TransportReport) -> None:
        self.heard.append(("report", report.transport))

    def handle_data(self, label: str, payload: bytes) -> None:
        if payload == b"boom":
            raise RuntimeError("a bug of ours")
        self.heard.append((label, payload))

    def handle_data_overflow(self) -> None:
        self.heard.append(("overflow",))

    def handle_data_low(self) -> None:
        self.heard.append(("low",))

    def handle_refused(self, reason: str) -> None:
        self.heard.append(("refused", reason))

    def handle_level(self, level: int) -> None:
        self.heard.append(("level", level))


class Harness:
    def __init__(self, shards: int = 1) -> None:
        self.loop, self.engine, self.listener = Loop(), FakeEngine(shards), Listener()
        self.facade = EngineFacade(self.engine, self.loop, shards)

    def open(self, shard: int = 0) -> seam.TransportId:
        return self.facade.open_transport(shard, "u", "p", self.listener)

    def emit(self, *events: seam.Event) -> None:
        self.engine.emit(*events)
        for callback in list(self.loop.readers.values()):
            callback()


def test_commands_of_one_iteration_are_one_batch_in_order() -> None:
    harness = Harness()
    batches: list[list[seam.Command]] = []
    harness.engine.submit = lambda commands: batches.append(list(commands))  # type: ignore[method-assign]
    first, second = harness.open(), harness.open()
    harness.facade.close_transport(first)
    assert batches == []
    harness.loop.run()
    ((*opened, closed),) = batches
    assert [item.transport for item in opened if isinstance(item, seam.OpenTransport)] == [first, second]
    assert closed == seam.CloseTransport(first)


def test_deferred_work_runs_once_and_before_the_batch() -> None:
    harness, runs = Harness(), [0]

    def work() -> None:
        runs[0] += 1
        harness.open()

    harness.facade.defer(work)
    harness.facade.defer(work)
    harness.loop.run()
    assert runs == [1]
    assert len(harness.engine.transports) == 1


def test_deferred_work_that_fails_does_not_stop_the_rest() -> None:
    harness = Harness()

    def fail() -> None:
        raise RuntimeError("a bug of ours")

    harness.facade.defer(fail)
    harness.open()
    harness.loop.run()
    assert len(harness.engine.transports) == 1


def test_events_reach_the_transport_they_concern() -> None:
    harness = Harness()
    transport = harness.open()
    harness.loop.run()
    harness.emit(
        seam.TransportConnected(transport, "192.0.2.1:9", "x"),
        seam.DataReceived(transport, "_reliable", b"boom"),
        seam.DataReceived(transport, "_reliable", b"hi"),
        seam.DataOverflow(transport),
        seam.DataLow(transport),
        seam.TransportConnected(seam.TransportId(999), "192.0.2.1:9", "x"),
        seam.TransportClosed(transport, "dtls_failed"),
        seam.DataReceived(transport, "_reliable", b"late"),
    )
    assert harness.listener.heard == [
        ("connected",),
        ("_reliable", b"hi"),
        ("overflow",),
        ("low",),
        ("closed", "dtls_failed"),
    ]
    assert harness.facade.counts()["transports"] == 0


def test_levels_reach_their_producers_until_removed() -> None:
    harness = Harness()
    producer = harness.facade.mint_producer(harness.listener)
    harness.emit(seam.AudioLevels(((producer, 20), (seam.ProducerId(999), 1))))
    harness.facade._producers.clear()
    harness.emit(seam.AudioLevels(((producer, 21),)))
    assert harness.listener.heard == [("level", 20)]


def test_a_closed_transport_is_not_closed_again() -> None:
    harness = Harness()
    transport = harness.open()
    harness.loop.run()
    harness.emit(seam.TransportClosed(transport, "peer_closed"))
    harness.facade.close_transport(transport)
    harness.loop.run()
    assert harness.engine.submitted(seam.CloseTransport) == []
    assert list(harness.facade.shard_load()) == [0]


def test_refusals_are_counted_and_a_dead_shard_is_reported() -> None:
    harness, failed = Harness(), list[tuple[int, str]]()
    harness.facade.on_shard_failed = lambda shard, reason: failed.append((shard, reason))
    harness.emit(seam.Refused("AddConsumer", 3, "unknown producer"), seam.ShardFailed(1, "panic"))
    assert harness.facade.refused == {"AddConsumer": 1}
    assert failed == [(1, "panic")]


def test_a_refusal_reaches_whom_it_leaves_without_media() -> None:
    harness = Harness()
    transport = harness.open()
    producer = harness.facade.mint_producer(harness.listener)
    harness.emit(
        seam.Refused("SetRemote", transport, "bad_fingerprint"),
        seam.Refused("AddProducer", producer, "encoding_count"),
        seam.Refused("SetRemote", 999, "bad_fingerprint"),
        seam.Refused("SetRemote", transport, "transport_closed"),
        seam.Refused("OpenDataChannel", transport, "channel_taken"),
    )
    assert harness.listener.heard == [("refused", "bad_fingerprint"), ("refused", "encoding_count")]


def test_a_flood_of_events_leaves_the_loop_its_turns() -> None:
    harness = Harness()
    transport = harness.open()
    harness.loop.run()
    harness.emit(*[seam.DataReceived(transport, "_lossy", b"x")] * (2 * MAX_EVENTS_PER_TURN + 1))
    heard = [len(harness.listener.heard)]
    while select.select([harness.engine.fileno()], [], [], 0)[0]:
        harness.facade.handle_events()
        heard.append(len(harness.listener.heard))
    assert heard == [MAX_EVENTS_PER_TURN, 2 * MAX_EVENTS_PER_TURN, 2 * MAX_EVENTS_PER_TURN + 1]


def test_load_is_counted_per_shard() -> None:
    harness = Harness(shards=2)
    first = harness.open(0)
    harness.open(1)
    harness.open(1)
    assert list(harness.facade.shard_load()) == [1, 2]
    harness.facade.close_transport(first)
    assert list(harness.facade.shard_load()) == [0, 2]


def test_close_ends_the_engine_once() -> None:
    harness = Harness()
    harness.facade.close(0)
    harness.facade.close(0)
    assert harness.engine.closed
    assert harness.loop.readers == {}

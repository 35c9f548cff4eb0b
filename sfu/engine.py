"""The facade over the engine: mints ids, batches commands per loop iteration, hands events to whom they concern.

The one asyncio-aware file of `sfu` (it needs `add_reader` and `call_soon`); everything above it is plain objects.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from sfu import seam

_log = logging.getLogger(__name__)


class Loop(Protocol):
    """The two things that the facade wants of an event loop."""

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> Any: ...
    def add_reader(self, fd: int, callback: Callable[..., Any], *args: Any) -> Any: ...
    def remove_reader(self, fd: int) -> bool: ...


class TransportListener(Protocol):
    def handle_connected(self) -> None: ...
    def handle_closed(self, reason: str) -> None: ...
    def handle_refused(self, reason: str) -> None:
        """The engine cannot do what this transport needs to connect at all."""

    def handle_channel_opened(self, transport: seam.TransportId, label: str) -> None: ...
    def handle_report(self, report: seam.TransportReport) -> None: ...
    def handle_data(self, label: str, payload: bytes) -> None: ...
    def handle_data_overflow(self) -> None: ...
    def handle_data_low(self) -> None: ...


class ProducerListener(Protocol):
    def handle_level(self, level: int) -> None: ...
    def handle_refused(self, reason: str) -> None:
        """The engine does not carry this producer."""


class EngineFacade:
    """Ids are never reused. `submit` and `defer` take effect at the end of the current loop iteration, in order."""

    def __init__(self, engine: seam.EngineProtocol, loop: Loop, shards: int = 1) -> None:
        self.engine = engine
        self.shards = shards
        #: Called with (shard, reason) when a shard died; the process should exit.
        self.on_shard_failed: Callable[[int, str], None] = lambda _shard, _reason: None
        #: Called whenever events may wait, for whoever has a queue of its own in the engine (TURN).
        self.on_readable: Callable[[], None] = lambda: None
        self.events = 0
        self.refused: dict[str, int] = {}
        self._loop = loop
        self._next_id = itertools.count(1)
        self._commands: list[seam.Command] = []
        self._deferred: dict[Callable[[], None], None] = {}
        self._scheduled = False
        self._closed = False
        self._transports: dict[seam.TransportId, tuple[TransportListener, int]] = {}
        self._producers: dict[seam.ProducerId, ProducerListener] = {}
        self._consumers: set[seam.ConsumerId] = set()
        self._load = [0] * shards
        loop.add_reader(engine.fileno(), self.handle_events)

    # ------------------------------------------------------------------------------------------------- commands

    def open_transport(self, shard: int, ufrag: str, password: str, listener: TransportListener) -> seam.TransportId:
        transport = seam.TransportId(next(self._next_id))
        self._transports[transport] = (listener, shard)
        self._load[shard] += 1
        self.submit(seam.OpenTransport(transport, shard, ufrag, password))
        return transport

    def close_transport(self, transport: seam.TransportId) -> None:
        if self._forget_transport(transport):
            self.submit(seam.CloseTransport(transport))

    def mint_producer(self, listener: ProducerListener) -> seam.ProducerId:
        producer = seam.ProducerId(next(self._next_id))
        self._producers[producer] = listener
        return producer

    def remove_producer(self, producer: seam.ProducerId) -> None:
        if self._producers.pop(producer, None) is not None:
            self.submit(seam.RemoveProducer(producer))

    def mint_consumer(self) -> seam.ConsumerId:
        consumer = seam.ConsumerId(next(self._next_id))
        self._consumers.add(consumer)
        return consumer

    def remove_consumer(self, consumer: seam.ConsumerId) -> None:
        if consumer in self._consumers:
            self._consumers.remove(consumer)
            self.submit(seam.RemoveConsumer(consumer))

    def submit(self, command: seam.Command) -> None:
        self._commands.append(command)
        self._schedule()

    def defer(self, callback: Callable[[], None]) -> None:
        """Runs `callback` once at the end of this loop iteration, however often it was deferred."""
        self._deferred[callback] = None
        self._schedule()

    # -------------------------------------------------------------------------------------------------- getters

    @property
    def fingerprint(self) -> str:
        """ "sha-256 AA:BB:...", as SDP wants it."""
        fingerprint = self.engine.fingerprint
        return fingerprint if fingerprint.startswith("sha-256 ") else f"sha-256 {fingerprint}"

    def addresses(self, shard: int) -> Sequence[seam.Address]:
        return self.engine.addresses(shard)

    def tcp_addresses(self) -> Sequence[seam.Address]:
        return self.engine.tcp_addresses()

    def shard_load(self) -> Sequence[int]:
        """Open transports per shard."""
        return tuple(self._load)

    def counts(self) -> dict[str, int]:
        return {
            "transports": len(self._transports),
            "producers": len(self._producers),
            "consumers": len(self._consumers),
        }

    # --------------------------------------------------------------------------------------------------- events

    def handle_events(self) -> None:
        """Takes one portion of events; the loop calls again while more wait, and serves sockets in between."""
        for event in self.engine.drain(MAX_EVENTS_PER_TURN):
            self.events += 1
            try:
                self._dispatch(event)
            except Exception:  # noqa: BLE001 (one listener's bug must not stop the others)
                _log.exception("an engine event could not be handled", extra={"reason": type(event).__name__})
        self.on_readable()

    def flush(self) -> None:
        """Runs what was deferred, then submits the batch of commands."""
        self._scheduled = False
        deferred, self._deferred = self._deferred, {}
        for callback in deferred:
            try:
                callback()
            except Exception:  # noqa: BLE001 (one listener's bug must not stop the others)
                _log.exception("deferred work failed", extra={"reason": "deferred"})
        commands, self._commands = self._commands, []
        if commands and not self._closed:
            self.engine.submit(commands)

    def detach(self) -> None:
        """Submits what is left and stops listening to the engine. On the loop's thread; `close` may then be elsewhere."""
        if self._closed:
            return
        self.flush()
        self._closed = True
        self._loop.remove_reader(self.engine.fileno())

    def close(self, drain_for_s: float = 5.0) -> None:
        """Closes the engine for good. Blocks for at most `drain_for_s` seconds."""
        self.detach()
        self.engine.close(drain_for_s)

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.flush)

    def _dispatch(self, event: seam.Event) -> None:  # noqa: C901 (one arm per event)
        match event:
            case seam.AudioLevels(levels):
                for producer, level in levels:
                    if listener := self._producers.get(producer):
                        listener.handle_level(level)
            case seam.DataReceived(transport, label, payload):
                if entry := self._transports.get(transport):
                    entry[0].handle_data(label, payload)
            case seam.TransportConnected(transport):
                if entry := self._transports.get(transport):
                    entry[0].handle_connected()
            case seam.TransportClosed(transport, reason):
                if entry := self._transports.get(transport):
                    self._forget_transport(transport)
                    entry[0].handle_closed(reason)
            case seam.DataChannelOpened(transport, label):
                if entry := self._transports.get(transport):
                    entry[0].handle_channel_opened(transport, label)
            case seam.TransportReports(reports):
                for report in reports:
                    if entry := self._transports.get(report.transport):
                        entry[0].handle_report(report)
            case seam.DataOverflow(transport):
                if entry := self._transports.get(transport):
                    entry[0].handle_data_overflow()
            case seam.DataLow(transport):
                if entry := self._transports.get(transport):
                    entry[0].handle_data_low()
            case seam.Refused(command, identifier, reason):
                self._handle_refused(command, identifier, reason)
            case seam.ShardFailed(shard, reason):
                _log.error("shard %d failed: %s", shard, reason)
                self.on_shard_failed(shard, reason)
            case _:  # PathChanged, EncodingSeen, EncodingLost, ConsumerLayerChanged: nobody asks yet
                pass

    def _handle_refused(self, command: str, identifier: int, reason: str) -> None:
        self.refused[command] = self.refused.get(command, 0) + 1
        if reason in _ENDED:
            return
        _log.warning("the engine refused a command", extra={"reason": f"{command}: {reason}"})
        if command in _VITAL and (entry := self._transports.get(seam.TransportId(identifier))):
            entry[0].handle_refused(reason)
        elif command == "AddProducer" and (producer := self._producers.get(seam.ProducerId(identifier))):
            producer.handle_refused(reason)

    def _forget_transport(self, transport: seam.TransportId) -> bool:
        entry = self._transports.pop(transport, None)
        if entry is None:
            return False
        self._load[entry[1]] -= 1
        return True


# Without these a transport never connects; the rest costs one track or channel.
_VITAL = frozenset({"OpenTransport", "SetRemote", "RestartIce"})
# The command crossed the end of its transport, of which an event tells.
_ENDED = frozenset({"unknown_transport", "transport_closed"})
# Some milliseconds: what a signalling request may wait behind a flood of data.
MAX_EVENTS_PER_TURN = 256

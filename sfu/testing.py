"""`FakeEngine`: the engine's side of the seam without Rust or a socket, strict about misuse, for tests above it."""

# ruff: noqa: S101

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from sfu import seam

_C = TypeVar("_C")


class FakeEngine:
    """Carries out commands on plain dictionaries and records them.

    A misused id (unknown, reused, SSRC used twice on a transport) raises `AssertionError` at once: with the real
    engine it would be a `Refused` event, and always a bug of ours. With `auto_connect` a transport connects at its
    first `SetRemote`; with `auto_open` LiveKit's channels open at the first one with a data section, whoever asked for them.
    """

    def __init__(self, shards: int = 1, *, auto_connect: bool = True, auto_open: bool = True) -> None:
        self.shards = shards
        self.auto_connect = auto_connect
        self.auto_open = auto_open
        self.commands: list[seam.Command] = []
        #: Where it says that it listens.
        self.tcp: list[seam.Address] = []
        self.transports: dict[seam.TransportId, seam.OpenTransport] = {}
        self.remotes: dict[seam.TransportId, seam.SetRemote] = {}
        self.producers: dict[seam.ProducerId, seam.AddProducer] = {}
        self.consumers: dict[seam.ConsumerId, seam.AddConsumer] = {}
        self.channels: dict[seam.TransportId, list[seam.OpenDataChannel]] = {}
        self.opened: set[seam.TransportId] = set()
        self.sent: list[seam.SendData] = []
        self.paused: set[seam.TransportId] = set()
        self.closed = False
        self._used: set[int] = set()
        self._ssrcs: set[tuple[seam.TransportId, int]] = set()
        self._events: deque[seam.Event] = deque()
        self._eventfd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    # ---------------------------------------------------------------------------------------------- the protocol

    @property
    def fingerprint(self) -> str:
        return "sha-256 " + ":".join(["AB"] * 32)

    def addresses(self, shard: int) -> list[seam.Address]:
        return [seam.Address("127.0.0.1", 7882 + shard)]

    def tcp_addresses(self) -> list[seam.Address]:
        return list(self.tcp)

    def fileno(self) -> int:
        return self._eventfd

    def drain(self, limit: int = 4096) -> list[seam.Event]:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._eventfd)
        taken = [self._events.popleft() for _ in range(min(limit, len(self._events)))]
        if self._events:
            os.eventfd_write(self._eventfd, 1)
        return taken

    def submit(self, commands: Sequence[seam.Command]) -> None:
        for command in commands:
            self.commands.append(command)
            self._apply(command)

    def snapshot(self) -> seam.Stats:
        return seam.Stats(tuple(seam.ShardStats({}) for _ in range(self.shards)))

    def close(self, drain_for_s: float = 5.0) -> None:  # noqa: ARG002 (the protocol's name)
        if not self.closed:
            self.closed = True
            os.close(self._eventfd)

    # ------------------------------------------------------------------------------------------- the test's hand

    def emit(self, *events: seam.Event) -> None:
        for event in events:
            if isinstance(event, seam.TransportClosed):
                self._close_transport(event.transport)
        self._events.extend(events)
        os.eventfd_write(self._eventfd, 1)

    def open_channels(self, transport: seam.TransportId) -> None:
        """The client has its channels now."""
        self.opened.add(transport)
        self.emit(*(seam.DataChannelOpened(transport, label) for label in ("_reliable", "_lossy", "_data_track")))

    def submitted(self, kind: type[_C]) -> list[_C]:
        """Every command of this class so far, in order."""
        return [command for command in self.commands if isinstance(command, kind)]

    def consumers_on(self, transport: seam.TransportId) -> list[seam.AddConsumer]:
        return [consumer for consumer in self.consumers.values() if consumer.transport == transport]

    def open_ids(self) -> dict[str, int]:
        return {
            "transports": len(self.transports),
            "producers": len(self.producers),
            "consumers": len(self.consumers),
        }

    def _apply(self, command: seam.Command) -> None:  # noqa: C901 (one arm per command)
        match command:
            case seam.OpenTransport(transport, shard):
                assert 0 <= shard < self.shards
                self._take_id(transport)
                self.transports[transport] = command
            case seam.SetRemote(transport):
                self._set_remote(command)
            case seam.RestartIce(transport):
                assert transport in self.transports
            case seam.CloseTransport(transport):
                self._close_transport(transport)
            case seam.AddProducer(producer, transport):
                assert transport in self.transports
                assert 1 <= len(command.encodings) <= 3
                self._take_id(producer)
                self.producers[producer] = command
            case seam.RemoveProducer(producer):
                self.producers.pop(producer, None)  # it went with its transport, perhaps
                self._drop_consumers(lambda consumer: consumer.producer == producer)
            case seam.AddConsumer():
                self._add_consumer(command)
            case seam.ConfigureConsumer(consumer, paused, encoding):
                if consumer in self.consumers:
                    self.consumers[consumer] = replace(self.consumers[consumer], paused=paused, encoding=encoding)
            case seam.RemoveConsumer(consumer):
                self.consumers.pop(consumer, None)
            case seam.RequestKeyframe(producer):
                assert producer in self.producers
            case seam.OpenDataChannel(transport):
                assert transport in self.transports
                self.channels.setdefault(transport, []).append(command)
            case seam.SendData():
                self.sent.append(command)
            case seam.PauseData(transport, paused):
                (self.paused.add if paused else self.paused.discard)(transport)

    def _set_remote(self, command: seam.SetRemote) -> None:
        assert command.transport in self.transports
        first = command.transport not in self.remotes
        self.remotes[command.transport] = command
        if first and self.auto_connect:
            self.emit(seam.TransportConnected(command.transport, "192.0.2.1:5000", "SRTP_AEAD_AES_128_GCM"))
        if self.auto_open and command.transport not in self.opened and command.sctp_port is not None:
            self.open_channels(command.transport)

    def _add_consumer(self, command: seam.AddConsumer) -> None:
        assert command.producer in self.producers
        assert command.transport in self.transports
        for ssrc in (command.ssrc, command.rtx_ssrc):
            if ssrc is not None:
                assert (command.transport, ssrc) not in self._ssrcs, "an SSRC is never reused on a transport"
                self._ssrcs.add((command.transport, ssrc))
        self._take_id(command.consumer)
        self.consumers[command.consumer] = command

    def _close_transport(self, transport: seam.TransportId) -> None:
        if self.transports.pop(transport, None) is None:
            return
        self.remotes.pop(transport, None)
        self.channels.pop(transport, None)
        self.opened.discard(transport)
        self.paused.discard(transport)
        gone = {producer for producer, added in self.producers.items() if added.transport == transport}
        for producer in gone:
            del self.producers[producer]
        self._drop_consumers(lambda consumer: consumer.transport == transport or consumer.producer in gone)

    def _drop_consumers(self, matches: Callable[[seam.AddConsumer], bool]) -> None:
        for consumer in [key for key, added in self.consumers.items() if matches(added)]:
            del self.consumers[consumer]

    def _take_id(self, identifier: int) -> None:
        assert identifier not in self._used, "an id is never reused"
        self._used.add(identifier)

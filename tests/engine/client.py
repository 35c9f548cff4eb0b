"""An aiortc client connected to an engine: an independent peer, driven through the seam and our own negotiation."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from aiortc import RTCPeerConnection, RTCSessionDescription

from sfu._native import Engine
from sfu.negotiation import Answer, Answerer, Candidate, LocalEndpoint, OutboundTrack
from sfu.seam import Event, OpenTransport, SetRemote, TransportId
from tests.engine.support import PASSWORD

E = TypeVar("E", bound=Event)
_numbers = itertools.count(1)


class Events:
    """The engine's events as they come, for several waiters."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.all: list[Event] = []
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._loop.add_reader(engine.fileno(), self._handle_events)

    def close(self) -> None:
        self._loop.remove_reader(self.engine.fileno())

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.all if isinstance(event, kind)]

    async def next(self, kind: type[E], matches: Callable[[E], bool] = lambda _: True, within_s: float = 10.0) -> E:
        """The first event of this kind that matches, past or to come."""
        async with asyncio.timeout(within_s):
            while True:
                for event in self.of(kind):
                    if matches(event):
                        return event
                self._changed.clear()
                await self._changed.wait()

    def _handle_events(self) -> None:
        self.all += self.engine.drain()
        self._changed.set()


class Client:
    """One peer connection and its transport in the engine."""

    def __init__(self, events: Events, shard: int = 0, host: str = "127.0.0.1", port: int | None = None) -> None:
        self.events = events
        self.pc = RTCPeerConnection()
        self.transport = TransportId(next(_numbers))
        engine = events.engine
        port = engine.addresses(shard)[0].port if port is None else port
        ufrag = f"local{self.transport}"
        local = LocalEndpoint(ufrag, PASSWORD, engine.fingerprint, (Candidate(host, port),))
        self._answerer = Answerer(local)
        engine.submit([OpenTransport(self.transport, shard, ufrag, PASSWORD)])

    async def negotiate(
        self, outbound: Sequence[OutboundTrack] = (), edit: Callable[[str], str] = lambda offer: offer
    ) -> Answer:
        """Offers all that the connection has and takes the answer. `edit` makes the offer that of a lesser client."""
        await self.pc.setLocalDescription(await self.pc.createOffer())
        answer = self._answerer.answer(edit(self.pc.localDescription.sdp), outbound, lambda _cid: None)
        remote = answer.remote
        self.events.engine.submit(
            [
                SetRemote(
                    self.transport,
                    remote.ufrag,
                    remote.password,
                    remote.fingerprint,
                    remote.sctp_port,
                    remote.extensions,
                )
            ]
        )
        await self.pc.setRemoteDescription(RTCSessionDescription(answer.sdp, "answer"))
        return answer

    async def close(self) -> None:
        await self.pc.close()


async def close_all(clients: Iterable[Client]) -> None:
    await asyncio.gather(*(client.close() for client in clients))

"""The load generator beside one server: its own process on core 1, with its allocations."""

from __future__ import annotations

from typing import Any

from bench.loadgen import LOADGEN, Peer
from bench.namespace import CLIENTS, PEERS, SERVER, STRANGERS
from bench.process import CORE
from bench.turn.cells import Load, Transport
from bench.turn.servers import PASSWORD, USERNAME, Server
from bench.turn.statistics import Sample

OWN_CORE = 1


class Generator(Peer):
    """`with` starts and ends it. The server forgets its allocations when it ends itself."""

    def __init__(self, server: Server) -> None:
        super().__init__(OWN_CORE, str(LOADGEN), "turn")
        self.server = server

    def prepare(self, count: int, transport: Transport = "udp", *, gro: bool = False, peer: str | None = None) -> None:
        """Makes allocations, each with a channel to a peer of its own, or all to `peer` (address:port) that is not ours."""
        self.ask(
            "prepare",
            server=self._address(transport),
            transport=transport,
            count=count,
            clients=CLIENTS,
            peers=PEERS,
            peer=peer,
            username=USERNAME,
            password=PASSWORD,
            gro=gro,
        )

    def report(self, load: Load, warm_up_s: float, seconds: float) -> dict[str, Any]:
        """One run, as the generator tells it."""
        return self.ask(
            "run",
            directions=[load.direction],
            train=load.train,
            payload=load.payload,
            rate_pps=load.rate_pps,
            warm_up_s=warm_up_s,
            seconds=seconds,
            pid=self.server.pid,
            cores=[CORE, OWN_CORE],
        )

    def run(self, load: Load, warm_up_s: float, seconds: float) -> Sample:
        return Sample.from_report(self.report(load, warm_up_s, seconds))

    def ask_as_strangers(self, request: str, count: int) -> dict[str, Any]:
        """`count` requests without credentials, each from an address of its own."""
        address = self._address("udp")
        return self.ask(
            "strangers", server=address, first=STRANGERS, count=count, request=request, rate_pps=STRANGERS_PPS
        )

    def _address(self, transport: Transport) -> str:
        ports = self.server.ports
        return f"{SERVER}:{ports.udp if transport == 'udp' else ports.tls}"


#: Every server of the bench answers so many.
STRANGERS_PPS = 10_000

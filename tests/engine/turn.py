"""TURN through the real engine: the state table as its driver, without a server around it, and a network to relay in."""

from __future__ import annotations

import asyncio
import ctypes
import os
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from aioice import stun, turn

from sfu._native import Engine
from turn import seam
from turn.allocations import Allocations
from turn.credentials import Credentials
from turn.ports import PortPool
from turn.quotas import QuotaLimits, Quotas

USER, PASSWORD, REALM = "alice", "secret", "tests"
#: Not among those that the kernel gives peers: a peer at one of our relayed addresses is refused.
PORTS = range(20_000, 30_000)
LIMITS = seam.AllocationLimits(packets_per_s=1_000_000, bytes_per_s=1_000_000_000, new_peers_per_s=1000)


class Relay:
    """An engine whose TURN is open on `host`, and answers by the state table. For the running loop."""

    def __init__(self, engine: Engine, host: str, **changes: Any) -> None:
        self.engine = engine
        self.host = host
        credentials = Credentials(secrets.token_bytes)
        credentials.configure(REALM, {USER: PASSWORD}, ())
        self.table = Allocations(
            PortPool([host], PORTS, secrets.randbelow), credentials, Quotas(QuotaLimits()), LIMITS, secrets.token_bytes
        )
        self.events: list[object] = []
        media = engine.addresses(0)[0].port
        configuration = seam.ConfigureTurn(
            **{
                "listen": tuple(seam.Listen(host, 0, transport) for transport in ("udp", "tcp")),
                "realm": REALM,
                "relay_hosts": (seam.RelayHost(host, host),),
                "relay_ports": (PORTS[0], PORTS[-1]),
                "media": (seam.MediaAddress(seam.Address(host, media), 0),),
                **changes,
            }
        )
        engine.submit_turn([configuration])
        asyncio.get_running_loop().add_reader(engine.fileno(), self._handle_events)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.engine.fileno())

    def port(self, transport: str) -> int:
        return next(listen.port for listen in self.engine.turn_addresses() if listen.transport == transport)

    def counter(self, name: str) -> int:
        return self.engine.snapshot().shards[0].counters.get(name, 0)

    async def until(self, condition: Callable[[], object], within_s: float = 5.0) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            await asyncio.sleep(0.01)

    def _handle_events(self) -> None:
        for event in self.engine.drain_turn():
            now = time.monotonic()
            match event:
                case seam.TurnRequest():
                    self.engine.submit_turn(self.table.handle_request(event, now, time.time()))
                case seam.PermissionInstalled():
                    self.engine.submit_turn(self.table.handle_permission_installed(event, now))
                case seam.ClientGone():
                    self.engine.submit_turn(self.table.handle_client_gone(event, now))
                case _:
                    self.events.append(event)


class Client(asyncio.DatagramProtocol):
    """What arrives at the relayed address."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[tuple[bytes, tuple[str, int]]] = asyncio.Queue()

    def datagram_received(self, data: bytes, address: tuple[str | Any, int]) -> None:
        self.received.put_nowait((data, address[:2]))

    async def next(self) -> tuple[bytes, tuple[str, int]]:
        return await asyncio.wait_for(self.received.get(), 5)


async def allocate(relay: Relay, transport: str, **options: Any) -> tuple[turn.TurnTransport, Client]:
    """By aioice's TURN client, which binds a channel to whomever it sends to."""
    return await turn.create_turn_endpoint(
        Client,
        (relay.host, relay.port(transport)),
        USER,
        PASSWORD,
        transport="udp" if transport == "udp" else "tcp",
        **options,
    )


def parsed(data: bytes) -> stun.Message:
    return stun.parse_message(data)


def in_a_network_of_its_own(address: str, body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs `body` on a thread in a network namespace with this address on loopback. It is gone with its last socket."""
    failure: list[BaseException] = []

    def run() -> None:
        try:
            assert ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            for command in ("link set lo up", f"address add {address} dev lo"):
                subprocess.run(["ip", *command.split()], check=True, env={**os.environ, "PATH": _PATH})
            asyncio.run(body())
        except BaseException as error:  # noqa: BLE001 (it is raised again, on the test's thread)
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]


_CLONE_NEWNET = 0x40000000
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

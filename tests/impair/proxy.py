"""The sockets and timers around `Flow`: clients send to the proxy's port, each has a socket of its own towards the server.

The proxy stands where the server tells its clients to send media to (`rtc.advertise` with a port). One event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from tests.impair.flow import CLEAN, Direction, Flow, Profile

T = TypeVar("T")
Address = tuple[str, int]


class Proxy:
    """Forwards from the moment it is made, until `close`. Made and used inside a running loop."""

    def __init__(self, upstream: Address, profile: Profile = CLEAN, *, seed: int, listen: Address) -> None:
        #: What later clients get; `configure` changes it for those that are there.
        self.profile = profile
        self.seed = seed
        self._upstream = upstream
        self._loop = asyncio.get_running_loop()
        self._clients: dict[Address, _Client] = {}
        #: Of every client address seen, in order.
        self.flows: list[Flow] = []
        self._front = _udp_socket(listen)
        self.port: int = self._front.getsockname()[1]
        self._loop.add_reader(self._front, self._from_clients)

    def configure(self, profile: Profile) -> None:
        """Changes the network of every client, of those that come later, too."""
        self.profile = profile
        for flow in self.flows:
            flow.configure(profile)

    def close(self) -> None:
        self._loop.remove_reader(self._front)
        for client in self._clients.values():
            client.close()
        self._front.close()

    def _from_clients(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(_BATCH):
                datagram, address = self._front.recvfrom(_MAX_BYTES)
                client = self._clients.get(address[:2]) or self._open(address)
                client.up.handle(datagram)

    def _open(self, address: Address) -> _Client:
        if len(self._clients) >= _MAX_CLIENTS:
            idle = min(self._clients, key=lambda each: self._clients[each].active_at)
            self._clients.pop(idle).close()
        flow = Flow(self.profile, self.seed, len(self.flows))
        self.flows.append(flow)
        client = _Client(flow, self._front, address, self._upstream)
        self._clients[address[:2]] = client
        return client


class _Client:
    """One client address: its flow, and the socket that the server knows it by."""

    def __init__(self, flow: Flow, front: socket.socket, address: Address, upstream: Address) -> None:
        self._loop = asyncio.get_running_loop()
        self._back = _udp_socket((upstream[0] if _is_loopback(upstream[0]) else "", 0), _family(upstream[0]))
        self._back.connect(upstream)
        self.up = _Pump(flow.up, self._back.send)
        self._down = _Pump(flow.down, lambda datagram: front.sendto(datagram, address))
        self._loop.add_reader(self._back, self._from_server)

    @property
    def active_at(self) -> float:
        return max(self.up.active_at, self._down.active_at)

    def close(self) -> None:
        self._loop.remove_reader(self._back)
        self.up.close()
        self._down.close()
        self._back.close()

    def _from_server(self) -> None:
        # ConnectionError: nobody listens there (any more); the client finds out by itself.
        with contextlib.suppress(BlockingIOError, ConnectionError):
            for _ in range(_BATCH):
                self._down.handle(self._back.recv(_MAX_BYTES))


class _Pump:
    """Takes what has arrived off a link and sends it on, when it is due."""

    def __init__(self, direction: Direction, send: Callable[[bytes], object]) -> None:
        self._direction = direction
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.active_at = 0.0

    def handle(self, datagram: bytes) -> None:
        self.active_at = self._loop.time()
        self._direction.handle(self.active_at, datagram)
        self._deliver(self.active_at)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _handle_timeout(self) -> None:
        self._timer = None
        self._deliver(self._loop.time())

    def _deliver(self, now: float) -> None:
        link = self._direction.link
        while (datagram := link.poll(now)) is not None:
            with contextlib.suppress(OSError):  # full, or nobody there: networks lose that, too
                self._send(datagram)
        due = link.poll_timeout()
        if due is not None and (self._timer is None or due < self._timer.when()):
            self.close()
            self._timer = self._loop.call_at(due, self._handle_timeout)


class Handle:
    """A proxy that runs on a thread of its own, so that a busy test does not delay its packets."""

    def __init__(self, proxy: Proxy, loop: asyncio.AbstractEventLoop) -> None:
        self._proxy = proxy
        self._loop = loop
        self.port = proxy.port

    def configure(self, profile: Profile) -> None:
        """Every client's network, and that of clients that come later."""
        self.ask(lambda proxy: proxy.configure(profile))

    def welcome(self, profile: Profile) -> None:
        """The network of clients that come later."""
        self.ask(lambda proxy: setattr(proxy, "profile", profile))

    def ask(self, question: Callable[[Proxy], T]) -> T:
        """Runs on the proxy's thread."""

        async def answer() -> T:
            return question(self._proxy)

        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result(_ANSWER_S)


@contextlib.contextmanager
def running(
    upstream: Address, profile: Profile = CLEAN, *, seed: int, listen: Address = ("127.0.0.1", 0)
) -> Iterator[Handle]:
    """A proxy on a thread of its own. `listen` with port 0 takes a free one."""
    made: list[Handle] = []
    failures: list[BaseException] = []
    is_up, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        proxy = Proxy(upstream, profile, seed=seed, listen=listen)
        made.append(Handle(proxy, asyncio.get_running_loop()))
        is_up.set()
        await stop.wait()
        proxy.close()

    def run() -> None:
        try:
            asyncio.run(serve())
        except OSError as error:
            failures.append(error)
        is_up.set()

    thread = threading.Thread(target=run, name="impair")
    thread.start()
    is_up.wait()
    try:
        if failures:
            raise failures[0]
        yield made[0]
    finally:
        if made:
            made[0].ask(lambda _: stop.set())
        thread.join()


def _udp_socket(address: Address, family: int | None = None) -> socket.socket:
    made = socket.socket(_family(address[0]) if family is None else family, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
    try:
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made


def _family(host: str) -> int:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _is_loopback(host: str) -> bool:
    return host.startswith("127.") or host == "::1"


_BATCH = 64  # datagrams in one go, then the timers and the other sockets
_MAX_BYTES = 65_536
_MAX_CLIENTS = 256
#: A few hundred milliseconds of video, for when the machine is busy.
_RECEIVE_BUFFER_BYTES = 1 << 20
_ANSWER_S = 10.0

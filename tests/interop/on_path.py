"""Somebody on the path of one SDK client: relays its signalling and its datagrams, keeps copies, can add its own and cut both.

The candidates of descriptions are rewritten to the relay's port, so what `inject` sends has the very addresses of the client's
media.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
from aiohttp import WSMsgType, web
from aioice import stun
from livekit.protocol import rtc
from yarl import URL

from tests.support.datagrams import protocol_of
from tests.support.server import Server

_CANDIDATE = re.compile(r"a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 (\d+) typ host[^\r\n]*", re.IGNORECASE)
_KEPT = 400
_SO_TIMESTAMPNS = 35


@dataclass(frozen=True, slots=True)
class Arrival:
    """An RTP packet on its way to or from the client."""

    #: Unix time in seconds at which the server sent it (the kernel's: ours may be late), or at which it went on to the server.
    at: float
    ssrc: int
    sequence: int
    #: The client's.
    port: int


class Relay:
    """The datagrams: one socket towards the client, and one towards the server for each of the client's."""

    def __init__(self, server_port: int) -> None:
        #: Of the client's shard.
        self.server = ("127.0.0.1", server_port)
        self._loop = asyncio.get_running_loop()
        self._front = _udp_socket()
        self._backs: dict[tuple[str, int], socket.socket] = {}
        self._media: socket.socket | None = None
        self.port: int = self._front.getsockname()[1]
        #: By protocol: the first datagrams of the client, and the latest.
        self.first: defaultdict[str, list[bytes]] = defaultdict(list)
        self.latest: defaultdict[str, deque[bytes]] = defaultdict(lambda: deque(maxlen=_KEPT))
        self._arrivals: list[Arrival] | None = None
        self._departures: list[Arrival] | None = None
        #: Ports of the client from which nothing passes any more.
        self._dead: set[int] = set()
        self._loop.add_reader(self._front, self._from_client)

    def close(self) -> None:
        for each in (self._front, *self._backs.values()):
            self._loop.remove_reader(each)
            each.close()

    def move(self) -> None:
        """From now on the client's datagrams come from other ports, as after a change of networks."""
        for client, back in list(self._backs.items()):
            self._loop.remove_reader(back)
            back.close()
            self._open(client)

    @property
    def username(self) -> str:
        """As the client's checks say it: the server's ufrag, a colon, its own."""
        for datagram in self.first["stun"]:
            message = stun.parse_message(datagram)
            if message.message_class is stun.Class.REQUEST:
                return str(message.attributes["USERNAME"])
        raise AssertionError("the client has sent no check")

    def watch_arrivals(self) -> list[Arrival]:
        """Filled with what goes to the client from now on."""
        self._arrivals = []
        return self._arrivals

    def watch_departures(self) -> list[Arrival]:
        """The same of what comes from it."""
        self._departures = []
        return self._departures

    def ports(self) -> set[int]:
        """Of the client, as far as they have been seen."""
        return {port for _, port in self._backs}

    def kill(self, ports: Iterable[int]) -> None:
        """The network that these ports are on is gone."""
        self._dead.update(ports)

    async def inject(self, datagrams: Iterable[bytes], pause_every: int = 20) -> int:
        """Sends from the socket of the client's media. Returns how many."""
        assert self._media is not None, "the client has sent no media"
        return await send_paced(self._media, datagrams, pause_every)

    def _from_client(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(64):
                datagram, client = self._front.recvfrom(2_048)
                if self._departures is not None and protocol_of(datagram) == "rtp":
                    self._departures.append(_packet(datagram, time.time(), client[1]))
                if client[1] in self._dead:
                    continue
                back = self._backs.get(client) or self._open(client)
                protocol = protocol_of(datagram) or "other"
                if len(self.first[protocol]) < _KEPT:
                    self.first[protocol].append(datagram)
                self.latest[protocol].append(datagram)
                if protocol == "rtp":
                    self._media = back
                back.send(datagram)

    def _open(self, client: tuple[str, int]) -> socket.socket:
        back = self._backs[client] = _udp_socket()
        back.connect(self.server)
        back.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._loop.add_reader(back, self._from_server, back, client)
        return back

    def _from_server(self, back: socket.socket, client: tuple[str, int]) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            for _ in range(64):
                datagram, ancillary, _, _ = back.recvmsg(2_048, 64)
                if client[1] in self._dead:
                    continue
                if self._arrivals is not None and protocol_of(datagram) == "rtp":
                    self._arrivals.append(_packet(datagram, _kernel_time(ancillary), client[1]))
                self._front.sendto(datagram, client)


class OnPath:
    """Serves at `url` what the server serves, for one client."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._relay: Relay | None = None
        self._signals: list[web.Request] = []
        self.url = ""

    @property
    def relay(self) -> Relay:
        assert self._relay is not None, "no answer has passed"
        return self._relay

    def cut(self) -> None:
        """The signalling connection breaks off, without a word to either side."""
        for request in list(self._signals):
            if request.transport is not None:
                request.transport.abort()

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        client = web.WebSocketResponse(max_msg_size=0)
        await client.prepare(request)
        headers = {name: request.headers[name] for name in ("Authorization",) if name in request.headers}
        url = URL(self._server.origin + request.raw_path, encoded=True)
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(url, headers=headers, max_msg_size=0) as server,
        ):
            upward = asyncio.create_task(_pump(client, server))
            self._signals.append(request)
            try:
                async for message in server:
                    if message.type is WSMsgType.BINARY:
                        await client.send_bytes(self._rewritten(message.data))
            finally:
                self._signals.remove(request)
                upward.cancel()
                await asyncio.gather(upward, return_exceptions=True)
        return client

    def close(self) -> None:
        if self._relay is not None:
            self._relay.close()

    def _rewritten(self, frame: bytes) -> bytes:
        response = rtc.SignalResponse.FromString(frame)
        kind = response.WhichOneof("message")
        if kind not in ("answer", "offer"):
            return frame
        description = response.answer if kind == "answer" else response.offer
        found = _CANDIDATE.search(description.sdp)
        assert found, description.sdp
        if self._relay is None:
            self._relay = Relay(int(found[1]))
        ours = found[0].replace(f" {found[1]} typ", f" {self._relay.port} typ")
        lines = description.sdp.split("\r\n")
        kept = [ours if line == found[0] else line for line in lines if line == found[0] or "a=candidate:" not in line]
        description.sdp = "\r\n".join(kept)
        return response.SerializeToString()


async def _pump(source: web.WebSocketResponse, sink: aiohttp.ClientWebSocketResponse) -> None:
    async for message in source:
        if message.type is WSMsgType.BINARY:
            await sink.send_bytes(message.data)


@contextlib.asynccontextmanager
async def on_path(server: Server) -> AsyncIterator[OnPath]:
    """Hands out the relay; clients connect to its `url`."""
    path = OnPath(server)
    app = web.Application()
    app.router.add_get("/{path:.*}", path.serve)
    runner = web.AppRunner(app, access_log=None, max_line_size=1 << 20, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    path.url = f"ws://{urlsplit(server.origin).hostname}:{runner.addresses[0][1]}"
    try:
        yield path
    finally:
        await runner.cleanup()
        path.close()


async def send_paced(sender: socket.socket, datagrams: Iterable[bytes], pause_every: int = 20) -> int:
    """From a connected socket, a few per millisecond: a full receive buffer is not what is tested."""
    sent = 0
    for datagram in datagrams:
        with contextlib.suppress(ConnectionError):
            sender.send(datagram)
        sent += 1
        if sent % pause_every == 0:
            await asyncio.sleep(0.002)
    return sent


def _packet(datagram: bytes, at: float, port: int) -> Arrival:
    sequence, ssrc = struct.unpack_from(">2xH4xI", datagram)
    return Arrival(at, ssrc, sequence, port)


def _kernel_time(ancillary: list[tuple[int, int, bytes]]) -> float:
    seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
    return float(seconds + nanoseconds / 1e9)


def _udp_socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    made.setblocking(False)
    return made

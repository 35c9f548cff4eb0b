"""The client's side of ICE-TCP: connections that carry frames (RFC 4571), and a bridge that puts aiortc's datagrams on them."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

from aioice import stun

from sfu._native import Engine
from tests.engine.support import PASSWORD, binding_request, ufrag

Address = tuple[Any, ...]


def connect(engine: Engine, host: str = "127.0.0.1", *, receive_buffer: int | None = None) -> socket.socket:
    """A connection to the engine; reading gives up after two seconds."""
    client = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    if receive_buffer is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.settimeout(2.0)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.connect((host, engine.tcp_addresses()[0].port))
    return client


def frame(datagram: bytes) -> bytes:
    return struct.pack("!H", len(datagram)) + datagram


def read_frame(client: socket.socket) -> bytes:
    """The next frame; empty when the connection was closed."""
    header = _read(client, 2)
    return _read(client, struct.unpack("!H", header)[0]) if header else b""


def is_closed(client: socket.socket) -> bool:
    """Whether the engine closes the connection without a word."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def is_closed_now(client: socket.socket) -> bool:
    """The same, without waiting for it."""
    client.settimeout(0.05)
    return is_closed(client)


def check_frame(number: int = 1, password: str = PASSWORD) -> tuple[stun.Message, bytes]:
    request = binding_request(f"{ufrag(number)}:client", password)
    return request, frame(bytes(request))


def check(client: socket.socket, number: int = 1) -> stun.Message:
    """Sends a check for transport `number` and gives the verified response."""
    request, framed = check_frame(number)
    client.sendall(framed)
    response = stun.parse_message(read_frame(client))
    assert response.check_message_integrity(PASSWORD.encode())
    assert response.transaction_id == request.transaction_id
    assert response.message_class is stun.Class.RESPONSE
    return response


class Bridge(asyncio.DatagramProtocol):
    """A UDP address that stands for the engine's TCP port: one connection per client that sends there.

    Every frame goes out in pieces of `piece` bytes, each in a segment of its own.
    """

    def __init__(self, engine: Engine, host: str, piece: int) -> None:
        self.connections = 0
        self._target = (host, engine.tcp_addresses()[0].port)
        self._piece = piece
        self._queues: dict[Address, asyncio.Queue[bytes]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._udp: asyncio.DatagramTransport | None = None

    @classmethod
    async def start(cls, engine: Engine, host: str = "127.0.0.1", piece: int = 65_537) -> Bridge:
        loop = asyncio.get_running_loop()
        _, bridge = await loop.create_datagram_endpoint(lambda: cls(engine, host, piece), local_addr=(host, 0))
        return bridge

    @property
    def port(self) -> int:
        assert self._udp is not None
        return int(self._udp.get_extra_info("sockname")[1])

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._udp is not None:
            self._udp.close()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._udp = transport

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if addr not in self._queues:
            self._queues[addr] = asyncio.Queue()
            self._tasks.append(asyncio.create_task(self._carry(addr, self._queues[addr])))
        self._queues[addr].put_nowait(data)

    async def _carry(self, addr: Address, queue: asyncio.Queue[bytes]) -> None:
        reader, writer = await asyncio.open_connection(*self._target)
        self.connections += 1
        back = asyncio.create_task(self._carry_back(addr, reader))
        try:
            while True:
                framed = frame(await queue.get())
                for start in range(0, len(framed), self._piece):
                    writer.write(framed[start : start + self._piece])
                    await writer.drain()
        finally:
            back.cancel()
            writer.close()

    async def _carry_back(self, addr: Address, reader: asyncio.StreamReader) -> None:
        assert self._udp is not None
        while True:
            header = await reader.readexactly(2)
            self._udp.sendto(await reader.readexactly(struct.unpack("!H", header)[0]), addr)


def _read(client: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = client.recv(count - len(data))
        if not more:
            return b""
        data += more
    return data

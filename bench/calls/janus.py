"""A session of Janus over its WebSocket, as far as a bridge to VideoRoom needs it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import aiohttp

Json = dict[str, Any]


class JanusError(RuntimeError):
    """It said no, in its own words."""


class Session:
    """`on_event` gets every event that answers no request."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, on_event: Callable[[Json], None]) -> None:
        self._socket = socket
        self._on_event = on_event
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[Json]] = {}
        self._acknowledged: set[str] = set()
        self._id: int | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def open(cls, http: aiohttp.ClientSession, url: str, on_event: Callable[[Json], None]) -> Session:
        session = cls(await http.ws_connect(url, protocols=("janus-protocol",)), on_event)
        session._tasks.append(asyncio.create_task(session._read()))
        session._id = (await session._ask({"janus": "create"}))["data"]["id"]
        session._tasks.append(asyncio.create_task(session._keep_alive()))
        return session

    async def attach(self) -> int:
        """A new handle of VideoRoom."""
        reply = await self._ask({"janus": "attach", "plugin": "janus.plugin.videoroom"})
        handle: int = reply["data"]["id"]
        return handle

    async def ask(self, handle: int, body: Json, jsep: Json | None = None) -> tuple[Json, Json | None]:
        """What VideoRoom answers, and the description with it."""
        described = {} if jsep is None else {"jsep": jsep}
        reply = await self._ask({"janus": "message", "handle_id": handle, "body": body, **described})
        data: Json = reply["plugindata"]["data"]
        if "error" in data:
            raise JanusError(f"{body['request']}: {data['error']}")
        return data, reply.get("jsep")

    async def trickle(self, handle: int, candidate: Json) -> None:
        await self._ask({"janus": "trickle", "handle_id": handle, "candidate": candidate})

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        # Its handles, and their connections, end with the session.
        await self._socket.send_json({"janus": "destroy", **self._address()})
        await self._socket.close()

    async def _ask(self, request: Json) -> Json:
        transaction = str(next(self._numbers))
        answer = self._waiting[transaction] = asyncio.get_running_loop().create_future()
        if request["janus"] in ACKNOWLEDGED_ONLY:
            self._acknowledged.add(transaction)
        await self._socket.send_json({**request, **self._address(transaction)})
        async with asyncio.timeout(PATIENCE_S):
            reply: Json = await answer
            return reply

    def _address(self, transaction: str = "0") -> Json:
        session = {} if self._id is None else {"session_id": self._id}
        return {"transaction": transaction, **session}

    async def _read(self) -> None:
        async for message in self._socket:
            said: Json = message.json()
            transaction = said.get("transaction", "")
            answer = self._waiting.get(transaction)
            if answer is None:
                self._on_event(said)
            elif said["janus"] != "ack" or transaction in self._acknowledged:
                self._settle(transaction, said)

    def _settle(self, transaction: str, said: Json) -> None:
        answer = self._waiting.pop(transaction)
        self._acknowledged.discard(transaction)
        if answer.done():
            return  # nobody waits any more
        if said["janus"] == "error":
            answer.set_exception(JanusError(said["error"]["reason"]))
        else:
            answer.set_result(said)

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(KEEP_ALIVE_S)
            await self._ask({"janus": "keepalive"})


#: Requests that get an ack and nothing else; to the others it means that the answer takes a while.
ACKNOWLEDGED_ONLY = ("trickle", "keepalive")
#: Janus forgets a session after 60 s of silence.
KEEP_ALIVE_S = 25
PATIENCE_S = 20

"""One signalling WebSocket: reads requests, writes responses, and nothing else. A participant may outlive it.

Responses are queued while a request is handled and written by one task. A reader that falls too far behind is cut off;
it can resume.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import WebSocketError, WSCloseCode, WSMsgType, web
from livekit.protocol import models, rtc

from control.signal import frames
from control.signal.frames import FrameError
from control.signal.handlers import HANDLERS
from sfu.errors import MediaError, StateMismatch
from sfu.negotiation import SdpError
from sfu.participant import Participant
from sfu.policy.patience import Patience

if TYPE_CHECKING:
    from control.signal.server import SignalServer

_log = logging.getLogger(__name__)


class _Control(NamedTuple):
    """A ping or pong among the messages."""

    opcode: WSMsgType
    payload: bytes


class SignalSession:
    """A `SignalSink`. `run` serves the socket until either side ends it."""

    def __init__(self, server: SignalServer, request: web.Request) -> None:
        self.server = server
        self.participant: Participant | None = None
        #: Called after the first description of the client was dealt with.
        self.on_negotiated: Callable[[], object] | None = None
        self._request = request
        self._socket = web.WebSocketResponse(
            autoping=False, max_msg_size=frames.MAX_FRAME_BYTES, timeout=_CLOSE_TIMEOUT_S, compress=False
        )
        self._queue: deque[bytes | str | _Control] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._closing = False
        self._text = False
        self._bad_frames = 0
        self._budget = float(MAX_REQUESTS_PER_S)
        self._paced_at = asyncio.get_running_loop().time()
        self._refresh = Patience(REFRESH_INTERVAL_S)
        self._ping = Patience(PING_INTERVAL_S)
        self._ping.arm()
        self._silence = Patience(SILENCE_TIMEOUT_S)
        self._silence.arm()
        self._flush = Patience(FLUSH_TIMEOUT_S)

    # ------------------------------------------------------------------------------------------- the sink's side

    def send(self, message: rtc.SignalResponse) -> None:
        if self._closing:
            return
        frame = self.server.encoder.encode(message, text=self._text)
        self._queue.append(frame)
        self._queued_bytes += len(frame)
        if len(self._queue) > MAX_QUEUED_FRAMES or self._queued_bytes > MAX_QUEUED_BYTES:
            _log.info("a signalling client reads too slowly; it is cut off", extra={"reason": "slow_reader"})
            self.server.count_error("slow_reader")
            self.abort()
        self._wake.set()

    def now_ms(self) -> int:
        """Unix time, for pongs."""
        return int(time.time() * 1000)

    def close(self) -> None:
        """What is queued is still written, then the socket is closed; dropped if that does not work in time."""
        self._flush.arm()
        self._closing = True
        self._wake.set()

    def abort(self) -> None:
        """Drops the socket without a goodbye."""
        self._closing = True
        self._queue.clear()
        if self._request.transport is not None:
            self._request.transport.abort()
        self._wake.set()

    # ---------------------------------------------------------------------------------------------- the socket

    def can_upgrade(self) -> bool:
        """Whether the request is a WebSocket handshake at all."""
        return self._socket.can_prepare(self._request).ok

    async def run(self) -> web.WebSocketResponse:
        """Upgrades and serves. The first message is queued already."""
        writer: asyncio.Task[None] | None = None
        try:
            await self._socket.prepare(self._request)
            writer = asyncio.create_task(self._write(), name="signal-writer")
            await self._read()
        finally:
            self._closing = True
            self._wake.set()
            if self.participant is not None:
                self.participant.handle_signal_lost(self)
            if writer is not None:
                await self._finish(writer)
        return self._socket

    def refresh_token(self) -> None:
        """Sends a fresh token, and again every five minutes."""
        participant = self.participant
        if participant is None or participant.closed or self._closing:
            return
        self.send(rtc.SignalResponse(refresh_token=self.server.refresh_token(participant)))
        self._refresh.arm()

    def handle_timeout(self, now: float) -> None:
        """Pings, fresh tokens and the ends of patience; to be called every `TICK_S`."""
        if self._silence.expired(now):
            self.server.count_error("silent")
            self.abort()
        elif self._flush.expired(now):
            self.abort()
        elif self._ping.expired(now):
            self._ping.arm()
            self._control(_Control(WSMsgType.PING, b""))
        elif self._refresh.expired(now):
            self.refresh_token()

    def _control(self, frame: _Control) -> None:
        if not self._closing and len(self._queue) < MAX_QUEUED_FRAMES:
            self._queue.append(frame)
            self._wake.set()

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type == WSMsgType.ERROR:
                self.server.count_error("oversize_frame" if _is_too_big(message.data) else "bad_frame")
            if self._closing:
                continue
            self._silence.disarm()
            self._silence.arm()
            if self.participant is not None:
                self.participant.handle_alive()
            if message.type == WSMsgType.PING:
                self._control(_Control(WSMsgType.PONG, message.data))
            if message.type in _FRAMES:
                self._text = message.type == WSMsgType.TEXT
                if not self._handle_frame(message.data):
                    await self._socket.close(code=WSCloseCode.INVALID_TEXT, message=b"frames are not SignalRequests")
            await self._pace(1 + len(message.data or b"") // REQUEST_BYTES if message.type in _FRAMES else 1)

    async def _pace(self, cost: int) -> None:
        """Lets others have their turn, and reads no more than `MAX_REQUESTS_PER_S` on average; TCP tells the client."""
        now = asyncio.get_running_loop().time()
        self._budget = min(MAX_REQUESTS_PER_S, self._budget + (now - self._paced_at) * MAX_REQUESTS_PER_S) - cost
        self._paced_at = now
        await asyncio.sleep(0 if self._budget > 0 else -self._budget / MAX_REQUESTS_PER_S)

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                try:
                    await self._write_frame(self._queue.popleft())
                except (ConnectionError, RuntimeError):
                    return
            if self._closing:
                with contextlib.suppress(ConnectionError, RuntimeError):
                    await self._socket.close()
                return

    async def _write_frame(self, frame: bytes | str | _Control) -> None:
        if isinstance(frame, _Control):
            await self._socket.send_frame(frame.payload, frame.opcode)
            return
        self._queued_bytes -= len(frame)
        if isinstance(frame, str):
            await self._socket.send_str(frame)
        else:
            await self._socket.send_bytes(frame)

    async def _finish(self, writer: asyncio.Task[None]) -> None:
        """Lets the writer say what is left to say, for a moment."""
        done, _ = await asyncio.wait({writer}, timeout=_CLOSE_TIMEOUT_S)
        if not done:
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer

    # ------------------------------------------------------------------------------------------------- requests

    def _handle_frame(self, frame: bytes | str) -> bool:
        """False when the client sent too much that we cannot read."""
        try:
            request = frames.decode(frame)
        except FrameError:
            self.server.count_error("bad_frame")
            self._bad_frames += 1
            return self._bad_frames < MAX_BAD_FRAMES
        self.handle_request(request)
        return True

    def handle_request(self, request: rtc.SignalRequest) -> None:
        """Carries out one request. Whatever goes wrong concerns this client alone."""
        participant = self.participant
        kind = request.WhichOneof("message")
        handler = HANDLERS.get(kind) if kind is not None else None
        if participant is None or participant.closed or handler is None or kind is None:
            return
        try:
            handler(self, participant, getattr(request, kind))
            if kind in _DESCRIPTIONS and self.on_negotiated is not None:
                told, self.on_negotiated = self.on_negotiated, None
                told()
        except (SdpError, StateMismatch) as error:
            self.server.count_error(error.code)
            _log.info("a session cannot go on", extra={"reason": error.code, "detail": str(error)[:_MAX_DETAIL]})
            participant.leave(models.DisconnectReason.STATE_MISMATCH, _FAULT_ACTION[type(error)])
        except MediaError as error:
            self.server.count_error(error.code)
            _log.info("a request was refused", extra={"reason": error.code, "request": kind})
        except Exception:  # noqa: BLE001 (a bug of ours must not take other sessions along)
            self.server.count_error("internal_error")
            _log.exception("a signal request failed", extra={"request": kind, "reason": "internal_error"})
            participant.leave(models.DisconnectReason.UNKNOWN_REASON, rtc.LeaveRequest.Action.RECONNECT)


def _is_too_big(error: object) -> bool:
    return isinstance(error, WebSocketError) and error.code == WSCloseCode.MESSAGE_TOO_BIG


_FRAMES = (WSMsgType.BINARY, WSMsgType.TEXT)
_DESCRIPTIONS = frozenset({"offer", "answer"})
# A description that we cannot read will be no better after a reconnect.
_FAULT_ACTION: dict[type[MediaError], int] = {
    SdpError: rtc.LeaveRequest.Action.DISCONNECT,
    StateMismatch: rtc.LeaveRequest.Action.RECONNECT,
}
# Parts of it are the client's words.
_MAX_DETAIL = 200
_CLOSE_TIMEOUT_S = 2.0
FLUSH_TIMEOUT_S = 5.0
# As LiveKit's server; it keeps middleboxes awake. (aiohttp's own heartbeat leaves a timer behind when it closes.)
PING_INTERVAL_S = 10.0
# Three pings, or six of the client's own, without an answer.
SILENCE_TIMEOUT_S = 30.0
# The busiest honest moment is a grid of tiles that sends a setting for each.
MAX_REQUESTS_PER_S = 200
# A large request counts as several: an offer of 300 kB takes as long as seventy small requests.
REQUEST_BYTES = 4096
REFRESH_INTERVAL_S = 300.0
MAX_QUEUED_FRAMES = 2_000
MAX_QUEUED_BYTES = 8 << 20
#: A client of a newer protocol may send what we do not know, but it is still protobuf.
MAX_BAD_FRAMES = 10

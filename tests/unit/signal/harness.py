"""A running signalling server on a `FakeEngine`, and scripted clients on real WebSockets."""

from __future__ import annotations

import asyncio
import base64
import gzip
import ipaddress
import logging
import re
import time
from collections.abc import Callable, Iterable
from typing import Any

import aiohttp
from aiohttp import web
from livekit.protocol import models, rtc

from control.addresses import Advertised
from control.app import public_app
from control.http import Runner
from control.logs import JsonFormatter
from control.metrics import Inventory, Metrics
from control.node import SignalParts
from control.signal.server import SignalServer
from control.tokens import Grants, mint
from control.turn.config import TurnConfig
from control.turn.node import TurnNode
from control.turn.settings import Surroundings
from sfu import seam
from sfu.engine import EngineFacade
from sfu.policy.patience import TICK_S
from sfu.room import Room
from tests.support.fake_engine import FakeNodeEngine
from tests.unit.signal import sdp
from tests.unit.signal.sdp import Sdp, Section
from turn.server import TurnInventory

KEY, SECRET = "devkey", "secretsecretsecretsecretsecretsecret"
Message = rtc.SignalResponse


class Log(logging.Handler):
    """Collects what a server at level "info" would write. Faults are contained, and would otherwise pass unseen."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(JsonFormatter())
        self.lines: list[str] = []
        self.faults: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(("control", "sfu", "aiohttp")):
            self.lines.append(self.format(record))
        if record.levelno >= logging.ERROR:
            self.faults.append(self.format(record))

    def naming(self, names: Iterable[str]) -> list[str]:
        """The lines that give one of the names away."""
        pattern = re.compile("|".join(rf"\b{re.escape(name)}\b" for name in {"127.0.0.1", "192.0.2.1", *names}))
        return [line for line in self.lines if pattern.search(line)]


class Call:
    """The server, its engine and every client; `close` ends them and checks that nothing is left in the engine."""

    def __init__(
        self,
        shards: int = 1,
        advertise: Iterable[str] = ("127.0.0.1",),
        room_spread: int = 50,
        turn: TurnConfig | None = None,
    ) -> None:
        self._advertise = [Advertised.parse(text) for text in advertise]
        self.engine = FakeNodeEngine(shards)
        self._turn_config = turn
        self.turn: TurnNode | None = None
        self._room_spread = room_spread
        self.clients: list[Client] = []
        self.http: aiohttp.ClientSession
        self.url = ""
        self.server: SignalServer
        self.facade: EngineFacade
        self.metrics: Metrics
        self._runner: Runner
        self._virtual = 0.0
        self.log = Log()

    async def start(self) -> None:
        logging.getLogger().addHandler(self.log)
        self._level = logging.getLogger().level
        logging.getLogger().setLevel(logging.INFO)
        self.facade = EngineFacade(self.engine, asyncio.get_running_loop(), self.engine.shards)
        self.metrics = Metrics("1")
        if self._turn_config is not None:
            around = Surroundings([ipaddress.ip_address("127.0.0.1")])
            self.turn = TurnNode(self.engine, self.facade, asyncio.get_running_loop(), around)
            await self.turn.start(self._turn_config)
        parts = SignalParts(self.facade, {KEY: SECRET}, self._advertise, self.metrics, self._room_spread, self.turn)
        self.server = SignalServer(parts)
        self.metrics.watch(self)
        # Time passes in these tests only when `tick` says so. What waits for a tick, but not for time, comes by itself.
        self.server._tick.cancel()
        self._ticking = asyncio.create_task(self._tick())
        app = public_app(self.metrics)
        self.server.add_routes(app)
        self._runner = Runner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self.http = aiohttp.ClientSession()

    async def close(self) -> None:
        for client in self.clients:
            await client.close()
        self._ticking.cancel()
        await self.server.close()
        await self.http.close()
        await self._runner.cleanup()
        self.facade.flush()
        if self.turn is not None:
            self.turn.server.close()
            assert self.turn.server.inventory().minted == 0 and self.turn.server.allocations() == []
        left = (self.engine.open_ids(), self.facade.counts())
        self.facade.close(0)
        logging.getLogger().removeHandler(self.log)
        logging.getLogger().setLevel(self._level)
        assert self.log.faults == []
        assert self.log.naming(client.identity for client in self.clients) == []
        empty = {"transports": 0, "producers": 0, "consumers": 0}
        assert left == (empty, empty)

    # What the metrics read.

    def stats(self) -> seam.Stats:
        return self.engine.snapshot()

    def inventory(self) -> Inventory:
        return self.server.inventory()

    def turn_inventory(self) -> TurnInventory:
        return TurnInventory() if self.turn is None else self.turn.server.inventory()

    def scrape(self) -> dict[str, float]:
        """Series, as `/metrics` writes them, -> value."""
        lines = self.metrics.render().decode().splitlines()
        return {
            name: float(value)
            for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))
        }

    def token(self, identity: str, room: str = "r", **claims: Any) -> str:
        grants = claims.pop("grants", {})
        return mint(
            KEY,
            SECRET,
            Grants(room=room, room_join=True, **grants),
            identity=identity,
            now=time.time(),
            **claims,
        )

    async def join(self, identity: str, *, v1: bool = True, publish_nothing: bool = False, **options: Any) -> Client:
        """Joins, sends the first offer (v1) or answers ours (v0), and waits until the join response is there."""
        client = Client(self, identity, v1=v1, **options)
        self.clients.append(client)
        await client.connect()
        client.joined = (await client.expect("join")).join
        return client

    def room(self, name: str = "r") -> Room:
        room = next((room for room in self.server.rooms.all() if room.name == name), None)
        assert room is not None
        return room

    def transport_of(self, client: Client) -> seam.TransportId:
        return self.room().participants[client.identity].connection.data_transport  # type: ignore[index]

    def consumers_of(self, client: Client) -> list[seam.AddConsumer]:
        return self.engine.consumers_on(self.transport_of(client))

    async def settled(self) -> None:
        """Until the engine's events so far were handled, and what came of them was submitted."""
        self.facade.handle_events()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(0.005)
            self.pass_no_time()

    def pass_no_time(self) -> None:
        """What a tick does that takes no time."""
        for room in self.server.rooms.all():
            room.tell_news()
            for participant in room.participants.values():
                participant.connection._negotiate()

    def tick(self, seconds: float) -> None:
        """Runs the rooms' timers as if so much time had passed, in steps of the real tick."""
        for _ in range(round(seconds / TICK_S) + 1):
            self._virtual += TICK_S
            self.server.handle_timeout(self._virtual)


class Client:
    """A scripted client. With `automatic` it renegotiates when asked, as an SDK does."""

    def __init__(
        self,
        call: Call,
        identity: str,
        *,
        v1: bool = True,
        room: str = "r",
        protocol: int = 17,
        auto_subscribe: bool = True,
        automatic: bool = True,
        offer_in_join: bool = True,
        codecs: tuple[str, ...] = ("VP8", "H264", "VP9", "AV1"),
        spare: int = 3,
        refuse: tuple[str, ...] = (),
        query: dict[str, str] | None = None,
        reconnect_sid: str = "",
        **claims: Any,
    ) -> None:
        self.call = call
        self.identity = identity
        self.v1 = v1
        self.automatic = automatic
        self.joined = rtc.JoinResponse()
        self.messages: list[Message] = []
        self.pings = 0
        self.closed = asyncio.Event()
        self.protocol = protocol
        self.sdp = Sdp(codecs=codecs)
        if v1:
            self.sdp.sections = [Section("audio") for _ in range(spare)] + [Section("video") for _ in range(spare)]
            self.sdp.sections.append(Section("application"))
        self.answers: list[rtc.SessionDescription] = []
        self.offers: list[rtc.SessionDescription] = []
        self.ws: aiohttp.ClientWebSocketResponse
        self._auto_subscribe = auto_subscribe
        self._offer_in_join = offer_in_join
        self._offer_id = 0
        self._seen: set[int] = set()
        self._news = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._token = call.token(identity, room, **claims)
        self._refuse = refuse
        self._query = query or {}
        self._reconnect_sid = reconnect_sid

    # ------------------------------------------------------------------------------------------------ connection

    async def connect(self) -> None:
        path, query = ("/rtc/v1", self._v1_query()) if self.v1 else ("/rtc", self._v0_query())
        headers = {"Authorization": f"Bearer {self._token}"}
        self.ws = await self.call.http.ws_connect(
            self.call.url + path, params={**query, **self._query}, headers=headers, max_msg_size=0, autoping=False
        )
        self._reader = asyncio.create_task(self._read())

    async def close(self) -> None:
        """Leaves as an SDK does."""
        if not self.ws.closed:
            await self.send(leave=rtc.LeaveRequest(reason="CLIENT_INITIATED"))
            await self.ws.close()
        await self.drop()

    async def drop(self) -> None:
        """The network is gone: no leave."""
        if not self.ws.closed:
            await self.ws.close()
        if self._reader is not None:
            await self._reader

    async def send(self, **message: Any) -> None:
        if not self.ws.closed:
            await self.ws.send_bytes(rtc.SignalRequest(**message).SerializeToString())

    async def settle(self) -> None:
        """Until the server has handled everything sent so far and said what it has to say."""
        for _ in range(2):
            self.call.pass_no_time()
            stamp = time.monotonic_ns() % 2**40
            await self.send(ping_req=rtc.Ping(timestamp=stamp))
            await self.expect("pong_resp", lambda message: message.pong_resp.last_ping_timestamp == stamp)

    # -------------------------------------------------------------------------------------------------- messages

    async def expect(self, kind: str, where: Callable[[Message], bool] = lambda _: True) -> Message:
        """The first message of this kind that no earlier `expect` has returned."""
        async with asyncio.timeout(3):
            while True:
                for index, message in enumerate(self.messages):
                    if index not in self._seen and message.WhichOneof("message") == kind and where(message):
                        self._seen.add(index)
                        return message
                self._news.clear()
                await self._news.wait()

    async def expect_participant(
        self, identity: str, where: Callable[[models.ParticipantInfo], bool] = lambda _: True
    ) -> models.ParticipantInfo:
        def matches(message: Message) -> bool:
            return any(info.identity == identity and where(info) for info in message.update.participants)

        message = await self.expect("update", matches)
        return next(info for info in message.update.participants if info.identity == identity and where(info))

    def received(self, kind: str) -> list[Message]:
        return [message for message in self.messages if message.WhichOneof("message") == kind]

    async def _read(self) -> None:
        async for frame in self.ws:
            if frame.type == aiohttp.WSMsgType.PING and self.automatic:
                self.pings += 1
                await self.ws.pong(frame.data)
            if frame.type != aiohttp.WSMsgType.BINARY:
                continue
            message = Message()
            message.ParseFromString(frame.data)
            self.messages.append(message)
            await self._react(message)
            self._news.set()
        self.closed.set()

    async def _react(self, message: Message) -> None:
        match message.WhichOneof("message"):
            case "answer":
                self.answers.append(message.answer)
            case "offer":
                self.offers.append(message.offer)
                if self.automatic:
                    await self.answer_last()
            case "media_sections_requirement" if self.automatic:
                need = message.media_sections_requirement
                self.sdp.sections += [Section("audio") for _ in range(need.num_audios)]
                self.sdp.sections += [Section("video") for _ in range(need.num_videos)]
                await self.offer()
            case _:
                pass

    # ----------------------------------------------------------------------------------------------------- media

    async def offer(self) -> int:
        self._offer_id += 1
        await self.send(offer=rtc.SessionDescription(type="offer", sdp=self.sdp.offer(), id=self._offer_id))
        return self._offer_id

    async def offer_with_ufrag(self, ufrag: str) -> int:
        self.sdp.ufrag = ufrag
        if not self.sdp.sections:
            self.sdp.sections = [Section("application")]
        return await self.offer()

    async def answer_last(self) -> None:
        offer = self.offers[-1]
        text = sdp.answer(offer.sdp, refuse=self._refuse)
        await self.send(answer=rtc.SessionDescription(type="answer", sdp=text, id=offer.id))

    async def add_track(self, kind: str, cid: str, **fields: Any) -> None:
        source = "MICROPHONE" if kind == "audio" else "CAMERA"
        if kind == "video":
            fields = {"width": 1280, "height": 720, **fields}
        await self.send(add_track=rtc.AddTrackRequest(**{"cid": cid, "type": kind.upper(), "source": source, **fields}))

    async def publish(
        self, kind: str, cid: str, rids: tuple[str, ...] = (), codec: str = "vp8", **fields: Any
    ) -> models.TrackInfo:
        """AddTrack, then the offer; returns the announced track once the answer is there."""
        if kind == "video":
            qualities = {"q": "LOW", "h": "MEDIUM", "f": "HIGH"}
            sizes = {"q": (320, 180), "h": (640, 360), "f": (1280, 720)}
            layers = [
                models.VideoLayer(quality=qualities[rid], width=sizes[rid][0], height=sizes[rid][1]) for rid in rids
            ]
            fields = {"layers": layers, "simulcast_codecs": [rtc.SimulcastCodec(codec=codec, cid=cid)], **fields}
        await self.add_track(kind, cid, **fields)
        published = await self.expect("track_published", lambda message: message.track_published.cid == cid)
        self.sdp.sections.append(Section(kind, "sendonly", cid, rids))
        offer_id = await self.offer()
        await self.expect("answer", lambda message: message.answer.id == offer_id)
        return published.track_published.track

    async def unpublish(self, cid: str) -> None:
        for section in self.sdp.sections:
            if section.cid == cid:
                section.direction = "inactive"
        await self.offer()

    def _v1_query(self) -> dict[str, str]:
        request = rtc.JoinRequest(
            client_info=models.ClientInfo(sdk="PYTHON", protocol=self.protocol, version="1.2.1"),
            connection_settings=rtc.ConnectionSettings(auto_subscribe=self._auto_subscribe),
        )
        if self._reconnect_sid:
            request.reconnect = True
            request.participant_sid = self._reconnect_sid
        elif self._offer_in_join:
            self._offer_id += 1
            request.publisher_offer.CopyFrom(
                rtc.SessionDescription(type="offer", sdp=self.sdp.offer(), id=self._offer_id)
            )
        wrapped = rtc.WrappedJoinRequest(
            compression="GZIP", join_request=gzip.compress(request.SerializeToString(), mtime=0)
        )
        return {"join_request": base64.urlsafe_b64encode(wrapped.SerializeToString()).decode().rstrip("=")}

    def _v0_query(self) -> dict[str, str]:
        query = {"sdk": "js", "protocol": str(self.protocol), "version": "2.23.0"}
        if self._auto_subscribe is False:
            query["auto_subscribe"] = "0"
        if self._reconnect_sid:
            query |= {"reconnect": "1", "sid": self._reconnect_sid}
        return query

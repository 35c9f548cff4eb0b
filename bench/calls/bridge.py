"""LiveKit's signalling in front of Janus's VideoRoom, so that one generator loads both. Signalling only: media goes straight to Janus.

Run as `python -m bench.calls.bridge HOST:PORT JANUS_URL`, on another core than Janus. A participant is two handles of one session: one
publishes, one subscribes to all that it wants. Data and people who neither send nor receive are not translated.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aiohttp
import jwt
from aiohttp import web
from livekit.protocol import models, rtc

from bench.calls.janus import JanusError, Json, Session


@dataclass
class Room:
    """`number` is its name in Janus."""

    number: int
    members: dict[str, Member] = field(default_factory=dict)
    created: asyncio.Lock = field(default_factory=asyncio.Lock)
    exists: bool = False


class Member:
    """One participant, from join to leave."""

    def __init__(self, identity: str, room: Room, socket: web.WebSocketResponse, feed: int) -> None:
        self.identity = identity
        self.room = room
        self.feed = feed
        self._socket = socket
        self.janus: Session
        self.publisher: int | None = None
        self.subscriber: int | None = None
        #: By kind, once announced.
        self.tracks: dict[str, models.TrackInfo] = {}
        self.is_live = False
        #: Of its publishing sections, by kind.
        self.publisher_mids: dict[str, str] = {}
        #: Track sid -> wanted quality; what is asked for first is None.
        self.wanted: dict[str, int | None] = {}
        self.mids: dict[str, str] = {}
        self.answer: asyncio.Future[str] | None = None
        self.changed = asyncio.Event()

    def info(self) -> models.ParticipantInfo:
        tracks = self.tracks.values() if self.is_live else ()
        return models.ParticipantInfo(
            sid=f"PA_{self.feed}", identity=self.identity, state=models.ParticipantInfo.ACTIVE, tracks=tracks
        )

    def others(self) -> list[Member]:
        return [member for member in self.room.members.values() if member is not self]

    async def send(self, **message: Any) -> None:
        # One who is leaving hears no more of the others.
        with contextlib.suppress(ConnectionError):
            await self._socket.send_bytes(rtc.SignalResponse(**message).SerializeToString())

    async def announce(self, info: models.ParticipantInfo) -> None:
        """To the others."""
        update = rtc.ParticipantUpdate(participants=[info])
        await asyncio.gather(*(other.send(update=update) for other in self.others()))

    # ---- requests

    async def handle(self, request: rtc.SignalRequest) -> None:
        kind = request.WhichOneof("message") or ""
        handler = _HANDLERS.get(kind)
        if handler is not None:
            await handler(self, getattr(request, kind))

    async def handle_add_track(self, request: rtc.AddTrackRequest) -> None:
        name = "audio" if request.type == models.AUDIO else "video"
        track = models.TrackInfo(
            sid=f"TR_{self.feed}_{name}", type=request.type, name=request.name, source=request.source
        )
        self.tracks[name] = track
        await self.send(track_published=rtc.TrackPublishedResponse(cid=request.cid, track=track))

    async def handle_offer(self, offer: rtc.SessionDescription) -> None:
        self.publisher_mids = mids(offer.sdp)
        handle = self.publisher = await self.janus.attach()
        join = {"request": "join", "ptype": "publisher", "room": self.room.number, "id": self.feed}
        await self.janus.ask(handle, join)
        described = {"type": "offer", "sdp": largest_first(offer.sdp)}
        _, answer = await self.janus.ask(handle, {"request": "publish"}, described)
        if answer is not None:
            await self.send(answer=rtc.SessionDescription(type="answer", sdp=answer["sdp"], id=offer.id))

    async def handle_trickle(self, trickle: rtc.TrickleRequest) -> None:
        handle = self.publisher if trickle.target == rtc.PUBLISHER else self.subscriber
        if handle is not None:
            await self.janus.trickle(handle, json.loads(trickle.candidateInit))

    async def handle_answer(self, answer: rtc.SessionDescription) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(answer.sdp)

    async def handle_subscription(self, request: rtc.UpdateSubscription) -> None:
        for sid in request.track_sids:
            if request.subscribe:
                self.wanted.setdefault(sid, None)
            else:
                self.wanted.pop(sid, None)
        self.changed.set()

    async def handle_track_setting(self, request: rtc.UpdateTrackSettings) -> None:
        for sid in request.track_sids:
            self.wanted[sid] = request.quality
        self.changed.set()

    # ---- events of Janus

    def on_event(self, event: Json) -> None:
        if event["janus"] == "webrtcup" and event["sender"] == self.publisher and not self.is_live:
            self.is_live = True
            _keep(asyncio.create_task(self.announce(self.info())), _TASKS)

    # ---- subscribing

    async def subscribe(self) -> None:
        """Gives Janus one wish after the other, until the end."""
        while True:
            await self.changed.wait()
            # What comes together is asked for together.
            await asyncio.sleep(GATHER_S)
            self.changed.clear()
            try:
                await self._ask_for([sid for sid in self.wanted if sid not in self.mids])
                await self._choose()
            except JanusError:
                # Somebody left meanwhile. The wishes will tell; what is left of them is asked for again.
                self.changed.set()

    async def _ask_for(self, sids: Sequence[str]) -> None:
        streams = [stream for sid in sids if (stream := self._published(sid)) is not None]
        if not streams:
            return
        handle = self.subscriber or await self.janus.attach()
        # Sections of those who leave stay: with `autoupdate` Janus would offer by itself, while it is being asked.
        join = {"request": "join", "ptype": "subscriber", "room": self.room.number, "autoupdate": False}
        subscribe = {"request": "subscribe"}
        body = join if self.subscriber is None else subscribe
        said, offer = await self.janus.ask(handle, {**body, "streams": streams})
        self.subscriber = handle
        kinds = {(each["feed_id"], each["type"]): each["mid"] for each in said["streams"] if "feed_id" in each}
        self.mids = {f"TR_{feed}_{kind}": mid for (feed, kind), mid in kinds.items()}
        if offer is not None:
            await self._negotiate(handle, offer["sdp"])

    async def _negotiate(self, handle: int, sdp: str) -> None:
        self.answer = asyncio.get_running_loop().create_future()
        tracks = {mid: sid for sid, mid in self.mids.items()}
        await self.send(offer=rtc.SessionDescription(type="offer", sdp=sdp, id=1, mid_to_track_id=tracks))
        answer = {"type": "answer", "sdp": await self.answer}
        await self.janus.ask(handle, {"request": "start"}, answer)

    async def _choose(self) -> None:
        """Sizes; what Janus calls a substream is 0 for the smallest."""
        streams = [
            {"mid": self.mids[sid], "substream": quality, "temporal": 2}
            for sid, quality in self.wanted.items()
            if quality is not None and sid in self.mids
        ]
        if streams and self.subscriber is not None:
            await self.janus.ask(self.subscriber, {"request": "configure", "streams": streams})

    def _published(self, sid: str) -> Json | None:
        """As Janus names it, if its owner is there."""
        _, feed, kind = sid.split("_")
        owners = (member for member in self.room.members.values() if str(member.feed) == feed)
        return next(({"feed": owner.feed, "mid": owner.publisher_mids[kind]} for owner in owners), None)


class Bridge:
    """All rooms."""

    def __init__(self, janus: str) -> None:
        self._janus = janus
        self._rooms: dict[str, Room] = {}
        self._numbers = count(1)

    async def join(self, request: web.Request) -> web.StreamResponse:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        claims = jwt.decode(token, options={"verify_signature": False})
        room = self._rooms.setdefault(claims["video"]["room"], Room(next(self._numbers)))
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        member = Member(claims["sub"], room, socket, next(self._numbers))
        async with aiohttp.ClientSession() as http:
            member.janus = await Session.open(http, self._janus, member.on_event)
            await self._create(room, member.janus)
            room.members[member.identity] = member
            tasks = {asyncio.create_task(member.subscribe())}
            try:
                await member.send(join=_welcome(member, claims["video"]["room"]))
                await self._serve(member, socket, tasks)
            finally:
                # What it still asked for is nobody's concern any more.
                for task in tasks:
                    task.cancel()
                await self._end(member)
        return socket

    async def _create(self, room: Room, janus: Session) -> None:
        async with room.created:
            if not room.exists:
                handle = await janus.attach()
                await janus.ask(handle, {"request": "create", "room": room.number, **ROOM})
                room.exists = True

    async def _serve(self, member: Member, socket: web.WebSocketResponse, tasks: set[asyncio.Task[None]]) -> None:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                request = rtc.SignalRequest.FromString(message.data)
                if request.HasField("leave"):
                    return
                # A publisher's offer must not keep its wishes waiting.
                _keep(asyncio.create_task(member.handle(request)), tasks)

    async def _end(self, member: Member) -> None:
        if member.room.members.get(member.identity) is member:
            del member.room.members[member.identity]
        gone = member.info()
        gone.state = models.ParticipantInfo.DISCONNECTED
        await member.announce(gone)
        await member.janus.close()


def largest_first(sdp: str) -> str:
    """Janus takes the first a=rid for the largest size. What comes in is from the smallest."""
    return re.sub(r"(?:a=rid:\S+ send\r\n)+", lambda found: "".join(reversed(found[0].splitlines(keepends=True))), sdp)


def mids(sdp: str) -> dict[str, str]:
    """By kind of media."""
    return dict(re.findall(r"^m=(\w+) (?:(?!^m=)[\s\S])*?^a=mid:(\S+)", sdp, re.MULTILINE))


def _welcome(member: Member, room: str) -> rtc.JoinResponse:
    return rtc.JoinResponse(
        room=models.Room(sid=f"RM_{member.room.number}", name=room),
        participant=member.info(),
        other_participants=[other.info() for other in member.others()],
        subscriber_primary=True,
        ping_interval=5,
        ping_timeout=15,
        server_info=models.ServerInfo(version="1.9.0", protocol=15),
    )


async def _health(_: web.Request) -> web.Response:
    return web.Response(text="OK")


def _keep(task: asyncio.Task[None], among: set[asyncio.Task[None]]) -> None:
    """Until it is done, for the loop itself holds tasks only weakly; what one raises is told on stderr."""
    among.add(task)
    task.add_done_callback(among.discard)


def main(argv: Sequence[str]) -> None:
    listen, janus = argv
    host, _, port = listen.rpartition(":")
    app = web.Application()
    app.router.add_get("/rtc", Bridge(janus).join)
    app.router.add_get("/", _health)
    web.run_app(app, host=host, port=int(port), print=None)


_TASKS: set[asyncio.Task[None]] = set()
_HANDLERS: dict[str, Callable[[Member, Any], Awaitable[None]]] = {
    "add_track": Member.handle_add_track,
    "offer": Member.handle_offer,
    "trickle": Member.handle_trickle,
    "answer": Member.handle_answer,
    "subscription": Member.handle_subscription,
    "track_setting": Member.handle_track_setting,
}
ROOM = {"publishers": 1000, "bitrate": 0, "audiocodec": "opus", "videocodec": "vp8,h264,vp9,av1", "permanent": False}
GATHER_S = 0.02

if __name__ == "__main__":
    main(sys.argv[1:])

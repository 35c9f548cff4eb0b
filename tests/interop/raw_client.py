"""A participant written from the protocol alone: a WebSocket, LiveKit's protobufs, and aiortc for the media.

No SDK and no libwebrtc: what works here rests on the specifications. aiortc is a full ICE agent; it has no simulcast, no
transport-wide feedback and an SCTP of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from typing import Any

import aiohttp
from aiortc import MediaStreamTrack, RTCDataChannel, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.rtcdtlstransport import RtpRouter
from aiortc.rtp import RtpPacket
from livekit.protocol import models, rtc

from tests.interop.client import eventually
from tests.interop.stranger import join_request


class RawClient:
    """Made by `raw_join`. `publisher` is the only connection of v1; v0 has `subscriber` besides."""

    def __init__(self, identity: str, *, single: bool) -> None:
        self.identity = identity
        self.publisher = RTCPeerConnection()
        self.subscriber = self.publisher if single else RTCPeerConnection()
        #: Every message of the server, newest last.
        self.heard: list[rtc.SignalResponse] = []
        #: What others sent on the reliable channel.
        self.data: list[models.DataPacket] = []
        self._reliable = self.publisher.createDataChannel("_reliable")
        self._reliable.on("message", self._handle_data)
        self._single = single
        self._signal: aiohttp.ClientWebSocketResponse | None = None
        self._published: dict[str, tuple[str, models.TrackInfo]] = {}
        self._tracks: dict[str, MediaStreamTrack] = {}
        self._offers = 0
        self._answered = asyncio.Event()
        self._negotiating = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self.subscriber.on("track", self._handle_track)
        self.subscriber.on("datachannel", self._handle_channel)

    # --------------------------------------------------------------------------------------------- publish

    async def publish(self, track: MediaStreamTrack, codec: str) -> str:
        """Sends `track` as `codec`, such as "video/VP8"; its sid."""
        kind = track.kind
        request = rtc.AddTrackRequest(cid=track.id, name=kind, type=_TYPES[kind], source=_SOURCES[kind])
        await self._send(rtc.SignalRequest(add_track=request))
        await eventually(lambda: self._sid_of(track.id), f"{self.identity} may publish {kind}")

        def add() -> None:
            transceiver = self.publisher.addTransceiver(track, direction="sendonly")
            codecs = RTCRtpSender.getCapabilities(kind).codecs
            wanted = [each for each in codecs if each.mimeType.lower() in (codec.lower(), "video/rtx")]
            transceiver.setCodecPreferences(wanted)

        await self._negotiate(add)
        return self._sid_of(track.id)

    async def send_data(self, payload: bytes, topic: str) -> None:
        """To everybody, reliably. (v0 opens its publisher connection with this if it has published nothing yet.)"""
        if self.publisher.connectionState == "new":
            await self._negotiate(lambda: None)
        await eventually(lambda: self._reliable.readyState == "open", f"{self.identity}'s channel is open")
        self._reliable.send(models.DataPacket(user=models.UserPacket(payload=payload, topic=topic)).SerializeToString())

    def _sid_of(self, cid: str) -> str:
        said = [each.track_published for each in self.heard if each.WhichOneof("message") == "track_published"]
        return next((each.track.sid for each in said if each.cid == cid), "")

    # --------------------------------------------------------------------------------------------- receive

    async def track_of(self, identity: str, kind: str, timeout_s: float = 15.0) -> MediaStreamTrack:
        """What `identity` publishes of this kind, once it is there."""
        found: list[MediaStreamTrack] = []

        def find() -> bool:
            found[:] = [
                self._tracks[sid]
                for sid, (publisher, info) in self._published.items()
                if publisher == identity and info.type == _TYPES[kind] and sid in self._tracks
            ]
            return bool(found)

        await eventually(find, f"{self.identity} subscribes to {identity}'s {kind}", timeout_s)
        return found[0]

    def _handle_track(self, track: MediaStreamTrack) -> None:
        # The server names a track that it sends by its sid, in a=msid.
        self._tracks[track.id] = track

    def _handle_channel(self, channel: RTCDataChannel) -> None:
        if channel.label == "_reliable":
            channel.on("message", self._handle_data)

    def _handle_data(self, message: bytes) -> None:
        self.data.append(models.DataPacket.FromString(message))

    # ------------------------------------------------------------------------------------------ signalling

    async def connect(self, session: aiohttp.ClientSession, url: str, token: str) -> None:
        """Over /rtc/v1 with the first offer in the address, or over /rtc, where the server makes the first offer."""
        info = models.ClientInfo(protocol=_PROTOCOL)
        if self._single:
            for kind in ("audio", "video"):
                self.publisher.addTransceiver(kind, direction="recvonly")
            request = rtc.JoinRequest(client_info=info, publisher_offer=await self._offer())
            request.connection_settings.auto_subscribe = True
            path, query = "/rtc/v1", {"join_request": join_request(request.SerializeToString())}
        else:
            path, query = "/rtc", {"protocol": str(_PROTOCOL), "auto_subscribe": "1"}
        headers = {"Authorization": f"Bearer {token}"}
        self._signal = await session.ws_connect(f"{url}{path}", params=query, headers=headers)
        self._start(self._listen(self._signal))
        await _connected(self.subscriber, self.identity)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._signal is not None:
            with contextlib.suppress(ConnectionError):
                await self._send(rtc.SignalRequest(leave=rtc.LeaveRequest()))
            await self._signal.close()
        await self.publisher.close()
        await self.subscriber.close()

    async def _send(self, request: rtc.SignalRequest) -> None:
        assert self._signal is not None
        await self._signal.send_bytes(request.SerializeToString())

    async def _offer(self) -> rtc.SessionDescription:
        await self.publisher.setLocalDescription(await self.publisher.createOffer())
        self._offers += 1
        return rtc.SessionDescription(type="offer", sdp=self.publisher.localDescription.sdp, id=self._offers)

    async def _negotiate(self, change: Callable[[], None]) -> None:
        """Applies a change to the publisher connection, offers it and waits for the answer; one at a time.

        And for the connection: an offer of aiortc's that overtakes it makes its senders forget which codec was agreed.
        """
        async with self._negotiating:
            change()
            self._answered.clear()
            await self._send(rtc.SignalRequest(offer=await self._offer()))
            await asyncio.wait_for(self._answered.wait(), 10)
            await _connected(self.publisher, self.identity)

    async def _listen(self, signal: aiohttp.ClientWebSocketResponse) -> None:
        async for message in signal:
            if message.type == aiohttp.WSMsgType.BINARY:
                await self._handle(rtc.SignalResponse.FromString(message.data))

    async def _handle(self, response: rtc.SignalResponse) -> None:
        self.heard.append(response)
        match response.WhichOneof("message"):
            case "join":
                self._learn(response.join.other_participants)
            case "update":
                self._learn(response.update.participants)
            case "answer":
                await self.publisher.setRemoteDescription(RTCSessionDescription(response.answer.sdp, "answer"))
                self._answered.set()
            case "offer":
                await self._answer(response.offer)
            case "media_sections_requirement":
                self._start(self._negotiate(lambda: self._add_sections(response.media_sections_requirement)))

    async def _answer(self, offer: rtc.SessionDescription) -> None:
        await self.subscriber.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
        await self.subscriber.setLocalDescription(await self.subscriber.createAnswer())
        answer = rtc.SessionDescription(type="answer", sdp=self.subscriber.localDescription.sdp, id=offer.id)
        await self._send(rtc.SignalRequest(answer=answer))

    def _add_sections(self, needed: rtc.MediaSectionsRequirement) -> None:
        for kind, number in (("audio", needed.num_audios), ("video", needed.num_videos)):
            for _ in range(number):
                self.publisher.addTransceiver(kind, direction="recvonly")

    def _learn(self, participants: Iterable[models.ParticipantInfo]) -> None:
        for participant in participants:
            for track in participant.tracks:
                self._published[track.sid] = (participant.identity, track)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@contextlib.asynccontextmanager
async def raw_join(url: str, token: str, identity: str, *, single: bool = True) -> AsyncIterator[RawClient]:
    """Joined and connected: with one peer connection (v1), or with two (v0)."""
    client = RawClient(identity, single=single)
    async with aiohttp.ClientSession() as session:
        try:
            await client.connect(session, url, token)
            yield client
        finally:
            await client.close()


async def _connected(peer: RTCPeerConnection, identity: str) -> None:
    await eventually(lambda: peer.connectionState == "connected", f"{identity}'s media is connected", 15)


def _route_rtp(router: RtpRouter, packet: RtpPacket) -> object:
    """By SSRC, else by MID (RFC 9143 section 9.2).

    aiortc guesses by payload type instead: the first packets of a new section, when they overtake the answer that announces
    it, go into the picture of another section of the same codec, and so does everything that follows.
    """
    receiver = router.ssrc_table.get(packet.ssrc) or router.mid_table.get(packet.extensions.mid or "")
    if receiver is not None:
        router.ssrc_table[packet.ssrc] = receiver
    return receiver


RtpRouter.route_rtp = _route_rtp  # type: ignore[method-assign,assignment]

# The newest version in which data channels are opened by DCEP.
_PROTOCOL = 17
_SOURCES = {"audio": models.MICROPHONE, "video": models.CAMERA}
_TYPES = {"audio": models.AUDIO, "video": models.VIDEO}

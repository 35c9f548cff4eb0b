"""What Chromium calls: ICE and DTLS of aiortc below, an answer that takes one codec, and packets kept as they came."""

from __future__ import annotations

import asyncio
import re

from aiortc import (
    RTCCertificate,
    RTCDtlsParameters,
    RTCDtlsTransport,
    RTCIceGatherer,
    RTCIceParameters,
    RTCIceTransport,
)
from aiortc.rtp import RTCP_PSFB_PLI, RtcpPsfbPacket
from aiortc.sdp import SessionDescription, candidate_to_sdp

from bench.calls.recorder.received import Received


class Endpoint:
    """Answers one offer of one video. Its answer dictates the rate, and nothing is fed back but requests for keyframes."""

    def __init__(self, bps: int) -> None:
        self.has_media = asyncio.Event()
        self._bps = bps
        self._gatherer = RTCIceGatherer(iceServers=[])
        self._ice = RTCIceTransport(self._gatherer)
        self._tap = _Tap(self._ice, self.has_media)
        self._descriptor_id = 0
        self._started: asyncio.Task[None] | None = None

    async def answer(self, offer: str) -> str:
        """Raises `ValueError` for an offer without video or Dependency Descriptor."""
        media = SessionDescription.parse(offer).media[0]
        if media.ice is None or media.dtls is None:
            raise ValueError("the browser's offer has no ICE credentials or no fingerprint")
        self._descriptor_id = int(_found(rf"a=extmap:(\d+)\S* {re.escape(DEPENDENCY_DESCRIPTOR)}", offer))
        await self._gatherer.gather()
        for candidate in (*media.ice_candidates, None):
            await self._ice.addRemoteCandidate(candidate)
        self._started = asyncio.create_task(self._start(media.ice, media.dtls))
        return "".join(f"{line}\r\n" for line in self._answer_lines(offer))

    def received(self) -> list[Received]:
        """All media so far."""
        parsed = (Received.parse(datagram, self._descriptor_id) for datagram in self._tap.datagrams)
        return [packet for packet in parsed if packet.descriptor]

    async def ask_for_keyframe(self) -> None:
        await self._tap.ask_for_keyframe(self.received()[-1].ssrc)

    async def close(self) -> None:
        await self._tap.stop()
        await self._ice.stop()

    async def _start(self, ice: RTCIceParameters, dtls: RTCDtlsParameters) -> None:
        await self._ice.start(ice)
        await self._tap.start(dtls)

    def _answer_lines(self, offer: str) -> list[str]:
        # What the page prefers.
        payload_type = _found(r"m=video \d+ \S+ (\d+)", offer)
        codec = _found(rf"a=rtpmap:{payload_type} (\S+)", offer)
        local = self._gatherer.getLocalParameters()
        fingerprint = next(each for each in self._tap.getLocalParameters().fingerprints if each.algorithm == "sha-256")
        rates = ";".join(f"x-google-{edge}-bitrate={self._bps // 1000}" for edge in ("min", "start", "max"))
        return [
            "v=0",
            "o=- 1 1 IN IP4 127.0.0.1",
            "s=-",
            "t=0 0",
            "a=group:BUNDLE 0",
            # The structure of a keyframe is longer than one-byte headers allow; without this line Chromium sends none at all.
            "a=extmap-allow-mixed",
            f"m=video 9 UDP/TLS/RTP/SAVPF {payload_type}",
            "c=IN IP4 0.0.0.0",
            "a=mid:0",
            "a=recvonly",
            "a=rtcp-mux",
            f"a=ice-ufrag:{local.usernameFragment}",
            f"a=ice-pwd:{local.password}",
            f"a=fingerprint:{fingerprint.algorithm} {fingerprint.value}",
            "a=setup:active",
            f"a=rtpmap:{payload_type} {codec}",
            f"a=fmtp:{payload_type} {rates}",
            f"a=rtcp-fb:{payload_type} nack pli",
            f"a=extmap:{self._descriptor_id} {DEPENDENCY_DESCRIPTOR}",
            *(f"a=candidate:{candidate_to_sdp(each)}" for each in self._gatherer.getLocalCandidates()),
        ]


class _Tap(RTCDtlsTransport):
    """Keeps decrypted packets instead of decoding them."""

    def __init__(self, transport: RTCIceTransport, has_media: asyncio.Event) -> None:
        super().__init__(transport, [RTCCertificate.generateCertificate()])
        self._has_media = has_media
        self.datagrams: list[bytes] = []

    async def ask_for_keyframe(self, ssrc: int) -> None:
        await self._send_rtp(bytes(RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=1, media_ssrc=ssrc)))

    async def _handle_rtp_data(self, data: bytes, arrival_time_ms: int) -> None:  # noqa: ARG002 - aiortc's signature
        self.datagrams.append(data)
        self._has_media.set()


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise ValueError(f"the browser's offer has no {pattern!r}")
    return found[1]


DEPENDENCY_DESCRIPTOR = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"

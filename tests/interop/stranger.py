"""A client made by hand: joins with a captured offer and its own certificate, then speaks STUN, DTLS and RTP from a bare socket."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import socket
from collections.abc import AsyncIterator

import aiohttp
from aioice import stun
from aiortc import RTCCertificate
from livekit.protocol import rtc
from OpenSSL import SSL

from tests.support.server import ROOT, Server

_OFFER = ROOT / "tests/data/sdp/python-v1-join.offer.sdp"
_UFRAG = "U5sC"  # of the captured offer


class Stranger:
    """Made by `joined`."""

    def __init__(self, signal: aiohttp.ClientWebSocketResponse, answer: str) -> None:
        self._signal = signal
        self._ufrag = _first(r"a=ice-ufrag:(\S+)", answer)
        self._password = _first(r"a=ice-pwd:(\S+)", answer)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        port = int(_first(r"a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 (\d+) typ host", answer))
        self.socket.connect(("127.0.0.1", port))

    async def check(self) -> None:
        """A connectivity check that verifies: from here on the server knows the path."""
        request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{self._ufrag}:{_UFRAG}"
        request.attributes["PRIORITY"] = 1853824767
        request.attributes["ICE-CONTROLLING"] = 1
        request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity(self._password.encode())
        request.add_fingerprint()
        self.socket.send(bytes(request))
        response = stun.parse_message(await self._receive())
        assert response.message_class is stun.Class.RESPONSE

    async def handshake(self, certificate: RTCCertificate | None) -> None:
        """As the DTLS client. Raises `SSL.Error` when the server refuses."""
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
        context.set_tlsext_use_srtp(b"SRTP_AEAD_AES_128_GCM")
        if certificate is not None:
            context.use_certificate(certificate._cert)
            context.use_privatekey(certificate._key)
        connection = SSL.Connection(context)
        connection.set_connect_state()
        async with asyncio.timeout(5):
            while True:
                try:
                    connection.do_handshake()
                except SSL.WantReadError:
                    self._flush(connection)
                    datagram = await self._receive()
                    if 20 <= datagram[0] < 64:
                        connection.bio_write(datagram)
                else:
                    self._flush(connection)
                    return

    async def told(self, kind: str) -> rtc.SignalResponse:
        """The next signal message of this kind."""
        async with asyncio.timeout(5):
            async for message in self._signal:
                response = rtc.SignalResponse.FromString(message.data)
                if response.WhichOneof("message") == kind:
                    return response
        raise AssertionError(f"the socket ended without {kind}")

    async def _receive(self) -> bytes:
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.socket, 2_048), 3)

    def _flush(self, connection: SSL.Connection) -> None:
        with contextlib.suppress(SSL.WantReadError):
            while True:
                self.socket.send(connection.bio_read(1_400))


@contextlib.asynccontextmanager
async def joined(
    server: Server, identity: str, announced: RTCCertificate, room: str = "strangers"
) -> AsyncIterator[Stranger]:
    """In a room, with an offer that announces this certificate."""
    (fingerprint,) = [each.value for each in announced.getFingerprints() if each.algorithm == "sha-256"]
    sdp = re.sub(r"a=fingerprint:sha-256 \S+", f"a=fingerprint:sha-256 {fingerprint}", _OFFER.read_bytes().decode())
    request = rtc.JoinRequest(publisher_offer=rtc.SessionDescription(type="offer", sdp=sdp, id=1))
    query = {"join_request": join_request(request.SerializeToString())}
    headers = {"Authorization": f"Bearer {server.token(room, identity)}"}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{server.url}/rtc/v1", params=query, headers=headers) as signal,
    ):
        async with asyncio.timeout(5):
            async for message in signal:
                response = rtc.SignalResponse.FromString(message.data)
                if response.WhichOneof("message") == "answer":
                    break
            else:
                raise AssertionError("no answer came")
        stranger = Stranger(signal, response.answer.sdp)
        try:
            yield stranger
        finally:
            stranger.socket.close()


def join_request(raw: bytes, compression: int = 0) -> str:
    """As the query parameter carries it."""
    wrapped = rtc.WrappedJoinRequest(join_request=raw, compression=compression)  # type: ignore[arg-type]
    return base64.urlsafe_b64encode(wrapped.SerializeToString()).decode()


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found, f"no {pattern} in {text}"
    return found[1]

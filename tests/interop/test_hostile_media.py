"""Hostile datagrams are dropped and counted by reason, and the call beside them loses no packet."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Callable

import pytest
from aioice import stun
from aiortc import RTCCertificate
from OpenSSL import SSL

from tests.interop.call import server_candidate
from tests.interop.on_path import send_paced
from tests.interop.reference import Reference, counted
from tests.interop.stranger import joined
from tests.support.datagrams import damaged
from tests.support.server import Server

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("unharmed")]


async def test_noise_of_every_protocol_from_a_stranger(reference: Reference) -> None:
    address = server_candidate(await reference.bob.room.get_rtc_stats())
    reasons = {"unknown_protocol": 50, "stun_malformed": 50, "stun_unknown_ufrag": 5, "unknown_path": 200}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.connect(("127.0.0.1", address[1]))
        async with counted(reference.server, reasons) as risen:
            sent = risen.awaited = await send_paced(stranger, itertools.islice(damaged(1), 1_500))
    assert risen.total() == sent, risen


async def test_noise_of_every_protocol_on_the_path_of_a_publisher(reference: Reference) -> None:
    reasons = {"unknown_protocol": 30, "stun_malformed": 30, "authentication": 50, "dtls": 30}
    async with counted(reference.server, reasons) as risen:
        sent = await reference.path.relay.inject(itertools.islice(damaged(2), 1_000))
        risen.awaited = sent * 9 // 10  # repeated handshake messages are answered
    assert risen.total() <= sent, risen


def check(username: str, password: str | None = "not-the-password-at-all") -> bytes:
    """A connectivity check that must not verify."""
    request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    request.attributes["USERNAME"] = username
    request.attributes["PRIORITY"] = 1853824767
    request.attributes["ICE-CONTROLLING"] = 1
    request.attributes["USE-CANDIDATE"] = None
    if password is not None:
        request.add_message_integrity(password.encode())
    request.add_fingerprint()
    return bytes(request)


async def test_checks_with_bad_integrity_or_a_wrong_username(reference: Reference) -> None:
    """With the username of a real participant, as somebody on the path reads it; from elsewhere and from its own address."""
    relay = reference.path.relay
    real = next(datagram for datagram in relay.first["stun"] if stun.parse_message(datagram).attributes.get("USERNAME"))
    ours, theirs = relay.username.split(":")
    forged = [check(relay.username), check(relay.username, None), real[:-30] + bytes(30)]
    strange = [check(f"nobody:{theirs}"), check(f"{ours}x:{theirs}")]
    cut = [real[:length] for length in range(1, len(real), 7)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.connect(relay.server)
        stranger.setblocking(False)
        expected = {"stun_integrity": 4, "stun_unknown_ufrag": 4, "stun_malformed": 2 * len(cut)}
        async with counted(reference.server, expected) as risen:
            sent = await send_paced(stranger, [*forged, *strange, *cut])
            sent += await relay.inject([*forged, *strange, *cut])
            risen.awaited = sent
        with pytest.raises(BlockingIOError):
            stranger.recv(2_048)  # none is answered
    assert risen.total() == sent, risen


def _later(sequence: bytes) -> bytes:
    return ((int.from_bytes(sequence, "big") + 2_000) % 65_536).to_bytes(2, "big")


async def test_replayed_and_forged_media_of_a_publisher(reference: Reference) -> None:
    """Real encrypted packets, sent again from the publisher's own socket: as they were, changed, cut short."""
    relay = reference.path.relay
    rtp, rtcp = list(relay.latest["rtp"])[-100:], list(relay.latest["rtcp"])[-5:]
    assert len(rtp) == 100 and rtcp
    ahead = [
        packet[:2] + _later(packet[2:4]) + packet[4:] for packet in rtp
    ]  # numbers not seen yet: a tag that must fail
    cut = [packet[:11] for packet in rtp]
    expected = {"replayed": len(rtp) + len(rtcp), "authentication": len(ahead), "malformed": len(cut)}
    async with counted(reference.server, expected) as risen:
        sent = risen.awaited = await relay.inject([*rtp, *rtcp, *ahead, *cut])
    assert risen.total() == sent, risen


async def test_replayed_media_from_another_address(reference: Reference) -> None:
    relay = reference.path.relay
    packets = [*list(relay.latest["rtp"])[-50:], *list(relay.latest["rtcp"])[-5:], *relay.first["dtls"]]
    port = server_candidate(await reference.bob.room.get_rtc_stats())[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.connect(("127.0.0.1", port))
        async with counted(reference.server, {"unknown_path": len(packets)}) as risen:
            await send_paced(stranger, packets)
    assert risen.total() == len(packets), risen


async def test_a_handshake_replayed_into_a_running_session_does_not_end_it(reference: Reference) -> None:
    """The publisher's own hello and flights, and alerts in the clear that say goodbye."""
    relay = reference.path.relay
    goodbyes = [bytes([21, 254, 253]) + bytes(8) + bytes([0, 2, level, what]) for level, what in ((1, 0), (2, 40))]
    async with counted(reference.server, {"dtls": 20}):
        await relay.inject([*relay.first["dtls"][:20], *goodbyes * 20])


async def test_media_before_the_handshake(reference: Reference) -> None:
    certificate = RTCCertificate.generateCertificate()
    async with joined(reference.server, "early", certificate) as stranger:
        await stranger.check()
        rtp, rtcp = b"\x80\x60" + bytes(98), b"\x80\xc8\x00\x06" + bytes(60)
        async with counted(reference.server, {"not_connected": 40}) as risen:
            await send_paced(stranger.socket, [rtp, rtcp] * 20)
        assert risen.total() == 40, risen
        # It can still connect; waited for, so that the next test does not see it.
        async with counted(reference.server, {"connected": 1}, "sfu_transports_total", "event"):
            await stranger.handshake(certificate)


@pytest.mark.parametrize("shown", ["another", "none"])
async def test_a_wrong_or_missing_certificate_ends_the_transport_with_a_reason(
    reference: Reference, shown: str
) -> None:
    announced, other = RTCCertificate.generateCertificate(), RTCCertificate.generateCertificate()
    reason = "fingerprint_mismatch" if shown == "another" else "dtls_failed"
    async with (
        counted(reference.server, {reason: 1}, "sfu_transports_total", "event") as risen,
        joined(reference.server, f"shows-{shown}", announced) as stranger,
    ):
        await stranger.check()
        with pytest.raises(SSL.Error):
            await stranger.handshake(other if shown == "another" else None)
        leave = (await stranger.told("leave")).leave
        assert leave.action == leave.RECONNECT
    assert risen["connected"] == 0, risen


async def test_a_recorded_call_means_nothing_to_a_server_that_was_started_anew(
    reference: Reference, start_server: Callable[..., Server]
) -> None:
    """Its ufrags, certificate and keys are others."""
    relay = reference.path.relay
    checks = [each for each in relay.first["stun"] if "USERNAME" in stun.parse_message(each).attributes][:20]
    handshake, media = relay.first["dtls"][:20], [*relay.first["rtp"][:200], *relay.first["rtcp"][:20]]
    # In a thread: this loop is what plays the reference call's picture.
    anew = await asyncio.to_thread(start_server, BEEP_MEDIA_LOG__LEVEL="info")
    certificate = RTCCertificate.generateCertificate()
    async with joined(anew, "probe", certificate) as stranger:
        expected = {"stun_unknown_ufrag": len(checks), "unknown_path": len(handshake) + len(media)}
        async with counted(anew, expected) as risen:
            await send_paced(stranger.socket, [*checks, *handshake, *media])
    assert risen.total() == sum(expected.values()), risen


async def test_a_flood_of_checks_is_answered_by_nothing(reference: Reference) -> None:
    """Some thousands a second with the username of a real participant: each costs an HMAC, and no byte goes back."""
    forged = check(reference.path.relay.username)
    port = server_candidate(await reference.bob.room.get_rtc_stats())[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.connect(("127.0.0.1", port))
        stranger.setblocking(False)
        async with counted(reference.server, {"stun_integrity": 10_000}) as risen:
            sent = await send_paced(stranger, itertools.repeat(forged, 10_000))
        with pytest.raises(BlockingIOError):
            stranger.recv(2_048)
    assert risen.total() == sent, risen

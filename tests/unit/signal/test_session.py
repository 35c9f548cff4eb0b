"""The socket's life: pings, tokens, frames, leaving, slow readers, shutdown."""

from __future__ import annotations

import asyncio
import json
import time

import aiohttp
import pytest
from livekit.protocol import models, rtc

from control.signal import session as session_module
from control.tokens import verify
from sfu import seam
from tests.unit.signal.harness import KEY, SECRET, Call, Client

ACTION = rtc.LeaveRequest.Action
REASON = models.DisconnectReason


async def test_both_pings_are_answered(call: Call) -> None:
    alice = await call.join("alice")
    await alice.send(ping=123)
    assert abs((await alice.expect("pong")).pong / 1000 - time.time()) < 5
    await alice.send(ping_req=rtc.Ping(timestamp=456, rtt=3))
    pong = (await alice.expect("pong_resp")).pong_resp
    assert pong.last_ping_timestamp == 456
    assert abs(pong.timestamp / 1000 - time.time()) < 5


async def test_the_socket_is_pinged_and_a_client_that_falls_silent_is_dropped(call: Call) -> None:
    alice, mute = await call.join("alice"), await call.join("mute", automatic=False)
    await alice.settle()
    for _ in range(8):
        call.tick(5)
        await alice.settle()
    assert alice.pings >= 3
    assert not alice.ws.closed
    await mute.closed.wait()


async def test_a_ping_of_the_socket_is_answered(call: Call) -> None:
    alice = await call.join("alice")
    assert alice._reader is not None
    alice._reader.cancel()
    await asyncio.wait({alice._reader})
    alice._reader = None
    await alice.ws.ping(b"abc")
    async with asyncio.timeout(3):
        while (frame := await alice.ws.receive()).type != aiohttp.WSMsgType.PONG:
            pass
    assert frame.data == b"abc"


async def test_a_fresh_token_comes_at_the_start_and_again(call: Call) -> None:
    alice = await call.join("alice", name="Alice", ttl_s=30, grants={"can_publish": False})
    for _ in range(2):
        token = (await alice.expect("refresh_token")).refresh_token
        claims = verify(token, {KEY: SECRET}, time.time())
        assert claims.identity == "alice"
        assert claims.name == "Alice"
        assert claims.video.room == "r"
        assert claims.video.can_publish is False
        assert claims.expires_at > time.time() + 590
        for _ in range(16):
            await alice.settle()
            call.tick(19)


async def test_a_fresh_token_resumes_after_the_first_has_expired(call: Call) -> None:
    alice, bob = await call.join("alice", ttl_s=-59), await call.join("bob")
    token = (await alice.expect("refresh_token")).refresh_token
    await alice.drop()
    again = Client(call, "alice", reconnect_sid=alice.joined.participant.sid)
    again._token = token
    call.clients.append(again)
    await again.connect()
    await again.expect("reconnect")
    await bob.settle()
    people = [info for message in bob.received("update") for info in message.update.participants]
    assert not [info for info in people if info.state == info.State.DISCONNECTED]


async def test_leave_removes_at_once_and_closes_the_socket(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    await bob.send(leave=rtc.LeaveRequest(reason="CLIENT_INITIATED"))
    await alice.expect_participant("bob", lambda info: info.state == info.State.DISCONNECTED)
    await bob.closed.wait()
    assert call.engine.open_ids()["transports"] == 1


async def test_a_leave_with_a_reason_of_a_newer_protocol_is_a_leave(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    await bob.ws.send_bytes(b"\x42\x02\x10\x4d")  # leave { reason: 77 }
    gone = await alice.expect_participant("bob", lambda info: info.state == info.State.DISCONNECTED)
    assert gone.disconnect_reason == REASON.CLIENT_INITIATED
    await bob.closed.wait()


@pytest.mark.parametrize("action", ["DISCONNECT", "RESUME", "RECONNECT"])
async def test_every_action_of_leave_reaches_the_client(call: Call, action: str) -> None:
    alice = await call.join("alice")
    call.room().participants["alice"].leave(REASON.SERVER_SHUTDOWN, ACTION.Value(action))  # type: ignore[index]
    leave = (await alice.expect("leave")).leave
    assert leave.action == ACTION.Value(action)
    assert leave.reason == REASON.SERVER_SHUTDOWN
    await alice.closed.wait()
    assert alice.ws.close_code == 1000


async def test_a_removed_participant_is_told_why(call: Call) -> None:
    alice = await call.join("alice")
    call.room().remove("alice")  # type: ignore[arg-type]
    leave = (await alice.expect("leave")).leave
    assert (leave.reason, leave.action) == (REASON.PARTICIPANT_REMOVED, ACTION.DISCONNECT)


async def test_shutdown_tells_everyone_to_come_back(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob", v1=False)
    await call.server.close()
    for client in (alice, bob):
        leave = (await client.expect("leave")).leave
        assert (leave.reason, leave.action) == (REASON.SERVER_SHUTDOWN, ACTION.RECONNECT)
        await client.closed.wait()
        # A message to each about each other one would be a million in a room of a thousand.
        people = [info for message in client.received("update") for info in message.update.participants]
        assert not [info for info in people if info.state == info.State.DISCONNECTED]


async def test_text_frames_are_protojson_both_ways(call: Call) -> None:
    alice = await call.join("alice", automatic=False)
    await alice.settle()
    assert alice._reader is not None
    alice._reader.cancel()
    await asyncio.wait({alice._reader})
    alice._reader = None
    await alice.ws.send_str(json.dumps({"pingReq": {"timestamp": "77"}, "unknownField": 1}))
    frame = await alice.ws.receive(timeout=3)
    assert frame.type == aiohttp.WSMsgType.TEXT
    assert json.loads(frame.data)["pongResp"]["lastPingTimestamp"] == "77"
    await alice.ws.send_bytes(rtc.SignalRequest(ping=1).SerializeToString())
    assert (await alice.ws.receive(timeout=3)).type == aiohttp.WSMsgType.BINARY


async def test_a_few_unreadable_frames_are_ignored_many_end_the_session(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    await alice.ws.send_bytes(b"\xff\xff\xff\xff")
    await alice.ws.send_str("{not json")
    await alice.ws.send_str('{"offer":' + "[" * 500)
    await alice.settle()
    for _ in range(20):
        if not alice.ws.closed:
            await alice.ws.send_bytes(b"\xff\xff\xff\xff")
    await alice.closed.wait()
    assert alice.ws.close_code == 1007
    await bob.settle()


async def test_a_flood_of_requests_is_read_slowly_and_disturbs_nobody(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    started = time.monotonic()
    for _ in range(session_module.MAX_REQUESTS_PER_S + 60):
        await alice.send(ping=1)
    await bob.settle()
    assert time.monotonic() - started < 0.25
    async with asyncio.timeout(3):
        while len(alice.received("pong")) < session_module.MAX_REQUESTS_PER_S + 60:
            await asyncio.sleep(0.01)
    assert time.monotonic() - started > 0.25


async def test_large_requests_count_as_many(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    started = time.monotonic()
    large = rtc.UpdateParticipantMetadata(metadata="x" * 100 * session_module.REQUEST_BYTES)
    for _ in range(3):
        await alice.send(update_metadata=large)
    await bob.settle()
    assert time.monotonic() - started < 0.25
    await alice.send(ping=1)
    await alice.expect("pong")
    assert time.monotonic() - started > 0.25


async def test_an_oversize_frame_ends_only_that_session(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    await alice.ws.send_bytes(b"\x00" * (2 * 1024 * 1024 + 1))
    await alice.closed.wait()
    assert alice.ws.close_code == 1009
    await bob.settle()


async def test_an_unreadable_offer_ends_the_session_with_a_reason(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    await alice.send(offer=rtc.SessionDescription(type="offer", sdp="v=0\r\nnonsense", id=5))
    leave = (await alice.expect("leave")).leave
    assert leave.action == ACTION.DISCONNECT
    await bob.expect_participant("alice", lambda info: info.state == info.State.DISCONNECTED)


async def test_a_reader_that_falls_behind_is_cut_off(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "MAX_QUEUED_BYTES", 4 << 20)
    alice, bob = await call.join("alice"), await call.join("bob")
    await alice.settle()
    # The client stops reading: its task is gone and the kernel's buffers fill.
    assert alice._reader is not None
    alice._reader.cancel()
    await asyncio.wait({alice._reader})
    alice._reader = None
    connection = alice.ws._response.connection
    assert connection is not None
    assert connection.transport is not None
    connection.transport.pause_reading()
    participant = call.room().participants["alice"]  # type: ignore[index]
    for number in range(60):
        room = models.Room(name="r", sid="RM_x", metadata=str(number) + "m" * 500_000)
        participant.send(rtc.SignalResponse(room_update=rtc.RoomUpdate(room=room)))
        await asyncio.sleep(0)
    async with asyncio.timeout(3):
        while participant.signal is not None:
            await asyncio.sleep(0.01)
    await bob.settle()
    await alice.ws.close()


async def test_a_reader_that_keeps_up_may_receive_any_amount(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "MAX_QUEUED_BYTES", 1 << 20)
    alice = await call.join("alice")
    for number in range(8):
        call.room().update_metadata(str(number) + "m" * 400_000)
        await alice.settle()
    assert not alice.ws.closed


async def test_a_transport_that_fails_orders_a_full_reconnect(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    call.engine.emit(seam.TransportClosed(call.transport_of(alice), "consent_expired"))
    leave = (await alice.expect("leave")).leave
    assert leave.action == ACTION.RECONNECT
    await bob.expect_participant("alice", lambda info: info.state == info.State.DISCONNECTED)


async def test_a_description_that_the_engine_refuses_ends_the_participant_at_once(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    call.engine.emit(seam.Refused("SetRemote", call.transport_of(alice), "bad_fingerprint"))
    leave = (await alice.expect("leave")).leave
    assert (leave.reason, leave.action) == (REASON.STATE_MISMATCH, ACTION.DISCONNECT)
    await alice.closed.wait()
    await bob.expect_participant("alice", lambda info: info.state == info.State.DISCONNECTED)


async def test_a_track_that_the_engine_refuses_is_taken_back(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    track = await alice.publish("audio", "mic")
    await bob.expect_participant("alice", lambda info: bool(info.tracks))
    (producer,) = call.engine.producers
    call.engine.emit(seam.Refused("AddProducer", producer, "encoding_count"))
    assert (await alice.expect("track_unpublished")).track_unpublished.track_sid == track.sid
    await bob.expect_participant("alice", lambda info: not info.tracks)


async def test_a_client_that_never_connects_is_let_go(call: Call) -> None:
    call.engine.auto_connect = False
    alice = await call.join("alice")
    call.tick(20)
    await alice.settle()
    call.tick(11)
    leave = (await alice.expect("leave")).leave
    assert leave.reason == REASON.JOIN_FAILURE
    assert call.server.rooms.counts()["participants"] == 0


async def test_requests_that_need_nothing_done_are_ignored(call: Call) -> None:
    alice = await call.join("alice")
    await alice.send(trickle=rtc.TrickleRequest(candidateInit="{not json"))
    await alice.send(update_layers=rtc.UpdateVideoLayers(track_sid="TR_x"))
    await alice.send(update_data_subscription=rtc.UpdateDataSubscription())
    await alice.send(answer=rtc.SessionDescription(type="answer", sdp="x", id=1))
    await alice.ws.send_bytes(b"")
    await alice.settle()


async def test_data_tracks_are_refused_by_name(call: Call) -> None:
    alice = await call.join("alice")
    await alice.send(publish_data_track_request=rtc.PublishDataTrackRequest(pub_handle=1, name="d"))
    response = (await alice.expect("request_response")).request_response
    assert response.reason == rtc.RequestResponse.Reason.UNSUPPORTED_TYPE
    assert response.publish_data_track.pub_handle == 1

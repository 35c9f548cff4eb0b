"""The generated corpus files, always the same: what honest clients send, and neighbours of it."""

from __future__ import annotations

import base64
import gzip
import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlencode

from google.protobuf import json_format
from livekit.protocol import models, rtc

from control.tokens import Grants, mint
from sfu.negotiation import Offerer
from tests.fuzz.mutate import mutate
from tests.fuzz.targets import LOCAL, NOW, TRACKS

COUNT = 50
SDP = Path(__file__).parents[1] / "data" / "sdp"


def generated(name: str) -> list[bytes]:
    """At least `COUNT` different inputs for one target, honest ones first."""
    honest = list(dict.fromkeys(_SEEDS[name]()))
    rng = random.Random(f"seeds of {name}")
    seeds = dict.fromkeys(honest)
    while len(seeds) < COUNT:
        seeds[mutate(rng, rng.choice(honest), honest)[:4_000]] = None
    return list(seeds)


def captured(name: str) -> dict[str, bytes]:
    """Descriptions that real clients sent, by file name; they live with the other tests' data."""
    pattern = {"sdp_offer": "*.offer.sdp", "sdp_answer": "*.answer.sdp"}.get(name)
    return {path.name: path.read_bytes() for path in sorted(SDP.glob(pattern))} if pattern else {}


def _offers() -> list[bytes]:
    """One section each of the captured offers, with its session lines: small enough to keep and quick to mutate."""
    seeds = []
    for data in captured("sdp_offer").values():
        session, *sections = data.split(b"\r\nm=")
        for kind in (b"audio", b"video", b"application"):
            section = next((section for section in reversed(sections) if section.startswith(kind)), None)
            if section is not None:
                mid = section.partition(b"\r\na=mid:")[2].partition(b"\r\n")[0]
                alone = b"\r\n".join(
                    b"a=group:BUNDLE " + mid if line.startswith(b"a=group:BUNDLE") else line
                    for line in session.split(b"\r\n")
                )
                seeds.append(alone + b"\r\nm=" + section.removesuffix(b"\r\n") + b"\r\n")
    return seeds[:: max(1, len(seeds) // COUNT)][:COUNT]


def _answers() -> list[bytes]:
    """The captured answers, and our own offer sent back."""
    echo = Offerer(LOCAL).offer(TRACKS).sdp.replace("a=setup:actpass", "a=setup:active").encode()
    return [
        *captured("sdp_answer").values(),
        echo,
        echo.replace(b"sendonly", b"recvonly"),
        echo.replace(b" 9 ", b" 0 "),
    ]


def _requests() -> list[rtc.SignalRequest]:
    layers = [models.VideoLayer(quality=models.HIGH, width=1280, height=720, bitrate=1_700_000)]
    permission = rtc.TrackPermission(participant_identity="bob", track_sids=["TR_1"])
    return [
        rtc.SignalRequest(),
        rtc.SignalRequest(offer=rtc.SessionDescription(type="offer", sdp="v=0\r\n", id=7)),
        rtc.SignalRequest(answer=rtc.SessionDescription(type="answer", sdp="v=0\r\n", mid_to_track_id={"0": "TR_1"})),
        rtc.SignalRequest(trickle=rtc.TrickleRequest(candidateInit='{"candidate":""}', target=rtc.SUBSCRIBER)),
        rtc.SignalRequest(
            add_track=rtc.AddTrackRequest(
                cid="cid", name="camera", type=models.VIDEO, source=models.CAMERA, width=1280, height=720, layers=layers,
                simulcast_codecs=[rtc.SimulcastCodec(codec="vp8", cid="cid")],
            )
        ),
        rtc.SignalRequest(mute=rtc.MuteTrackRequest(sid="TR_1", muted=True)),
        rtc.SignalRequest(subscription=rtc.UpdateSubscription(track_sids=["TR_1", ""], subscribe=True)),
        rtc.SignalRequest(track_setting=rtc.UpdateTrackSettings(track_sids=["TR_1"], disabled=True, quality=models.LOW)),
        rtc.SignalRequest(leave=rtc.LeaveRequest(reason=models.CLIENT_INITIATED)),
        rtc.SignalRequest(subscription_permission=rtc.SubscriptionPermission(track_permissions=[permission])),
        rtc.SignalRequest(sync_state=rtc.SyncState(publish_tracks=[rtc.TrackPublishedResponse(cid="cid")])),
        rtc.SignalRequest(simulate=rtc.SimulateScenario(speaker_update=3)),
        rtc.SignalRequest(ping=1_800_000_000_000),
        rtc.SignalRequest(ping_req=rtc.Ping(timestamp=2**62, rtt=-1)),
        rtc.SignalRequest(
            update_metadata=rtc.UpdateParticipantMetadata(metadata="m", name="n", attributes={"a": "b", "": ""})
        ),
    ]  # fmt: skip


def _frames() -> list[bytes]:
    requests = _requests()
    return [request.SerializeToString() for request in requests] + [
        json_format.MessageToJson(request, indent=None).encode() for request in requests
    ]


def _join_requests() -> list[bytes]:
    client = models.ClientInfo(sdk=models.ClientInfo.PYTHON, version="1.2.1", protocol=18, os="linux")
    plain = rtc.JoinRequest(client_info=client, connection_settings=rtc.ConnectionSettings(auto_subscribe=True))
    offering = rtc.JoinRequest(client_info=client, publisher_offer=rtc.SessionDescription(type="offer", sdp="v=0\r\n"))
    resuming = rtc.JoinRequest(reconnect=True, participant_sid="PA_1", sync_state=rtc.SyncState())
    tracks = rtc.JoinRequest(add_track_requests=[rtc.AddTrackRequest(cid=str(number)) for number in range(20)])
    seeds = []
    for request in (rtc.JoinRequest(), plain, offering, resuming, tracks):
        raw = request.SerializeToString()
        # The time in a gzip header would make every run differ.
        for compression, packed in ((0, raw), (1, gzip.compress(raw, mtime=0)), (1, raw), (7, raw)):
            wrapped = rtc.WrappedJoinRequest(join_request=packed)
            wrapped.compression = compression  # type: ignore[assignment]
            seeds.append(wrapped.SerializeToString())
    bomb = gzip.compress(bytes(2 << 20), mtime=0)
    seeds.append(rtc.WrappedJoinRequest(compression=rtc.WrappedJoinRequest.GZIP, join_request=bomb).SerializeToString())
    return seeds


def _queries() -> list[bytes]:
    attributes = base64.urlsafe_b64encode(b'{"a":"b"}').decode()
    browser = {"sdk": "js", "version": "2.23.0", "protocol": "17", "auto_subscribe": "1", "browser": "Chrome"}
    python = {"sdk": "python", "protocol": "18", "client_protocol": "2", "capabilities": "CAP_PACKET_TRAILER,x"}
    resume = {"reconnect": "1", "sid": "PA_1", "reconnect_reason": "2"}
    wrapped = [{"join_request": base64.urlsafe_b64encode(data).decode()} for data in _join_requests()[:4]]
    return [
        urlencode(query).encode()
        for query in ({}, browser, python, resume, {"attributes": attributes}, {"attributes": "e30"}, *wrapped)
    ]


def _tokens() -> list[bytes]:
    signed = [
        mint("devkey", "secret", Grants(room_join=True, room="r"), identity="alice", now=NOW),
        mint(
            "devkey", "secret", Grants(), identity="alice", now=NOW, attributes={"a": "b"}, metadata="m", kind="agent"
        ),
        mint("devkey", "secret", Grants(room_join=True), identity="alice", now=NOW - 10**6),
        mint("devkey", "wrong", Grants(room_join=True), identity="alice", now=NOW),
        mint("nobody", "secret", Grants(room_join=True), identity="alice", now=NOW),
    ]
    head, body, signature = signed[0].split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    bent = [f"{none}.{body}.", f"{head}.{body}.", f"{head}.{body}", f"{body}.{head}.{signature}", "", "..", "a.b.c"]
    return [text.encode() for text in signed + bent]


def _claims() -> list[bytes]:
    base = {"iss": "devkey", "sub": "alice", "exp": NOW + 600}
    changes: list[dict[str, object]] = [
        {"video": {"roomJoin": True, "room": "r"}},
        {"video": {"roomJoin": True, "room": "r", "canPublish": False, "canPublishSources": ["camera", "microphone"]}},
        {"video": {"roomJoin": True, "room": "r", "hidden": True, "agent": True}, "kind": "agent", "metadata": "m" * 100},
        {"video": {"roomJoin": True, "room": "r"}, "roomConfig": {"emptyTimeout": 30, "maxParticipants": 2}},
        {"video": {"roomJoin": True, "room": "r"}, "attributes": {"a": "b"}, "name": "A", "nbf": NOW},
        {"video": {"roomJoin": "yes"}}, {"video": []}, {"video": None}, {"exp": "soon"}, {"exp": None}, {"exp": 1e308},
        {"nbf": -1}, {"sub": 7}, {"sub": None, "jti": "bob"}, {"attributes": {"a": 1}}, {"roomConfig": {"agents": [{}]}},
    ]  # fmt: skip
    return [json.dumps(base | change).encode() for change in changes]


_SEEDS: Mapping[str, Callable[[], list[bytes]]] = {
    "sdp_offer": _offers,
    "sdp_answer": _answers,
    "signal_frame": _frames,
    "join_query": _queries,
    "join_request": _join_requests,
    "token": _tokens,
    "claims": _claims,
}

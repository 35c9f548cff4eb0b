"""What must hold for any bytes a client sends to the Python side: a result or one of our errors, soon. Anything else raised is a bug."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

from control.errors import ControlError, TokenError
from control.signal import frames, join
from control.tokens import verify
from sfu.errors import MediaError
from sfu.negotiation import (
    Answerer,
    Candidate,
    LocalEndpoint,
    Offerer,
    OutboundTrack,
    SdpError,
    SessionDescription,
)
from sfu.room import RoomOptions

#: Runs one input and says in a few words what became of it: inputs with a new outcome join the pool.
Target = Callable[[bytes], str]

KEYS: Mapping[str, str] = {"devkey": "secret"}
NOW = 1_800_000_000.0
LOCAL = LocalEndpoint(
    ufrag="Serv0001",
    password="passwordpasswordpassword",
    fingerprint="sha-256 " + ":".join(["AB"] * 32),
    candidates=(Candidate("192.0.2.10", 7882),),
)
TRACKS = (
    OutboundTrack("TR_a", "PA_a", "audio", "audio/opus", "minptime=10;useinbandfec=1", 1, None, "alice"),
    OutboundTrack("TR_v", "PA_a", "video", "video/VP8", "", 2, 3, "alice"),
    OutboundTrack("TR_h", "PA_a", "video", "video/H264", "packetization-mode=1;profile-level-id=42e01f", 4, 5, "alice"),
)


def sdp_offer(data: bytes) -> str:
    """An offer is answered section by section, or refused."""
    text = data.decode(errors="replace")
    try:
        offer = SessionDescription.parse(text)
        answer = Answerer(LOCAL).answer(text, TRACKS, lambda _cid: None)
    except SdpError as error:
        return _kind(error)
    answered = SessionDescription.parse(answer.sdp)
    assert [section.mid for section in answered.sections] == [section.mid for section in offer.sections]
    assert all(1 <= len(track.encodings) <= 3 for track in answer.inbound)
    assert all(1 <= number <= 255 for number in answer.remote.extensions.values())
    return f"{len(offer.sections)} {len(answer.inbound)} {len(answer.placed)} {len(answer.remote.extensions)}"


def sdp_answer(data: bytes) -> str:
    """An answer to our subscriber offer places tracks that we offered, or is refused."""
    offerer = Offerer(LOCAL)
    offerer.offer(TRACKS)
    try:
        result = offerer.handle_answer(data.decode(errors="replace"))
    except SdpError as error:
        return _kind(error)
    offered = {track.track_sid for track in TRACKS}
    assert {track.track_sid for track in result.placed} | set(result.rejected) <= offered
    return f"{len(result.placed)} {len(result.rejected)} {len(result.remote.extensions)}"


def signal_frame(data: bytes) -> str:
    """A frame decodes as binary and, where it is text, as JSON; what decoded survives being encoded again."""
    outcomes = []
    for frame in _binary_and_text(data):
        try:
            request = frames.decode(frame)
        except frames.FrameError as error:
            outcomes.append(_kind(error))
            continue
        again = frames.decode(request.SerializeToString())
        assert again.SerializeToString(deterministic=True) == request.SerializeToString(deterministic=True)
        outcomes.append(str(request.WhichOneof("message")))
    return " ".join(outcomes)


def join_query(data: bytes) -> str:
    """The query of a connect request, v0 or v1."""
    query = dict(parse_qsl(data.decode(errors="replace"), keep_blank_values=True))
    outcomes = []
    for v1 in (False, True):
        try:
            request = join.parse(query, v1=v1)
        except (ControlError, MediaError) as error:
            outcomes.append(_kind(error))
            continue
        outcomes.append(f"{request.single_connection} {request.reconnect} {request.offer is None}")
    return " ".join(outcomes)


def join_request(data: bytes) -> str:
    """v1's `WrappedJoinRequest`, in front of base64."""
    return join_query(b"join_request=" + base64.urlsafe_b64encode(data))


def token(data: bytes) -> str:
    """A token as it comes. Nothing here is signed with our secret but the corpus itself."""
    try:
        claims = verify(data.decode(errors="replace"), KEYS, NOW)
    except TokenError as error:
        return _kind(error)
    return f"valid {claims.video.room_join}"


def claims(data: bytes) -> str:
    """A body that somebody with the secret signed: it still may hold anything."""
    signed = f"{_HEADER}.{_part(data)}"
    signature = hmac.new(KEYS["devkey"].encode(), signed.encode(), hashlib.sha256).digest()
    try:
        verified = verify(f"{signed}.{_part(signature)}", KEYS, NOW)
        join.room_name(verified)
        join.permission(verified)
        join.options(verified, join.parse({}, v1=False))
        join.room_options(verified, RoomOptions())
    except (ControlError, MediaError) as error:
        return _kind(error)
    return f"{verified.video.room_join} {len(verified.attributes)} {verified.room_config is None}"


def _binary_and_text(data: bytes) -> list[bytes | str]:
    try:
        return [data, data.decode()]
    except UnicodeDecodeError:
        return [data]


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


_HEADER = _part(b'{"alg":"HS256","typ":"JWT"}')


def _kind(error: Exception) -> str:
    code = getattr(error, "code", "")
    return f"{type(error).__name__} {code} {str(error).split(':')[0][:24]}"


TARGETS: Mapping[str, Target] = {
    target.__name__: target for target in (sdp_offer, sdp_answer, signal_frame, join_query, join_request, token, claims)
}

"""What a connect request asks for: v0's query parameters or v1's `join_request`, checked against the token."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from livekit.protocol import models, rtc
from livekit.protocol import room as room_proto

from control.errors import HttpError, TokenError
from control.tokens import Claims
from sfu.ids import Identity, RoomName
from sfu.participant import JoinOptions
from sfu.policy import limits
from sfu.policy.permission import Permission, sources_from_names
from sfu.room import RoomOptions


@dataclass(frozen=True, slots=True)
class ConnectRequest:
    """The client's side of a join; what the token says is not in it."""

    client: models.ClientInfo
    single_connection: bool
    auto_subscribe: bool
    metadata: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    reconnect: bool = False
    participant_sid: str = ""
    #: v1 brings its first messages along.
    add_tracks: tuple[rtc.AddTrackRequest, ...] = ()
    offer: rtc.SessionDescription | None = None
    sync_state: rtc.SyncState | None = None


def parse(query: Mapping[str, str], *, v1: bool) -> ConnectRequest:
    """Raises `HttpError`. `/rtc` with a `join_request` is treated as v1."""
    if "join_request" in query:
        return _from_join_request(_unwrap(query["join_request"]))
    if v1:
        raise HttpError("the query parameter join_request is missing; /rtc/v1 needs it")
    return _from_query(query)


def room_name(claims: Claims) -> RoomName:
    """The room that the token lets join. Raises `TokenError`, `HttpError` or `LimitExceeded`."""
    if not claims.video.room_join:
        raise TokenError("the token does not allow joining; grant roomJoin", code="token_grant")
    if not claims.identity:
        raise HttpError("the token has no identity; set its subject")
    if not claims.video.room:
        raise HttpError("the token names no room; set video.room")
    limits.check_name(claims.identity, "identity")
    limits.check_name(claims.video.room, "room name")
    limits.check_name(claims.name, "name")
    limits.check_metadata(claims.metadata)
    limits.check_attributes(claims.attributes)
    return RoomName(claims.video.room)


def permission(claims: Claims) -> Permission:
    """The token's grants as the room layer knows them."""
    grants = claims.video
    sources = sources_from_names(grants.can_publish_sources or ())
    return Permission(
        # A list of sources that we know none of allows none, and not all.
        can_publish=grants.may_publish and (bool(sources) or not grants.can_publish_sources),
        can_subscribe=grants.may_subscribe,
        can_publish_data=grants.may_publish_data,
        can_publish_sources=sources,
        can_update_metadata=bool(grants.can_update_own_metadata),
        hidden=bool(grants.hidden),
        recorder=bool(grants.recorder),
        agent=bool(grants.agent) or claims.kind.lower() == "agent",
        can_subscribe_metrics=bool(grants.can_subscribe_metrics),
    )


def options(claims: Claims, request: ConnectRequest) -> JoinOptions:
    """Token and request together. The client's own metadata counts only if the token lets it change them."""
    rights = permission(claims)
    metadata, attributes = claims.metadata, dict(claims.attributes)
    if rights.can_update_metadata:
        metadata = request.metadata or metadata
        attributes.update(request.attributes)
        limits.check_metadata(metadata)
        limits.check_attributes(attributes)
    return JoinOptions(
        identity=Identity(claims.identity),
        permission=rights,
        name=claims.name,
        metadata=metadata,
        attributes=attributes,
        kind=_KINDS.get(claims.kind.upper(), 0),
        client=request.client,
        single_connection=request.single_connection,
        auto_subscribe=request.auto_subscribe,
    )


def room_options(claims: Claims, defaults: RoomOptions) -> RoomOptions:
    """The token's `roomConfig` over the defaults. Raises `HttpError` when it is not a RoomConfiguration."""
    if not claims.room_config:
        return defaults
    wire = room_proto.RoomConfiguration()
    try:
        json_format.ParseDict(claims.room_config, wire, ignore_unknown_fields=True)
    except json_format.ParseError as error:
        raise HttpError(f"the token's roomConfig is not a RoomConfiguration: {error}") from error
    limits.check_metadata(wire.metadata)
    return RoomOptions(
        empty_timeout_s=wire.empty_timeout or defaults.empty_timeout_s,
        departure_timeout_s=wire.departure_timeout or defaults.departure_timeout_s,
        max_participants=wire.max_participants or defaults.max_participants,
        metadata=wire.metadata or defaults.metadata,
        min_playout_delay_ms=wire.min_playout_delay or defaults.min_playout_delay_ms,
        max_playout_delay_ms=wire.max_playout_delay or defaults.max_playout_delay_ms,
    )


def _unwrap(parameter: str) -> rtc.JoinRequest:
    wrapped, request = rtc.WrappedJoinRequest(), rtc.JoinRequest()
    try:
        wrapped.ParseFromString(_base64(parameter))
        raw = wrapped.join_request
        if wrapped.compression == rtc.WrappedJoinRequest.Compression.GZIP:
            raw = _gunzip(raw)
        request.ParseFromString(raw)
    except DecodeError as error:
        raise HttpError("join_request is not a WrappedJoinRequest") from error
    return request


def _gunzip(compressed: bytes) -> bytes:
    """At most `MAX_JOIN_REQUEST_BYTES`, whatever the input claims."""
    inflate = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        raw = inflate.decompress(compressed, MAX_JOIN_REQUEST_BYTES)
    except zlib.error as error:
        raise HttpError("join_request says gzip but is not") from error
    if inflate.unconsumed_tail or not inflate.eof:
        raise HttpError(f"join_request is cut short, or larger than {MAX_JOIN_REQUEST_BYTES} bytes when unpacked")
    return raw


def _base64(text: str) -> bytes:
    """base64url, with or without padding; some clients use the standard alphabet."""
    standard = text.replace("-", "+").replace("_", "/").replace(" ", "+").rstrip("=")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise HttpError("a query parameter is not base64url") from error


def _from_join_request(request: rtc.JoinRequest) -> ConnectRequest:
    return ConnectRequest(
        client=request.client_info,
        single_connection=True,
        auto_subscribe=request.connection_settings.auto_subscribe,
        metadata=request.metadata,
        attributes=dict(request.participant_attributes),
        reconnect=request.reconnect,
        participant_sid=request.participant_sid,
        add_tracks=tuple(request.add_track_requests)[: limits.MAX_PENDING_TRACKS],
        offer=request.publisher_offer if request.HasField("publisher_offer") else None,
        sync_state=request.sync_state if request.HasField("sync_state") else None,
    )


def _from_query(query: Mapping[str, str]) -> ConnectRequest:
    client = models.ClientInfo(
        sdk=_sdk(query.get("sdk", "")),
        version=query.get("version", ""),
        protocol=_number(query, "protocol"),
        client_protocol=_number(query, "client_protocol"),
        os=query.get("os", ""),
        os_version=query.get("os_version", ""),
        device_model=query.get("device_model", ""),
        browser=query.get("browser", ""),
        browser_version=query.get("browser_version", ""),
        network=query.get("network", ""),
        capabilities=_capabilities(query.get("capabilities", "")),
    )
    return ConnectRequest(
        client=client,
        single_connection=False,
        auto_subscribe=_flag(query, "auto_subscribe", default=True),
        attributes=_attributes(query.get("attributes", "")),
        reconnect=_flag(query, "reconnect", default=False),
        participant_sid=query.get("sid", ""),
    )


def _number(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0


def _flag(query: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = query.get(name, "").lower()
    return text in {"1", "true"} if text else default


def _sdk(text: str) -> str:
    return text.upper() if text.upper() in models.ClientInfo.SDK.keys() else "UNKNOWN"  # noqa: SIM118 (no mapping)


def _capabilities(text: str) -> list[str]:
    known = models.ClientInfo.Capability.keys()
    return [part for part in text.upper().split(",") if part in known][: len(known)]


def _attributes(text: str) -> dict[str, str]:
    if not text:
        return {}
    try:
        parsed = json.loads(_base64(text))
    except (ValueError, RecursionError) as error:
        raise HttpError("the query parameter attributes is not base64url JSON") from error
    if not isinstance(parsed, dict):
        raise HttpError("the query parameter attributes is not a JSON object")
    return {str(key): str(value) for key, value in parsed.items()}


_KINDS = dict(models.ParticipantInfo.Kind.items())
# LiveKit's server takes as much: the default header limit of Go.
MAX_JOIN_REQUEST_BYTES = 1 << 20

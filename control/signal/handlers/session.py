"""The session itself: pings, leaving, own metadata, the state after a resume, and the test hooks of SDKs."""

from __future__ import annotations

from livekit.protocol import models, rtc

from control.signal.handlers.subscriptions import requested_tracks
from control.signal.handlers.types import Handler, Session
from sfu.errors import MediaError, NotAllowed
from sfu.participant import Participant, track_sids
from sfu.policy import limits

_Action = rtc.LeaveRequest.Action


def ping(session: Session, _participant: Participant, _timestamp: int) -> None:
    session.send(rtc.SignalResponse(pong=session.now_ms()))


def ping_req(session: Session, _participant: Participant, message: rtc.Ping) -> None:
    pong = rtc.Pong(last_ping_timestamp=message.timestamp, timestamp=session.now_ms())
    session.send(rtc.SignalResponse(pong_resp=pong))


def leave(_session: Session, participant: Participant, message: rtc.LeaveRequest) -> None:
    """The client goes for good, or says that it will come back with a new join; here both end the participant."""
    known = message.reason and message.reason in models.DisconnectReason.values()
    participant.close(message.reason if known else models.DisconnectReason.CLIENT_INITIATED)


def update_metadata(session: Session, participant: Participant, message: rtc.UpdateParticipantMetadata) -> None:
    try:
        if not participant.permission.can_update_metadata:
            raise NotAllowed("the token does not allow changing one's own metadata; grant canUpdateOwnMetadata")
        participant.update(
            name=message.name or None, metadata=message.metadata or None, attributes=dict(message.attributes)
        )
        reason, text = "OK", ""
    except MediaError as error:
        reason, text = error.code.upper(), str(error)
    session.send(
        rtc.SignalResponse(
            request_response=rtc.RequestResponse(
                request_id=message.request_id, reason=reason, message=text, update_metadata=message
            )
        )
    )


def sync_state(_session: Session, participant: Participant, message: rtc.SyncState) -> None:
    """After a resume: what the client believes. A track that we do not know of can only be published anew."""
    published = message.publish_tracks[: limits.MAX_REQUEST_ITEMS]
    participant.publishing.handle_sync(item.track.sid for item in published)
    if message.HasField("subscription"):
        participant.subscriptions.handle_sync(
            requested_tracks(message.subscription), subscribe=message.subscription.subscribe
        )
    participant.subscriptions.handle_disabled(track_sids(message.track_sids_disabled))


def simulate(session: Session, participant: Participant, message: rtc.SimulateScenario) -> None:
    """Test hooks; each harms only the client that asks."""
    match message.WhichOneof("scenario"):
        case "node_failure":
            session.abort()
            participant.close(models.DisconnectReason.UNKNOWN_REASON)
        case "server_leave":
            participant.leave(models.DisconnectReason.SERVER_SHUTDOWN, _Action.DISCONNECT)
        case "migration" | "leave_request_full_reconnect":
            participant.leave(models.DisconnectReason.MIGRATION, _Action.RECONNECT)
        case "disconnect_signal_on_resume":
            participant.next_resume = "cut"
        case "disconnect_signal_on_resume_no_messages":
            participant.next_resume = "mute"
        case "speaker_update":
            participant.simulate_speaking(message.speaker_update)
        case _:  # "subscriber_bandwidth", "switch_candidate_protocol": nothing of ours to simulate them with
            pass


HANDLERS: dict[str, Handler] = {
    "ping": ping,
    "ping_req": ping_req,
    "leave": leave,
    "update_metadata": update_metadata,
    "sync_state": sync_state,
    "simulate": simulate,
}

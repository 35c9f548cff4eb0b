"""Publishing: announce, mute, describe. Media itself appears with an offer."""

from __future__ import annotations

import contextlib

from livekit.protocol import rtc

from control.signal.handlers.types import Handler, Session
from sfu.errors import NotFound
from sfu.ids import TrackSid
from sfu.participant import Participant


def add_track(_session: Session, participant: Participant, message: rtc.AddTrackRequest) -> None:
    participant.publishing.handle_add_track(message)


def mute(session: Session, participant: Participant, message: rtc.MuteTrackRequest) -> None:
    try:
        participant.publishing.handle_mute(TrackSid(message.sid), message.muted)
    except NotFound as error:
        session.send(
            rtc.SignalResponse(
                request_response=rtc.RequestResponse(reason="NOT_FOUND", message=str(error), mute=message)
            )
        )


def update_audio_track(_session: Session, participant: Participant, message: rtc.UpdateLocalAudioTrack) -> None:
    # The client repeats this whenever it changes; a track that went away meanwhile needs none.
    with contextlib.suppress(NotFound):
        participant.publishing.update_audio(TrackSid(message.track_sid), list(message.features))


def update_video_track(_session: Session, participant: Participant, message: rtc.UpdateLocalVideoTrack) -> None:
    with contextlib.suppress(NotFound):
        participant.publishing.update_video(TrackSid(message.track_sid), message.width, message.height)


def publish_data_track(session: Session, _participant: Participant, message: rtc.PublishDataTrackRequest) -> None:
    session.send(
        rtc.SignalResponse(
            request_response=rtc.RequestResponse(
                reason="UNSUPPORTED_TYPE",
                message="data tracks are not supported; use streams or packets",
                publish_data_track=message,
            )
        )
    )


HANDLERS: dict[str, Handler] = {
    "add_track": add_track,
    "mute": mute,
    "update_audio_track": update_audio_track,
    "update_video_track": update_video_track,
    "publish_data_track_request": publish_data_track,
}

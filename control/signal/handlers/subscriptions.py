"""Subscribing: which tracks, at which quality, and who may have mine."""

from __future__ import annotations

from livekit.protocol import rtc

from control.signal.handlers.types import Handler, Session
from sfu.ids import TrackSid
from sfu.participant import Participant, track_sids
from sfu.policy.quality import TrackSetting


def subscription(_session: Session, participant: Participant, message: rtc.UpdateSubscription) -> None:
    participant.subscriptions.handle_request(requested_tracks(message), subscribe=message.subscribe)


def track_setting(_session: Session, participant: Participant, message: rtc.UpdateTrackSettings) -> None:
    setting = TrackSetting(
        disabled=message.disabled, quality=message.quality, width=message.width, height=message.height
    )
    participant.subscriptions.handle_settings(track_sids(message.track_sids), setting)


def subscription_permission(_session: Session, participant: Participant, message: rtc.SubscriptionPermission) -> None:
    participant.handle_access(message)


def requested_tracks(message: rtc.UpdateSubscription) -> list[TrackSid]:
    """Both spellings of the request in one list."""
    names = [*message.track_sids, *(sid for tracks in message.participant_tracks for sid in tracks.track_sids)]
    return track_sids(names)


HANDLERS: dict[str, Handler] = {
    "subscription": subscription,
    "track_setting": track_setting,
    "subscription_permission": subscription_permission,
}

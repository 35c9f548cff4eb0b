"""Rights of a participant and of the subscribers of a publisher."""

from __future__ import annotations

import pytest
from livekit.protocol import models, rtc

from sfu.ids import Identity, ParticipantSid, TrackSid
from sfu.policy.permission import Permission, TrackAccess, sources_from_names

CAMERA, MICROPHONE = models.TrackSource.CAMERA, models.TrackSource.MICROPHONE


@pytest.mark.parametrize(
    ("permission", "camera", "microphone"),
    [
        (Permission(), True, True),
        (Permission(can_publish=False), False, False),
        (Permission(can_publish_sources=frozenset({int(CAMERA)})), True, False),
        (Permission(can_publish=False, can_publish_sources=frozenset({int(CAMERA)})), False, False),
    ],
)
def test_sources_narrow_can_publish(permission: Permission, camera: bool, microphone: bool) -> None:
    assert permission.may_publish(CAMERA) is camera
    assert permission.may_publish(MICROPHONE) is microphone


def test_permissions_survive_the_wire() -> None:
    permission = Permission(can_publish_data=False, can_publish_sources=frozenset({1, 3}), hidden=True)
    assert Permission.from_proto(permission.to_proto()) == permission


def test_names_of_sources_are_those_of_tokens() -> None:
    assert sources_from_names(["camera", "SCREEN_SHARE", "nonsense"]) == frozenset({1, 3})


def test_access_is_by_sid_or_identity_for_all_tracks_or_some() -> None:
    access = TrackAccess()
    ada, bob, cy = (ParticipantSid(f"PA_{name}") for name in "abc")
    one, two = TrackSid("TR_1"), TrackSid("TR_2")
    assert access.allows(ada, Identity("ada"), one)
    access.replace(
        rtc.SubscriptionPermission(
            track_permissions=[
                rtc.TrackPermission(participant_sid=ada, all_tracks=True),
                rtc.TrackPermission(participant_identity="bob", track_sids=[one]),
            ]
        )
    )
    assert access.allows(ada, Identity("ada"), two)
    assert access.allows(bob, Identity("bob"), one)
    assert not access.allows(bob, Identity("bob"), two)
    assert not access.allows(cy, Identity("cy"), one)
    access.replace(rtc.SubscriptionPermission(all_participants=True))
    assert access.allows(cy, Identity("cy"), one)

"""What the machine has found, each by itself."""

from __future__ import annotations

import pytest

from sfu import seam
from sfu.ids import Identity
from sfu.policy.permission import Permission
from tests.unit.rooms.house import House, consumers_on


@pytest.mark.parametrize("v1", [True, False])
def test_who_left_before_a_client_noticed_that_its_connection_was_dead_is_gone_after_the_resume(
    house: House, v1: bool
) -> None:
    house.join("ada", Permission())
    bob = house.join("bob", Permission(), v1=v1)
    house.turn()
    bob.holds = True  # it is told of ada's leave, and does not read it any more
    house.room.remove(Identity("ada"))
    house.turn()
    bob.holds = False
    bob.drop()
    bob.resume([], [])
    house.turn()
    assert bob.view == {}


@pytest.mark.parametrize("v1", [True, False])
def test_tracks_of_a_client_that_closed_its_connection_are_offered_to_nobody_while_its_leave_is_awaited(
    house: House, v1: bool
) -> None:
    ada, bob = house.join("ada", Permission(), v1=v1), house.join("bob", Permission())
    ada.add_track("mic", "audio", "")
    house.turn()
    ada.send_media("mic", "audio")
    house.turn()
    assert len(consumers_on(house, bob)) == 1
    house.engine.emit(seam.TransportClosed(ada.participant.connection.transports()[-1], "peer_closed"))
    house.turn()
    assert not bob.view["ada"].tracks
    late = house.join("late", Permission())
    house.turn()
    assert late.view["ada"].sid == ada.participant.sid
    assert not consumers_on(house, late)


@pytest.mark.parametrize("v1", [True, False])
@pytest.mark.parametrize("pending", [True, False])
def test_who_lost_the_right_to_publish_while_its_socket_was_dead_is_told_after_the_resume(
    house: House, v1: bool, pending: bool
) -> None:
    ada = house.join("ada", Permission(), v1=v1)
    ada.add_track("mic", "audio", "")
    house.turn()
    if not pending:
        ada.send_media("mic", "audio")
        house.turn()
    ada.drop()
    ada.participant.handle_permission(Permission(can_publish=False))
    ada.resume([], [])
    house.turn()
    assert not ada.published
    assert ada.left is None

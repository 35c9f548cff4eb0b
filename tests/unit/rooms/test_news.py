"""What waits for a tick (ADR 16), and what it does not wait for."""

from __future__ import annotations

import pytest
from livekit.protocol import models, rtc

from sfu import seam
from sfu.policy.permission import Permission
from tests.unit.rooms.house import House, Peer, consumers_on


def publish(house: House, peer: Peer, cid: str) -> None:
    peer.add_track(cid, "audio", "")
    peer.send_media(cid, "audio")
    house.turn()


def test_a_crowd_that_comes_at_once_is_told_of_at_once(house: House) -> None:
    ada = house.join("ada", Permission())
    house.turn()
    before = ada.sent["update"]
    crowd = {f"guest{number}" for number in range(20)}
    for name in crowd:
        house.join(name, Permission())
    house.turn()
    assert set(ada.view) == crowd
    active = {name for name, info in ada.view.items() if info.state == models.ParticipantInfo.State.ACTIVE}
    assert active == crowd
    assert ada.sent["update"] - before <= 2  # they are there; they are connected


def test_who_leaves_for_somebody_else_costs_the_others_one_negotiation(house: House) -> None:
    ada, bob = house.join("ada", Permission(), v1=False), house.join("bob", Permission())
    house.turn()
    publish(house, bob, "bob's")
    offers = ada.sent["offer"]
    bob.leave()
    house.loop.run()
    assert ada.sent["offer"] == offers
    cyd = house.join("cyd", Permission())
    cyd.add_track("cyd's", "audio", "")
    cyd.send_media("cyd's", "audio")
    house.turn()
    assert ada.sent["offer"] == offers + 1
    assert len(consumers_on(house, ada)) == 1


def test_a_track_that_ended_leaves_the_negotiation_with_the_next_tick(house: House) -> None:
    ada, bob = house.join("ada", Permission(), v1=False), house.join("bob", Permission())
    house.turn()
    publish(house, bob, "mic")
    offers = ada.sent["offer"]
    bob.stop_media("mic")
    house.loop.run()
    assert house.engine.consumers == {}  # its media ends at once
    assert ada.sent["offer"] == offers
    house.turn()
    assert ada.sent["offer"] == offers + 1
    assert ada.described == set()


@pytest.mark.parametrize("v1", [True, False])
def test_a_track_that_was_dropped_and_is_wanted_again_was_seen_to_be_gone(house: House, v1: bool) -> None:
    ada, bob = house.join("ada", Permission(), v1=v1), house.join("bob", Permission())
    house.turn()
    publish(house, bob, "mic")
    sids = [bob.published["mic"]]
    assert ada.described == set(sids)
    ada.request(subscription=rtc.UpdateSubscription(track_sids=sids, subscribe=False))
    while house.loop.run() or ada.react():
        pass
    assert ada.described == set()  # without a tick
    ada.request(subscription=rtc.UpdateSubscription(track_sids=sids, subscribe=True))
    house.turn()
    assert ada.described == set(sids)


def test_who_sends_data_is_known_before(house: House) -> None:
    ada, bob = house.join("ada", Permission()), house.join("bob", Permission())
    house.engine.emit(seam.DataReceived(bob.participant.connection.transports()[-1], "_lossy", _hello()))
    house.facade.handle_events()
    ada.react()
    assert ada.view["bob"].sid == bob.participant.sid


def test_who_is_hidden_before_the_others_heard_of_it_stays_unknown(house: House) -> None:
    ada, bob = house.join("ada", Permission()), house.join("bob", Permission())
    bob.participant.handle_permission(Permission(hidden=True))
    house.turn()
    assert ada.view == {}


def test_a_muted_track_is_shown_muted_at_once(house: House) -> None:
    ada, bob = house.join("ada", Permission()), house.join("bob", Permission())
    house.turn()
    publish(house, bob, "mic")
    bob.request(mute={"sid": bob.published["mic"], "muted": True})
    ada.react()
    assert ada.view["bob"].tracks[0].muted


def _hello() -> bytes:
    return models.DataPacket(user=models.UserPacket(payload=b"hello")).SerializeToString()

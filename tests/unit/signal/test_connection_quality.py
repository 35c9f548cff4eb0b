"""`connection_quality`: who hears of whom, and when."""

from __future__ import annotations

from livekit.protocol import models

from sfu import seam
from tests.unit.signal.harness import Call, Client
from tests.unit.signal.test_resume import resume

QUALITY = models.ConnectionQuality


async def window(call: Call, *lossy: Client) -> None:
    """Five seconds in which these lost a fifth of what they were sent."""
    reports = [seam.TransportReport(call.transport_of(client), 20, 0, 0, 1000, 200) for client in lossy]
    call.engine.emit(seam.TransportReports(tuple(reports)))
    present = [client for client in call.clients if not client.ws.closed]
    await present[0].settle()
    call.tick(5.4)
    for client in present:
        await client.settle()


def told(client: Client) -> list[tuple[str, int]]:
    """(sid, quality) in order."""
    return [
        (info.participant_sid, info.quality)
        for message in client.received("connection_quality")
        for info in message.connection_quality.updates
    ]


async def test_it_is_told_on_change_to_oneself_and_to_those_who_receive_something(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    stranger = await call.join("stranger", auto_subscribe=False)
    await alice.publish("audio", "mic")
    await bob.settle()
    for client in (bob, stranger):
        await client.settle()
    await window(call)
    await window(call)
    a, b, s = (client.joined.participant.sid for client in (alice, bob, stranger))
    assert told(alice) == [(a, QUALITY.EXCELLENT)]
    assert sorted(told(bob)) == sorted([(a, QUALITY.EXCELLENT), (b, QUALITY.EXCELLENT)])
    assert told(stranger) == [(s, QUALITY.EXCELLENT)]
    await window(call, alice)
    assert told(alice)[1:] == [(a, QUALITY.POOR)]
    assert told(bob)[2:] == [(a, QUALITY.POOR)]
    assert told(stranger)[1:] == []


async def test_one_that_subscribes_later_learns_the_present_quality(call: Call) -> None:
    alice = await call.join("alice")
    await alice.publish("audio", "mic")
    await window(call, alice)
    bob = await call.join("bob")
    await bob.settle()
    await bob.settle()
    await window(call, alice)
    assert (alice.joined.participant.sid, QUALITY.POOR) in told(bob)
    assert told(alice) == [(alice.joined.participant.sid, QUALITY.POOR)]


async def test_a_resumed_client_is_told_again(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    await bob.publish("audio", "mic")
    await alice.settle()
    await window(call)
    await alice.drop()
    again = await resume(call, alice)
    await again.expect("reconnect")
    await window(call)
    sids = {client.joined.participant.sid for client in (alice, bob)}
    assert {sid for sid, _ in told(again)} == sids
    assert len(told(bob)) == 1


async def test_the_numbers_of_a_node_count_qualities(call: Call) -> None:
    alice, _bob = await call.join("alice"), await call.join("bob")
    await window(call, alice)
    samples = call.scrape()
    assert samples['sfu_connection_quality{quality="poor"}'] == 1
    assert samples['sfu_connection_quality{quality="excellent"}'] == 1

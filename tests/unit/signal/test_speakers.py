"""Speaking, from the engine's levels to what a second client is told."""

from __future__ import annotations

import asyncio

import pytest
from livekit.protocol import models, rtc

from sfu import seam
from tests.unit.signal.harness import Call, Client


async def speak(call: Call, level: int, windows: int = 1) -> None:
    """A window is four batches of 100 ms."""
    (producer,) = call.engine.producers
    for _ in range(windows):
        call.engine.emit(*[seam.AudioLevels(((producer, level),))] * 4)
        await call.clients[0].settle()
        call.tick(0.4)


async def told(client: Client) -> models.SpeakerInfo:
    (speaker,) = (await client.expect("speakers_changed")).speakers_changed.speakers
    return speaker


async def test_a_subscriber_and_the_speaker_are_told_of_start_and_end(call: Call) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    deaf = await call.join("deaf", auto_subscribe=False)
    await alice.publish("audio", "mic")
    await bob.settle()
    await speak(call, 10)
    for client in (alice, bob):
        speaker = await told(client)
        assert speaker.sid == alice.joined.participant.sid
        assert speaker.active
        assert 0 < speaker.level <= 1
    call.tick(2)
    for client in (alice, bob):
        silent = await client.expect(
            "speakers_changed", lambda message: not message.speakers_changed.speakers[0].active
        )
        assert silent.speakers_changed.speakers[0].level == 0
    await deaf.settle()
    assert not deaf.received("speakers_changed")


async def test_background_noise_is_not_speech(call: Call) -> None:
    alice = await call.join("alice")
    await alice.publish("audio", "mic")
    await speak(call, 50, windows=3)
    await alice.settle()
    assert not alice.received("speakers_changed")


async def test_a_muted_track_does_not_speak(call: Call) -> None:
    alice = await call.join("alice")
    await alice.publish("audio", "mic", muted=True)
    await speak(call, 5, windows=2)
    await alice.settle()
    assert not alice.received("speakers_changed")


async def test_those_who_hear_the_same_share_one_message(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob = await call.join("alice"), await call.join("bob")
    audience = [await call.join(f"cy{number}") for number in range(5)]
    for client in (alice, bob):
        await client.publish("audio", f"mic-{client.identity}")
    for client in call.clients:
        await client.settle()
        await client.settle()
    sent: list[rtc.SignalResponse] = []
    for participant in call.room().participants.values():
        assert participant.signal is not None
        monkeypatch.setattr(participant.signal, "send", sent.append)
    call.engine.emit(*[seam.AudioLevels(tuple((producer, 5) for producer in call.engine.producers))] * 4)
    await asyncio.sleep(0.01)
    call.tick(0.4)
    told = [message for message in sent if message.HasField("speakers_changed")]
    assert len(told) == 2 + len(audience)
    assert len({id(message) for message in told}) == 1
    assert {info.sid for info in told[0].speakers_changed.speakers} == {
        client.joined.participant.sid for client in (alice, bob)
    }

"""Commands reach the shard they are for; what cannot be carried out comes back, what makes no sense raises."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from sfu import seam
from sfu._native import Engine
from sfu.seam import (
    AddConsumer,
    AddProducer,
    CloseTransport,
    ConfigureConsumer,
    ConsumerId,
    EncodingParameters,
    OpenDataChannel,
    OpenTransport,
    PauseData,
    ProducerId,
    Refused,
    RemoveConsumer,
    RemoveProducer,
    RequestKeyframe,
    RestartIce,
    SendData,
    SetRemote,
    TransportId,
)
from tests.engine.support import PASSWORD, StartEngine, counter, next_events, open_transport, wait_for

FINGERPRINT = "sha-256 " + ":".join(["AB"] * 32)
T, P, C = TransportId(1), ProducerId(2), ConsumerId(3)
REMOTE = SetRemote(T, "them", PASSWORD, FINGERPRINT, 5000, {"urn:ietf:params:rtp-hdrext:sdes:mid": 4})
PRODUCER = AddProducer(
    producer=P,
    transport=T,
    kind="video",
    mid="0",
    mime_type="video/VP8",
    clock_rate=90000,
    payload_type=96,
    rtx_payload_type=97,
    encodings=(EncodingParameters("q"), EncodingParameters("h", ssrc=1, rtx_ssrc=2)),
    nack=True,
    transport_cc=True,
    remb=False,
)
CONSUMER = AddConsumer(
    consumer=C,
    producer=P,
    transport=T,
    mid="1",
    ssrc=1234,
    rtx_ssrc=None,
    payload_type=100,
    rtx_payload_type=None,
    cname="someone",
    paused=False,
    encoding=1,
)


def test_a_transport_lives_through_every_command_without_a_refusal(engine: Engine) -> None:
    open_transport(engine)
    engine.submit(
        (
            REMOTE,
            RestartIce(T, "again", PASSWORD),
            OpenDataChannel(T, "chat", ordered=False, max_retransmits=0, stream=100),
            PRODUCER,
            CONSUMER,
            RequestKeyframe(P),
            ConfigureConsumer(C, paused=True, encoding=0),
            PauseData(T, paused=True),
            SendData((T,), "chat", b"early"),
            RemoveConsumer(C),
            RemoveProducer(P),
            CloseTransport(T),
        )
    )
    # The answer to the last command shows that all before it were carried out.
    engine.submit([PauseData(T, paused=False)])
    assert next_events(engine) == [Refused("PauseData", T, "unknown_transport")]


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        (REMOTE, Refused("SetRemote", 1, "unknown_transport")),
        (RestartIce(T, "u", PASSWORD), Refused("RestartIce", 1, "unknown_transport")),
        (OpenTransport(T, 9, "u", PASSWORD), Refused("OpenTransport", 1, "unknown_shard")),
        (PRODUCER, Refused("AddProducer", 2, "unknown_transport")),
        (CONSUMER, Refused("AddConsumer", 3, "unknown_producer")),
        (ConfigureConsumer(C, paused=True, encoding=0), Refused("ConfigureConsumer", 3, "unknown_consumer")),
        (RequestKeyframe(P), Refused("RequestKeyframe", 2, "unknown_producer")),
        (OpenDataChannel(T, "chat", True, None), Refused("OpenDataChannel", 1, "unknown_transport")),
    ],
    ids=lambda value: value.command if isinstance(value, Refused) else "",
)
def test_a_command_about_nothing_is_refused(engine: Engine, command: seam.Command, refusal: Refused) -> None:
    engine.submit([command])
    assert next_events(engine) == [refusal]


def test_removing_what_is_gone_is_no_refusal(engine: Engine) -> None:
    engine.submit([CloseTransport(T), RemoveProducer(P), RemoveConsumer(C), SendData((T,), "chat", b"")])
    engine.submit([PauseData(T, paused=True)])
    assert [event.command for event in next_events(engine) if isinstance(event, Refused)] == ["PauseData"]


def test_an_id_is_taken_until_it_is_closed_and_what_a_client_signals_is_checked(engine: Engine) -> None:
    open_transport(engine)
    engine.submit([OpenTransport(T, 0, "other", PASSWORD)])
    assert next_events(engine) == [Refused("OpenTransport", T, "transport_exists")]
    engine.submit([replace(REMOTE, fingerprint="sha-1 " + ":".join(["AB"] * 20))])
    (event,) = next_events(engine)
    assert isinstance(event, Refused)
    assert (event.command, event.id) == ("SetRemote", T)


def test_a_consumer_may_live_on_another_shard_than_its_producer(start_engine: StartEngine) -> None:
    engine = start_engine(shards=2, bind=("127.0.0.1",))
    open_transport(engine, 1, shard=0)
    open_transport(engine, 5, shard=1)
    # In one batch: the pipe is there before the consumer.
    engine.submit(
        [PRODUCER, replace(CONSUMER, transport=TransportId(5)), ConfigureConsumer(C, paused=False, encoding=0)]
    )
    wait_for(lambda: counter(engine, "pipes.in", shard=1) == counter(engine, "pipes.out", shard=0) == 1)
    assert (counter(engine, "consumers.open", shard=1), counter(engine, "producers.open", shard=1)) == (1, 0)
    engine.submit([CloseTransport(T)])
    wait_for(lambda: counter(engine, "pipes.in", shard=1) == counter(engine, "consumers.open", shard=1) == 0)
    engine.submit([ConfigureConsumer(C, paused=True, encoding=0)])
    assert next_events(engine) == [Refused("ConfigureConsumer", C, "unknown_consumer")]


def test_a_batch_with_a_mistake_in_it_is_not_submitted_at_all(engine: Engine) -> None:
    opening = OpenTransport(T, 0, "ufrag", PASSWORD)
    wrong: list[tuple[Any, type[Exception], str]] = [
        (object(), TypeError, "object is not a command"),
        (NotACommand(), TypeError, "NotACommand is not a command"),
        (replace(REMOTE, sctp_port=65536), ValueError, "SetRemote.sctp_port"),
        (replace(PRODUCER, kind="text"), ValueError, "AddProducer.kind: .*'audio' nor 'video'"),  # type: ignore[arg-type]
        (replace(PRODUCER, encodings=(EncodingParameters(7),)), TypeError, "AddProducer.encodings"),  # type: ignore[arg-type]
        (SendData((T,), "chat", "text"), TypeError, "SendData.payload"),  # type: ignore[arg-type]
        (OpenTransport(TransportId(-1), 0, "u", "p"), ValueError, "OpenTransport.transport"),
    ]
    for command, error, sentence in wrong:
        with pytest.raises(error, match=sentence):
            engine.submit([opening, command])
    engine.submit([RestartIce(T, "u", PASSWORD)])
    assert next_events(engine) == [Refused("RestartIce", T, "unknown_transport")]


@dataclass(frozen=True)
class NotACommand:
    transport: int = 1

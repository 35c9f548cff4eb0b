"""Connectivity checks over real sockets: answered from the address that was contacted, or not at all."""

from __future__ import annotations

import pytest
from aioice import stun

from sfu._native import Engine
from sfu.seam import CloseTransport, RestartIce
from tests.engine.support import (
    PASSWORD,
    StartEngine,
    binding_request,
    check,
    client_socket,
    counter,
    open_transport,
    ufrag,
    wait_for,
)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.7", "::1"])
def test_a_check_is_answered_from_the_address_contacted(engine: Engine, host: str) -> None:
    open_transport(engine)
    port = engine.addresses(0)[0].port
    with client_socket("::1" if ":" in host else "127.0.0.1") as client:
        response, address = check(client, host, port)
        assert address == (host, port)
        assert response.attributes["XOR-MAPPED-ADDRESS"] == client.getsockname()[:2]


def test_each_shard_answers_for_its_own_transports_only(start_engine: StartEngine) -> None:
    engine = start_engine(shards=2, bind=("127.0.0.1",))
    for number, shard in ((1, 0), (2, 1)):
        open_transport(engine, number, shard)
    ports = [engine.addresses(shard)[0].port for shard in range(2)]
    with client_socket() as client:
        check(client, "127.0.0.1", ports[0], number=1)
        check(client, "127.0.0.1", ports[1], number=2)
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            check(client, "127.0.0.1", ports[0], number=2)


def test_a_restart_takes_the_new_credentials_and_keeps_the_old_ones_until_then(engine: Engine) -> None:
    transport = open_transport(engine)
    port = engine.addresses(0)[0].port
    with client_socket() as client:
        check(client, "127.0.0.1", port)
        engine.submit([RestartIce(transport, ufrag(2), PASSWORD)])
        check(client, "127.0.0.1", port, number=1)
        check(client, "127.0.0.1", port, number=2)


def test_a_closed_transport_answers_no_more(engine: Engine) -> None:
    transport = open_transport(engine)
    port = engine.addresses(0)[0].port
    with client_socket() as client:
        check(client, "127.0.0.1", port)
        engine.submit([CloseTransport(transport)])
        wait_for(lambda: counter(engine, "transports.open") == 0)
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            check(client, "127.0.0.1", port)


def test_a_check_that_does_not_verify_gets_no_answer(engine: Engine) -> None:
    open_transport(engine)
    address = ("127.0.0.1", engine.addresses(0)[0].port)
    unsigned = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    unsigned.attributes["USERNAME"] = f"{ufrag(1)}:client"
    unsigned.add_fingerprint()
    forged = binding_request(f"{ufrag(1)}:client", password="not-the-password-at-all")
    stranger = binding_request("stranger:client")
    with client_socket() as client:
        for request in (unsigned, forged, stranger):
            client.sendto(bytes(request), address)
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(2048)
        client.settimeout(2.0)
        check(client, *address)


def test_garbage_is_counted_by_reason_and_harms_nobody(engine: Engine) -> None:
    open_transport(engine)
    address = ("127.0.0.1", engine.addresses(0)[0].port)
    request = bytes(binding_request(f"{ufrag(1)}:client"))
    forged = bytes(binding_request(f"{ufrag(1)}:client", password="not-the-password-at-all"))
    garbage = {
        "drop.unknown_protocol": [b"", b"\x80", b"\xff" * 20, b"GET / HTTP/1.1\r\n\r\n"],
        "drop.stun_malformed": [request[:7], request[:21], b"\x00\x01\xff\xff" + request[4:]],
        "drop.stun_unknown_ufrag": [bytes(binding_request("stranger:client"))],
        "drop.stun_integrity": [forged],
        "drop.unknown_path": [b"\x80\x60" + bytes(30), b"\x80\xc8" + bytes(30), b"\x16\xfe\xfd" + bytes(40)],
    }
    with client_socket() as client:
        for datagrams in garbage.values():
            for datagram in datagrams:
                client.sendto(datagram, address)
        check(client, *address)

    wait_for(lambda: counter(engine, "datagrams.in") >= 1 + sum(map(len, garbage.values())), within_s=3)
    assert {name: counter(engine, name) for name in garbage} == {name: len(sent) for name, sent in garbage.items()}
    assert engine.drain() == []

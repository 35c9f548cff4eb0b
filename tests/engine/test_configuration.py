"""An engine starts where it is told to, or says what is wrong with that."""

from __future__ import annotations

import errno
import socket
from dataclasses import replace

import pytest

from sfu._native import Engine
from sfu.seam import Address, EngineConfig
from tests.engine.support import StartEngine, client_socket

LOOPBACK = EngineConfig(udp_port=0, bind=("127.0.0.1",))


def test_a_taken_port_is_an_os_error_that_says_what_to_do() -> None:
    with client_socket() as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=f"UDP port {port} on 127.0.0.1 is taken: stop the other process") as raised:
            Engine(replace(LOOPBACK, udp_port=port))
    assert raised.value.errno == errno.EADDRINUSE


def test_a_taken_tcp_port_is_named_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            OSError, match=f"TCP port {port} on 127.0.0.1 is taken: .* choose another tcp_port"
        ) as raised:
            Engine(replace(LOOPBACK, tcp_port=port))
    assert raised.value.errno == errno.EADDRINUSE


def test_tcp_listens_on_every_address_and_only_when_asked(start_engine: StartEngine) -> None:
    assert start_engine().tcp_addresses() == []
    v4, v6 = start_engine(tcp_port=0).tcp_addresses()
    assert (v4.host, v6.host, v4.port) == ("0.0.0.0", "::", v6.port)


def test_an_address_of_another_machine_is_an_os_error() -> None:
    with pytest.raises(OSError, match=r"192\.0\.2\.1 is no address of this machine") as raised:
        Engine(replace(LOOPBACK, bind=("192.0.2.1",)))
    assert raised.value.errno == errno.EADDRNOTAVAIL


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (replace(LOOPBACK, shards=0), "shards must be between 1 and 256"),
        (replace(LOOPBACK, shards=3, udp_port=65534), "udp_port \\+ shards must stay below 65536"),
        (replace(LOOPBACK, bind=()), "bind needs at least one address"),
        (replace(LOOPBACK, bind=("localhost",)), "bind takes IPv4 and IPv6 addresses"),
        (replace(LOOPBACK, srtp_profiles=()), "srtp_profiles needs at least one profile"),
        (replace(LOOPBACK, srtp_profiles=("SRTP_NULL_SHA1_80",)), "SRTP_NULL_SHA1_80.* is none of them"),
    ],
)
def test_a_senseless_configuration_is_a_value_error(config: EngineConfig, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Engine(config)


def test_all_hosts_of_a_shard_share_one_port_and_each_shard_has_its_own(start_engine: StartEngine) -> None:
    engine = start_engine(shards=2, bind=("127.0.0.1", "::1"))
    ports = set()
    for shard in range(2):
        v4, v6 = engine.addresses(shard)
        assert (v4.host, v6.host) == ("127.0.0.1", "::1")
        assert v4.port == v6.port
        ports.add(v4.port)
    assert len(ports) == 2
    with pytest.raises(IndexError):
        engine.addresses(2)


def test_shards_count_up_from_the_configured_port(start_engine: StartEngine) -> None:
    port = _free_ports(2)
    engine = start_engine(shards=2, udp_port=port, bind=("127.0.0.1",))
    assert [engine.addresses(shard) for shard in range(2)] == [
        [Address("127.0.0.1", port)],
        [Address("127.0.0.1", port + 1)],
    ]


def test_the_fingerprint_is_as_sdp_wants_it_and_new_for_each_engine(start_engine: StartEngine) -> None:
    first, second = (start_engine(bind=("127.0.0.1",)).fingerprint for _ in range(2))
    algorithm, _, digest = first.partition(" ")
    assert algorithm == "sha-256"
    assert len(bytes.fromhex(digest.replace(":", ""))) == 32
    assert digest == digest.upper()
    assert first != second


def _free_ports(count: int) -> int:
    """The first of `count` neighbouring UDP ports that were free a moment ago."""
    for port in range(20000, 30000, count):
        try:
            for offset in range(count):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                    probe.bind(("127.0.0.1", port + offset))
        except OSError:
            continue
        return port
    raise AssertionError("no free ports")

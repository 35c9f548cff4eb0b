"""What TURN runs with, made from the configuration and the machine; and what joined clients are told of it."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from control.addresses import Advertised, preferred
from control.config import load
from control.errors import ConfigError
from control.tls import self_signed_pem
from control.turn.config import TurnConfig
from control.turn.ice import urls
from control.turn.settings import Surroundings, build
from turn.seam import Address, Listen, MediaAddress, RelayHost

LOCAL = [ipaddress.ip_address(text) for text in ("10.0.0.5", "10.0.0.6", "2001:db8::5", "127.0.0.1", "::1")]
PEM = self_signed_pem(["127.0.0.1"], datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))
AROUND = Surroundings(LOCAL)
BEHIND_NAT = replace(
    AROUND, advertise=[Advertised("203.0.113.7"), Advertised("203.0.113.8"), Advertised("2001:db8::5")]
)


def turn(**values: Any) -> TurnConfig:
    return load(None, {}, {"turn": values}).turn


def listeners(config: TurnConfig, around: Surroundings = AROUND) -> list[str]:
    return [str(listen) for listen in build(config, around).relay.listen]


def written(tmp_path: Path) -> dict[str, str]:
    paths = {"certificate": tmp_path / "c.pem", "key": tmp_path / "k.pem"}
    paths["certificate"].write_bytes(PEM.certificate)
    paths["key"].write_bytes(PEM.key)
    return {name: str(path) for name, path in paths.items()}


def test_by_default_tls_is_served_when_there_is_a_certificate(tmp_path: Path) -> None:
    plain = ["udp://0.0.0.0:3478", "udp://[::]:3478", "tcp://0.0.0.0:3478", "tcp://[::]:3478"]
    assert listeners(TurnConfig()) == plain
    secure = [*plain, "tls://0.0.0.0:5349", "tls://[::]:5349"]
    assert listeners(TurnConfig(), replace(AROUND, self_signed=PEM)) == secure
    settings = build(turn(tls=written(tmp_path)), AROUND)
    assert len(settings.relay.listen) == 6
    assert (settings.relay.certificate, settings.relay.key) == (PEM.certificate, PEM.key)


def test_a_tls_listener_that_was_asked_for_needs_a_certificate(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"turn\.listen: a tls:// listener needs a certificate"):
        build(turn(listen=["tls://127.0.0.1:443"]), AROUND)
    with pytest.raises(ConfigError, match=r"turn\.tls: .*none\.pem and .* cannot be used: .*No such file"):
        build(turn(tls={**written(tmp_path), "certificate": str(tmp_path / "none.pem")}), AROUND)
    (tmp_path / "k.pem").write_bytes(self_signed_pem([], datetime.datetime.now(datetime.UTC)).key)
    with pytest.raises(ConfigError, match="cannot be used"):
        build(turn(tls={"certificate": str(tmp_path / "c.pem"), "key": str(tmp_path / "k.pem")}), AROUND)


def test_a_family_that_the_machine_lacks_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("control.addresses._family_works", lambda address: ":" not in address)
    assert listeners(TurnConfig()) == ["udp://0.0.0.0:3478", "tcp://0.0.0.0:3478"]


@pytest.mark.parametrize(
    ("hosts", "around", "expected"),
    [
        ((), AROUND, [("10.0.0.5", "10.0.0.5"), ("2001:db8::5", "2001:db8::5")]),
        # One of a family: two that are bound to everything would want the same ports.
        ((), BEHIND_NAT, [("0.0.0.0", "203.0.113.7"), ("2001:db8::5", "2001:db8::5")]),
        (("203.0.113.9/10.0.0.6", "10.0.0.5"), BEHIND_NAT, [("10.0.0.6", "203.0.113.9"), ("10.0.0.5", "10.0.0.5")]),
    ],
)
def test_where_relay_sockets_are_bound_and_what_they_are_called(
    monkeypatch: pytest.MonkeyPatch, hosts: Sequence[str], around: Surroundings, expected: list[tuple[str, str]]
) -> None:
    monkeypatch.setattr("control.addresses._source_towards", lambda _host: None)
    found = build(turn(relay_hosts=list(hosts)), around).relay.relay_hosts
    assert [(host.bind, host.advertised) for host in found] == expected


def test_the_address_towards_others_is_preferred_and_loopback_is_the_last_resort(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    routes = {"192.0.2.1": LOCAL[1], "2001:db8::1": None}
    monkeypatch.setattr("control.addresses._source_towards", routes.get)
    assert preferred(LOCAL) == [LOCAL[1], LOCAL[2]]
    assert preferred([LOCAL[0], *LOCAL[3:]]) == [LOCAL[0]]
    assert preferred(LOCAL[3:]) == LOCAL[3:]


def test_our_own_sockets_are_no_peers_under_any_of_their_names() -> None:
    config = turn(
        listen=["udp://0.0.0.0:3478", "tcp://0.0.0.0:3478", "udp://10.0.0.6:53", "udp://[::1]:0"],
        relay_hosts=["203.0.113.7/0.0.0.0"],
    )
    assert build(config, AROUND).relay.deny_peers == (
        *(Address(host, 3478) for host in ("10.0.0.5", "10.0.0.6", "127.0.0.1", "203.0.113.7")),
        Address("10.0.0.6", 53),
    )


def test_everything_of_the_section_arrives() -> None:
    media = (MediaAddress(Address("10.0.0.5", 7882), 0),)
    config = turn(
        realm="r",
        users={"ada": "word"},
        secrets=["new", "old"],
        relay_ports="50000-50007",
        allow_peers=["198.51.100.0/24"],
        quotas={"allocations_per_user": 1, "allocations_total": 2, "permissions": 3, "channels": 4}
        | {"new_peers_per_s": 5, "packets_per_s": 6, "bytes_per_s": 7},
        unauthenticated_per_s=8,
        connections_per_address=9,
        coalesce_us=10,
    )
    settings = build(config, replace(AROUND, media=media))
    relay, quotas, limits = settings.relay, settings.quotas, settings.limits
    assert (settings.users, settings.secrets, relay.realm) == ({"ada": "word"}, ("new", "old"), "r")
    assert (relay.relay_ports, relay.allow_peers, relay.media) == ((50_000, 50_007), ("198.51.100.0/24",), media)
    assert (relay.unauthenticated_per_s, relay.connections_per_address, relay.coalesce_us) == (8, 9, 10)
    assert (quotas.allocations_per_user, quotas.allocations_total, quotas.permissions, quotas.channels) == (1, 2, 3, 4)
    assert (limits.new_peers_per_s, limits.packets_per_s, limits.bytes_per_s) == (5, 6, 7)


# ----------------------------------------------------------------------------------------------------- iceServers

HOSTS = (RelayHost("10.0.0.5", "203.0.113.7"), RelayHost("::", "2001:db8::7"))


def test_clients_are_told_the_open_listeners_as_they_are_seen_from_outside() -> None:
    listening = [
        Listen("::", 5349, "tls"),
        Listen("0.0.0.0", 5349, "tls"),
        Listen("0.0.0.0", 3478, "tcp"),
        Listen("::", 3478, "udp"),
        Listen("0.0.0.0", 3478, "udp"),
        Listen("10.0.0.5", 443, "udp"),
        Listen("10.0.0.6", 444, "udp"),
    ]
    assert urls(listening, HOSTS, None) == [
        "turn:203.0.113.7:3478?transport=udp",
        "turn:203.0.113.7:443?transport=udp",
        "turn:10.0.0.6:444?transport=udp",
        "turn:[2001:db8::7]:3478?transport=udp",
        "turn:203.0.113.7:3478?transport=tcp",
        "turns:203.0.113.7:5349?transport=tcp",
        "turns:[2001:db8::7]:5349?transport=tcp",
    ]


def test_a_domain_stands_for_all_addresses() -> None:
    listening = [Listen(host, 5349, "tls") for host in ("0.0.0.0", "::")]
    assert urls(listening, (), "turn.example.org") == ["turns:turn.example.org:5349?transport=tcp"]


def test_a_wildcard_without_an_address_of_its_family_is_not_told() -> None:
    assert urls([Listen("::", 3478, "udp")], HOSTS[:1], None) == []

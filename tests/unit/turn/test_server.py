"""The shell: events in, batches of commands out, one timer, and a configuration that changes under living allocations."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.unit.turn.harness import LIMITS, PEER, PEER6, V4, V6, peers
from tests.unit.turn.shell import RELAY, SETTINGS, TCP, TLS, UDP, Shell
from turn.quotas import QuotaLimits
from turn.seam import (
    AllocationId,
    AllocationLimits,
    AllocationStats,
    ClientGone,
    ClientId,
    Listen,
    Method,
    RelayHost,
)
from turn.server import ALLOCATIONS_PER_JOIN


def test_what_one_loop_iteration_decides_leaves_as_one_batch() -> None:
    shell = Shell()
    first, second = (
        shell.ask(Method.ALLOCATE, 1, requested_transport=17),
        shell.ask(Method.ALLOCATE, 2, requested_transport=17),
    )
    assert shell.relay.reply(first) is None
    shell.loop.turn()
    assert shell.relay.batches == [1, 4]  # the configuration, then two installations with their answers
    assert [reply.request for reply in shell.relay.replies] == [first, second]


def test_permissions_and_channels_go_down_and_their_answers_come_back() -> None:
    shell = Shell()
    shell.allocate()
    assert shell.answer(Method.CREATE_PERMISSION, peers=peers(PEER)).error is None
    assert shell.answer(Method.CHANNEL_BIND, channel=0x4000, peers=peers(PEER)).error is None
    installed = shell.relay.allocations[AllocationId(1)]
    assert (installed.permissions, installed.channels) == ({PEER.host}, {0x4000: PEER})


def test_one_timer_waits_for_what_is_due_next() -> None:
    shell = Shell()
    assert shell.loop.armed() == []
    shell.allocate(1)
    shell.loop.later(100)
    shell.allocate(2)
    shell.answer(Method.CREATE_PERMISSION, 2, peers=peers(PEER))
    (armed,) = shell.loop.armed()
    assert armed <= 1400
    shell.loop.later(299)
    assert shell.relay.allocations[AllocationId(2)].permissions == {PEER.host}
    shell.loop.later(1)
    assert shell.relay.allocations[AllocationId(2)].permissions == set()
    assert shell.loop.armed() == [1600.0]
    shell.loop.later(200)
    assert [*shell.relay.allocations] == [2]
    shell.loop.later(160)
    assert not shell.relay.allocations and shell.loop.armed() == []


def test_an_event_that_cannot_be_handled_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    shell = Shell()
    wake, shell.relay.wake = shell.relay.wake, lambda: None
    shell.ask(Method.ALLOCATE, 1, signed=None, mac=b"", requested_transport=17)
    good = shell.ask(Method.ALLOCATE, 2, requested_transport=17)
    wake()
    shell.loop.turn()
    assert "could not be handled" in caplog.text
    reply = shell.relay.reply(good)
    assert reply is not None and reply.error is None


def test_a_closed_connection_ends_its_allocation() -> None:
    shell = Shell()
    shell.allocate(transport="tcp")
    shell.relay.emit(ClientGone(ClientId(1)))
    shell.loop.turn()
    assert not shell.relay.allocations


# ------------------------------------------------------------------------------------------- a new configuration


def test_a_new_configuration_drops_no_allocation() -> None:
    shell = Shell()
    old = shell.allocate()
    shell.answer(Method.CREATE_PERMISSION, peers=peers(PEER))
    shell.server.configure(
        replace(
            SETTINGS,
            relay=replace(
                RELAY,
                listen=(UDP, TLS),
                realm="new.example.org",
                relay_ports=(60_000, 60_001),
                relay_hosts=(RelayHost("10.0.0.9", "203.0.113.9"),),
                certificate=b"certificate",
                key=b"key",
                allow_peers=("203.0.113.0/24",),
            ),
            secrets=("new", "old"),
            users={"alice": "a"},
        )
    )
    assert shell.server.addresses() == [UDP, TLS]
    assert shell.relay.configured[-1].allow_peers == ("203.0.113.0/24",)
    assert shell.answer(Method.REFRESH).error is None
    assert shell.answer(Method.CREATE_PERMISSION, peers=peers(PEER)).error is None
    new = shell.allocate(2)
    assert [address.host for address in new.relayed] == ["203.0.113.9"]
    assert new.relayed[0].port in (60_000, 60_001)
    assert shell.relay.allocations[AllocationId(1)].relayed[4] == old.relayed[0]
    assert shell.server.inventory().ports == {"free": 1, "taken": 2, "reserved": 0, "resting": 0}


def test_new_limits_and_quotas_hold_for_what_comes() -> None:
    shell = Shell()
    shell.allocate(1)
    limits = AllocationLimits(packets_per_s=7, bytes_per_s=8, new_peers_per_s=9)
    shell.server.configure(replace(SETTINGS, limits=limits, quotas=QuotaLimits(allocations_per_user=2)))
    shell.allocate(2)
    assert [one.limits for one in shell.relay.allocations.values()] == [LIMITS, limits]
    assert shell.answer(Method.ALLOCATE, 3, requested_transport=17).error == 486


def test_credentials_that_cannot_be_change_nothing() -> None:
    shell = Shell()
    with pytest.raises(ValueError, match="two secrets"):
        shell.server.configure(replace(SETTINGS, relay=replace(RELAY, realm="other"), secrets=("1", "2", "3")))
    assert len(shell.relay.configured) == 1
    shell.allocate()


def test_a_listener_that_fails_is_told_and_the_others_serve() -> None:
    shell = Shell()
    shell.relay.broken[TCP] = "Address already in use"
    shell.configure(listen=(UDP, replace(TCP, port=1)))
    shell.configure(listen=(UDP, TCP))
    assert shell.failed == [(TCP, "Address already in use")]
    assert shell.server.addresses() == [UDP]


def test_port_0_is_any_and_stays_the_same() -> None:
    shell = Shell()
    anywhere = Listen("127.0.0.1", 0, "udp")
    shell.configure(listen=(anywhere,))
    (opened,) = shell.server.addresses()
    assert opened.port > 0
    shell.configure(listen=(anywhere, TCP))
    assert shell.server.addresses()[0] == opened


# ----------------------------------------------------------------------------------------------------- the joins


def test_what_is_minted_works_until_it_is_revoked_and_ends_with_it() -> None:
    shell = Shell()
    minted = shell.server.mint("PA_x")
    shell.allocate(1, minted.username, password=minted.password)
    shell.allocate(2)
    assert shell.server.mint("PA_x") == minted
    shell.server.revoke("PA_x")
    shell.loop.turn()
    assert [*shell.relay.allocations] == [2]
    assert shell.answer(Method.ALLOCATE, 3, minted.username, password=minted.password).error == 401


def test_a_join_has_its_own_quota() -> None:
    settings = replace(
        SETTINGS,
        relay=replace(RELAY, relay_ports=(50_000, 50_999)),
        quotas=QuotaLimits(allocations_per_user=2),
    )
    shell = Shell(settings)
    minted = shell.server.mint("PA_x")
    for client in range(ALLOCATIONS_PER_JOIN):
        shell.allocate(client, minted.username, password=minted.password)
    refused = shell.answer(Method.ALLOCATE, 999, minted.username, password=minted.password, requested_transport=17)
    assert refused.error == 486


# -------------------------------------------------------------------------------------------------- the operator


def test_the_list_says_who_relays_what() -> None:
    shell = Shell()
    shell.allocate(1, additional_family=2)
    shell.answer(Method.CHANNEL_BIND, channel=0x4000, peers=peers(PEER6))
    shell.relay.stats = [AllocationStats(AllocationId(1), 1, 2, 3, 4, 5)]
    shell.loop.now += 100
    (info,) = shell.server.allocations()
    assert (info.id, info.username, info.transport, info.client) == (1, "alice", "udp", "192.0.2.9:1001")
    assert [text.rpartition(":")[0] for text in info.relayed] == [V4, f"[{V6}]"]
    assert info.expires_in_s == 500
    assert (info.permissions, info.channels) == ((PEER6.host,), {0x4000: "[2001:db8:7::7]:4000"})
    assert (info.packets_in, info.bytes_in, info.packets_out, info.bytes_out, info.zero_hop_packets) == (1, 2, 3, 4, 5)


def test_what_the_operator_kills_is_gone() -> None:
    shell = Shell()
    shell.allocate(1), shell.allocate(2)
    assert shell.server.kill(1)
    shell.loop.turn()
    assert [*shell.relay.allocations] == [2]
    assert not shell.server.kill(1)


async def test_a_drain_lets_nobody_in_and_ends_with_the_last_allocation() -> None:
    shell = Shell()
    shell.allocate(1)
    shell.server.drain()
    assert shell.answer(Method.ALLOCATE, 2, requested_transport=17).error == 508
    waiting = asyncio.create_task(shell.server.wait_empty())
    assert shell.answer(Method.REFRESH, 1).error is None
    await asyncio.sleep(0)
    assert not waiting.done()
    shell.answer(Method.REFRESH, 1, lifetime_s=0)
    await asyncio.wait_for(waiting, 1)


def test_what_stood_in_the_way_is_counted() -> None:
    shell = Shell(replace(SETTINGS, quotas=QuotaLimits(allocations_per_user=3, permissions=1, channels=1)))
    shell.allocate(1)
    assert shell.answer(Method.CREATE_PERMISSION, peers=peers(PEER, PEER6, allowed=False)).error == 443
    assert shell.answer(Method.CREATE_PERMISSION, peers=peers(PEER, allowed=False)).error == 403
    assert shell.answer(Method.CHANNEL_BIND, channel=0x4000, peers=peers(PEER)).error is None
    other = replace(PEER, host="203.0.113.8")
    assert shell.answer(Method.CREATE_PERMISSION, peers=peers(other)).error == 508
    assert shell.answer(Method.CHANNEL_BIND, channel=0x4001, peers=peers(replace(PEER, port=1))).error == 508
    shell.allocate(2), shell.allocate(3)
    assert shell.answer(Method.ALLOCATE, 4, requested_transport=17).error == 486
    assert shell.answer(Method.ALLOCATE, 4, "nobody").error == 401
    seen = shell.server.inventory()
    assert seen.quota_hits == {"permissions": 1, "channels": 1, "allocations_per_user": 1}
    assert seen.auth_failures == {"unknown_user": 1}
    assert seen.refused_peers == 1
    assert seen.refused[Method.CREATE_PERMISSION, 403] == 1
    assert (seen.allocations, seen.listeners) == ({"udp": 3}, {"udp": 1, "tcp": 1})


def test_a_pool_without_a_free_port_is_a_quota_too() -> None:
    shell = Shell(replace(SETTINGS, relay=replace(RELAY, relay_ports=(50_000, 50_000))))
    shell.allocate(1)
    assert shell.answer(Method.ALLOCATE, 2, requested_transport=17).error == 508
    assert shell.answer(Method.ALLOCATE, 2, requested_transport=17, reservation_token=b"unknown!").error == 508
    assert shell.server.inventory().quota_hits == {"ports": 1}


def test_after_the_end_nothing_is_submitted() -> None:
    shell = Shell()
    shell.allocate()
    batches = len(shell.relay.batches)
    shell.server.close()
    shell.ask(Method.REFRESH)
    shell.loop.turn()
    assert len(shell.relay.batches) == batches and shell.loop.armed() == []


def test_secrets_are_not_in_what_is_printed_of_the_settings() -> None:
    assert "hunter2" not in repr(
        replace(SETTINGS, users={"u": "hunter2"}, secrets=("hunter2",), relay=replace(RELAY, key=b"hunter2"))
    )

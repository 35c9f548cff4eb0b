"""RFC 8656 section 8: Refresh, and all the ways in which an allocation ends."""

from __future__ import annotations

import pytest

from tests.unit.turn.harness import PEER, PEER6, Server, peers
from turn.seam import (
    AllocationId,
    Method,
    RemoveAllocation,
    RemoveChannel,
    RemovePermission,
    RemoveRelayed,
    RequestId,
    TurnReply,
)


def test_a_refresh_prolongs_and_nothing_else_comes_of_it() -> None:
    server = Server()
    server.allocate()
    server.later(599)
    (reply,) = server.ask(Method.REFRESH, lifetime_s=1000)
    assert isinstance(reply, TurnReply) and reply.lifetime_s == 1000 and not reply.relayed
    assert server.later(999) == []
    assert server.later(1) == [RemoveAllocation(AllocationId(1))]


def test_a_refresh_to_zero_deletes() -> None:
    server = Server()
    server.allocate()
    remove, reply = server.ask(Method.REFRESH, lifetime_s=0)
    assert remove == RemoveAllocation(AllocationId(1))
    assert isinstance(reply, TurnReply) and reply.error is None and reply.lifetime_s == 0
    assert server.refused(Method.REFRESH, lifetime_s=0) == 437
    server.later(60)
    server.check_empty(200)


@pytest.mark.parametrize("method", [Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND])
def test_without_an_allocation_there_is_nothing_to_change(method: Method) -> None:
    server = Server()
    assert server.refused(method, peers=peers(PEER), channel=0x4000) == 437


@pytest.mark.parametrize("method", [Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND])
def test_only_who_made_an_allocation_changes_it(method: Method) -> None:
    server = Server()
    server.allocate()
    assert server.refused(method, user="bob", peers=peers(PEER), channel=0x4000, lifetime_s=0) == 441
    server.check()


def test_one_family_of_two_is_refreshed_and_deleted_by_itself() -> None:
    server = Server()
    server.allocate(additional_family=2)
    server.answer(Method.CHANNEL_BIND, channel=0x4000, peers=peers(PEER6))
    server.answer(Method.CREATE_PERMISSION, peers=peers(PEER))
    commands = server.ask(Method.REFRESH, lifetime_s=0, requested_family=2)
    name = AllocationId(1)
    assert commands[:-1] == [RemoveChannel(name, 0x4000), RemovePermission(name, PEER6.host), RemoveRelayed(name, 6)]
    assert server.refused(Method.REFRESH, requested_family=2) == 443
    assert server.refused(Method.CREATE_PERMISSION, peers=peers(PEER6)) == 443
    assert server.answer(Method.REFRESH, requested_family=1).lifetime_s == 600
    server.check()


def test_a_family_that_is_not_refreshed_expires_alone() -> None:
    server = Server()
    server.allocate(additional_family=2)
    server.answer(Method.REFRESH, lifetime_s=1200, requested_family=1)
    assert server.later(600) == [RemoveRelayed(AllocationId(1), 6)]
    assert server.later(600) == [RemoveAllocation(AllocationId(1))]


@pytest.mark.parametrize("family", [2, 0x55])
def test_a_refresh_for_a_family_it_does_not_have_is_a_mismatch(family: int) -> None:
    server = Server()
    server.allocate()
    assert server.refused(Method.REFRESH, requested_family=family) == 443


def test_a_connection_that_closes_takes_its_allocation_along_and_nobody_is_answered() -> None:
    server = Server()
    server.allocate()
    server.ask(Method.CREATE_PERMISSION, peers=peers(PEER))
    server.engine.waiting.clear()
    assert server.gone(1) == [RemoveAllocation(AllocationId(1))]
    assert server.gone(1) == []
    server.later(60)
    server.check_empty(200)


def test_what_a_revoked_user_made_ends_and_who_waits_is_told() -> None:
    server = Server()
    server.allocate(1), server.allocate(2, "bob"), server.allocate(3)
    server.ask(Method.CREATE_PERMISSION, 3, peers=peers(PEER))
    commands = server.table.handle_revoked("user:alice", server.now)
    server.engine.apply(commands)
    assert commands[:2] == [RemoveAllocation(AllocationId(1)), RemoveAllocation(AllocationId(3))]
    (reply,) = commands[2:]
    assert isinstance(reply, TurnReply) and (reply.request, reply.error) == (RequestId(4), 437)
    server.check()


def test_the_operator_ends_one_allocation() -> None:
    server = Server()
    server.allocate(1), server.allocate(2)
    assert server.table.handle_killed(AllocationId(1), server.now) == [RemoveAllocation(AllocationId(1))]
    assert server.table.handle_killed(AllocationId(1), server.now) == []
    assert [one.id for one in server.table.allocations] == [2]


def test_what_has_expired_is_gone_for_a_request_that_comes_before_the_timer() -> None:
    server = Server()
    server.allocate()
    server.now += 600
    remove, reply = server.ask(Method.REFRESH)
    assert remove == RemoveAllocation(AllocationId(1))
    assert isinstance(reply, TurnReply) and reply.error == 437

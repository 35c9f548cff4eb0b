"""RFC 8656 section 7: Allocate, with the rows H-21 to H-25 of the list of hostile input."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.turn.harness import LIMITS, V4, V6, Server
from turn.ports import family_of
from turn.quotas import QuotaLimits
from turn.seam import AllocationId, ClientId, InstallAllocation, Method, RequestId, TurnReply


def test_an_allocation_is_installed_and_then_answered() -> None:
    server = Server()
    install, reply = server.ask(Method.ALLOCATE, requested_transport=17, dont_fragment=True)
    assert isinstance(install, InstallAllocation) and isinstance(reply, TurnReply)
    relayed = install.relayed
    assert install == InstallAllocation(AllocationId(1), ClientId(1), relayed, LIMITS, dont_fragment=True)
    assert reply == TurnReply(RequestId(1), lifetime_s=600, relayed=relayed, key=reply.key)
    assert [address.host for address in relayed] == [V4] and relayed[0].port in range(50_000, 50_100)
    server.check()


def test_a_second_allocation_on_the_5_tuple_is_a_mismatch_whoever_asks() -> None:
    """H-21; the retransmission of the first one is the engine's to answer."""
    server = Server()
    server.allocate()
    assert server.refused(Method.ALLOCATE, requested_transport=17) == 437
    assert server.refused(Method.ALLOCATE, user="bob", requested_transport=17) == 437
    server.allocate(client=2)


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        pytest.param({"requested_transport": None}, 400, id="no transport"),
        pytest.param({"requested_transport": 99}, 442, id="H-22: transport 99"),
        pytest.param({"requested_transport": 6}, 442, id="TCP"),
        pytest.param({"even_port": True, "reservation_token": b"12345678"}, 400, id="H-23: even port and token"),
        pytest.param({"even_port": False, "reservation_token": b"12345678"}, 400, id="even port, no pair, and token"),
        pytest.param({"reservation_token": b"12345678"}, 508, id="H-23: bogus token"),
        pytest.param({"requested_family": 1, "reservation_token": b"12345678"}, 400, id="family and token"),
        pytest.param({"additional_family": 2, "reservation_token": b"12345678"}, 400, id="additional family and token"),
        pytest.param({"requested_family": 0x55}, 440, id="H-24: family 0x55"),
        pytest.param({"requested_family": 1, "additional_family": 2}, 400, id="both kinds of family"),
        pytest.param({"additional_family": 1}, 400, id="additional IPv4"),
        pytest.param({"additional_family": 0x55}, 400, id="additional 0x55"),
        pytest.param({"additional_family": 2, "even_port": True}, 400, id="additional family and a pair"),
        pytest.param({"malformed": True}, 400, id="malformed attribute"),
        pytest.param({"unknown_attributes": (0x7777,)}, 420, id="unknown attribute"),
        pytest.param({"unknown_attributes": (0x7777,), "malformed": True}, 420, id="unknown comes before malformed"),
    ],
)
def test_what_an_allocate_may_not_ask_for(asked: dict[str, Any], error: int) -> None:
    server = Server()
    assert server.refused(Method.ALLOCATE, **{"requested_transport": 17, **asked}) == error
    assert server.table.refused == {(Method.ALLOCATE, error): 1}
    server.check_empty(200)


def test_unknown_attributes_are_named_to_who_is_known() -> None:
    server = Server()
    (reply,) = server.ask(Method.ALLOCATE, unknown_attributes=(0x7777, 0x1234))
    assert isinstance(reply, TurnReply)
    assert reply.error == 420 and reply.unknown_attributes == (0x7777, 0x1234) and reply.key
    assert server.refused(Method.ALLOCATE, unknown_attributes=(0x7777,), password="wrong") == 401


@pytest.mark.parametrize(
    ("asked", "given"),
    [(None, 600), (0, 600), (1, 600), (600, 600), (777, 777), (3600, 3600), (3601, 3600), (2**32 - 1, 3600)],
)
def test_lifetimes_are_between_600_and_3600_seconds(asked: int | None, given: int) -> None:
    """H-25."""
    server = Server()
    assert server.allocate(lifetime_s=asked).lifetime_s == given
    server.later(given - 1)
    assert server.engine.allocations
    server.later(1)
    assert not server.engine.allocations


def test_each_family_is_given_as_asked() -> None:
    """H-24."""
    server = Server()
    assert [one.host for one in server.allocate(1, requested_family=1).relayed] == [V4]
    assert [one.host for one in server.allocate(2, requested_family=2).relayed] == [V6]
    both = server.allocate(3, additional_family=2)
    assert [one.host for one in both.relayed] == [V4, V6] and both.address_error is None
    server.check()


def test_of_two_families_the_missing_one_is_named() -> None:
    only6 = Server(hosts=[V6]).allocate(additional_family=2)
    assert [one.host for one in only6.relayed] == [V6] and only6.address_error == (4, 440)
    only4 = Server(hosts=[V4]).allocate(additional_family=2)
    assert [one.host for one in only4.relayed] == [V4] and only4.address_error == (6, 440)
    assert Server(hosts=[V4]).refused(Method.ALLOCATE, requested_transport=17, requested_family=2) == 440
    assert Server(hosts=[V6]).refused(Method.ALLOCATE, requested_transport=17, requested_family=1) == 440


def test_who_names_no_family_gets_ipv4_and_ipv6_where_there_is_no_other() -> None:
    for hosts, expected in (([V4], V4), ([V4, V6], V4), ([V6], V6)):
        assert [one.host for one in Server(hosts=hosts).allocate().relayed] == [expected]


def test_of_two_families_the_exhausted_one_is_named() -> None:
    server = Server(ports=range(50_000, 50_001))
    server.allocate(1, requested_family=2)
    assert server.allocate(2, additional_family=2).address_error == (6, 508)
    assert server.refused(Method.ALLOCATE, 3, requested_transport=17, additional_family=2) == 508
    server.check()


def test_an_even_port_is_even_and_its_neighbour_is_held_for_thirty_seconds() -> None:
    server = Server(hosts=[V4], ports=range(50_000, 50_002))
    first = server.allocate(1, even_port=True)
    assert first.relayed[0].port == 50_000 and first.reservation_token
    assert server.refused(Method.ALLOCATE, 2, requested_transport=17) == 508
    assert (
        server.refused(Method.ALLOCATE, 2, "bob", requested_transport=17, reservation_token=first.reservation_token)
        == 508
    )
    second = server.allocate(2, reservation_token=first.reservation_token)
    assert second.relayed[0].port == 50_001
    assert server.refused(Method.ALLOCATE, 3, requested_transport=17, reservation_token=first.reservation_token) == 508


def test_a_reservation_that_nobody_claims_ends() -> None:
    server = Server(hosts=[V4], ports=range(50_000, 50_002))
    token = server.allocate(1, even_port=True).reservation_token
    server.later(30)
    assert server.refused(Method.ALLOCATE, 2, requested_transport=17, reservation_token=token) == 508
    assert server.allocate(2).relayed[0].port == 50_001


def test_an_even_port_without_its_pair_leaves_the_neighbour_free() -> None:
    """GHSA of coturn: EVEN-PORT with R = 0 leaked the odd port."""
    server = Server(hosts=[V4], ports=range(50_000, 50_002))
    even = server.allocate(1, even_port=False)
    assert even.relayed[0].port == 50_000 and even.reservation_token is None
    assert server.allocate(2).relayed[0].port == 50_001


def test_no_pair_no_allocation() -> None:
    server = Server(hosts=[V4], ports=range(50_001, 50_002))
    assert server.refused(Method.ALLOCATE, requested_transport=17, even_port=True) == 508
    assert server.refused(Method.ALLOCATE, requested_transport=17, even_port=False) == 508
    server.check_empty(1)


def test_quotas_hold_for_a_user_and_for_all_and_failures_cost_nothing() -> None:
    server = Server(quotas=QuotaLimits(allocations_per_user=2, allocations_total=3))
    server.allocate(1), server.allocate(2)
    assert server.refused(Method.ALLOCATE, 3, requested_transport=17) == 486
    assert server.refused(Method.ALLOCATE, 3, requested_transport=99) == 442
    server.allocate(3, "bob")
    assert server.refused(Method.ALLOCATE, 4, "bob", requested_transport=17) == 508
    server.gone(1)
    server.allocate(4, "bob")
    server.check()


def test_an_exhausted_pool_is_508_and_takes_no_quota() -> None:
    server = Server(hosts=[V4], ports=range(50_000, 50_002))
    server.allocate(1), server.allocate(2)
    assert server.refused(Method.ALLOCATE, 3, requested_transport=17) == 508
    assert server.quotas.held("user:alice") == 2


def test_a_port_rests_before_somebody_else_gets_it() -> None:
    server = Server(hosts=[V4], ports=range(50_000, 50_001))
    server.allocate(1)
    server.gone(1)
    assert server.refused(Method.ALLOCATE, 2, requested_transport=17) == 508
    server.later(60)
    server.allocate(2)


def test_while_draining_nobody_new_gets_in() -> None:
    server = Server()
    server.allocate(1)
    server.table.draining = True
    assert server.refused(Method.ALLOCATE, 2, requested_transport=17) == 508
    assert server.answer(Method.REFRESH, 1).lifetime_s == 600


def test_ten_thousand_cycles_leave_nothing_behind() -> None:
    server = Server(ports=range(50_000, 50_100))
    for cycle in range(10_000):
        server.now += 1.5
        families = {family_of(one.host) for one in server.allocate(cycle, additional_family=2).relayed}
        assert families == {4, 6}
        server.answer(Method.REFRESH, cycle, lifetime_s=3600)
        server.answer(Method.REFRESH, cycle, lifetime_s=0)
    server.later(60)
    server.check_empty(200)

"""Every port is in exactly one place: free, taken, reserved or resting."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from turn.ports import REST_S, PortPool
from turn.seam import Address, Family

HOSTS = ("198.51.100.1", "198.51.100.2", "2001:db8::1")
ALL = (HOSTS, range(50_000, 50_010))
FEW = (HOSTS[:1], range(50_000, 50_005))


def pool(ports: range = range(50_000, 50_010), hosts: tuple[str, ...] = HOSTS) -> PortPool:
    return PortPool(hosts, ports, random.Random(3).randrange)


def test_ports_are_drawn_from_all_hosts_of_the_family_until_none_is_left() -> None:
    ports = pool()
    taken = [ports.take(4, 0.0) for _ in range(20)]
    assert Counter(one.host for one in taken if one) == {HOSTS[0]: 10, HOSTS[1]: 10}
    assert len(set(taken)) == 20
    assert ports.take(4, 0.0) is None
    assert ports.take(6, 0.0) is not None


def test_nobody_guesses_the_next_port() -> None:
    ports = pool(range(50_000, 60_000), HOSTS[:1])
    taken = [one.port for one in (ports.take(4, 0.0) for _ in range(1000)) if one]
    assert len({later - earlier for earlier, later in pairwise(taken)}) > 900
    assert abs(sum(taken) / 1000 - 55_000) < 500


def test_what_is_held_stays_held_when_the_range_changes() -> None:
    ports = pool(range(50_000, 50_004), HOSTS[:1])
    taken = ports.take(4, 0.0)
    pair = ports.take_pair(4, b"t", "alice", 0.0)
    assert taken is not None and pair is not None
    ports.configure(["203.0.113.1"], range(60_000, 60_002))
    assert ports.taken == {taken, pair} and ports.free_count == 2
    assert ports.claim(b"t", "alice", 0.0) == Address(HOSTS[0], pair.port + 1)
    assert {ports.take(4, 0.0), ports.take(4, 0.0)} == {Address("203.0.113.1", port) for port in (60_000, 60_001)}
    for one in ports.taken:
        ports.give_back(one, 0.0)
    ports.handle_timeout(60.0)
    assert ports.free_count == 2 and ports.poll_timeout() is None


def test_a_port_that_comes_back_into_the_range_is_free_once() -> None:
    ports = pool(range(50_000, 50_001), HOSTS[:1])
    taken = ports.take(4, 0.0)
    assert taken is not None
    ports.give_back(taken, 0.0)
    ports.configure([], range(50_000, 50_001))
    assert not ports.supports(4)
    ports.configure(HOSTS[:1], range(50_000, 50_001))
    assert ports.take(4, 59.0) is None
    assert ports.take(4, 60.0) == taken
    assert ports.take(4, 60.0) is None


def test_the_last_even_port_and_the_last_pair_are_found() -> None:
    ports = pool(range(50_000, 50_100), HOSTS[:1])
    taken = [one for one in (ports.take(4, 0.0) for _ in range(100)) if one]
    for one in taken:
        if one.port in (50_041, 50_042, 50_043, 50_044):
            ports.give_back(one, 0.0)
    assert ports.take_pair(4, b"t", "alice", 60.0) == Address(HOSTS[0], 50_042)
    assert ports.take_pair(4, b"u", "alice", 60.0) is None
    assert ports.take_even(4, 60.0) == Address(HOSTS[0], 50_044)
    assert ports.take_even(4, 60.0) is None
    assert ports.take(4, 60.0) == Address(HOSTS[0], 50_041)


def test_a_token_is_good_once_for_its_owner_for_thirty_seconds() -> None:
    ports = pool()
    ports.take_pair(4, b"t", "alice", 0.0)
    assert ports.take_pair(4, b"t", "bob", 0.0) is None
    assert ports.claim(b"t", "bob", 1.0) is None
    assert ports.claim(b"t", "alice", 29.9) is not None
    assert ports.claim(b"t", "alice", 29.9) is None
    ports.take_pair(4, b"t", "alice", 30.0)
    assert ports.poll_timeout() == 60.0
    assert ports.claim(b"t", "alice", 60.0) is None


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["take", "even", "pair", "claim", "back", "wait", "configure"]), st.integers(0, 40)),
        max_size=80,
    )
)
def test_no_sequence_of_operations_loses_or_doubles_a_port(operations: list[tuple[str, int]]) -> None:  # noqa: C901
    ports, now, all_ports, whole = pool(), 0.0, 30, True
    held: list[Address] = []
    tokens: list[bytes] = []
    for operation, number in operations:
        family: Family = 4 if number % 3 else 6
        got: Address | None = None
        match operation:
            case "take":
                got = ports.take(family, now)
            case "even":
                got = ports.take_even(family, now)
            case "pair":
                tokens.append(number.to_bytes(8, "big"))
                got = ports.take_pair(family, tokens[-1], "alice", now)
            case "claim" if tokens:
                got = ports.claim(tokens[number % len(tokens)], "alice", now)
            case "back" if held:
                ports.give_back(held.pop(number % len(held)), now)
            case "configure":
                whole = bool(number % 2)
                ports.configure(*(ALL if whole else FEW))
            case "wait":
                now += number
                ports.handle_timeout(now)
        if got is not None:
            assert got not in held
            assert operation not in ("even", "pair") or got.port % 2 == 0
            held.append(got)
        assert ports.taken == {*held}
        counted = ports.free_count + len(held) + ports.reserved_count + ports.resting_count
        assert ports.free_count <= 5 or whole
        assert counted == all_ports or not whole
    ports.configure(*ALL)
    for one in held:
        ports.give_back(one, now)
    ports.handle_timeout(now + 60)
    assert ports.free_count == all_ports and ports.poll_timeout() is None
    assert len({ports.take(4, now + 60) for _ in range(20)} | {ports.take(6, now + 60) for _ in range(10)}) == all_ports


def test_a_port_that_somebody_else_has_is_passed_over_and_rests() -> None:
    ports = pool(range(50_000, 50_004), HOSTS[:1])
    ports.in_use = lambda address: address.port != 50_002
    assert ports.take(4, 0.0) == Address(HOSTS[0], 50_002)
    assert ports.take(4, 0.0) is None, "the others rest"
    ports.in_use = lambda _: False
    assert ports.take(4, REST_S) is not None


def test_a_pair_of_which_somebody_else_has_one_is_passed_over_and_rests() -> None:
    for taken in (50_000, 50_001):
        ports = pool(range(50_000, 50_004), HOSTS[:1])
        ports.in_use = lambda address, taken=taken: address.port == taken  # type: ignore[misc]
        assert ports.take_pair(4, b"token", "ada", 0.0) == Address(HOSTS[0], 50_002)
        assert ports.claim(b"token", "ada", 0.0) == Address(HOSTS[0], 50_003)
        assert ports.take_pair(4, b"another", "ada", 0.0) is None, "the others rest"
        assert ports.resting_count == 2

"""Random requests, senders, answers of the engine and times: the invariants of `Server.check` hold after each of them."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.unit.turn.harness import UNIX, Server, peers
from turn.credentials import Minted
from turn.quotas import QuotaLimits
from turn.seam import Address, AllocationId, Method, RequestId, TurnCommand, TurnReply

CLIENTS = st.integers(1, 5)
USERS = st.sampled_from(["alice", "alice", "bob"])
HOSTS = ["203.0.113.1", "203.0.113.2", "203.0.113.3", "2001:db8:7::1", "2001:db8:7::2"]
PEERS = st.builds(Address, st.sampled_from(HOSTS), st.sampled_from([1, 2]))
LIFETIMES = st.sampled_from([None, 0, 1, 700, 3600, 2**32 - 1])
FAMILIES = st.sampled_from([None, None, 1, 2, 0x55])
PORTS = range(50_000, 50_004)


class Turn(RuleBasedStateMachine):
    """Four ports per family, two users and five clients: everything runs short."""

    def __init__(self) -> None:
        super().__init__()
        limits = QuotaLimits(allocations_per_user=3, allocations_total=4, permissions=3, channels=3)
        self.server = Server(ports=PORTS, quotas=limits)
        self.tokens: list[bytes] = []
        self.minted: list[Minted] = []

    @rule(
        client=CLIENTS,
        user=USERS,
        transport=st.sampled_from([17, 17, 17, 17, 6, None]),
        lifetime_s=LIFETIMES,
        requested=FAMILIES,
        additional=st.sampled_from([None, None, 2, 1]),
        even=st.sampled_from([None, None, False, True]),
    )
    def allocate(
        self,
        client: int,
        user: str,
        transport: int | None,
        lifetime_s: int | None,
        requested: int | None,
        additional: int | None,
        even: bool | None,
    ) -> None:
        commands = self.server.ask(
            Method.ALLOCATE,
            client,
            user,
            requested_transport=transport,
            lifetime_s=lifetime_s,
            requested_family=requested,
            additional_family=additional,
            even_port=even,
        )
        reply = self._answered(commands)
        if reply.reservation_token:
            self.tokens.append(reply.reservation_token)

    @rule(client=CLIENTS, user=USERS, number=st.integers(0, 9))
    def claim(self, client: int, user: str, number: int) -> None:
        token = self.tokens[number % len(self.tokens)] if self.tokens else b"12345678"
        self._answered(self.server.ask(Method.ALLOCATE, client, user, requested_transport=17, reservation_token=token))

    @rule(client=CLIENTS, user=USERS, lifetime_s=LIFETIMES, family=FAMILIES)
    def refresh(self, client: int, user: str, lifetime_s: int | None, family: int | None) -> None:
        self._answered(self.server.ask(Method.REFRESH, client, user, lifetime_s=lifetime_s, requested_family=family))

    @rule(client=CLIENTS, user=USERS, wanted=st.lists(PEERS, max_size=4))
    def permit(self, client: int, user: str, wanted: list[Address]) -> None:
        self.server.ask(Method.CREATE_PERMISSION, client, user, peers=peers(*wanted))

    @rule(client=CLIENTS, user=USERS, channel=st.sampled_from([0x3FFF, 0x4000, 0x4001, 0x4002, 0x7FFE]), peer=PEERS)
    def bind(self, client: int, user: str, channel: int, peer: Address) -> None:
        self.server.ask(Method.CHANNEL_BIND, client, user, channel=channel, peers=peers(peer))

    @rule(client=CLIENTS, method=st.sampled_from(list(Method)), password=st.sampled_from(["wrong", ""]))
    def pretend(self, client: int, method: Method, password: str) -> None:
        commands = self.server.ask(method, client, password=password, lifetime_s=0, requested_transport=17)
        assert self._answered(commands).error == 401

    @rule(number=st.integers(0, 9), reason=st.sampled_from([None, None, None, "no_socket", "not_allowed"]))
    def engine_answers(self, number: int, reason: str | None) -> None:
        installing = self.server.engine.installing
        if installing:
            self.server.installed_one(*installing[number % len(installing)], reason)

    @rule()
    def engine_answers_all(self) -> None:
        self.server.installed()

    @rule(client=CLIENTS)
    def leave(self, client: int) -> None:
        for one in self.server.table.allocations:
            if one.client == client:
                self.server.engine.waiting -= {waiting.request for waiting in one.requests_waiting()}
        self.server.gone(client)

    @rule(client=CLIENTS)
    def join(self, client: int) -> None:
        minted = self.server.credentials.mint("PA_x", 1, UNIX, 100_000)
        self.minted.append(minted)
        commands = self.server.ask(
            Method.ALLOCATE, client, minted.username, password=minted.password, requested_transport=17
        )
        self._answered(commands)

    @rule()
    def revoke(self) -> None:
        revoked = self.server.credentials.revoke("PA_x")
        self.server.engine.apply(self.server.table.handle_revoked(revoked, self.server.now))

    @rule(number=st.integers(1, 9))
    def kill(self, number: int) -> None:
        self.server.engine.apply(self.server.table.handle_killed(AllocationId(number), self.server.now))

    @rule(seconds=st.sampled_from([0.0, 1.0, 9.0, 29.0, 31.0, 60.0, 299.0, 300.0, 599.0, 600.0]))
    def wait(self, seconds: float) -> None:
        self.server.later(seconds)

    @rule(seconds=st.sampled_from([1.0, 61.0, 301.0, 4000.0]))
    def stall(self, seconds: float) -> None:
        """Nobody handles timeouts for a while."""
        self.server.now += seconds
        self.server.engine.apply(self.server.table.handle_timeout(self.server.now))

    @invariant()
    def holds(self) -> None:
        self.server.check()
        quotas = self.server.quotas
        assert quotas.total <= 4 and quotas.held("user:alice") <= 3 and quotas.held("join:PA_x") <= 1

    def teardown(self) -> None:
        """Whatever happened, all lifetimes later nothing is left, and nothing is left waiting."""
        self.server.later(3600 + 300 + 60)
        self.server.check()
        self.server.check_empty(2 * len(PORTS))
        self.server.credentials.revoke("PA_x")
        assert self.server.credentials.minted_count == 0

    def _answered(self, commands: list[TurnCommand]) -> TurnReply:
        """What needs no permission is answered at once."""
        newest = RequestId(self.server.last_request)
        (reply,) = [one for one in commands if isinstance(one, TurnReply) and one.request == newest]
        return reply


@pytest.mark.parametrize(
    "examples", [100, pytest.param(5_000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])], ids=["quick", "long"]
)
def test_no_sequence_of_operations_breaks_an_invariant(examples: int) -> None:
    run_state_machine_as_test(
        Turn,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            derandomize=examples == 100,
            suppress_health_check=list(HealthCheck),
        ),
    )

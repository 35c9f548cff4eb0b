"""A TURN server without sockets: the state table, a clock that tests move, and an engine that fails on what it should not get."""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Mapping, Sequence
from typing import Any

from turn import seam
from turn.allocations import Allocations
from turn.credentials import Credentials, long_term_key
from turn.ports import PortPool
from turn.quotas import QuotaLimits, Quotas
from turn.seam import Address, AllocationId, ClientId, Method, RequestId, TurnCommand, TurnReply, TurnRequest
from turn.testing import FakeRelay

REALM = "example.org"
V4, V6 = "198.51.100.1", "2001:db8::1"
PEER = Address("203.0.113.7", 4000)
PEER6 = Address("2001:db8:7::7", 4000)
LIMITS = seam.AllocationLimits(packets_per_s=1000, bytes_per_s=1_000_000, new_peers_per_s=5)
UNIX = 1_790_000_000.0


class Server:
    """Requests in, commands out; every command goes through the engine, too."""

    def __init__(
        self,
        hosts: Sequence[str] = (V4, V6),
        ports: range = range(50_000, 50_100),
        quotas: QuotaLimits | None = None,
        users: Mapping[str, str] | None = None,
        secrets: Sequence[str] = (),
        seed: int = 1,
    ) -> None:
        rng = random.Random(seed)
        self.now = 1000.0
        self.unix_offset = UNIX - self.now
        self.engine = FakeRelay()
        self.ports = PortPool(hosts, ports, rng.randrange)
        self.credentials = Credentials(rng.randbytes)
        self.credentials.configure(REALM, {"alice": "a", "bob": "b"} if users is None else users, secrets)
        self.quotas = Quotas(quotas or QuotaLimits())
        self.table = Allocations(self.ports, self.credentials, self.quotas, LIMITS, rng.randbytes)
        self.last_request = 0

    def ask(self, method: Method, client: int = 1, user: str = "alice", **changes: Any) -> list[TurnCommand]:
        """One request; what comes of it at once."""
        self.last_request += 1
        request = signed(RequestId(self.last_request), method, ClientId(client), user, **changes)
        self.engine.waiting.add(request.request)
        commands = self.table.handle_request(request, self.now, self.now + self.unix_offset)
        self.engine.apply(commands)
        return commands

    def answer(self, method: Method, client: int = 1, user: str = "alice", **changes: Any) -> TurnReply:
        """The reply, after the engine has installed what it was told to."""
        commands = [*self.ask(method, client, user, **changes), *self.installed()]
        request = RequestId(self.last_request)
        (reply,) = [one for one in commands if isinstance(one, TurnReply) and one.request == request]
        return reply

    def refused(self, method: Method, client: int = 1, user: str = "alice", **changes: Any) -> int:
        """The error code of a request of which nothing else may come."""
        (reply,) = self.ask(method, client, user, **changes)
        assert isinstance(reply, TurnReply) and reply.error is not None
        assert (reply.key is None) == (reply.error == 401), "only strangers get unsigned errors"
        return reply.error

    def installed(self, reason: str | None = None) -> list[TurnCommand]:
        """The engine answers all that it was told to install."""
        commands: list[TurnCommand] = []
        while self.engine.installing:
            commands += self.installed_one(*self.engine.installing[0], reason)
        return commands

    def installed_one(self, allocation: AllocationId, host: str, reason: str | None = None) -> list[TurnCommand]:
        self.engine.installing.remove((allocation, host))
        if reason is None:
            self.engine.allocations[allocation].permissions.add(host)
        commands = self.table.handle_permission_installed(seam.PermissionInstalled(allocation, host, reason), self.now)
        self.engine.apply(commands)
        return commands

    def gone(self, client: int) -> list[TurnCommand]:
        commands = self.table.handle_client_gone(seam.ClientGone(ClientId(client)), self.now)
        self.engine.apply(commands)
        return commands

    def later(self, seconds: float) -> list[TurnCommand]:
        """Time passes, and every timeout is handled when it is due."""
        end = self.now + seconds
        commands: list[TurnCommand] = []
        while (due := self.table.poll_timeout()) is not None and due <= end:
            assert due >= self.now, "a timeout that was not handled"
            self.now = due
            now_done = self.table.handle_timeout(self.now)
            self.engine.apply(now_done)
            commands += now_done
        self.now = end
        return commands

    def allocate(self, client: int = 1, user: str = "alice", **changes: Any) -> TurnReply:
        reply = self.answer(Method.ALLOCATE, client, user, **{"requested_transport": 17, **changes})
        assert reply.error is None
        return reply

    def check(self) -> None:
        """What must hold between any two operations."""
        installed = self.engine.allocations
        table = {one.id: one for one in self.table.allocations}
        assert table.keys() == installed.keys()
        relayed = [address for one in installed.values() for address in one.relayed.values()]
        assert len(relayed) == len(set(relayed)) and set(relayed) == self.ports.taken
        for name, one in installed.items():
            ours = table[name]
            assert {family: held.address for family, held in ours.relayed.items()} == one.relayed
            assert {host for host, held in ours.permissions.items() if held.installed} == one.permissions
            assert {number: held.peer for number, held in ours.channels.items() if held.installed} == one.channels
            assert {held.peer: number for number, held in ours.channels.items()} == ours.numbers
            assert len(ours.permissions) <= self.quotas.limits.permissions
            assert len(ours.channels) <= self.quotas.limits.channels
        assert self.quotas.total == len(installed)
        for user in {one.quota_key for one in table.values()}:
            assert self.quotas.held(user) == sum(one.quota_key == user for one in table.values())
        assert {one.request for ours in table.values() for one in ours.requests_waiting()} == self.engine.waiting

    def check_empty(self, ports: int) -> None:
        """Nothing is left, and every port is free."""
        assert not self.engine.allocations and not self.engine.waiting and not self.engine.installing
        assert self.quotas.total == self.quotas.users == 0
        assert self.ports.free_count == ports and not self.ports.taken
        assert self.table.poll_timeout() is None


def signed(
    request: RequestId, method: Method, client: ClientId, user: str, password: str | None = None, **changes: Any
) -> TurnRequest:
    """As a client makes it that knows the password (of "alice" it is "a")."""
    values: dict[str, Any] = {
        "remote": Address("192.0.2.9", 1000 + client),
        "transport": "udp",
        "allocation": None,
        "username": user,
        "userhash": None,
        "realm": REALM,
        "sha256": False,
        "password_algorithm": "md5",
        "signed": b"\x00\x03\x00\x08" + int(request).to_bytes(8, "big"),
    }
    values |= changes
    if "mac" not in values:
        word = user[:1] if password is None else password
        key = long_term_key(user, REALM, word, values["password_algorithm"])
        digest = hashlib.sha256 if values["sha256"] else hashlib.sha1
        values["mac"] = hmac.new(key, values["signed"], digest).digest()
    return TurnRequest(request=request, client=client, method=method, **values)


def peers(*addresses: Address, allowed: bool = True) -> tuple[tuple[Address, bool], ...]:
    """As the engine judged them."""
    return tuple((address, allowed) for address in addresses)

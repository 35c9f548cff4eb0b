"""The state table of TURN (RFC 8656): requests, the engine's answers and the time in, commands out.

No sockets, no clock, no randomness of its own. The engine repeats its replies to retransmitted requests by itself, so each
request comes once. `now` is monotonic seconds, `unix_s` is what credentials expire by.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from turn.allocate import FAMILIES, grant, read_wish
from turn.allocation import Allocation, Relayed
from turn.credentials import Credentials, Identity, TokenBytes
from turn.errors import ErrorCode, Refused, Unauthorized
from turn.ports import PortPool, family_of
from turn.quotas import Quotas
from turn.seam import (
    AllocationId,
    AllocationLimits,
    ClientGone,
    ClientId,
    Family,
    InstallAllocation,
    Method,
    PermissionInstalled,
    RemoveAllocation,
    RemoveRelayed,
    TurnCommand,
    TurnReply,
    TurnRequest,
)
from turn.timers import Timers


class Allocations:
    """Verbs: `handle_*` in, `poll_timeout` out; what comes back from `handle_*` is for the engine, in order."""

    def __init__(
        self,
        ports: PortPool,
        credentials: Credentials,
        quotas: Quotas,
        limits: AllocationLimits,
        token_bytes: TokenBytes,
    ) -> None:
        self.limits = limits
        #: While the process drains nobody new gets in.
        self.draining = False
        #: Error replies by method and code, for the metrics.
        self.refused: Counter[tuple[Method, int]] = Counter()
        #: Peers that the rules do not allow.
        self.refused_peers = 0
        self._ports = ports
        self._credentials = credentials
        self._quotas = quotas
        self._token_bytes = token_bytes
        self._allocations: dict[AllocationId, Allocation] = {}
        self._clients: dict[ClientId, AllocationId] = {}
        self._next_id = 1
        self._timers = Timers()
        self._methods: dict[Method, Callable[[TurnRequest, Identity, float], list[TurnCommand]]] = {
            Method.ALLOCATE: self._allocate,
            Method.REFRESH: self._refresh,
            Method.CREATE_PERMISSION: self._create_permission,
            Method.CHANNEL_BIND: self._channel_bind,
        }

    def handle_request(self, request: TurnRequest, now: float, unix_s: float) -> list[TurnCommand]:
        """Answers it, or lets it wait for `PermissionInstalled`."""
        commands = self.handle_timeout(now)
        try:
            identity = self._credentials.check(request)
            self._not_expired(request, identity, unix_s)
        except Unauthorized:
            return [*commands, self._refuse(request, ErrorCode.UNAUTHORIZED)]
        try:
            _check_form(request)
            commands += self._methods[request.method](request, identity, now)
        except Refused as refused:
            commands.append(self._refuse(request, refused.code, refused.unknown_attributes, identity.key))
        return commands

    def handle_permission_installed(self, event: PermissionInstalled, now: float) -> list[TurnCommand]:
        allocation = self._allocations.get(event.allocation)
        if allocation is None:
            return []
        refused = None if event.reason is None else REASONS.get(event.reason, ErrorCode.INSUFFICIENT_CAPACITY)
        return self._scheduled(allocation, allocation.handle_installed(event.host, refused, now))

    def handle_client_gone(self, event: ClientGone, now: float) -> list[TurnCommand]:
        """Nobody is left to be answered."""
        allocation = self._of(event.client)
        return self._remove(allocation, now, None) if allocation else []

    def handle_revoked(self, quota_key: str, now: float) -> list[TurnCommand]:
        """Ends all that counts for it, whichever of its credentials made it."""
        return self._remove_all([one for one in self._allocations.values() if one.quota_key == quota_key], now)

    def handle_killed(self, allocation: AllocationId, now: float) -> list[TurnCommand]:
        """By the operator; unknown ids are ignored."""
        found = self._allocations.get(allocation)
        return self._remove_all([found], now) if found else []

    def handle_timeout(self, now: float) -> list[TurnCommand]:
        """Ends what has expired."""
        self._ports.handle_timeout(now)
        commands: list[TurnCommand] = []
        while (due := self._timers.pop(now)) is not None:
            allocation = self._allocations[due]
            over = [family for family, relayed in allocation.relayed.items() if relayed.expires_at <= now]
            if over:
                commands += self._end_families(allocation, over, now)
            if due in self._allocations:
                commands += self._scheduled(allocation, allocation.handle_timeout(now))
        return commands

    def poll_timeout(self) -> float | None:
        """When `handle_timeout` has something to do; sometimes it turns out to be nothing."""
        times = [time for time in (self._timers.next(), self._ports.poll_timeout()) if time is not None]
        return min(times, default=None)

    @property
    def allocations(self) -> list[Allocation]:
        """To read, not to change."""
        return list(self._allocations.values())

    # ---------------------------------------------------------------------------------------------- methods

    def _allocate(self, request: TurnRequest, identity: Identity, now: float) -> list[TurnCommand]:
        """RFC 8656 section 7.2."""
        if request.client in self._clients:
            raise Refused(ErrorCode.ALLOCATION_MISMATCH)
        wish = read_wish(request, self._ports)
        if self.draining:
            raise Refused(ErrorCode.INSUFFICIENT_CAPACITY)
        self._quotas.acquire(identity.quota_key, identity.allocations)
        try:
            granted = grant(wish, self._ports, identity.username, self._token_bytes, now)
        except Refused as refused:
            self._quotas.release(identity.quota_key)
            if refused.code is ErrorCode.INSUFFICIENT_CAPACITY and wish.token is None:
                self._quotas.hit("ports")
            raise
        lifetime_s = lifetime(request.lifetime_s)
        relayed = {family_of(address.host): Relayed(address, now + lifetime_s) for address in granted.relayed}
        allocation = Allocation(
            AllocationId(self._next_id),
            request.client,
            identity.username,
            identity.quota_key,
            relayed,
            request.transport,
            request.remote,
        )
        self._next_id += 1
        self._allocations[allocation.id] = allocation
        self._clients[request.client] = allocation.id
        return self._scheduled(
            allocation,
            [
                InstallAllocation(
                    allocation.id, request.client, granted.relayed, self.limits, dont_fragment=request.dont_fragment
                ),
                TurnReply(
                    request.request,
                    lifetime_s=lifetime_s,
                    relayed=granted.relayed,
                    address_error=granted.address_error,
                    reservation_token=granted.token,
                    key=identity.key,
                ),
            ],
        )

    def _refresh(self, request: TurnRequest, identity: Identity, now: float) -> list[TurnCommand]:
        """RFC 8656 section 8.2."""
        allocation = self._own(request, identity)
        families = list(allocation.relayed)
        if request.requested_family is not None:
            families = [family for family in families if family == FAMILIES.get(request.requested_family)]
            if not families:
                raise Refused(ErrorCode.PEER_FAMILY_MISMATCH)
        if request.lifetime_s == 0:
            commands = self._end_families(allocation, families, now)
            return [*commands, TurnReply(request.request, lifetime_s=0, key=identity.key)]
        lifetime_s = lifetime(request.lifetime_s)
        for family in families:
            allocation.relayed[family].expires_at = now + lifetime_s
        return self._scheduled(allocation, [TurnReply(request.request, lifetime_s=lifetime_s, key=identity.key)])

    def _create_permission(self, request: TurnRequest, identity: Identity, now: float) -> list[TurnCommand]:
        """RFC 8656 section 10.2: all peers or none."""
        allocation = self._own(request, identity)
        if not request.peers:
            raise Refused(ErrorCode.BAD_REQUEST)
        hosts = self._permitted(allocation, request)
        return self._scheduled(allocation, allocation.permit(request.request, identity.key, hosts, now))

    def _channel_bind(self, request: TurnRequest, identity: Identity, now: float) -> list[TurnCommand]:
        """RFC 8656 section 12.2, with the channels of RFC 5766."""
        allocation = self._own(request, identity)
        if request.channel is None or request.channel not in CHANNELS or len(request.peers) != 1:
            raise Refused(ErrorCode.BAD_REQUEST)
        hosts = self._permitted(allocation, request)
        fresh = request.channel not in allocation.channels and request.peers[0][0] not in allocation.numbers
        if fresh and len(allocation.channels) >= self._quotas.limits.channels:
            raise self._quotas.hit("channels")
        allocation.bind(request.channel, request.peers[0][0])
        commands = allocation.permit(request.request, identity.key, hosts, now, request.channel)
        return self._scheduled(allocation, commands)

    # ---------------------------------------------------------------------------------------------- details

    def _own(self, request: TurnRequest, identity: Identity) -> Allocation:
        allocation = self._of(request.client)
        if allocation is None:
            raise Refused(ErrorCode.ALLOCATION_MISMATCH)
        if allocation.username != identity.username:
            raise Refused(ErrorCode.WRONG_CREDENTIALS)
        return allocation

    def _of(self, client: ClientId) -> Allocation | None:
        found = self._clients.get(client)
        return None if found is None else self._allocations[found]

    def _permitted(self, allocation: Allocation, request: TurnRequest) -> list[str]:
        """The peers' hosts. Raises Refused: 443, 403, or 508 at the limit."""
        hosts = list(dict.fromkeys(peer.host for peer, _ in request.peers))
        if any(family_of(host) not in allocation.relayed for host in hosts):
            raise Refused(ErrorCode.PEER_FAMILY_MISMATCH)
        if denied := sum(not allowed for _, allowed in request.peers):
            self.refused_peers += denied
            raise Refused(ErrorCode.FORBIDDEN)
        fresh = sum(host not in allocation.permissions for host in hosts)
        if len(allocation.permissions) + fresh > self._quotas.limits.permissions:
            raise self._quotas.hit("permissions")
        return hosts

    def _not_expired(self, request: TurnRequest, identity: Identity, unix_s: float) -> None:
        """Expired credentials still serve the allocation that they made."""
        if identity.expires_at is None or unix_s < identity.expires_at:
            return
        allocation = self._of(request.client)
        if allocation is None or allocation.username != identity.username:
            raise self._credentials.failed("expired")

    def _refuse(
        self, request: TurnRequest, code: ErrorCode, unknown: tuple[int, ...] = (), key: bytes | None = None
    ) -> TurnReply:
        self.refused[request.method, code] += 1
        return TurnReply(request.request, error=code, unknown_attributes=unknown, key=key)

    def _end_families(self, allocation: Allocation, families: list[Family], now: float) -> list[TurnCommand]:
        if len(families) == len(allocation.relayed):
            return self._remove(allocation, now, ErrorCode.ALLOCATION_MISMATCH)
        commands: list[TurnCommand] = []
        for family in families:
            self._ports.give_back(allocation.relayed[family].address, now)
            commands += allocation.handle_family_gone(family, now)
            commands.append(RemoveRelayed(allocation.id, family))
        return self._scheduled(allocation, commands)

    def _remove_all(self, allocations: Iterable[Allocation], now: float) -> list[TurnCommand]:
        commands: list[TurnCommand] = []
        for allocation in list(allocations):
            commands += self._remove(allocation, now, ErrorCode.ALLOCATION_MISMATCH)
        return commands

    def _remove(self, allocation: Allocation, now: float, answer: ErrorCode | None) -> list[TurnCommand]:
        """With all that is on it; who waits for it gets `answer`."""
        del self._allocations[allocation.id]
        del self._clients[allocation.client]
        self._timers.forget(allocation.id)
        self._quotas.release(allocation.quota_key)
        for relayed in allocation.relayed.values():
            self._ports.give_back(relayed.address, now)
        waiting = allocation.requests_waiting() if answer else []
        replies = [TurnReply(one.request, error=answer, key=one.key) for one in waiting]
        return [RemoveAllocation(allocation.id), *replies]

    def _scheduled(self, allocation: Allocation, commands: list[TurnCommand]) -> list[TurnCommand]:
        self._timers.wake(allocation.id, allocation.next_timeout())
        return commands


def _check_form(request: TurnRequest) -> None:
    """RFC 8489 section 6.3.1: what we do not know comes first."""
    if request.unknown_attributes:
        raise Refused(ErrorCode.UNKNOWN_ATTRIBUTE, request.unknown_attributes)
    if request.malformed:
        raise Refused(ErrorCode.BAD_REQUEST)


def lifetime(asked_s: int | None) -> int:
    """RFC 8656 section 7.2: what was asked for, but neither below the default nor above the maximum."""
    return LIFETIME_MIN_S if asked_s is None else min(max(asked_s, LIFETIME_MIN_S), LIFETIME_MAX_S)


LIFETIME_MIN_S = 600
LIFETIME_MAX_S = 3600
#: RFC 8656 ends at 0x4FFF; older clients (coturn's before 4.13, RFC 5766) go on to 0x7FFE.
CHANNELS = range(0x4000, 0x7FFF)
#: Of `PermissionInstalled`; all others are 508.
REASONS = {"not_allowed": ErrorCode.FORBIDDEN}

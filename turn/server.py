"""The shell around the state table: hands events in and commands out, keeps its one timer, and reads the clocks.

Commands leave once per loop iteration, in order. What it runs with is replaced by `configure` at any time; allocations live on.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import secrets
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from turn.allocation import Allocation
from turn.allocations import Allocations
from turn.credentials import Credentials, Minted, TokenBytes
from turn.errors import AuthFailure
from turn.ports import PortPool, RandomBelow
from turn.quotas import QuotaLimits, QuotaName, Quotas
from turn.seam import (
    AllocationId,
    AllocationLimits,
    AllocationStats,
    ClientGone,
    ClientTransport,
    ConfigureTurn,
    Listen,
    ListenFailed,
    Method,
    PermissionInstalled,
    RelayEngine,
    TurnCommand,
    TurnEvent,
    TurnRequest,
)

_log = logging.getLogger(__name__)


class Timer(Protocol):
    def cancel(self) -> Any: ...


class Loop(Protocol):
    """What the shell wants of an event loop."""

    def time(self) -> float: ...
    def call_soon(self, callback: Callable[..., Any], *args: Any) -> Any: ...
    def call_at(self, when: float, callback: Callable[..., Any], *args: Any) -> Timer: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that `configure` replaces. `relay` is the engine's part; the rest is decided here."""

    relay: ConfigureTurn = field(repr=False)
    limits: AllocationLimits
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: The one in use and, while it is being replaced, the one before it.
    secrets: Sequence[str] = field(default=(), repr=False)
    quotas: QuotaLimits = field(default_factory=QuotaLimits)


@dataclass(frozen=True, slots=True)
class AllocationInfo:
    """One allocation as the operator sees it; times in seconds, the counters are `AllocationStats`."""

    id: int
    username: str
    transport: ClientTransport
    client: str
    relayed: tuple[str, ...]
    expires_in_s: float
    permissions: tuple[str, ...]
    #: Number -> peer.
    channels: Mapping[int, str]
    packets_in: int = 0
    bytes_in: int = 0
    packets_out: int = 0
    bytes_out: int = 0
    zero_hop_packets: int = 0


@dataclass(frozen=True, slots=True)
class TurnInventory:
    """What the metrics tell. Counters since the start."""

    allocations: Mapping[ClientTransport, int] = field(default_factory=dict)
    listeners: Mapping[ClientTransport, int] = field(default_factory=dict)
    #: State -> relayed ports.
    ports: Mapping[str, int] = field(default_factory=dict)
    minted: int = 0
    auth_failures: Mapping[AuthFailure, int] = field(default_factory=dict)
    refused: Mapping[tuple[Method, int], int] = field(default_factory=dict)
    refused_peers: int = 0
    quota_hits: Mapping[QuotaName, int] = field(default_factory=dict)


class TurnServer:
    """Verbs: `configure`, `handle_events`, `mint`, `revoke`, `kill`, `drain`, `close`. Getters: `addresses`, `allocations`, `inventory`."""

    def __init__(
        self,
        engine: RelayEngine,
        loop: Loop,
        *,
        token_bytes: TokenBytes = secrets.token_bytes,
        random_below: RandomBelow = secrets.randbelow,
        unix_time: Callable[[], float] = time.time,
    ) -> None:
        #: Called with each listener that could not be opened, and why.
        self.on_listen_failed: Callable[[Listen, str], None] = lambda _listen, _reason: None
        self._engine = engine
        self._loop = loop
        self._unix_time = unix_time
        self._credentials = Credentials(token_bytes)
        self._ports = PortPool((), range(0), random_below)
        self._quotas = Quotas(QuotaLimits())
        self._table = Allocations(self._ports, self._credentials, self._quotas, _NO_LIMITS, token_bytes)
        self._commands: list[TurnCommand] = []
        self._scheduled = False
        self._closed = False
        self._timer: Timer | None = None
        self._timer_at = 0.0
        self._empty = asyncio.Event()
        self._empty.set()

    def configure(self, settings: Settings) -> None:
        """Takes effect when it returns: listeners are open or have failed. Raises ValueError for what the credentials cannot be."""
        self._credentials.configure(settings.relay.realm, settings.users, settings.secrets)
        first, last = settings.relay.relay_ports
        self._ports.configure((host.advertised for host in settings.relay.relay_hosts), range(first, last + 1))
        # To our own media nothing is bound.
        bound = {host.advertised: host.bind for host in settings.relay.relay_hosts if settings.relay.allow_peers}
        self._ports.in_use = lambda address: address.host in bound and _is_in_use(bound[address.host], address.port)
        self._quotas.limits = settings.quotas
        self._table.limits = settings.limits
        self._commands.append(settings.relay)
        self.flush()

    def handle_events(self) -> None:
        """Takes one portion of the engine's events; its descriptor stays readable while more wait. Answers leave with this iteration."""
        for event in self._engine.drain_turn(MAX_EVENTS_PER_TURN):
            try:
                self._handle_event(event)
            except Exception:  # noqa: BLE001 (a bug that one request meets must not stop the others)
                _log.exception("an event of TURN could not be handled", extra={"reason": type(event).__name__})

    def mint(self, participant: str) -> Minted:
        """Credentials for one join, the same when it comes again, until `revoke`."""
        return self._credentials.mint(participant, ALLOCATIONS_PER_JOIN, self._unix_time(), MINTED_LIFETIME_S)

    def revoke(self, participant: str) -> None:
        """Ends its credentials and all that it allocated with them."""
        self._submit(self._table.handle_revoked(self._credentials.revoke(participant), self._loop.time()))

    def kill(self, allocation: int) -> bool:
        """Ends one allocation; False when there is none of this id."""
        commands = self._table.handle_killed(AllocationId(allocation), self._loop.time())
        self._submit(commands)
        return bool(commands)

    def drain(self) -> None:
        """No new allocations from now on; those there are go on."""
        self._table.draining = True

    async def wait_empty(self) -> None:
        """Until there is no allocation."""
        await self._empty.wait()

    def flush(self) -> None:
        """Submits what has gathered and sets the timer."""
        self._scheduled = False
        commands, self._commands = self._commands, []
        if self._closed:
            return
        if commands:
            self._engine.submit_turn(commands)
        (self._empty.clear if self._quotas.total else self._empty.set)()
        self._arm()

    def close(self) -> None:
        """Stops; the engine ends what is left with itself."""
        self.flush()
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    # --------------------------------------------------------------------------------------------------- getters

    def addresses(self) -> Sequence[Listen]:
        """The listeners that are open, with their real ports."""
        return self._engine.turn_addresses()

    def allocations(self) -> list[AllocationInfo]:
        """For the operator: names and addresses, not for logs."""
        now = self._loop.time()
        stats = {one.allocation: one for one in self._engine.allocation_stats()}
        return [_describe(one, stats.get(one.id), now) for one in self._table.allocations]

    def inventory(self) -> TurnInventory:
        return TurnInventory(
            allocations=Counter(one.transport for one in self._table.allocations),
            listeners=Counter(listen.transport for listen in self.addresses()),
            ports={
                "free": self._ports.free_count,
                "taken": len(self._ports.taken),
                "reserved": self._ports.reserved_count,
                "resting": self._ports.resting_count,
            },
            minted=self._credentials.minted_count,
            auth_failures=self._credentials.failures,
            refused=self._table.refused,
            refused_peers=self._table.refused_peers,
            quota_hits=self._quotas.hits,
        )

    # ------------------------------------------------------------------------------------------------- internals

    def _handle_event(self, event: TurnEvent) -> None:
        now = self._loop.time()
        match event:
            case TurnRequest():
                self._submit(self._table.handle_request(event, now, self._unix_time()))
            case PermissionInstalled():
                self._submit(self._table.handle_permission_installed(event, now))
            case ClientGone():
                self._submit(self._table.handle_client_gone(event, now))
            case ListenFailed(listen, reason):
                self.on_listen_failed(listen, reason)

    def _submit(self, commands: Sequence[TurnCommand]) -> None:
        self._commands.extend(commands)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.flush)

    def _arm(self) -> None:
        """One timer, at the earliest time that anything is due."""
        due = self._table.poll_timeout()
        if self._timer is not None:
            if self._timer_at == due:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer_at = due
            self._timer = self._loop.call_at(due, self._handle_timer)

    def _handle_timer(self) -> None:
        self._timer = None
        self._submit(self._table.handle_timeout(self._loop.time()))


def _is_in_use(host: str, port: int) -> bool:
    """Whether a UDP socket of somebody has it. Once bound for the allocation, it is too late to give another."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((host, port))
    except OSError as error:
        return error.errno == errno.EADDRINUSE  # of anything else the engine will tell
    return False


def _describe(allocation: Allocation, stats: AllocationStats | None, now: float) -> AllocationInfo:
    return AllocationInfo(
        id=allocation.id,
        username=allocation.username,
        transport=allocation.transport,
        client=str(allocation.remote),
        relayed=tuple(str(relayed.address) for relayed in allocation.relayed.values()),
        expires_in_s=max(0.0, max(relayed.expires_at for relayed in allocation.relayed.values()) - now),
        permissions=tuple(host for host, permission in allocation.permissions.items() if permission.installed),
        channels={number: str(one.peer) for number, one in allocation.channels.items() if one.installed},
        packets_in=stats.packets_in if stats else 0,
        bytes_in=stats.bytes_in if stats else 0,
        packets_out=stats.packets_out if stats else 0,
        bytes_out=stats.bytes_out if stats else 0,
        zero_hop_packets=stats.zero_hop_packets if stats else 0,
    )


_NO_LIMITS = AllocationLimits(packets_per_s=0, bytes_per_s=0, new_peers_per_s=0)
#: A browser allocates for each URL, network interface, address family and peer connection, and anew when ICE restarts.
ALLOCATIONS_PER_JOIN = 64
#: Some milliseconds: what a signalling request may wait behind a flood of allocations.
MAX_EVENTS_PER_TURN = 64
#: Longer than meetings last; an allocation lives on when its credentials have expired.
MINTED_LIFETIME_S = 24 * 3600.0

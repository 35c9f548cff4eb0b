"""One allocation: its relayed addresses, permissions and channels, and the requests that wait for a permission.

Every method that changes something for the engine returns the commands that do so there. The engine has no timers of ours:
what is installed stays until it is removed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from turn.errors import ErrorCode, Refused
from turn.ports import family_of
from turn.seam import (
    Address,
    AllocationId,
    ClientId,
    ClientTransport,
    Family,
    InstallChannel,
    InstallPermission,
    RemoveChannel,
    RemovePermission,
    RequestId,
    TurnCommand,
    TurnReply,
)


@dataclass(slots=True)
class Relayed:
    """A relayed address; with two of them each has its own life (RFC 8656 section 8.2)."""

    address: Address
    expires_at: float


@dataclass(eq=False, slots=True)
class Waiting:
    """A request that is answered when the last of `missing` is installed, or the first of them cannot be."""

    request: RequestId
    key: bytes
    missing: set[str]
    channel: int | None


@dataclass(slots=True)
class Permission:
    """Of a peer's address, for any port."""

    #: When not yet installed: when we no longer believe that it will be.
    expires_at: float
    installed: bool = False
    waiting: list[Waiting] = field(default_factory=list)


@dataclass(slots=True)
class Channel:
    """A channel number and a peer, which stay with each other for a while after the binding has expired."""

    peer: Address
    installed: bool = False
    #: When installed: until when it is bound. Else until when the pair is not free for others.
    until: float = 0.0
    #: Requests that want it and wait for the permission.
    waiting: int = 0


@dataclass(slots=True)
class Allocation:
    """Verbs: `permit`, `bind`, `handle_*`; getters: `next_timeout`, `requests_waiting`."""

    id: AllocationId
    client: ClientId
    username: str
    quota_key: str
    relayed: dict[Family, Relayed]
    #: What the client comes by, and where it is: for the operator.
    transport: ClientTransport
    remote: Address
    permissions: dict[str, Permission] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    numbers: dict[Address, int] = field(default_factory=dict)

    def permit(
        self, request: RequestId, key: bytes, hosts: Iterable[str], now: float, channel: int | None = None
    ) -> list[TurnCommand]:
        """Installs or renews permissions, then the channel; the reply is among the commands unless it has to wait."""
        commands: list[TurnCommand] = []
        waiting = Waiting(request, key, set(), channel)
        if channel is not None:
            self.channels[channel].waiting += 1
        for host in dict.fromkeys(hosts):
            permission = self.permissions.get(host)
            if permission is None:
                permission = self.permissions[host] = Permission(now + INSTALL_S)
                commands.append(InstallPermission(self.id, host))
            if permission.installed:
                permission.expires_at = now + PERMISSION_S
            else:
                waiting.missing.add(host)
                permission.waiting.append(waiting)
        return commands if waiting.missing else commands + self._grant(waiting, now)

    def bind(self, number: int, peer: Address) -> None:
        """Takes the number for the peer. Raises Refused (400) when either belongs to another one."""
        channel = self.channels.get(number)
        if channel is not None and channel.peer == peer:
            return
        if channel is not None or peer in self.numbers:
            raise Refused(ErrorCode.BAD_REQUEST)
        self.channels[number] = Channel(peer)
        self.numbers[peer] = number

    def handle_installed(self, host: str, refused: ErrorCode | None, now: float) -> list[TurnCommand]:
        permission = self.permissions.get(host)
        if permission is None or permission.installed:
            return []
        if refused is not None:
            return self._drop(host, refused, now)
        permission.installed = True
        permission.expires_at = now + PERMISSION_S
        waiting, permission.waiting = permission.waiting, []
        commands: list[TurnCommand] = []
        for one in waiting:
            one.missing.discard(host)
            if not one.missing:
                commands += self._grant(one, now)
        return commands

    def handle_family_gone(self, family: Family, now: float) -> list[TurnCommand]:
        """Ends what needs a relayed address that is no longer there."""
        del self.relayed[family]
        commands: list[TurnCommand] = []
        for number, channel in list(self.channels.items()):
            if family_of(channel.peer.host) == family and channel.installed:
                commands.append(RemoveChannel(self.id, number))
                channel.installed, channel.until = False, now
        for host in [host for host in self.permissions if family_of(host) == family]:
            commands += [RemovePermission(self.id, host), *self._drop(host, ErrorCode.PEER_FAMILY_MISMATCH, now)]
        for number in list(self.channels):
            self._free_channel(number, now)
        return commands

    def handle_timeout(self, now: float) -> list[TurnCommand]:
        """Ends permissions and channels whose time is over."""
        commands: list[TurnCommand] = []
        for number, channel in list(self.channels.items()):
            if channel.installed and channel.until <= now:
                commands.append(RemoveChannel(self.id, number))
                channel.installed, channel.until = False, channel.until + CHANNEL_REST_S
            self._free_channel(number, now)
        for host in [host for host, permission in self.permissions.items() if permission.expires_at <= now]:
            commands += [RemovePermission(self.id, host), *self._drop(host, ErrorCode.INSUFFICIENT_CAPACITY, now)]
        return commands

    def next_timeout(self) -> float:
        times = [relayed.expires_at for relayed in self.relayed.values()]
        times += [permission.expires_at for permission in self.permissions.values()]
        times += [channel.until for channel in self.channels.values() if channel.installed or not channel.waiting]
        return min(times)

    def requests_waiting(self) -> list[Waiting]:
        return list(dict.fromkeys(one for permission in self.permissions.values() for one in permission.waiting))

    def _grant(self, waiting: Waiting, now: float) -> list[TurnCommand]:
        reply = TurnReply(waiting.request, key=waiting.key)
        if waiting.channel is None:
            return [reply]
        channel = self.channels[waiting.channel]
        channel.waiting -= 1
        channel.until = now + CHANNEL_S
        if channel.installed:
            return [reply]
        channel.installed = True
        return [InstallChannel(self.id, waiting.channel, channel.peer), reply]

    def _drop(self, host: str, code: ErrorCode, now: float) -> list[TurnCommand]:
        """Forgets the permission; who waits for it gets `code`, without what else was asked for in the same request."""
        permission = self.permissions.pop(host)
        commands: list[TurnCommand] = []
        for one in permission.waiting:
            for other in one.missing - {host}:
                self.permissions[other].waiting.remove(one)
            commands.append(TurnReply(one.request, error=code, key=one.key))
            if one.channel is not None:
                self.channels[one.channel].waiting -= 1
                self._free_channel(one.channel, now)
        return commands

    def _free_channel(self, number: int, now: float) -> None:
        channel = self.channels[number]
        if not channel.installed and not channel.waiting and channel.until <= now:
            del self.channels[number]
            del self.numbers[channel.peer]


#: RFC 8656 section 9.
PERMISSION_S = 300.0
#: RFC 8656 section 12.
CHANNEL_S = 600.0
#: RFC 8656 section 12: so long after its end neither the number nor the peer is bound to another one.
CHANNEL_REST_S = 300.0
#: The engine answers at once. Longer than its queue ever is, shorter than a client asks (39.5 s, RFC 8489 section 6.2.1).
INSTALL_S = 10.0

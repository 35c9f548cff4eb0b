"""`FakeRelay`: the engine's side of TURN's seam without Rust or a socket, strict about misuse, for tests above it."""

# ruff: noqa: S101

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from turn import seam
from turn.ports import family_of


@dataclass
class Installed:
    """What the relay has of one allocation."""

    client: seam.ClientId
    relayed: dict[seam.Family, seam.Address]
    limits: seam.AllocationLimits
    permissions: set[str] = field(default_factory=set)
    channels: dict[int, seam.Address] = field(default_factory=dict)


class FakeRelay:
    """Carries out commands as the real one would. What makes no sense there raises `AssertionError`.

    Permissions wait in `installing` until a test says how they end, or are granted at once with `auto_install`. `wake` is called
    when there is an event to take.
    """

    def __init__(self, wake: Callable[[], None] | None = None, *, auto_install: bool = False) -> None:
        self.wake = wake or (lambda: None)
        self.auto_install = auto_install
        self.configured: list[seam.ConfigureTurn] = []
        self.listening: dict[seam.Listen, seam.Listen] = {}
        #: Listeners that cannot be opened, and why.
        self.broken: dict[seam.Listen, str] = {}
        self.allocations: dict[seam.AllocationId, Installed] = {}
        self.stats: list[seam.AllocationStats] = []
        self.replies: list[seam.TurnReply] = []
        #: Of each call to `submit_turn`, the number of commands.
        self.batches: list[int] = []
        self.waiting: set[seam.RequestId] = set()
        self.installing: list[tuple[seam.AllocationId, str]] = []
        self._events: deque[seam.TurnEvent] = deque()
        self._next_port = 40_000

    # ---------------------------------------------------------------------------------------------- the protocol

    def submit_turn(self, commands: Sequence[seam.TurnCommand]) -> None:
        self.batches.append(len(commands))
        self.apply(commands)

    def drain_turn(self, limit: int = 4096) -> list[seam.TurnEvent]:
        taken = [self._events.popleft() for _ in range(min(limit, len(self._events)))]
        if self._events:
            self.wake()
        return taken

    def turn_addresses(self) -> list[seam.Listen]:
        return list(self.listening.values())

    def allocation_stats(self) -> list[seam.AllocationStats]:
        return list(self.stats)

    # ------------------------------------------------------------------------------------------- the test's hand

    def emit(self, event: seam.TurnEvent) -> None:
        self._events.append(event)
        self.wake()

    def ask(self, request: seam.TurnRequest) -> None:
        """A client's request arrives."""
        self.waiting.add(request.request)
        self.emit(request)

    def reply(self, request: int) -> seam.TurnReply | None:
        """What was answered, once it was."""
        return next((one for one in self.replies if one.request == request), None)

    def install(self, reason: str | None = None) -> None:
        """Every permission that waits works, or fails for this reason."""
        while self.installing:
            allocation, host = self.installing.pop(0)
            if reason is None:
                self.allocations[allocation].permissions.add(host)
            self.emit(seam.PermissionInstalled(allocation, host, reason))

    def apply(self, commands: Sequence[seam.TurnCommand]) -> None:
        for command in commands:
            self._apply(command)
        if self.auto_install:
            self.install()

    def _apply(self, command: seam.TurnCommand) -> None:  # noqa: C901 (one arm per command)
        match command:
            case seam.ConfigureTurn():
                self._configure(command)
            case seam.TurnReply(request=request):
                self.waiting.remove(request)
                self.replies.append(command)
            case seam.InstallAllocation():
                self._install_allocation(command)
            case seam.RemoveAllocation(allocation=allocation):
                del self.allocations[allocation]
                self.installing = [one for one in self.installing if one[0] != allocation]
            case seam.RemoveRelayed(allocation=allocation, family=family):
                self._remove_relayed(self.allocations[allocation], family)
            case seam.InstallPermission(allocation=allocation, host=host):
                installed = self.allocations[allocation]
                assert family_of(host) in installed.relayed
                assert host not in installed.permissions and (allocation, host) not in self.installing
                self.installing.append((allocation, host))
            case seam.RemovePermission(allocation=allocation, host=host):
                if (allocation, host) in self.installing:
                    self.installing.remove((allocation, host))
                else:
                    self.allocations[allocation].permissions.remove(host)
            case seam.InstallChannel(allocation=allocation, channel=channel, peer=peer):
                installed = self.allocations[allocation]
                assert channel not in installed.channels and peer not in installed.channels.values()
                assert peer.host in installed.permissions
                installed.channels[channel] = peer
            case seam.RemoveChannel(allocation=allocation, channel=channel):
                del self.allocations[allocation].channels[channel]

    def _configure(self, command: seam.ConfigureTurn) -> None:
        """Opens what is new, closes what is gone."""
        assert len(set(command.listen)) == len(command.listen), "a listener twice"
        assert command.certificate or not any(listen.transport == "tls" for listen in command.listen)
        assert (command.certificate is None) == (command.key is None)
        self.configured.append(command)
        self.listening = {wanted: open_ for wanted, open_ in self.listening.items() if wanted in command.listen}
        for wanted in command.listen:
            if wanted in self.broken:
                self.emit(seam.ListenFailed(wanted, self.broken[wanted]))
            elif wanted not in self.listening:
                self.listening[wanted] = wanted if wanted.port else replace(wanted, port=self._free_port())

    def _install_allocation(self, command: seam.InstallAllocation) -> None:
        assert command.allocation not in self.allocations
        assert command.client not in [other.client for other in self.allocations.values()]
        families = {family_of(address.host): address for address in command.relayed}
        assert len(families) == len(command.relayed) > 0
        assert not {*command.relayed} & {a for other in self.allocations.values() for a in other.relayed.values()}
        self.allocations[command.allocation] = Installed(command.client, families, command.limits)

    def _remove_relayed(self, installed: Installed, family: seam.Family) -> None:
        del installed.relayed[family]
        assert installed.relayed, "the last one goes with its allocation"
        assert not [host for host in installed.permissions if family_of(host) == family]
        assert not [peer for peer in installed.channels.values() if family_of(peer.host) == family]

    def _free_port(self) -> int:
        self._next_port += 1
        return self._next_port

"""The engine: Rust threads that own every media socket and move packets. Speaks `sfu.seam`, nothing else.

Mistakes of the caller raise; whatever a client does wrong is an event. All methods may be called from any thread; the
order of commands is the order of the calls to `submit`.
"""

from collections.abc import Iterable
from typing import Final, Self, final

from sfu.seam import Address, Command, EngineConfig, Event, Stats
from turn.seam import AllocationStats, Listen, TurnCommand, TurnEvent

__all__ = ["Engine", "__version__"]

__version__: Final[str]

@final
class Engine:
    """Runs from construction until `close`."""

    def __new__(cls, config: EngineConfig) -> Self:
        """Binds the sockets, makes the DTLS certificate and starts one thread per shard.

        `OSError` when an address cannot be bound (a wildcard IPv6 host is skipped on a machine without IPv6, unless it
        is the only one); `ValueError` when the configuration makes no sense. Both say what to change.
        """
    @property
    def fingerprint(self) -> str:
        """ "sha-256 AA:BB:..." of the certificate that every transport uses, for SDP."""
    def addresses(self, shard: int) -> list[Address]:
        """Where the shard is bound, in the order of `EngineConfig.bind`; all have the same port."""
    def tcp_addresses(self) -> list[Address]:
        """Where the TCP listener is bound; empty without one."""
    def fileno(self) -> int:
        """A descriptor that is readable while events wait, for `loop.add_reader`. Never read from it."""
    def drain(self, limit: int = 4096) -> list[Event]:
        """The oldest events that wait. Empty when there are none; does not block."""
    def submit(self, commands: Iterable[Command]) -> None:
        """Hands commands over, in order per shard. A refusal comes back as a `Refused` event.

        `TypeError`, `ValueError` or `AttributeError` when one of them is malformed; then none is handed over.
        """
    def submit_turn(self, commands: Iterable[TurnCommand]) -> None:
        """The same for TURN (`turn.seam`). One that configures returns when its listeners are open, or have failed by event."""
    def drain_turn(self, limit: int = 4096) -> list[TurnEvent]:
        """The oldest events of TURN that wait; `fileno` tells of both."""
    def turn_addresses(self) -> list[Listen]:
        """TURN's listeners that are open, with their real ports."""
    def allocation_stats(self) -> list[AllocationStats]:
        """What every allocation relayed, as of the last second."""
    def snapshot(self) -> Stats:
        """The last cumulative numbers that each shard posted; they do so once a second."""
    def close(self, drain_for_s: float = 5.0) -> None:
        """Says goodbye to every client and ends the threads. Waits at most so long; others run on meanwhile."""
    def _crash_shard(self, shard: int) -> None:
        """Makes a shard panic, for tests of what happens then."""

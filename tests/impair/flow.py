"""One client's path through the proxy: a link each way with its own random stream, and what they did."""

from __future__ import annotations

from dataclasses import dataclass

from tests.impair.link import NOTHING, Fate, Link, LinkConfig
from tests.impair.rng import Rng
from tests.impair.tally import Tally, may_hold_nack


@dataclass(frozen=True, slots=True)
class Profile:
    """A bad network, seen from the client: `up` towards the server, `down` from it."""

    up: LinkConfig = NOTHING
    down: LinkConfig = NOTHING
    #: The server gets no NACK of the client's, so that nothing is repaired: for control runs.
    loses_nacks: bool = False

    @classmethod
    def both(cls, config: LinkConfig, *, loses_nacks: bool = False) -> Profile:
        return cls(config, config, loses_nacks)


CLEAN = Profile()


class Direction:
    """A link that is counted."""

    def __init__(self, *seed: int) -> None:
        self._seed = seed
        self._loses_nacks = False
        self.link = Link(NOTHING, Rng.derived(*seed))
        self.tally = Tally()

    def configure(self, config: LinkConfig, *, loses_nacks: bool = False) -> None:
        """From here on the same as if it had been so from the start."""
        self._loses_nacks = loses_nacks
        self.link.configure(config, Rng.derived(*self._seed))

    def handle(self, now: float, datagram: bytes) -> None:
        is_lost = self._loses_nacks and may_hold_nack(datagram)
        self.tally.note(datagram, Fate.LOST if is_lost else self.link.handle(now, datagram))


class Flow:
    """Of the `number`-th client address that the proxy saw. What happens to it does not depend on other clients."""

    def __init__(self, profile: Profile, seed: int, number: int) -> None:
        self.number = number
        self.up = Direction(seed, number, 0)
        self.down = Direction(seed, number, 1)
        self.configure(profile)

    def configure(self, profile: Profile) -> None:
        """Changes what happens to later datagrams. The same profile again loses the same ones again."""
        self.up.configure(profile.up, loses_nacks=profile.loses_nacks)
        self.down.configure(profile.down)

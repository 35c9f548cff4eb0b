"""The relayed addresses: which are free, which are held for a RESERVATION-TOKEN, which rest after use.

No sockets: the engine binds a port when somebody is to be reached through it. Ports are drawn by a CSPRNG, so that nobody
guesses the next one (RFC 8656 section 7.2). Every port is in exactly one place: free, taken, reserved or resting.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from turn.seam import Address, Family

#: Draws from 0 <= n < limit; `secrets.randbelow` outside of tests.
RandomBelow = Callable[[int], int]


def family_of(host: str) -> Family:
    """Of a canonical literal."""
    return 6 if ":" in host else 4


class PortPool:
    """One range of ports on one or more relay addresses per family. Verbs: `configure`, `take*`, `reserve`, `claim`, `give_back`."""

    def __init__(
        self, hosts: Iterable[str], ports: range, random_below: RandomBelow, rest_s: float | None = None
    ) -> None:
        self._random_below = random_below
        self._rest_s = REST_S if rest_s is None else rest_s
        #: Whether some other process has it, which no draw can know. Such a port rests.
        self.in_use: Callable[[Address], bool] = lambda _: False
        self._hosts: dict[Family, list[_Host]] = {}
        self._taken: set[Address] = set()
        self._reserved: dict[bytes, _Reservation] = {}
        self._resting: deque[tuple[float, Address]] = deque()
        self.configure(hosts, ports)

    def configure(self, hosts: Iterable[str], ports: range) -> None:
        """Other hosts or ports. What is taken, reserved or resting stays so, and becomes free only if it is still one of them."""
        held: defaultdict[str, set[int]] = defaultdict(set)
        for address in self._held():
            held[address.host].add(address.port)
        self._hosts = {}
        for host in dict.fromkeys(hosts):
            made = _Host(host, ports, held[host], self._random_below)
            self._hosts.setdefault(family_of(host), []).append(made)

    def supports(self, family: Family) -> bool:
        return family in self._hosts

    @property
    def default_family(self) -> Family:
        """For who names none: IPv4, but IPv6 where that is all there is. Browsers name none, whatever network they are in."""
        return 6 if self.supports(6) and not self.supports(4) else 4

    def take(self, family: Family, now: float) -> Address | None:
        """Any free port; None when there is none."""
        return next(iter(self._draw(family, now, _Host.take)), None)

    def take_even(self, family: Family, now: float) -> Address | None:
        """A free even port; the odd one above it stays free for others (RFC 8656 section 7.2, EVEN-PORT with R = 0)."""
        return next(iter(self._draw(family, now, lambda host: host.take_even(pair=False))), None)

    def take_pair(self, family: Family, token: bytes, owner: str, now: float) -> Address | None:
        """A free even port; the odd one above it is held for `owner`, who comes with `token` within 30 s."""
        self.handle_timeout(now)
        if token in self._reserved:
            return None
        drawn = self._draw(family, now, lambda host: host.take_even(pair=True), count=2)
        if not drawn:
            return None
        even, odd = drawn
        self._taken.remove(odd)
        self._reserved[token] = _Reservation(odd, owner, now + RESERVATION_S)
        return even

    def claim(self, token: bytes, owner: str, now: float) -> Address | None:
        """The port that `token` stands for, once; None for unknown and old tokens and those of somebody else."""
        self.handle_timeout(now)
        reservation = self._reserved.get(token)
        if reservation is None or reservation.owner != owner:
            return None
        del self._reserved[token]
        return self._take(reservation.address)

    def give_back(self, address: Address, now: float) -> None:
        """Peers may go on sending to it for a while: it rests before somebody else gets it."""
        self._taken.remove(address)
        self._resting.append((now + self._rest_s, address))

    def handle_timeout(self, now: float) -> None:
        """Idempotent; whoever takes a port calls it, too. Every delay is constant: what came first, ends first."""
        while self._resting and self._resting[0][0] <= now:
            self._free(self._resting.popleft()[1])
        while self._reserved:
            token, reservation = next(iter(self._reserved.items()))
            if reservation.until > now:
                break
            del self._reserved[token]
            self._free(reservation.address)

    def poll_timeout(self) -> float | None:
        times = [self._resting[0][0]] if self._resting else []
        times.extend(reservation.until for reservation in list(self._reserved.values())[:1])
        return min(times, default=None)

    @property
    def taken(self) -> frozenset[Address]:
        return frozenset(self._taken)

    @property
    def free_count(self) -> int:
        return sum(len(host.free) for hosts in self._hosts.values() for host in hosts)

    @property
    def reserved_count(self) -> int:
        return len(self._reserved)

    @property
    def resting_count(self) -> int:
        return len(self._resting)

    def _draw(
        self, family: Family, now: float, draw: Callable[[_Host], int | None], count: int = 1
    ) -> Sequence[Address]:
        """Takes `count` ports in a row of one host, the first as `draw` says, none of which another process has."""
        self.handle_timeout(now)
        for _ in range(MAX_DRAWS):
            ports = ((host, draw(host)) for host in self._shuffled(family))
            found = next(((host, port) for host, port in ports if port is not None), None)
            if found is None:
                break
            host, port = found
            drawn = [self._take(Address(host.name, port + number)) for number in range(count)]
            if not any(map(self.in_use, drawn)):
                return drawn
            for address in drawn:
                self.give_back(address, now)
        return ()

    def _take(self, address: Address) -> Address:
        self._taken.add(address)
        return address

    def _free(self, address: Address) -> None:
        for host in self._hosts.get(family_of(address.host), []):
            if host.name == address.host and address.port in host.ports:
                host.add(address.port)

    def _held(self) -> Iterator[Address]:
        yield from self._taken
        yield from (reservation.address for reservation in self._reserved.values())
        yield from (address for _, address in self._resting)

    def _shuffled(self, family: Family) -> list[_Host]:
        hosts = self._hosts.get(family, [])
        if len(hosts) < 2:
            return hosts
        first = self._random_below(len(hosts))
        return hosts[first:] + hosts[:first]


@dataclass(frozen=True, slots=True)
class _Reservation:
    address: Address
    owner: str
    until: float


class _Host:
    """The free ports of one relay address: a list to draw from, and where in it each port is."""

    def __init__(self, name: str, ports: range, held: set[int], random_below: RandomBelow) -> None:
        self.name = name
        self.ports = ports
        self.free = [port for port in ports if port not in held]
        self._at = {port: index for index, port in enumerate(self.free)}
        self._random_below = random_below

    def take(self) -> int | None:
        if not self.free:
            return None
        return self._remove(self.free[self._random_below(len(self.free))])

    def take_even(self, *, pair: bool) -> int | None:
        """Draws at random while that is likely to hit, then looks at all."""
        for _ in range(DRAWS if self.free else 0):
            port = self.free[self._random_below(len(self.free))] & ~1
            if self._fits(port, pair=pair):
                return self._take_even(port, pair=pair)
        fitting = [port for port in self.free if self._fits(port, pair=pair)]
        return self._take_even(fitting[self._random_below(len(fitting))], pair=pair) if fitting else None

    def add(self, port: int) -> None:
        self._at[port] = len(self.free)
        self.free.append(port)

    def _fits(self, port: int, *, pair: bool) -> bool:
        return port % 2 == 0 and port in self._at and (not pair or port + 1 in self._at)

    def _take_even(self, port: int, *, pair: bool) -> int:
        if pair:
            self._remove(port + 1)
        return self._remove(port)

    def _remove(self, port: int) -> int:
        index, last = self._at.pop(port), self.free.pop()
        if last != port:
            self.free[index] = last
            self._at[last] = index
        return port


#: RFC 8656 section 7.2: the reserved port is held for at least 30 seconds.
RESERVATION_S = 30.0
#: Longer than packets live in networks and than most senders go on without an answer.
REST_S = 60.0
#: A draw misses when the pool is nearly empty or fragmented; then one look at all of it is cheaper than more draws.
DRAWS = 16
#: Ports in a row that others have before an allocation is refused.
MAX_DRAWS = 8

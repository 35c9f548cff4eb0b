"""Where clients are told to send media to: one list for descriptions and for TURN, which reaches the same addresses in memory."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from control.addresses import Advertised
from sfu import seam
from sfu.engine import EngineFacade
from sfu.negotiation import Candidate


def candidates(engine: EngineFacade, advertised: Sequence[Advertised], shard: int) -> list[Candidate]:
    """Every advertised address over UDP, with its own port or that of the shard's socket of the family; then over TCP."""
    udp, tcp = _ports(engine.addresses(shard)), _ports(engine.tcp_addresses())
    return [
        *(Candidate(each.host, each.port_of(shard, udp[each.version])) for each in advertised if each.version in udp),
        # A port that is advertised is one of UDP. Who forwards that forwards no TCP.
        *(
            Candidate(each.host, tcp[each.version], "tcp")
            for each in advertised
            if each.version in tcp and each.port is None
        ),
    ]


def _ports(addresses: Iterable[seam.Address]) -> dict[int, int]:
    """IP version -> port."""
    return {ipaddress.ip_address(address.host).version: address.port for address in addresses}

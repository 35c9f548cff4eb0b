"""Ports that nobody has now, for servers that have to come back on the same ones."""

from __future__ import annotations

import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ports:
    tcp: int
    udp: int


def free_ports() -> Ports:
    return Ports(_free(socket.SOCK_STREAM), _free(socket.SOCK_DGRAM))


def _free(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""A network of the bench's own: nothing on the machine sees its packets, and it ends with the last process in it.

Its addresses are not loopback's, because no careful server relays to loopback or offers its addresses to clients, but all traffic
stays on `lo`: so does what a host sends to an address of its own network card. Clients, peers and strangers have a network each that is
local as a whole: thousands of hosts without configuring one of them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SERVER = "10.77.0.1"
#: Start of a /16 each.
CLIENTS = "10.76.0.0"
PEERS = "10.78.0.0"
#: Start of a /13.
STRANGERS = "10.80.0.0"
PEER_NETWORK = f"{PEERS}/16"


def missing() -> str | None:
    """The line that installs what is not there."""
    packages = {"unshare": "util-linux", "ip": "iproute2", "taskset": "util-linux", "setpriv": "util-linux"}
    absent = sorted({package for tool, package in packages.items() if _find(tool) is None})
    return f"apt-get install --yes {' '.join(absent)}" if absent else None


def enter(module: str, arguments: Sequence[str]) -> None:
    """Returns inside the namespace: outside of it, the process becomes `python -m module` in a new one."""
    if os.environ.get(_INSIDE) != "1":
        # Without root, one is root in a user namespace: all works but receive buffers above the system's limit.
        user = () if os.geteuid() == 0 else ("--map-root-user",)
        command = ["unshare", *user, "--net", sys.executable, "-m", module, *arguments]
        os.execve(_tool("unshare"), command, {**os.environ, _INSIDE: "1"})
    for each in _SET_UP:
        tool, *rest = each.split()
        subprocess.run([_tool(tool), *rest], check=True)
    _EPHEMERAL.write_text(_EPHEMERAL_PORTS)


def _tool(name: str) -> str:
    return _find(name) or name


def _find(name: str) -> str | None:
    # Some distributions keep these from the PATH of everybody but root's login shell.
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


_INSIDE = "BEEP_MEDIA_BENCH_NAMESPACE"
_SET_UP = (
    "ip link set lo up",
    # Both ends of a cable, since a card without one is down.
    "ip link add card type veth peer name socket",
    "ip link set card up addrgenmode none",
    "ip link set socket up addrgenmode none",
    f"ip address add {SERVER}/32 dev card",
    "ip address add fd77::1/128 dev lo nodad",
    f"ip route add local {CLIENTS}/16 dev lo",
    f"ip route add local {PEER_NETWORK} dev lo",
    f"ip route add local {STRANGERS}/13 dev lo",
)
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
#: Above the ports that servers are told to relay at, see `servers.py`.
_EPHEMERAL_PORTS = "45000 65000"

"""Two network namespaces and a cable (veth) between them: the server in one, its clients in the other. Needs root.

What a test does to this network, no other process on the machine notices; it is gone when the context ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from tests.support.missing import skip_without

T = TypeVar("T")


@dataclass(frozen=True)
class Namespace:
    name: str
    #: Its end of the cable.
    device: str
    #: By which the other namespace reaches it.
    address: str

    @cached_property
    def enter(self) -> tuple[str, ...]:
        """In front of a command: runs it inside. It stays one process, with the id it is started under."""
        return (_tool("ip"), "netns", "exec", self.name)

    def run(self, command: str, *arguments: str) -> str:
        """What a tool of the system says when run inside."""
        return _run(*self.enter, _tool(command), *arguments)

    def add_address(self, address: str) -> None:
        """One more, of any network: the default route of the other namespace leads here."""
        six = ":" in address
        flags = ("nodad",) if six else ()
        self.run("ip", "address", "add", f"{address}/{128 if six else 32}", "dev", self.device, *flags)

    def call(self, function: Callable[[], T]) -> T:
        """In a thread that has entered: the sockets that it makes are of this namespace for good, whoever uses them."""
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(self._call, function).result()

    def _call(self, function: Callable[[], T]) -> T:
        with Path("/run/netns", self.name).open("rb") as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"cannot enter {self.name}")
        return function()


@dataclass(frozen=True)
class Network:
    server: Namespace
    client: Namespace


def missing() -> str | None:
    """Why there can be no namespaces here, in a sentence; None if there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool, package in _PACKAGES.items():
        if shutil.which(tool, path=_PATH) is None:
            return f"there is no `{tool}` (apt-get install {package})"
    probe = f"bm-{secrets.token_hex(3)}"
    made = subprocess.run([_tool("ip"), "netns", "add", probe], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"this machine makes no network namespaces: {made.stderr.strip()}"
    _run(_tool("ip"), "netns", "del", probe)
    return None


def required() -> None:
    """Skips the test when there can be none, except in CI, where that is a failure."""
    if reason := missing():
        skip_without(reason)


@contextlib.contextmanager
def network(version: int = 4, *, private: bool = False) -> Iterator[Network]:
    """Both namespaces have addresses of one IP version only, on loopback too: of documentation, or private ones."""
    tag = secrets.token_hex(3)
    subnet, bits = SUBNETS[version, private]
    both = [
        Namespace(f"bm-{side}-{tag}", f"bm{side}{tag}", subnet.format(number + 1)) for number, side in enumerate("sc")
    ]
    ip = _tool("ip")
    with contextlib.ExitStack() as stack:
        for each in both:
            _run(ip, "netns", "add", each.name)
            stack.callback(_run, ip, "netns", "del", each.name)
        _run(ip, "link", "add", both[0].device, "netns", both[0].name, "type", "veth",
             "peer", "name", both[1].device, "netns", both[1].name)  # fmt: skip
        stack.callback(both[0].run, "ip", "link", "del", both[0].device)
        for each, other in zip(both, reversed(both), strict=True):
            each.run("ip", "link", "set", "lo", "up")
            each.run("ip", "link", "set", each.device, "up")
            if version == 4:
                each.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
            else:
                each.run("ip", "-4", "address", "flush", "dev", "lo")
            flags = ("nodad",) if version == 6 else ()
            each.run("ip", "address", "add", f"{each.address}/{bits}", "dev", each.device, *flags)
            each.run("ip", f"-{version}", "route", "add", "default", "via", other.address)
        yield Network(*both)


def _tool(name: str) -> str:
    return shutil.which(name, path=_PATH) or name


def _run(*command: str) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert ended.returncode == 0, f"{' '.join(command)}: {ended.stderr.strip()}"
    return ended.stdout


#: What is for documentation is never a peer of TURN.
SUBNETS = {
    (4, False): ("192.0.2.{}", 24),
    (4, True): ("10.77.0.{}", 24),
    (6, False): ("2001:db8::{}", 64),
    (6, True): ("fd77::{}", 64),
}
_CLONE_NEWNET = 0x4000_0000
#: Some distributions keep these from the PATH of everybody but root's login shell.
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_PACKAGES = {"ip": "iproute2", "iptables": "iptables", "ethtool": "ethtool", "sysctl": "procps"}

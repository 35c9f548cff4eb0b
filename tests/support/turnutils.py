"""Debian's coturn package: its client, its echoing peer, and what they say at the end."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.missing import skip_without
from tests.support.namespaces import Namespace
from tests.support.turn import Account


@dataclass(frozen=True, slots=True)
class Summary:
    sent: int
    received: int
    lost: int
    dropped: int


def required() -> None:
    """Skips the test when there are none, except in CI, where that is a failure."""
    if not (shutil.which("turnutils_uclient") and shutil.which("turnutils_peer")):
        skip_without("there is no `turnutils_uclient` (apt-get install coturn, and systemctl disable --now coturn)")


@contextlib.contextmanager
def peer(namespace: Namespace, port: int = 3480) -> Iterator[None]:
    """Sends back whatever comes."""
    process = subprocess.Popen(
        [*namespace.enter, "turnutils_peer", "-L", namespace.address, "-p", str(port)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        namespace.call(lambda: _until_echo((namespace.address, port)))
        yield
    finally:
        process.kill()
        process.wait()


def client(
    namespace: Namespace, server: str, port: int, account: Account, *flags: str, messages: int, clients: int = 10
) -> Summary:
    """Every client sends a message of 1200 bytes every 20 ms to the peer and counts what comes back."""
    command = ["turnutils_uclient", "-u", account.username, "-w", account.password, "-p", str(port)]
    command += ["-e", namespace.address, "-m", str(clients), "-n", str(messages), "-l", "1200", "-z", "20", *flags]
    ended = subprocess.run(
        [*namespace.enter, *command, server], capture_output=True, text=True, timeout=60 + messages / 10, check=False
    )
    text = ended.stdout + ended.stderr
    counts = re.findall(r"start_mclient: tot_send_msgs=(\d+), tot_recv_msgs=(\d+)", text)
    losses = re.search(r"Total lost packets (-?\d+) .* total send dropped (-?\d+)", text)
    assert ended.returncode == 0 and counts and losses, f"{' '.join(flags)}: {text[-2_000:]}"
    return Summary(int(counts[-1][0]), int(counts[-1][1]), int(losses[1]), int(losses[2]))


def _until_echo(address: tuple[str, int]) -> None:
    deadline = time.monotonic() + 5
    with socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.1)
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                probe.sendto(b"echo", address)
                if probe.recv(10) == b"echo":
                    return
    raise AssertionError("the echoing peer does not start")

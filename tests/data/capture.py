"""Saves real datagrams of both SDKs on their way to and from a running server, for the fuzz corpora and the parser tests.

Listens on the loopback interface (AF_PACKET: Linux, root), so media stays as it is on the wire: STUN and the RTP headers
with their extensions are readable, DTLS, SRTP payloads and SRTCP are as encrypted as ever.

    python -m tests.data.capture OUT [--chromium]

writes OUT/{stun,dtls,rtp,rtcp}/<client>-<number>.bin, at most `LIMIT` of each, as different from each other as they come.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import socket
import struct
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.browser import launch
from tests.e2e.call import join
from tests.e2e.static import served
from tests.interop.call import MODES, call, publish_everything
from tests.support.datagrams import protocol_of
from tests.support.server import Server

LIMIT = 80
LOOPBACK = 1  # interface index of lo
ETHERNET, IPV4, IPV6, UDP = 14, 0x0800, 0x86DD, 17
EVERY_PROTOCOL = 3  # ETH_P_ALL


def shape_of(protocol: str, datagram: bytes) -> tuple[object, ...]:
    """Datagrams of one shape teach a parser the same: only a few of each are kept."""
    if protocol == "stun":
        return struct.unpack_from(">H", datagram)[0], len(datagram)
    if protocol == "dtls":
        return datagram[0], datagram[13] if len(datagram) > 13 else None, len(datagram) // 64
    extension = datagram[12:16] if datagram[0] & 0x10 else b""
    return datagram[0], datagram[1], extension, len(datagram) // 200


class Capture:
    """Collects the UDP payloads to and from some ports until `stop`."""

    def __init__(self, ports: set[int]) -> None:
        self._ports = ports
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERY_PROTOCOL))
        self._socket.bind((socket.if_indextoname(LOOPBACK), 0))
        self._socket.settimeout(0.2)
        self._running = True
        self._seen: dict[tuple[object, ...], int] = {}
        self.kept: dict[str, list[bytes]] = {"stun": [], "dtls": [], "rtp": [], "rtcp": []}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> dict[str, list[bytes]]:
        self._running = False
        self._thread.join()
        self._socket.close()
        return self.kept

    def _run(self) -> None:
        while self._running:
            with contextlib.suppress(TimeoutError):
                frame, address = self._socket.recvfrom(65_536)
                if address[2] != socket.PACKET_OUTGOING:  # loopback shows every packet twice
                    self._take(struct.unpack_from(">H", frame, ETHERNET - 2)[0], frame[ETHERNET:])

    def _take(self, family: int, packet: bytes) -> None:
        if family == IPV4 and packet[9] == UDP:
            header = (packet[0] & 15) * 4
        elif family == IPV6 and packet[6] == UDP:
            header = 40
        else:
            return
        source, target, length = struct.unpack_from(">HHH", packet, header)
        if self._ports.isdisjoint((source, target)):
            return
        datagram = packet[header + 8 : header + length]
        protocol = protocol_of(datagram)
        if protocol is None:
            return
        shape = (protocol, target in self._ports, *shape_of(protocol, datagram))
        self._seen[shape] = self._seen.get(shape, 0) + 1
        if self._seen[shape] <= 3 and len(self.kept[protocol]) < LIMIT:
            self.kept[protocol].append(datagram)


@contextlib.contextmanager
def capturing(server: Server, client: str, out: Path) -> Iterator[None]:
    capture = Capture(udp_ports_of(server.pid))
    try:
        yield
    finally:
        for protocol, datagrams in capture.stop().items():
            folder = out / protocol
            folder.mkdir(parents=True, exist_ok=True)
            for number, datagram in enumerate(datagrams):
                (folder / f"{client}-{number:03}.bin").write_bytes(datagram)
            print(f"{client}: {len(datagrams)} {protocol}")


def udp_ports_of(pid: int) -> set[int]:
    """The ports that the server has bound: one for each address family."""
    targets = [link.readlink().name for link in Path(f"/proc/{pid}/fd").iterdir()]
    inodes = {name[len("socket:[") : -1] for name in targets if name.startswith("socket:[")}
    tables = [Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:] for name in ("udp", "udp6")]
    rows = [line.split() for table in tables for line in table]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[9] in inodes}


async def python_sdk(server: Server, out: Path) -> None:
    for name, modes in MODES.items():
        with capturing(server, f"python-{name}", out):
            async with call(server, f"capture-{name}", modes) as (ada, bob):
                await publish_everything(ada, bob)
                await ada.room.local_participant.publish_data(b"hello", topic="capture")
                await asyncio.sleep(6)


async def chromium(server: Server, out: Path) -> None:
    path = shutil.which("chromium") or "chromium"
    for codec in ("vp8", "h264", "vp9", "av1"):
        with capturing(server, f"chromium-{codec}", out), served() as page:
            async with launch(path) as browser:
                pair = [
                    await join(browser, page, server, f"capture-{codec}", "ada", single=True),
                    await join(browser, page, server, f"capture-{codec}", "bob", single=False),
                ]
                for each in pair:
                    await each.publish(codec, simulcast=codec in {"vp8", "h264"})
                await asyncio.sleep(6)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--chromium", action="store_true", help="livekit-client in Chromium too (npm run build:e2e first)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "log")
        try:
            await python_sdk(server, options.out)
            if options.chromium:
                await chromium(server, options.out)
        finally:
            server.stop()


if __name__ == "__main__":
    asyncio.run(main())

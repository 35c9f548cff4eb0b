"""A call whose server and whose browser are in namespaces of their own: whatever the two pages see has crossed the cable twice."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.browser import launch
from tests.e2e.call import LIGHT, Participant, flows, join, samples_of, until_best
from tests.e2e.static import BUILT
from tests.support.namespaces import Namespace, Network
from tests.support.server import Server, samples


@dataclass(frozen=True, slots=True)
class Call:
    server: Server
    pair: list[Participant]

    async def both_directions_decode(self, seconds: float = 3) -> None:
        for each in self.pair:
            await each.publish("vp8", simulcast=False)
            await each.page.run("client.publishAudio")
        await until_best(self.pair)
        for flow in await flows(self.pair, seconds):
            print(flow, f"{flow.ratio:.3f}")
            assert flow.sent > 5 * seconds, flow
            assert (flow.height, flow.lost) == (LIGHT["height"], 0), flow
            assert flow.ratio >= 0.8, flow  # nothing is lost; what lacks waits for a decoder of a busy machine
        for identity, sample in (await samples_of(self.pair)).items():
            heard = [each["audioEnergy"] for each in sample["inbound"] if each["kind"] == "audio"]
            assert heard, f"{identity} has no sound"
            assert heard[0] > 0, f"{identity} hears nothing"

    async def ways(self) -> set[tuple[str, str]]:
        """Kind of the page's candidate in every pair that is in use, and over what it reaches the relay if it is one."""
        return {
            (transport["candidateType"], transport["relayProtocol"])
            for sample in (await samples_of(self.pair)).values()
            for transport in sample["transports"]
        }

    async def selected(self) -> set[tuple[str, str]]:
        """Protocol and server's address of every candidate pair that is in use."""
        found = set()
        for sample in (await samples_of(self.pair)).values():
            assert sample["transports"]
            for transport in sample["transports"]:
                found.add((transport["protocol"], transport["address"]))
        return found

    async def metrics(self) -> dict[str, float]:
        """The server's; only the page can reach it."""
        text = await self.pair[0].page.value(f"fetch('{self.server.origin}/metrics').then((answer) => answer.text())")
        return samples(text)


@contextlib.asynccontextmanager
async def call_between(
    network: Network,
    chromium: str,
    log: Path,
    *,
    single: bool,
    port: int = 0,
    environment: Mapping[str, str] | None = None,
    home: Path | None = None,
    **options: Any,
) -> AsyncIterator[Call]:
    """Two pages have joined, nothing is published yet. `environment` configures the server, `options` are the pages'."""
    host = network.server.address
    server = Server(log, host=host, port=port, prefix=network.server.enter, environment=environment)
    try:
        with _page(network.client) as page:
            async with launch(chromium, network.client.enter, home) as browser:
                try:
                    pair = [
                        await join(browser, page, server, "apart", name, single=single, **options)
                        for name in ("ada", "bob")
                    ]
                    yield Call(server, pair)
                except BaseException:
                    print(await browser.logs(), server.log(), sep="\n")
                    raise
    finally:
        status = server.stop()
    assert status == 0, server.log()


@contextlib.contextmanager
def _page(namespace: Namespace) -> Iterator[str]:
    """The test page on the loopback of a namespace, which makes it a secure context: without, a page gets no camera."""
    host = "::1" if ":" in namespace.address else "127.0.0.1"
    command = [sys.executable, "-u", "-m", "http.server", "8000", "--bind", host, "--directory", str(BUILT)]
    process = subprocess.Popen(
        [*namespace.enter, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        assert "Serving" in process.stdout.readline()
        yield f"http://{f'[{host}]' if ':' in host else host}:8000/index.html"
    finally:
        process.kill()
        process.communicate()

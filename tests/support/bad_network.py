"""A call between two clients, one of them behind a bad network: what that cost, by the clients', the proxy's and the server's numbers.

Shared by the tests with SDK clients and with browsers, which fill in `Sample`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.impair import proxy
from tests.impair.flow import Flow, Profile
from tests.impair.link import NOTHING, LinkConfig
from tests.impair.loss import GilbertElliott, RandomLoss
from tests.support.server import Server

SEED = 3
#: The networks that a call must survive.
NETWORKS = {
    "loss": LinkConfig(RandomLoss(0.05)),
    "bursts": LinkConfig(GilbertElliott.bursts(0.02, 5)),
    "jitter": LinkConfig(delay_s=0.030, jitter_s=0.040),  # 50 ms +- 20 ms
}
#: Of those, the ones that nobody survives without repair.
LOSSY = ("loss", "bursts")


@dataclass(frozen=True, slots=True)
class Sample:
    """One direction of the call at one moment, as the statistics of its sender and its receiver tell it."""

    #: Of every encoding that is sent, and of what is received: the proxy knows streams by that.
    sent_ssrcs: frozenset[int]
    received_ssrc: int
    height: int
    #: On the encoding that arrives.
    frames_sent: int
    frames_decoded: int
    #: PLI and FIR that the publisher got, for the encoding that was asked most.
    keyframe_requests: int
    freezes: int
    #: Samples of sound, and those of them that were made up.
    samples: int
    concealed: int


#: Both directions: "up" from the client behind the bad network, "down" towards it.
Samples = dict[str, Sample]


@dataclass(frozen=True, slots=True)
class Toll:
    """What a stretch of bad network cost one direction of a call."""

    direction: str
    seconds: float
    frames_sent: int
    frames_decoded: int
    #: Packets of the video that the proxy dropped, and how many of these arrived after all.
    dropped: int
    repaired: int
    #: Share of the sound that was made up.
    gaps: float
    keyframe_requests: int
    freezes: int

    @property
    def decoded(self) -> float:
        return self.frames_decoded / max(self.frames_sent, 1)

    @property
    def repair(self) -> float:
        return self.repaired / max(self.dropped, 1)

    def __str__(self) -> str:
        return (
            f"{self.direction}, {self.seconds:.0f} s: {self.frames_decoded} of {self.frames_sent} frames ({self.decoded:.2%}), "
            f"{self.repaired} of {self.dropped} packets repaired ({self.repair:.2%}), {self.gaps:.2%} of the sound made up, "
            f"{self.keyframe_requests} keyframe requests, {self.freezes} freezes"
        )

    def check(self) -> None:
        """The acceptance of a call that holds."""
        assert self.decoded >= 0.98, self
        assert self.repair >= 0.95 or self.dropped == 0, self
        assert self.gaps < 0.01, self
        assert self.keyframe_requests <= max(2 * self.seconds / 60, 1), self


def decoded_of(tolls: Sequence[Toll]) -> float:
    """Of both directions together: which bursts hit frames that others need is chance, and a minute has a dozen each way."""
    return sum(toll.frames_decoded for toll in tolls) / max(sum(toll.frames_sent for toll in tolls), 1)


@dataclass(frozen=True, slots=True)
class Impaired:
    """A server whose clients' datagrams all pass the proxy, which does nothing until it is told to."""

    server: Server
    proxy: proxy.Handle
    nack: bool

    def impair(self, samples: Samples, config: LinkConfig) -> None:
        """Changes the network of the client that sends `up` and receives `down`, both ways, and of nobody else."""
        profile = Profile.both(config, loses_nacks=not self.nack)
        sent, received = samples["up"].sent_ssrcs, samples["down"].received_ssrc

        def is_theirs(flow: Flow) -> bool:
            return bool(sent & flow.up.tally.streams.keys()) or received in flow.down.tally.streams

        def configure(running: proxy.Proxy) -> int:
            flows = [flow for flow in running.flows if is_theirs(flow)]
            for flow in flows:
                flow.configure(profile)
            return len(flows)

        assert self.proxy.ask(configure) in (1, 2), "a client has a path per peer connection"

    async def losses(self, samples: Samples) -> dict[str, tuple[int, int]]:
        """(dropped packets of the video, those that came in spite of that) so far."""
        up, down = samples["up"], samples["down"]

        def count(running: proxy.Proxy) -> tuple[int, int, int, int]:
            ours = [
                stream
                for flow in running.flows
                for ssrc, stream in flow.up.tally.streams.items()
                if ssrc in up.sent_ssrcs
            ]
            theirs = [flow.down.tally.streams.get(down.received_ssrc) for flow in running.flows]
            return (
                sum(stream.dropped for stream in ours),
                sum(stream.repaired for stream in ours),
                sum(stream.dropped for stream in theirs if stream),
                # Repeats that nobody needed (the server repeats ends of frames unasked) are not among these.
                sum(stream.repaired + stream.repaired_by_rtx for stream in theirs if stream),
            )

        metrics = await asyncio.to_thread(self.server.metrics)
        by_rtx = metrics.get('sfu_retransmissions_total{direction="in",result="received"}', 0)
        dropped, by_repeats, towards, again = self.proxy.ask(count)
        # A publisher with RTX is seen by the server only; one without, repeating packets as they were, by the proxy.
        return {"up": (dropped, by_repeats + round(by_rtx)), "down": (towards, again)}


@contextlib.contextmanager
def impaired(start_server: Callable[..., Server], *, nack: bool = True, seed: int = SEED) -> Iterator[Impaired]:
    """A server of its own behind a proxy of its own. Without `nack` nobody gets a packet again that was lost."""
    port = _free_udp_port()
    with proxy.running(("127.0.0.1", port), Profile(loses_nacks=not nack), seed=seed) as handle:
        server = start_server(
            shards=1,  # a proxy is one port
            udp_port=port,
            module="control.cli" if nack else "tests.support.without_nack",
            BEEP_MEDIA_RTC__ADVERTISE=f'["127.0.0.1:{handle.port}"]',
        )
        yield Impaired(server, handle, nack)


async def tolls_of(
    network: Impaired, config: LinkConfig, sample: Callable[[], Awaitable[Samples]], seconds: float
) -> list[Toll]:
    """Makes the network of one client bad for so long and good again."""
    before = await sample()
    losses_before = await network.losses(before)
    network.impair(before, config)
    await asyncio.sleep(seconds)
    after = await sample()
    network.impair(before, NOTHING)
    await asyncio.sleep(_SETTLE_S)
    losses = await network.losses(await sample())
    tolls = []
    for direction, old in before.items():
        new = after[direction]
        assert new.height == old.height, f"{direction}: {old.height} lines became {new.height}"
        dropped, repaired = (now - then for now, then in zip(losses[direction], losses_before[direction], strict=True))
        toll = Toll(
            direction,
            seconds,
            frames_sent=new.frames_sent - old.frames_sent,
            frames_decoded=new.frames_decoded - old.frames_decoded,
            dropped=dropped,
            repaired=repaired,
            gaps=(new.concealed - old.concealed) / max(new.samples - old.samples, 1),
            keyframe_requests=new.keyframe_requests - old.keyframe_requests,
            freezes=new.freezes - old.freezes,
        )
        print(toll)
        tolls.append(toll)
    return tolls


def _free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("0.0.0.0", 0))
        return int(probe.getsockname()[1])


# The last losses are repaired, and the engine posts its counters once a second.
_SETTLE_S = 2.5

"""The reference call: two SDK clients that see and hear each other while somebody attacks, and must not notice."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from livekit import rtc

from tests.interop.call import AUDIO, VIDEO
from tests.interop.client import Client, eventually, join
from tests.interop.on_path import OnPath, on_path
from tests.support.server import Server

#: What an attack may cost: frames that are between encoder and decoder when we look.
_UNDER_WAY = 6
_FPS = 15
_NACKS = ('sfu_nacks_total{direction="in",result="requested"}', 'sfu_nacks_total{direction="out",result="requested"}')


@dataclass(frozen=True, slots=True)
class Tally:
    """Both directions, as the receivers' and the publisher's statistics tell it."""

    at: float
    frames_encoded: int
    frames_decoded: int
    #: By receiver and kind.
    packets: dict[str, int]
    lost: dict[str, int]


@dataclass(frozen=True, slots=True)
class Reference:
    """Ada publishes picture and sound through `path`; bob, connected directly, publishes sound."""

    server: Server
    ada: Client
    bob: Client
    path: OnPath
    video: rtc.LocalVideoTrack
    nacks: float

    async def tally(self) -> Tally:
        packets, lost, decoded = {}, {}, 0
        for receiver, sender, kind in (
            (self.bob, self.ada, VIDEO),
            (self.bob, self.ada, AUDIO),
            (self.ada, self.bob, AUDIO),
        ):
            name = f"{receiver.identity}:{rtc.TrackKind.Name(kind)}"
            for entry in await receiver.subscribed[sender.identity, kind].get_stats():
                if entry.WhichOneof("stats") == "inbound_rtp":
                    packets[name] = entry.inbound_rtp.received.packets_received
                    lost[name] = entry.inbound_rtp.received.packets_lost
                    decoded += entry.inbound_rtp.inbound.frames_decoded
        encoded = sum(
            entry.outbound_rtp.outbound.frames_encoded
            for entry in await self.video.get_stats()
            if entry.WhichOneof("stats") == "outbound_rtp"
        )
        return Tally(asyncio.get_running_loop().time(), encoded, decoded, packets, lost)

    @contextlib.asynccontextmanager
    async def unharmed(self) -> AsyncIterator[None]:
        """Everything that was sent meanwhile, and for a moment afterwards, arrives; nothing had to be sent twice."""
        before = await self.tally()
        yield
        await asyncio.sleep(0.4)
        after = await self.tally()
        assert after.lost == dict.fromkeys(after.lost, 0) and len(after.lost) == 3, after
        seconds = after.at - before.at
        for name, packets in after.packets.items():
            arrived = packets - before.packets[name]
            assert arrived > 0.7 * _PACKETS_PER_S[name.partition(":")[2]] * seconds, (name, arrived, seconds)
        encoded = after.frames_encoded - before.frames_encoded
        decoded = after.frames_decoded - before.frames_decoded
        assert encoded > 0.5 * _FPS * seconds, f"{encoded} frames in {seconds:.1f} s: this machine hardly encodes"
        assert decoded >= encoded - _UNDER_WAY, f"{decoded} of {encoded} frames decoded in {seconds:.1f} s"
        assert await nacks(self.server) == self.nacks


@contextlib.asynccontextmanager
async def reference_call(server: Server) -> AsyncIterator[Reference]:
    room = "reference"
    async with (
        on_path(server) as path,
        join(path.url, server.token(room, "ada"), "ada") as ada,
        join(server.url, server.token(room, "bob"), "bob") as bob,
    ):
        video = await ada.publish_video(320, 180, _FPS, simulcast=False)
        await ada.publish_tone()
        await bob.publish_tone()
        await bob.track_of("ada", VIDEO)
        await bob.track_of("ada", AUDIO)
        await ada.track_of("bob", AUDIO)
        reference = Reference(server, ada, bob, path, video, await nacks(server))

        async def flows() -> bool:
            tally = await reference.tally()
            return tally.frames_decoded > _FPS and len(tally.packets) == 3

        await eventually(flows, "the reference call flows", 20)
        await asyncio.sleep(1.5)  # the engine posts its counters once a second
        yield Reference(server, ada, bob, path, video, await nacks(server))


async def nacks(server: Server) -> float:
    """Sequence numbers that anybody has asked for again."""
    metrics = await asyncio.to_thread(server.metrics)
    return sum(metrics[name] for name in _NACKS)


async def labelled(server: Server, metric: str, label: str) -> Counter[str]:
    """A counter's values by one of its labels, the other labels added up."""
    counts: Counter[str] = Counter()
    for name, value in (await asyncio.to_thread(server.metrics)).items():
        family, _, labels = name.partition("{")
        if family == metric:
            counts[labels.partition(f'{label}="')[2].partition('"')[0]] += int(value)
    return counts


async def drops(server: Server) -> Counter[str]:
    """Packets that the engine dropped, by reason."""
    return await labelled(server, "sfu_packets_dropped_total", "reason")


class Rise(Counter[str]):
    """By how much a counter rose, by label value."""

    #: Set inside the block: how many must have been counted in all.
    awaited: int = 0


@contextlib.asynccontextmanager
async def counted(
    server: Server, expected: Mapping[str, int], metric: str = "sfu_packets_dropped_total", label: str = "reason"
) -> AsyncIterator[Rise]:
    """Each label value rises by at least so much, and all by `awaited`. What is yielded holds the rises after the block."""
    before, risen = await labelled(server, metric, label), Rise()

    async def enough() -> bool:
        risen.clear()
        risen.update(await labelled(server, metric, label) - before)
        return risen.total() >= risen.awaited and all(risen[name] >= count for name, count in expected.items())

    yield risen
    try:
        await eventually(enough, "", 6)
    except AssertionError:
        wanted = f"{dict(expected)} and {risen.awaited} in all"
        raise AssertionError(f"{metric} rose by {dict(risen)}; expected is {wanted}") from None


#: 20 ms a packet; a small picture is one packet a frame and more.
_PACKETS_PER_S = {"KIND_AUDIO": 50, "KIND_VIDEO": _FPS}

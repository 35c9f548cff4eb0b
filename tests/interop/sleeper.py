"""A client in a process of its own, which a test can stop as a closed lid does: publishes a tone, says what it is told.

`python -m tests.interop.sleeper URL TOKEN v1|v0` writes one word per line: events of the SDK, and "heard" while a tone arrives.
It leaves when its standard input ends.
"""

from __future__ import annotations

import asyncio
import sys

from livekit import rtc

from tests.interop.call import AUDIO
from tests.interop.client import join

_EVENTS = ("reconnecting", "reconnected", "disconnected", "participant_connected", "participant_disconnected")


async def main(url: str, token: str, mode: str) -> None:
    gone = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, gone.set)
    async with join(url, token, "sleeper", single=mode == "v1") as client:
        for name in _EVENTS:
            client.room.on(name, lambda *_, name=name: _say(name))  # type: ignore[arg-type]
        await client.publish_tone()
        _say("joined")
        packets = 0
        while not gone.is_set():
            await asyncio.sleep(0.5)
            tracks = [track for (_, kind), track in client.subscribed.items() if kind == AUDIO]
            arrived = sum([await _packets(track) for track in tracks])
            if arrived > packets:
                _say("heard")
            packets = arrived


async def _packets(track: rtc.Track) -> int:
    return sum(
        entry.inbound_rtp.received.packets_received
        for entry in await track.get_stats()
        if entry.WhichOneof("stats") == "inbound_rtp"
    )


def _say(word: str) -> None:
    print(word, flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

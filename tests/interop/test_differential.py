"""The same people do the same things on one shard and on three: everybody gets the same tracks, and media flows on each."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from livekit import rtc

from tests.interop.call import AUDIO, VIDEO
from tests.interop.client import Client, eventually, join
from tests.support.server import Server

NAMES = ("ada", "bob", "cyd", "dan")
KINDS = {"audio": AUDIO, "video": VIDEO}
STEPS = 24

#: What is done, by whom, with which track of whom.
Step = tuple[str, str, str, str]


def script(seed: int) -> list[Step]:
    """All join; then a random sequence of what makes sense at its place."""
    rng = random.Random(seed)
    plan = Plan()
    steps: list[Step] = []
    for name in NAMES:
        steps.append(("join", name, "", ""))
        plan.apply(steps[-1])
    while len(steps) < STEPS:
        step = (
            rng.choice(
                ("publish", "publish", "unpublish", "mute", "unmute", "drop_track", "take_track", "leave", "join")
            ),
            rng.choice(NAMES),
            rng.choice(tuple(KINDS)),
            rng.choice(NAMES),
        )
        if plan.makes_sense(step):
            plan.apply(step)
            steps.append(step)
    return steps


@dataclass
class Plan:
    """Who is there, what they publish (muted or not), and what is not wanted."""

    present: set[str] = field(default_factory=set)
    published: dict[tuple[str, str], bool] = field(default_factory=dict)
    unwanted: set[tuple[str, str, str]] = field(default_factory=set)

    def makes_sense(self, step: Step) -> bool:
        what, who, kind, whose = step
        track = (who, kind)
        if (what == "join") == (who in self.present):
            return False
        match what:
            case "publish":
                return track not in self.published
            case "unpublish":
                return track in self.published
            case "mute" | "unmute":
                return self.published.get(track) == (what == "unmute")
            case "drop_track" | "take_track":
                known = whose != who and (whose, kind) in self.published
                return known and ((who, whose, kind) in self.unwanted) == (what == "take_track")
            case "leave":
                return len(self.present) > 2
            case _:
                return True

    def apply(self, step: Step) -> None:
        what, who, kind, whose = step
        match what:
            case "join":
                self.present.add(who)
            case "leave":
                self.present.discard(who)
                self.published = {key: muted for key, muted in self.published.items() if key[0] != who}
                self.unwanted = {key for key in self.unwanted if who not in key[:2]}
            case "publish":
                self.published[who, kind] = False
            case "unpublish":
                del self.published[who, kind]
                self.unwanted = {key for key in self.unwanted if key[1:] != (who, kind)}
            case "mute" | "unmute":
                self.published[who, kind] = what == "mute"
            case "drop_track":
                self.unwanted.add((who, whose, kind))
            case "take_track":
                self.unwanted.discard((who, whose, kind))

    def served(self) -> dict[str, dict[str, bool]]:
        """By subscriber: the tracks that it has, and whether media comes."""
        return {
            who: {
                f"{whose}'s {kind}": not muted
                for (whose, kind), muted in self.published.items()
                if whose != who and (who, whose, kind) not in self.unwanted
            }
            for who in self.present
        }


class Play:
    """Carries out the steps with SDK clients."""

    def __init__(self, server: Server, room: str) -> None:
        self.server, self.room = server, room
        self.clients: dict[str, tuple[Client, contextlib.AsyncExitStack]] = {}
        self.tracks: dict[tuple[str, str], rtc.LocalTrack] = {}

    async def act(self, step: Step) -> None:
        what, who, kind, whose = step
        if what == "join":
            stack = contextlib.AsyncExitStack()
            token = self.server.token(self.room, who)
            single = NAMES.index(who) % 2 == 0
            self.clients[who] = (
                await stack.enter_async_context(join(self.server.url, token, who, single=single)),
                stack,
            )
            return
        client, stack = self.clients[who]
        match what:
            case "leave":
                del self.clients[who]
                await stack.aclose()
            case "publish" if kind == "audio":
                self.tracks[who, kind] = await client.publish_tone()
            case "publish":
                self.tracks[who, kind] = await client.publish_video(320, 180, 10, simulcast=False)
            case "unpublish":
                await client.room.local_participant.unpublish_track(self.tracks[who, kind].sid)
            case "mute":
                self.tracks[who, kind].mute()
            case "unmute":
                self.tracks[who, kind].unmute()
            case _:
                (await self.publication(client, whose, kind)).set_subscribed(what == "take_track")

    async def publication(self, client: Client, whose: str, kind: str) -> rtc.RemoteTrackPublication:
        def known() -> list[rtc.RemoteTrackPublication]:
            other = client.room.remote_participants.get(whose)
            return [each for each in other.track_publications.values() if each.kind == KINDS[kind]] if other else []

        await eventually(known, f"{client.identity} knows {whose}'s {kind}")
        return known()[0]

    async def served(self) -> dict[str, dict[str, bool]]:
        before = await self._packets()
        await asyncio.sleep(1.0)
        after = await self._packets()
        return {
            who: {name: packets > before.get(who, {}).get(name, 0) + 3 for name, packets in tracks.items()}
            for who, tracks in after.items()
        }

    async def _packets(self) -> dict[str, dict[str, int]]:
        return {who: await _received(client) for who, (client, _) in self.clients.items()}


async def _received(client: Client) -> dict[str, int]:
    found = {}
    for (whose, kind), track in list(client.subscribed.items()):
        stats = [each.inbound_rtp for each in await track.get_stats() if each.WhichOneof("stats") == "inbound_rtp"]
        name = next(name for name, number in KINDS.items() if number == kind)
        found[f"{whose}'s {name}"] = sum(each.received.packets_received for each in stats)
    return found


async def outcome(server: Server, seed: int) -> list[dict[str, dict[str, bool]]]:
    """What everybody is served halfway and at the end, once it is what the plan says."""
    play, plan, seen = Play(server, f"seed-{seed}"), Plan(), []
    try:
        for number, step in enumerate(script(seed), 1):
            await play.act(step)
            plan.apply(step)
            if number in {STEPS // 2, STEPS}:
                seen.append(await _settled(play, plan))
    finally:
        for _, stack in play.clients.values():
            await stack.aclose()
    return seen


async def _settled(play: Play, plan: Plan) -> dict[str, dict[str, bool]]:
    served: dict[str, dict[str, bool]] = {}
    for _ in range(15):
        served = await play.served()
        if served == plan.served():
            break
    assert served == plan.served()
    return served


@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3, 4))])
async def test_one_shard_and_three_shards_serve_the_same_people_the_same_tracks(
    start_server: Callable[..., Server], seed: int
) -> None:
    assert script(seed) == script(seed)
    one = await outcome(start_server(shards=1), seed)
    three = await outcome(start_server(shards=3, BEEP_MEDIA_RTC__ROOM_SPREAD="1"), seed)
    assert one == three

"""livekit-client participants in Chromium pages, and what must hold between them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from tests.e2e.browser import Driver, Page
from tests.support.server import Server

Sample = dict[str, Any]

#: Light enough for several pages on a small machine.
LIGHT = {"width": 640, "height": 360, "frameRate": 15}


@dataclass(slots=True)
class Participant:
    identity: str
    page: Page

    async def publish(self, codec: str, size: dict[str, int] = LIGHT, *, simulcast: bool = True, **more: Any) -> None:
        await self.page.run("client.publishVideo", {"codec": codec, **size, "simulcast": simulcast, **more})

    async def sample(self) -> Sample:
        sample: Sample = await self.page.run("client.sample")
        return sample


@dataclass(frozen=True, slots=True)
class Flow:
    """One video on its way from one page to another, over a stretch of time."""

    sender: str
    receiver: str
    mime_type: str
    height: int
    sent: int
    decoded: int
    lost: int
    freezes: int

    @property
    def ratio(self) -> float:
        return self.decoded / max(self.sent, 1)


async def join(
    browser: Driver, client_page: str, server: Server, room: str, identity: str, *, single: bool, **more: Any
) -> Participant:
    """`more`: `without` names codecs that the page cannot decode, `passphrase` encrypts end to end."""
    page = await browser.open(client_page, name=identity)
    options = {"url": server.url, "token": server.token(room, identity), "single": single, **more}
    await page.run("client.connect", options)
    return Participant(identity, page)


async def samples_of(participants: list[Participant]) -> dict[str, Sample]:
    """All at once, as far as that goes."""
    taken = await asyncio.gather(*(each.sample() for each in participants))
    return dict(zip((each.identity for each in participants), taken, strict=True))


async def until_best(participants: list[Participant], timeout_s: float = 25, lines: int = LIGHT["height"]) -> None:
    """Waits until everybody decodes the best encoding of everybody else: `lines` of it, once the encoder has come up to that."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while True:
        samples = await samples_of(participants)
        late = _not_best(samples, lines)
        if not late:
            return
        assert loop.time() < deadline, f"after {timeout_s} s the best encoding does not arrive: {late}"
        await asyncio.sleep(0.25)


def _not_best(samples: dict[str, Sample], lines: int) -> list[str]:
    late = []
    for receiver, sample in samples.items():
        heights = {each["identity"]: each["height"] for each in videos(sample["inbound"]) if each["framesDecoded"]}
        for sender in samples:
            if sender != receiver and heights.get(sender) != lines:
                sent = [each["height"] for each in videos(samples[sender]["outbound"])]
                late.append(f"{sender} -> {receiver}: {heights.get(sender)} lines of {sent}")
    return late


async def flows(participants: list[Participant], seconds: float) -> list[Flow]:
    """What happened between each two participants over `seconds`."""
    before = await samples_of(participants)
    await asyncio.sleep(seconds)
    after = await samples_of(participants)
    found = []
    for receiver in before:
        for old in videos(before[receiver]["inbound"]):
            sender = old["identity"]
            new = next(each for each in videos(after[receiver]["inbound"]) if each["identity"] == sender)
            sent = [_encoding(each[sender], new["height"])["framesSent"] for each in (before, after)]
            found.append(
                Flow(
                    sender,
                    receiver,
                    new["mimeType"],
                    new["height"],
                    round(sent[1] - sent[0]),
                    new["framesDecoded"] - old["framesDecoded"],
                    new["packetsLost"],
                    new["freezeCount"] - old["freezeCount"],
                )
            )
    return found


def videos(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in entries if each["kind"] == "video"]


def _encoding(sample: Sample, height: int) -> dict[str, Any]:
    sent = videos(sample["outbound"])
    matching = sent if len(sent) == 1 else [each for each in sent if each["height"] == height]
    assert len(matching) == 1, f"{height} lines arrive; sent are {sent}"
    return matching[0]

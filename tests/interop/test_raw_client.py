"""Two participants written from the protocol alone see, hear and read each other, without an SDK in the room."""

from __future__ import annotations

import pytest

from tests.interop.client import eventually
from tests.interop.numbered import NumberedVideo, Tone, missing, read_track
from tests.interop.raw_client import raw_join
from tests.support.server import Server


@pytest.mark.parametrize("single", [True, False], ids=["v1", "v0"])
async def test_frame_numbers_and_data_arrive_in_order(server: Server, single: bool) -> None:
    room = f"raw-{single}"
    async with (
        raw_join(server.url, server.token(room, "ada"), "ada", single=single) as ada,
        raw_join(server.url, server.token(room, "bob"), "bob", single=not single) as bob,
    ):
        await ada.publish(NumberedVideo(), "video/VP8")
        await ada.publish(Tone(), "audio/opus")
        numbers = await read_track(await bob.track_of("ada", "video"), 3)
        assert missing(numbers, least=30) <= 0.01, numbers
        for number in range(100):
            await ada.send_data(b"%d" % number, "count")
        await eventually(lambda: len(bob.data) == 100, "all messages came")
        assert [packet.user.payload for packet in bob.data] == [b"%d" % number for number in range(100)]
        assert {packet.participant_identity for packet in bob.data} == {"ada"}

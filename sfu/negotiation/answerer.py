"""Answers a client's offers: the one connection of `/rtc/v1` and the publisher connection of `/rtc`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sfu.negotiation.description import SessionDescription
from sfu.negotiation.types import Answer, AudioOptions, LocalEndpoint, OutboundTrack


def default_audio_options(_cid: str) -> AudioOptions:
    """DTX on, mono."""
    return AudioOptions()


class Answerer:
    """Remembers, over all offers of one connection, which section carries which outbound track.

    `local` may be replaced before an answer to restart ICE (see `restarts_ice`).
    """

    def __init__(self, local: LocalEndpoint) -> None:
        self.local = local

    def restarts_ice(self, offer: str | SessionDescription) -> bool:
        """Whether the offer brings other ICE credentials than the last one answered: give us new ones as well."""
        raise NotImplementedError

    def answer(
        self,
        offer: str | SessionDescription,
        outbound: Sequence[OutboundTrack],
        codec_for: Callable[[str], str | None],
        audio_options: Callable[[str], AudioOptions] = default_audio_options,
    ) -> Answer:
        """Answers `offer`. Raises `SdpError`, and then nothing has changed.

        `outbound` is every track the client shall receive now, in the order of importance. `codec_for(cid)` is the MIME
        type wanted for a track the client sends (None: the client's first choice that we know).
        """
        raise NotImplementedError

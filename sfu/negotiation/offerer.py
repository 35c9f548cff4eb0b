"""Offers media to a client: the subscriber connection of `/rtc` (protocol v0)."""

from __future__ import annotations

from collections.abc import Sequence

from sfu.negotiation.types import LocalEndpoint, Offer, OfferResult, OutboundTrack


class Offerer:
    """Remembers, over all offers of one connection, which section carries which track; freed sections are used again.

    `local` may be replaced before an offer to restart ICE.
    """

    def __init__(self, local: LocalEndpoint) -> None:
        self.local = local

    @property
    def outstanding(self) -> bool:
        """An offer waits for its answer; another one must not be made."""
        raise NotImplementedError

    def offer(self, outbound: Sequence[OutboundTrack]) -> Offer:
        """Offers a data section (first) and one section per track. RuntimeError while one is outstanding."""
        raise NotImplementedError

    def handle_answer(self, answer: str) -> OfferResult:
        """Takes the client's answer. Raises `SdpError`, and then the offer is still outstanding."""
        raise NotImplementedError

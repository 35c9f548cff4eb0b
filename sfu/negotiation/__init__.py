"""Offer/answer on text (RFC 3264, 8829, 9143): pure functions and small state, no asyncio, no clock, no engine.

`Answerer` answers what clients offer, `Offerer` makes the subscriber offers of LiveKit's older two-connection protocol.
"""

from sfu.negotiation.answerer import Answerer
from sfu.negotiation.description import SessionDescription
from sfu.negotiation.offerer import Offerer
from sfu.negotiation.types import (
    Answer,
    AudioOptions,
    Candidate,
    InboundTrack,
    LocalEndpoint,
    Offer,
    OfferResult,
    OutboundTrack,
    PlacedTrack,
    RemoteParameters,
    SdpError,
)

__all__ = [
    "Answer",
    "Answerer",
    "AudioOptions",
    "Candidate",
    "InboundTrack",
    "LocalEndpoint",
    "Offer",
    "OfferResult",
    "Offerer",
    "OutboundTrack",
    "PlacedTrack",
    "RemoteParameters",
    "SdpError",
    "SessionDescription",
]

"""One codec of a published track: the section that carries it, its producer, and who wants it at which quality.

A track has its codec and perhaps a backup for those who cannot decode it, which the owner sends only while asked to.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from livekit.protocol import models, rtc

from sfu import seam
from sfu.engine import EngineFacade, ProducerListener
from sfu.negotiation import InboundTrack
from sfu.policy import quality
from sfu.policy.quality import Demand, WantedQuality


@dataclass(frozen=True, slots=True)
class Source:
    """What the owner sends, and the producer that takes it."""

    inbound: InboundTrack
    producer: seam.ProducerId
    #: Of each encoding, lowest first.
    qualities: tuple[int, ...]


class Rendition:
    """Verbs: `start`, `stop` for its media; `handle_demand`, `handle_timeout` for who wants it. `source` is None while not sent."""

    def __init__(
        self, engine: EngineFacade, mime_type: str, cid: str, layers: Sequence[models.VideoLayer], *, on_request: bool
    ) -> None:
        """With `on_request` the owner sends it only when told to; else until told not to."""
        self.mime_type = mime_type
        #: Track id of the section that carries it; "" while the owner has not said.
        self.cid = cid
        self.layers = list(layers)
        self.source: Source | None = None
        self._engine = engine
        self._demand: Demand[Hashable] = Demand()
        self._wanted = WantedQuality(quality.OFF if on_request else None)

    # --------------------------------------------------------------------------------------------------- its media

    def start(self, transport: seam.TransportId, inbound: InboundTrack, listener: ProducerListener) -> None:
        producer = self._engine.mint_producer(listener)
        qualities = quality.encoding_qualities([encoding.rid for encoding in inbound.encodings])
        self.source = Source(inbound, producer, qualities)
        self._engine.submit(
            seam.AddProducer(
                producer=producer,
                transport=transport,
                kind=inbound.kind,
                mid=inbound.mid,
                mime_type=inbound.mime_type,
                clock_rate=inbound.clock_rate,
                payload_type=inbound.payload_type,
                rtx_payload_type=inbound.rtx_payload_type,
                encodings=tuple(inbound.encodings),
                nack=inbound.nack,
                transport_cc=inbound.transport_cc,
                remb=inbound.remb,
                red_payload_type=inbound.red_payload_type,
            )
        )

    def stop(self) -> None:
        if self.source is not None:
            self._engine.remove_producer(self.source.producer)
            self.source = None

    # --------------------------------------------------------------------------------------------- who wants it

    def handle_demand(self, who: Hashable, wanted: int) -> bool:
        """`who` wants this quality (OFF: none). True when the owner is to be told of another one."""
        self._demand.set(who, wanted)
        return self._wanted.handle_wanted(self._demand.highest()) is not None

    def handle_timeout(self, now: float) -> bool:
        """True when the owner is to be told of a lower quality."""
        return self._wanted.handle_timeout(now) is not None

    # --------------------------------------------------------------------------------------------------- getters

    @property
    def is_wanted(self) -> bool:
        return self._demand.highest() != quality.OFF

    def qualities_wanted(self) -> rtc.SubscribedCodec:
        """What the owner is to send."""
        highest = quality.HIGH if self._wanted.announced is None else self._wanted.announced
        enabled = [
            rtc.SubscribedQuality(quality=name, enabled=highest != quality.OFF and number <= highest)
            for number, name in _QUALITY_NAMES
        ]
        return rtc.SubscribedCodec(codec=self.mime_type.partition("/")[2].lower(), qualities=enabled)

    def encoding_for(self, wanted: int) -> int:
        return 0 if self.source is None else quality.encoding_for(wanted, self.source.qualities)

    def describe(self) -> models.SimulcastCodecInfo:
        mid = "" if self.source is None else self.source.inbound.mid
        return models.SimulcastCodecInfo(mime_type=self.mime_type, mid=mid, cid=self.cid, layers=self.layers)


_QUALITY_NAMES = (
    (quality.LOW, models.VideoQuality.LOW),
    (quality.MEDIUM, models.VideoQuality.MEDIUM),
    (quality.HIGH, models.VideoQuality.HIGH),
)

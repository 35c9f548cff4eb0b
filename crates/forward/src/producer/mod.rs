//! Media that a client sends to us: one to three encodings and the outlets of its consumers.

mod codec;
mod dense;
mod encoding;
mod feed;
mod inbound;

pub(crate) use codec::{Codec, Inspection, Start};
pub(crate) use dense::Place;
pub(crate) use encoding::Encoding;
pub(crate) use feed::{Feed, Mirror, Tap};
pub(crate) use inbound::{InboundTable, Route};

use wire::PayloadType;

use crate::consumer::Outlet;
use crate::ring::Limits;
use crate::{Kind, ProducerId};
use slots::Index;

#[derive(Debug)]
pub(crate) struct Producer {
    pub(crate) id: ProducerId,
    pub(crate) feed: Feed,
    pub(crate) kind: Kind,
    pub(crate) codec: Codec,
    pub(crate) mid: String,
    pub(crate) clock_rate: u32,
    pub(crate) payload_type: PayloadType,
    pub(crate) rtx_payload_type: Option<PayloadType>,
    pub(crate) red_payload_type: Option<PayloadType>,
    pub(crate) nack: bool,
    /// REMB is sent only where transport-wide feedback was not negotiated.
    pub(crate) wants_remb: bool,
    /// From the lowest to the highest quality.
    pub(crate) encodings: Vec<Encoding>,
    /// The forwarding state of each consumer, side by side: one packet visits them all.
    pub(crate) outlets: Vec<Outlet>,
    /// The other shards that it is carried to; mostly none.
    pub(crate) taps: Vec<Tap>,
}

impl Producer {
    /// Whose media it is; `None` when that client is another shard's.
    pub(crate) fn transport(&self) -> Option<Index> {
        match self.feed {
            Feed::Client { transport } => Some(transport),
            Feed::Pipe(_) => None,
        }
    }

    pub(crate) fn mirror(&mut self) -> Option<&mut Mirror> {
        match &mut self.feed {
            Feed::Client { .. } => None,
            Feed::Pipe(mirror) => Some(mirror),
        }
    }

    /// The encoding that a consumer with this cap should get: the best that lives at or below it, else the lowest that lives.
    pub(crate) fn target(&self, cap: u8) -> Option<u8> {
        let lives = |encoding: &usize| self.encodings[*encoding].lives;
        let best = (0..self.encodings.len()).rev().filter(|encoding| *encoding <= usize::from(cap)).find(lives);
        best.or_else(|| (0..self.encodings.len()).find(lives)).map(|encoding| encoding as u8)
    }

    /// Whether packets of this payload type may carry its media; not retransmissions.
    pub(crate) fn is_media(&self, payload_type: PayloadType) -> bool {
        payload_type == self.payload_type || Some(payload_type) == self.red_payload_type
    }

    pub(crate) fn outlet_of(&mut self, consumer: Index) -> Option<&mut Outlet> {
        self.outlets.iter_mut().find(|outlet| outlet.consumer == consumer)
    }

    /// Counts again how many outlets each encoding has.
    pub(crate) fn count_interest(&mut self) {
        for (at, encoding) in self.encodings.iter_mut().enumerate() {
            let at = Some(at as u8);
            let interested = self.outlets.iter().filter(|outlet| outlet.current == at || outlet.target == at);
            encoding.interested = interested.count() as u32;
        }
    }

    /// Whether an outlet, here or on another shard, waits for a keyframe of this encoding.
    pub(crate) fn is_awaited(&self, encoding: u8) -> bool {
        self.taps.iter().any(|tap| tap.awaits(encoding)) || self.is_awaited_here(encoding)
    }

    pub(crate) fn is_awaited_here(&self, encoding: u8) -> bool {
        self.outlets.iter().any(|outlet| outlet.awaits(encoding, self.encodings[usize::from(encoding)].epoch))
    }

    /// How much of an encoding is kept.
    pub(crate) fn ring_limits(kind: Kind) -> Limits {
        match kind {
            // Two seconds of 10 ms packets; 256 kbit/s.
            Kind::Audio => Limits { slots: 64, max_slots: 256, bytes: 16 << 10, max_bytes: 64 << 10 },
            // Two seconds of 16 Mbit/s.
            Kind::Video => Limits { slots: 256, max_slots: 4_096, bytes: 128 << 10, max_bytes: 4 << 20 },
        }
    }

    /// The encoding's place for a rid; a lone encoding needs none.
    pub(crate) fn encoding_by_rid(&self, rid: Option<&str>) -> Option<u8> {
        match rid {
            Some(rid) => self
                .encodings
                .iter()
                .position(|encoding| encoding.rid.as_deref() == Some(rid))
                .or_else(|| self.lone_encoding_without_rid()),
            None => (self.encodings.len() == 1).then_some(0),
        }
        .map(|encoding| encoding as u8)
    }

    fn lone_encoding_without_rid(&self) -> Option<usize> {
        (self.encodings.len() == 1 && self.encodings[0].rid.is_none()).then_some(0)
    }
}

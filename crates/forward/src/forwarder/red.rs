//! Redundant audio (RFC 2198) on its way in: checked, and what it repeats of packets that never came takes their place.
//!
//! Once, for all consumers: what is recovered stands in the ring under the lost packet's number, from where it is sent,
//! and sent again, like any other.

use std::time::Instant;

use arrayvec::ArrayVec;
use wire::codec::red::{self, Block, MAX_REDUNDANT};
use wire::ext::Parsed;

use super::Forwarder;
use super::media::Media;
use crate::producer::Route;

impl Forwarder {
    /// Recovers what was lost before this packet; gives where its newest block starts, `None` when it is malformed.
    pub(super) fn handle_red(&mut self, now: Instant, route: Route, media: &Media<'_>) -> Option<u16> {
        let producer = self.producers.get(route.producer)?;
        let Ok(red) = red::parse(media.payload, producer.payload_type) else {
            self.counters.drop_red += 1;
            return None;
        };
        self.counters.red_in += 1;
        // Clients repeat what they sent last, packet by packet, so the last block belongs to the packet before this one.
        let blocks: ArrayVec<Block<'_>, MAX_REDUNDANT> = red.redundant().collect();
        for (at, block) in blocks.iter().enumerate() {
            let Some(index) = media.index.checked_sub((blocks.len() - at) as u64) else { continue };
            let timestamp = media.timestamp.wrapping_sub(u32::from(block.timestamp_offset));
            let is_earlier = block.timestamp_offset > 0 && !block.payload.is_empty();
            if !is_earlier || !self.lacks(route, index, timestamp) {
                continue;
            }
            let lost = Media {
                received_us: media.received_us,
                index,
                timestamp,
                marker: false,
                payload: block.payload,
                primary_at: 0,
                is_recovered: true,
                parsed: &Parsed::default(),
            };
            if self.handle_media(now, route, &lost) {
                self.counters.red_recovered += 1;
            }
        }
        u16::try_from(red.primary_at()).ok()
    }

    /// Whether this packet never came, and this timestamp is between those of its neighbours, as far as they are known.
    fn lacks(&self, route: Route, index: u64, timestamp: u32) -> bool {
        let producer = self.producers.get(route.producer);
        let Some(encoding) = producer.and_then(|producer| producer.encodings.get(usize::from(route.encoding))) else {
            return false;
        };
        let (Some(ring), Some(dense)) = (self.rings.get(encoding.ring), encoding.numbers.dense_of(index)) else {
            return false;
        };
        let is_after = |earlier: u32, later: u32| (later.wrapping_sub(earlier) as i32) > 0;
        let before = (1..=NEIGHBOURS).find_map(|back| ring.get(dense.checked_sub(back)?));
        let after = (1..=NEIGHBOURS).find_map(|ahead| ring.get(dense + ahead));
        let follows = before.is_none_or(|before| is_after(before.timestamp, timestamp));
        let precedes = after.is_none_or(|after| is_after(timestamp, after.timestamp));
        ring.lacks(dense) && follows && precedes
    }
}

/// How far to look for them: a gap may be longer than the redundancy of one packet.
const NEIGHBOURS: u64 = 2 * MAX_REDUNDANT as u64;

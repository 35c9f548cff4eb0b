//! What is sent to a client a second time: packets that it asked for, and unasked the ends of frames (a tail-loss probe).
//!
//! Who loses the last packet of a frame learns of it from the next frame. If that one does not refer to the lost one (upper
//! temporal layers), libwebrtc shows it at once and drops the late frame, although it is repaired a moment later.

use std::time::Instant;

use super::Forwarder;
use crate::Kind;
use crate::egress::{Descriptor, Treatment};
use crate::ring::SPAN;
use slots::Index;

impl Forwarder {
    /// Queues a retransmission that was asked for, if it may be sent and is still there.
    pub(super) fn repeat(&mut self, now: Instant, at: Index, consumer_at: Index, seq: u16) {
        let index = self.consumers.get(consumer_at).and_then(|consumer| consumer.index_of(seq));
        let Some((again, len)) = index.and_then(|index| self.find_sent(now, consumer_at, index)) else {
            self.counters.rtx_missing += 1;
            return;
        };
        let (Some(consumer), Some(entry)) = (self.consumers.get_mut(consumer_at), self.transports.get_mut(at)) else {
            return;
        };
        if again.treatment.is_repeat() && consumer.sent_stamps.of(again.index).is_none() {
            self.counters.rtx_unavailable += 1;
            return;
        }
        if !entry.budget.covers(len) {
            self.counters.rtx_over_budget += 1;
            return;
        }
        if !consumer.guard.admit(now, seq, entry.measured_round_trip()) {
            self.counters.rtx_repeated += 1;
            return;
        }
        entry.budget.spend(len);
        match consumer.kind {
            Kind::Audio => entry.egress.push_audio(again),
            Kind::Video => entry.egress.push_video(again),
        };
        entry.mark_dirty(at, &mut self.dirty);
    }

    /// Repeats the end of a frame that nothing followed, if it is time and the budget has room.
    pub(super) fn probe_tail(&mut self, now: Instant, at: Index, consumer_at: Index) {
        let Some(consumer) = self.consumers.get_mut(consumer_at) else { return };
        let Some(probe) = consumer.probe.take_if(|probe| probe.due <= now) else { return };
        let Some((again, len)) = self.find_sent(now, consumer_at, probe.index) else { return };
        let (Some(consumer), Some(entry)) = (self.consumers.get_mut(consumer_at), self.transports.get_mut(at)) else {
            return;
        };
        // Whoever asks for it within a round trip is answered already.
        if !entry.budget.covers_probe(len)
            || !consumer.guard.admit(now, probe.index as u16, entry.measured_round_trip())
        {
            return;
        }
        entry.budget.spend_on_probe(len);
        if entry.egress.push_video(again) {
            self.counters.rtx_probes += 1;
        }
        entry.mark_dirty(at, &mut self.dirty);
    }

    /// A packet that was sent, to be sent again, and about how long it is then.
    fn find_sent(&self, now: Instant, consumer_at: Index, index: u64) -> Option<(Descriptor, usize)> {
        let oldest = self.clock.micros(now).saturating_sub(SPAN.as_micros() as u64);
        let consumer = self.consumers.get(consumer_at)?;
        let run = consumer.run_of(index)?;
        let ring = self.rings.get(run.ring)?;
        let dense = index.wrapping_add(run.delta);
        let slot = ring.get(dense).filter(|slot| !slot.filler && slot.received_us >= oldest)?;
        let descriptor = Descriptor {
            index,
            consumer: consumer_at,
            ring: run.ring,
            dense: dense as u32,
            timestamp: slot.timestamp.wrapping_add(run.timestamp_delta),
            picture_id: slot.picture_id.unwrap_or(0).wrapping_sub(run.picture_delta),
            tl0_picture_index: slot.tl0_picture_index.unwrap_or(0).wrapping_sub(run.tl0_delta),
            treatment: Treatment::again(consumer.rtx.is_some(), run.rewrites_vp8),
        };
        Some((descriptor, ring.bytes(slot).1.len() + OVERHEAD))
    }
}

// Header, extensions, original sequence number and tag.
const OVERHEAD: usize = 60;

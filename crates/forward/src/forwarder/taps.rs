//! The source's side of pipes: a producer of this shard is handed to others.

use std::time::Instant;

use super::Forwarder;
use super::targets::Need;
use crate::ProducerId;
use crate::pipe::{Demand, PipeId, What, bit, encodings_of};
use crate::producer::{Producer, Tap};
use crate::ring::Ring;
use slots::{Index, Slab};

impl Forwarder {
    pub(super) fn open_tap(&mut self, pipe: PipeId, producer: ProducerId, to: u32) {
        let Some(at) = self.names.producers.get(&producer).copied() else { return };
        let Some(producer) = self.producers.get_mut(at).filter(|producer| producer.transport().is_some()) else {
            return;
        };
        let mut tap = Tap::new(pipe, to);
        producer.encodings.iter().filter(|encoding| encoding.lives).for_each(|_| tap.note_alive());
        producer.taps.push(tap);
        self.pipes.taps.insert(pipe, at);
        self.pipes.outgoing(to).push(pipe, What::Opened);
        let Some(producer) = self.producers.get(at) else { return };
        let origin = self.origin_of(producer).unwrap_or_default();
        for (encoding, it) in (0..).zip(&producer.encodings) {
            let epoch = it.epoch;
            if it.lives {
                self.pipes.outgoing(to).push(pipe, What::Alive { encoding, epoch, is_keyframe: false });
            }
            if let Some(sender) = it.sender {
                self.pipes.outgoing(to).push(pipe, What::SenderReport { encoding, epoch, sender, origin });
            }
        }
    }

    pub(super) fn close_tap(&mut self, pipe: PipeId) {
        if let Some(producer) = self.pipes.taps.remove(&pipe).and_then(|at| self.producers.get_mut(at)) {
            producer.taps.retain(|tap| tap.pipe != pipe);
        }
    }

    /// A packet was stored: it goes to every other shard that wants its encoding.
    #[inline]
    pub(super) fn pipe_packet(&mut self, producer_at: Index, encoding_at: u8, dense: u64) {
        let Some(producer) = self.producers.get(producer_at).filter(|producer| !producer.taps.is_empty()) else {
            return;
        };
        let encoding = &producer.encodings[usize::from(encoding_at)];
        let Some(ring) = self.rings.get(encoding.ring) else { return };
        let Some(slot) = ring.get(dense) else { return };
        for tap in producer.taps.iter().filter(|tap| tap.wants(encoding_at)) {
            let batch = self.pipes.outgoing(tap.to);
            batch.push_packet(tap.pipe, encoding_at, encoding.epoch, *slot, ring.bytes(slot));
            self.counters.pipe_packets_out += 1;
        }
    }

    /// An encoding sends. It goes along at once, so that whoever waits for it misses nothing while saying so.
    pub(super) fn pipe_alive(&mut self, producer_at: Index, encoding_at: u8, is_keyframe: bool) {
        let Some(producer) = self.producers.get_mut(producer_at) else { return };
        let next = next_dense(&self.rings, producer, encoding_at);
        let epoch = producer.encodings[usize::from(encoding_at)].epoch;
        for tap in &mut producer.taps {
            tap.offer(encoding_at, next);
            self.pipes.outgoing(tap.to).push(tap.pipe, What::Alive { encoding: encoding_at, epoch, is_keyframe });
        }
    }

    pub(super) fn pipe_sender_report(&mut self, producer_at: Index, encoding: u8) {
        let Some(producer) = self.producers.get(producer_at).filter(|producer| !producer.taps.is_empty()) else {
            return;
        };
        let it = &producer.encodings[usize::from(encoding)];
        let (Some(sender), origin) = (it.sender, self.origin_of(producer).unwrap_or_default()) else { return };
        self.pipe_note(producer_at, What::SenderReport { encoding, epoch: it.epoch, sender, origin });
    }

    /// Something that every destination should know.
    pub(super) fn pipe_note(&mut self, producer_at: Index, what: What) {
        let Some(producer) = self.producers.get(producer_at) else { return };
        for tap in &producer.taps {
            self.pipes.outgoing(tap.to).push(tap.pipe, what);
        }
    }

    /// A destination says what it wants; its keyframe requests are merged with those of everybody else.
    pub(super) fn handle_demand(&mut self, now: Instant, pipe: PipeId, demand: Demand) {
        let Some(at) = self.pipes.taps.get(&pipe).copied() else { return };
        let Some(producer) = self.producers.get_mut(at) else { return };
        let mut taps = std::mem::take(&mut producer.taps);
        if let Some(tap) = taps.iter_mut().find(|tap| tap.pipe == pipe) {
            tap.handle_demand(demand, |encoding| next_dense(&self.rings, producer, encoding));
        }
        producer.taps = taps;
        for encoding in encodings_of(demand.requested) {
            let is_dark = demand.dark & bit(encoding) != 0;
            if !(is_dark && self.repeat_keyframe(now, at, pipe, encoding)) {
                let need = if demand.urgent & bit(encoding) == 0 { Need::Repair } else { Need::Switch };
                self.request_keyframe(now, at, encoding, need);
            }
        }
    }

    /// A joiner elsewhere can start with the last keyframe, if that is fresh and did not go there yet.
    fn repeat_keyframe(&mut self, now: Instant, producer_at: Index, pipe: PipeId, encoding_at: u8) -> bool {
        let Some((first, _)) = self.fresh_keyframe(now, producer_at, encoding_at) else { return false };
        let Some(producer) = self.producers.get_mut(producer_at) else { return false };
        let Some(tap) = producer.taps.iter_mut().find(|tap| tap.pipe == pipe) else { return false };
        let Some(end) = tap.reach_back(encoding_at, first) else { return false };
        let encoding = &producer.encodings[usize::from(encoding_at)];
        let Some(ring) = self.rings.get(encoding.ring) else { return false };
        let batch = self.pipes.outgoing(tap.to);
        for slot in (first..end).filter_map(|dense| ring.get(dense)) {
            batch.push_packet(pipe, encoding_at, encoding.epoch, *slot, ring.bytes(slot));
            self.counters.pipe_packets_out += 1;
        }
        true
    }
}

/// The dense number behind the newest of an encoding.
fn next_dense(rings: &Slab<Ring>, producer: &Producer, encoding: u8) -> u64 {
    let ring = producer.encodings.get(usize::from(encoding)).and_then(|encoding| rings.get(encoding.ring));
    ring.and_then(Ring::highest).map_or(0, |highest| highest + 1)
}

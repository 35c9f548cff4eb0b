//! From one stored packet to a descriptor for each consumer, and the start of runs.

use std::time::Instant;

use super::Forwarder;
use super::entry::TransportEntry;
use crate::Kind;
use crate::consumer::{Alignment, Outlet};
use crate::egress::Descriptor;
use crate::ring::Slot;
use slots::{Index, Slab};

impl Forwarder {
    /// Queues a packet for every consumer that is sent this encoding; starts those that wait for a place to start.
    #[inline]
    pub(super) fn fan_out(&mut self, now: Instant, producer_at: Index, encoding_at: u8, dense: u64) {
        let Some(producer) = self.producers.get_mut(producer_at) else { return };
        let kind = producer.kind;
        let encoding = &producer.encodings[usize::from(encoding_at)];
        if encoding.interested == 0 {
            return;
        }
        let Some(stored) = self.rings.get(encoding.ring) else { return };
        let Some(slot) = stored.get(dense).copied() else { return };
        let is_late = stored.highest().is_some_and(|highest| dense < highest);
        let (epoch, ring) = (encoding.epoch, encoding.ring);
        let may_start = Outlet::may_start_with(kind, &slot);
        let mut starts = false;
        let mut queue = Queue { transports: &mut self.transports, dirty: &mut self.dirty, kind, full: 0 };
        for outlet in &mut producer.outlets {
            if outlet.carries(encoding_at, epoch) {
                let Some(descriptor) = outlet.descriptor(ring, dense, &slot) else { continue };
                // Whoever missed it has asked for it, or is about to: this is the answer.
                if is_late && let Some(consumer) = self.consumers.get_mut(outlet.consumer) {
                    consumer.guard.note(now, descriptor.index as u16);
                }
                queue.push(outlet.transport, descriptor);
            } else if may_start && outlet.target == Some(encoding_at) {
                starts = true;
            }
        }
        self.counters.drop_egress_full += queue.full;
        if kind == Kind::Video && !is_late {
            self.unfinished_fan_out = if slot.marker { 0 } else { encoding.interested };
        }
        if starts {
            self.start_runs(now, producer_at, encoding_at, dense, None);
        }
    }

    /// Starts a run at a stored packet for every consumer that waits for this encoding, or for one of them, and queues what
    /// came after that packet too.
    #[cold]
    pub(super) fn start_runs(
        &mut self,
        _now: Instant,
        producer_at: Index,
        encoding_at: u8,
        dense: u64,
        only: Option<Index>,
    ) {
        let Some(producer) = self.producers.get_mut(producer_at) else { return };
        let encoding = &producer.encodings[usize::from(encoding_at)];
        let Some(ring) = self.rings.get(encoding.ring) else { return };
        let Some(first) = ring.get(dense).copied() else { return };
        let stored: Vec<(u64, Slot)> = (dense..=ring.highest().unwrap_or(dense))
            .filter_map(|dense| ring.get(dense).map(|slot| (dense, *slot)))
            .collect();
        let mut queue =
            Queue { transports: &mut self.transports, dirty: &mut self.dirty, kind: producer.kind, full: 0 };
        for outlet in &mut producer.outlets {
            let wanted = only.is_none_or(|only| only == outlet.consumer);
            // A keyframe for a joiner may come late through a pipe; for one that switches, time must not run backwards.
            let is_past = outlet.is_newer_than(first.received_us + MAX_BACK_US);
            if !wanted || is_past || !outlet.awaits(encoding_at, encoding.epoch) {
                continue;
            }
            let Some(consumer) = self.consumers.get_mut(outlet.consumer) else { continue };
            let last = consumer.current_run();
            let old = last
                .and_then(|run| producer.encodings.get(usize::from(run.encoding)).filter(|old| old.epoch == run.epoch));
            let alignment = Alignment {
                clock_rate: producer.clock_rate,
                old: old.and_then(|old| old.sender.as_ref()),
                new: encoding.sender.as_ref(),
                same_stream: last.is_some_and(|run| run.encoding == encoding_at && run.epoch == encoding.epoch),
            };
            if last.is_some_and(|run| run.encoding != encoding_at) {
                self.counters.layer_switches += 1;
            }
            let run = outlet.start_run((encoding_at, encoding), producer.codec, dense, &first, &alignment);
            consumer.add_run(run);
            for (dense, slot) in &stored {
                if let Some(descriptor) = outlet.descriptor(encoding.ring, *dense, slot) {
                    queue.push(outlet.transport, descriptor);
                }
            }
        }
        self.counters.drop_egress_full += queue.full;
        self.count_interest(producer_at);
        self.announce(producer_at);
    }
}

/// Packets of one moment may overtake each other by so much.
const MAX_BACK_US: u64 = 50_000;

/// The egress queues, borrowed for one producer's packets.
struct Queue<'a> {
    transports: &'a mut Slab<TransportEntry>,
    dirty: &'a mut Vec<Index>,
    kind: Kind,
    full: u64,
}

impl Queue<'_> {
    #[inline]
    fn push(&mut self, transport: Index, descriptor: Descriptor) {
        let Some(entry) = self.transports.get_mut(transport) else { return };
        let queued = match self.kind {
            Kind::Audio => entry.egress.push_audio(descriptor),
            Kind::Video => entry.egress.push_video(descriptor),
        };
        self.full += u64::from(!queued);
        entry.mark_dirty(transport, self.dirty);
    }
}

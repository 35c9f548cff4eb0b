//! Which encoding each consumer should get, and the keyframes needed to get there.

use std::time::Instant;

use wire::rtcp;

use super::Forwarder;
use crate::slab::Index;
use crate::{Event, Kind};

impl Forwarder {
    /// One consumer was added, changed, or its transport connected.
    pub(super) fn retarget_consumer(&mut self, now: Instant, consumer: Index) {
        if let Some(producer) = self.consumers.get(consumer).map(|consumer| consumer.producer) {
            self.retarget_some(now, producer, Some(consumer), None);
        }
    }

    /// An encoding came or went. `answered`: a keyframe of this one is just arriving.
    pub(super) fn retarget(&mut self, now: Instant, producer: Index, answered: Option<u8>) {
        self.retarget_some(now, producer, None, answered);
    }

    fn retarget_some(&mut self, now: Instant, producer_at: Index, only: Option<Index>, answered: Option<u8>) {
        let Some(producer) = self.producers.get_mut(producer_at) else { return };
        let mut outlets = std::mem::take(&mut producer.outlets);
        let mut awaited = Vec::new();
        for outlet in outlets.iter_mut().filter(|outlet| only.is_none_or(|only| only == outlet.consumer)) {
            let connected = self.transports.get(outlet.transport).is_some_and(|entry| entry.connected);
            if outlet.paused || !connected {
                outlet.current = None;
                outlet.target = None;
                continue;
            }
            let target = producer.target(outlet.cap);
            outlet.target = target;
            let awaits = target.filter(|at| outlet.awaits(*at, producer.encodings[usize::from(*at)].epoch));
            if let Some(target) = awaits {
                awaited.push((outlet.consumer, target, outlet.current.is_none()));
            }
        }
        producer.outlets = outlets;
        producer.count_interest();
        if producer.kind == Kind::Video {
            for (consumer, target, dark) in awaited {
                let started = dark && self.start_from_ring(now, producer_at, consumer, target);
                if !started && answered != Some(target) {
                    self.request_keyframe(now, producer_at, target, true);
                }
            }
        }
        self.announce(producer_at);
    }

    /// A joiner takes the last keyframe from the ring if it is fresh, instead of asking for another one.
    fn start_from_ring(&mut self, now: Instant, producer_at: Index, consumer: Index, encoding_at: u8) -> bool {
        let Some(producer) = self.producers.get_mut(producer_at) else { return false };
        let encoding = &producer.encodings[usize::from(encoding_at)];
        let Some((dense, received_us)) = encoding.last_keyframe else { return false };
        let age_us = self.clock.micros(now).saturating_sub(received_us);
        let Some(highest) = self.rings.get(encoding.ring).and_then(|ring| ring.get(dense).and(ring.highest())) else {
            return false;
        };
        if age_us > FRESH_KEYFRAME_US || highest - dense > MAX_CATCH_UP {
            return false;
        }
        let (epoch, outlet) = (encoding.epoch, producer.outlet_of(consumer));
        // Time must not run backwards for one that saw something later already.
        if outlet.is_none_or(|outlet| outlet.is_newer_than(received_us)) {
            return false;
        }
        self.start_runs(now, producer_at, encoding_at, dense, Some(consumer));
        self.producers
            .get_mut(producer_at)
            .and_then(|producer| producer.outlet_of(consumer))
            .is_some_and(|outlet| outlet.carries(encoding_at, epoch))
    }

    /// Somebody wants a keyframe: asks the publisher now, later, or not at all if the answer is on its way.
    pub(super) fn request_keyframe(&mut self, now: Instant, producer_at: Index, encoding_at: u8, urgent: bool) {
        let Some(producer) = self.producers.get_mut(producer_at).filter(|producer| producer.kind == Kind::Video) else {
            return;
        };
        let transport = producer.transport;
        let Some(encoding) = producer.encodings.get_mut(usize::from(encoding_at)).filter(|encoding| encoding.lives)
        else {
            return;
        };
        let send = encoding.keyframes.request(now, urgent);
        if let Some(due) = encoding.keyframes.poll_timeout() {
            self.deadlines.lower(transport, due);
        }
        if send {
            self.send_pli(producer_at, encoding_at);
        }
    }

    pub(super) fn send_pli(&mut self, producer_at: Index, encoding_at: u8) {
        let Some(producer) = self.producers.get(producer_at) else { return };
        let Some(media) = producer.encodings[usize::from(encoding_at)].ssrc else { return };
        let Some(entry) = self.transports.get_mut(producer.transport) else { return };
        let sender = entry.local_ssrc;
        if entry.egress.rtcp.push(|buf| rtcp::write_pli(buf, sender, media)) {
            self.counters.keyframe_requests_out += 1;
        }
        entry.mark_dirty(producer.transport, &mut self.dirty);
    }

    /// Says which encoding is on the wire where that changed.
    pub(super) fn announce(&mut self, producer_at: Index) {
        let Some(producer) = self.producers.get_mut(producer_at) else { return };
        for outlet in &mut producer.outlets {
            let current = outlet.current.filter(|at| producer.encodings[usize::from(*at)].lives);
            if outlet.announced == current {
                continue;
            }
            outlet.announced = current;
            if let Some(consumer) = self.consumers.get(outlet.consumer) {
                self.events.push_back(Event::ConsumerLayerChanged { consumer: consumer.id, encoding: current });
            }
        }
    }
}

// A frame or two of catching up is invisible; more would be seen as fast motion.
const FRESH_KEYFRAME_US: u64 = 500_000;
const MAX_CATCH_UP: u64 = 200;

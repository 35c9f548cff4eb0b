//! Which encoding each consumer should get, and the keyframes needed to get there.

use std::time::Instant;

use wire::rtcp;

use super::Forwarder;
use crate::producer::Feed;
use crate::{Event, Kind};
use slots::Index;

/// Why a keyframe is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// A picture is lost, or somebody asked.
    Repair,
    /// A consumer heads for another encoding.
    Switch,
    /// A joiner saw nothing yet: any picture is news to it.
    Dark,
}

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
                awaited.push((outlet.consumer, target, outlet.current.is_none(), outlet.saw_nothing()));
            }
        }
        producer.outlets = outlets;
        let is_video = producer.kind == Kind::Video;
        self.count_interest(producer_at);
        if is_video {
            for (consumer, target, is_off, is_dark) in awaited {
                let started = is_off && self.start_from_ring(now, producer_at, consumer, target);
                if !started && answered != Some(target) {
                    let need = if is_dark { Need::Dark } else { Need::Switch };
                    self.request_keyframe(now, producer_at, target, need);
                }
            }
        }
        self.announce(producer_at);
    }

    /// Counts again how many consumers each encoding has; a mirror's source may want to know.
    pub(super) fn count_interest(&mut self, producer_at: Index) {
        let Some(producer) = self.producers.get_mut(producer_at) else { return };
        producer.count_interest();
        self.pipes.look_at(producer_at, producer);
    }

    /// A joiner takes the last keyframe from the ring if it is fresh, instead of asking for another one.
    fn start_from_ring(&mut self, now: Instant, producer_at: Index, consumer: Index, encoding_at: u8) -> bool {
        let Some((dense, received_us)) = self.fresh_keyframe(now, producer_at, encoding_at) else { return false };
        let Some(producer) = self.producers.get_mut(producer_at) else { return false };
        let encoding = &producer.encodings[usize::from(encoding_at)];
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

    /// The last keyframe's first packet and when it came, if a joiner can still start with it.
    pub(super) fn fresh_keyframe(&self, now: Instant, producer_at: Index, encoding_at: u8) -> Option<(u64, u64)> {
        let encoding = &self.producers.get(producer_at)?.encodings[usize::from(encoding_at)];
        let (dense, received_us) = encoding.last_keyframe?;
        let age_us = self.clock.micros(now).saturating_sub(received_us);
        let highest = self.rings.get(encoding.ring).and_then(|ring| ring.get(dense).and(ring.highest()))?;
        (age_us <= FRESH_KEYFRAME_US && highest - dense <= MAX_CATCH_UP).then_some((dense, received_us))
    }

    /// Somebody wants a keyframe: asks the publisher now, later, or not at all if the answer is on its way.
    pub(super) fn request_keyframe(&mut self, now: Instant, producer_at: Index, encoding_at: u8, need: Need) {
        let Some(producer) = self.producers.get_mut(producer_at).filter(|producer| producer.kind == Kind::Video) else {
            return;
        };
        let Some(encoding) = producer.encodings.get_mut(usize::from(encoding_at)).filter(|encoding| encoding.lives)
        else {
            return;
        };
        let transport = match &mut producer.feed {
            Feed::Client { transport } => *transport,
            // Merged with all other requests where the client is.
            Feed::Pipe(mirror) => {
                mirror.ask(encoding_at, need != Need::Repair, need == Need::Dark);
                return self.pipes.look_at(producer_at, producer);
            }
        };
        let urgent = need != Need::Repair;
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
        let Some(transport) = producer.transport() else { return };
        let Some(entry) = self.transports.get_mut(transport) else { return };
        let sender = entry.local_ssrc;
        if entry.egress.rtcp.push(|buf| rtcp::write_pli(buf, sender, media)) {
            self.counters.keyframe_requests_out += 1;
        }
        entry.mark_dirty(transport, &mut self.dirty);
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

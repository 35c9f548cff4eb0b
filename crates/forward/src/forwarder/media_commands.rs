//! Commands about producers and consumers.

use std::time::Instant;

use wire::{PayloadType, Ssrc};

use super::Forwarder;
use super::commands::Refused;
use super::targets::Need;
use crate::consumer::{Consumer, Outlet};
use crate::producer::{Codec, Encoding, Feed, Producer, Route};
use crate::ring::Ring;
use crate::{AddConsumer, AddProducer, ConfigureConsumer, ConsumerId, EncodingParameters, Kind, ProducerId};
use slots::Index;

impl Forwarder {
    pub(super) fn add_producer(&mut self, command: &AddProducer) -> Result<(), Refused> {
        let refused = |reason| ("AddProducer", command.producer.0, reason);
        let transport = self.transport(command.transport).ok_or(refused("unknown_transport"))?;
        let at = self.insert_producer(command, Feed::Client { transport }).map_err(refused)?;
        self.enter_known(transport, at, &command.encodings);
        Ok(())
    }

    /// Adds a producer, wherever its packets come from; gives the reason when it cannot be.
    pub(super) fn insert_producer(&mut self, command: &AddProducer, feed: Feed) -> Result<Index, &'static str> {
        if self.names.producers.contains_key(&command.producer) {
            return Err("producer_exists");
        }
        if !(1..=MAX_ENCODINGS).contains(&command.encodings.len()) {
            return Err("encoding_count");
        }
        if command.clock_rate == 0 {
            return Err("clock_rate");
        }
        let limits = Producer::ring_limits(command.kind);
        let encodings = command.encodings.iter().map(|parameters| {
            let ring = self.rings.insert(Ring::new(limits));
            Encoding::new(command.kind, parameters.rid.clone(), parameters.ssrc.map(Ssrc), ring)
        });
        let producer = Producer {
            id: command.producer,
            feed,
            kind: command.kind,
            codec: Codec::from_mime_type(&command.mime_type, command.kind == Kind::Audio),
            mid: command.mid.clone(),
            clock_rate: command.clock_rate,
            payload_type: PayloadType(command.payload_type),
            rtx_payload_type: command.rtx_payload_type.map(PayloadType),
            red_payload_type: command.red_payload_type.filter(|_| command.kind == Kind::Audio).map(PayloadType),
            nack: command.nack,
            wants_remb: command.remb && !command.transport_cc,
            encodings: encodings.collect(),
            outlets: Vec::new(),
            taps: Vec::new(),
        };
        let at = self.producers.insert(producer);
        self.names.producers.insert(command.producer, at);
        self.count_pipes();
        Ok(at)
    }

    /// What is known before the first packet: signalled SSRCs, and those that an earlier producer of this section had.
    fn enter_known(&mut self, transport: Index, at: Index, encodings: &[EncodingParameters]) {
        let (Some(entry), Some(producer)) = (self.transports.get_mut(transport), self.producers.get_mut(at)) else {
            return;
        };
        entry.producers.push(at);
        for (ssrc, rid, is_rtx) in entry.inbound.adopt(&producer.mid) {
            let Some(encoding) = producer.encoding_by_rid(rid.as_deref()) else { continue };
            if entry.inbound.enter(ssrc, Route { producer: at, encoding, is_rtx }) && !is_rtx {
                producer.encodings[usize::from(encoding)].ssrc.get_or_insert(Ssrc(ssrc));
            }
        }
        for (encoding, parameters) in encodings.iter().enumerate() {
            let encoding = encoding as u8;
            let ssrcs = [(parameters.ssrc, false), (parameters.rtx_ssrc, true)];
            for (ssrc, is_rtx) in ssrcs {
                if let Some(ssrc) = ssrc {
                    entry.inbound.enter(ssrc, Route { producer: at, encoding, is_rtx });
                }
            }
        }
    }

    pub(super) fn remove_producer_by_id(&mut self, id: ProducerId) {
        if let Some(at) = self.names.producers.get(&id).copied() {
            self.remove_producer(at);
        }
    }

    pub(super) fn remove_producer(&mut self, at: Index) {
        let Some(producer) = self.producers.get(at) else { return };
        let consumers: Vec<Index> = producer.outlets.iter().map(|outlet| outlet.consumer).collect();
        for consumer in consumers {
            self.remove_consumer(consumer);
        }
        let Some(mut producer) = self.producers.remove(at) else { return };
        self.names.producers.remove(&producer.id);
        self.pipes.forget(at, &mut producer);
        for encoding in &producer.encodings {
            self.rings.remove(encoding.ring);
        }
        if let Some(entry) = producer.transport().and_then(|transport| self.transports.get_mut(transport)) {
            entry.producers.retain(|other| *other != at);
            let rid_of =
                |encoding| producer.encodings.get(usize::from(encoding)).and_then(|it: &Encoding| it.rid.clone());
            entry.inbound.forget(at, &producer.mid, rid_of);
        }
        self.levels.forget(at);
        self.count_pipes();
    }

    pub(super) fn add_consumer(&mut self, now: Instant, command: AddConsumer) -> Result<(), Refused> {
        let refused = |reason| ("AddConsumer", command.consumer.0, reason);
        let transport = self.transport(command.transport).ok_or(refused("unknown_transport"))?;
        let producer_at = self.names.producers.get(&command.producer).copied().ok_or(refused("unknown_producer"))?;
        if self.names.consumers.contains_key(&command.consumer) {
            return Err(refused("consumer_exists"));
        }
        let (Some(entry), Some(producer)) = (self.transports.get_mut(transport), self.producers.get_mut(producer_at))
        else {
            return Ok(());
        };
        let ssrcs = [Some(command.ssrc), command.rtx_ssrc];
        if command.rtx_ssrc == Some(command.ssrc) || ssrcs.iter().flatten().any(|ssrc| entry.used_ssrcs.contains(ssrc))
        {
            return Err(refused("ssrc_in_use"));
        }
        entry.used_ssrcs.extend(ssrcs.into_iter().flatten());
        let (id, ssrc, cap, paused) = (command.consumer, command.ssrc, command.encoding, command.paused);
        // RFC 3711 3.3.1: starting in the lower half keeps the receiver's roll-over guess right when the first are lost.
        let first_index = u64::from(1 + self.rng.below(1 << 15));
        let rtx_index = u64::from(1 + self.rng.below(1 << 15));
        let indices = (first_index, rtx_index);
        let consumer = Consumer::new(command, producer.kind, producer_at, transport, &entry.extensions, indices);
        let at = self.consumers.insert(consumer);
        entry.consumers.push(at);
        entry.outbound.insert(ssrc, at);
        producer.outlets.push(Outlet::new(at, transport, cap, paused, first_index));
        self.names.consumers.insert(id, at);
        self.counters.consumers = self.consumers.len() as u64;
        self.retarget_consumer(now, at);
        Ok(())
    }

    pub(super) fn configure_consumer(&mut self, now: Instant, command: ConfigureConsumer) -> Result<(), Refused> {
        let refused = ("ConfigureConsumer", command.consumer.0, "unknown_consumer");
        let at = self.names.consumers.get(&command.consumer).copied().ok_or(refused)?;
        let producer = self.consumers.get(at).map(|consumer| consumer.producer).ok_or(refused)?;
        if let Some(outlet) = self.producers.get_mut(producer).and_then(|producer| producer.outlet_of(at)) {
            outlet.paused = command.paused;
            outlet.cap = command.encoding;
        }
        self.retarget_consumer(now, at);
        Ok(())
    }

    pub(super) fn remove_consumer_by_id(&mut self, id: ConsumerId) {
        if let Some(at) = self.names.consumers.get(&id).copied() {
            self.remove_consumer(at);
        }
    }

    pub(super) fn remove_consumer(&mut self, at: Index) {
        let Some(consumer) = self.consumers.remove(at) else { return };
        self.names.consumers.remove(&consumer.id);
        if let Some(producer) = self.producers.get_mut(consumer.producer) {
            producer.outlets.retain(|outlet| outlet.consumer != at);
        }
        self.count_interest(consumer.producer);
        if let Some(entry) = self.transports.get_mut(consumer.transport) {
            entry.consumers.retain(|other| *other != at);
            entry.outbound.remove(&consumer.ssrc);
            entry.egress.forget(at);
        }
        self.counters.consumers = self.consumers.len() as u64;
    }

    pub(super) fn request_keyframes(&mut self, now: Instant, id: ProducerId) -> Result<(), Refused> {
        let at = self.names.producers.get(&id).copied().ok_or(("RequestKeyframe", id.0, "unknown_producer"))?;
        let encodings = self.producers.get(at).map_or(0, |producer| producer.encodings.len());
        for encoding in 0..encodings as u8 {
            self.request_keyframe(now, at, encoding, Need::Repair);
        }
        Ok(())
    }
}

const MAX_ENCODINGS: usize = 3;

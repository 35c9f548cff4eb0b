//! RTP on its way in: authenticated, recorded for transport-wide feedback, routed to its encoding, stored in the ring.

use std::time::Instant;

use wire::ext::{self, Parsed};
use wire::rtp::{RtpPacket, split_rtx_payload};

use super::Forwarder;
use super::targets::Need;
use crate::egress::{PASSTHROUGH_MAX, Passthrough};
use crate::nack::Arrival;
use crate::producer::{Inspection, Place, Route, Start};
use crate::ring::{NotStored, Packet};
use crate::{Event, Kind, Path};
use slots::Index;

/// One packet with media, wherever it came from: the stream itself, or its retransmissions.
pub(super) struct Media<'a> {
    pub(super) received_us: u64,
    pub(super) index: u64,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
    pub(super) payload: &'a [u8],
    /// Of RED: where the newest block starts. 0: it is plain.
    pub(super) primary_at: u16,
    /// From the redundancy of a later packet.
    pub(super) is_recovered: bool,
    pub(super) parsed: &'a Parsed<'a>,
}

impl Forwarder {
    pub(super) fn handle_rtp(&mut self, now: Instant, received: Instant, path: Path, datagram: &mut [u8]) {
        let Some(at) = self.names.path(path) else {
            self.counters.drop_unknown_path += 1;
            return;
        };
        let Some(entry) = self.transports.get_mut(at) else { return };
        let inbound = match entry.transport.unprotect_rtp(now, path, datagram) {
            Ok(inbound) => inbound,
            Err(drop) => return self.count_drop(drop),
        };
        entry.heard_at = Some(now);
        self.counters.rtp_in += 1;
        self.counters.rtp_bytes_in += inbound.len as u64;
        let packet = &datagram[..inbound.len];
        let header = &inbound.header;
        let parsed = header.extension(packet).map(|block| ext::parse(&block, &entry.extensions)).unwrap_or_default();
        let received_us = self.clock.micros(received);
        // Before anything about SSRCs: libwebrtc probes with padding on streams that nobody announced.
        if let Some(seq) = parsed.twcc {
            entry.recorder.record(now, received_us, seq, header.ssrc);
            if let Some(due) = entry.recorder.poll_timeout() {
                self.deadlines.lower(at, due);
            }
        }
        let Ok(packet) = RtpPacket::from_header(header, packet) else {
            self.counters.drop_malformed += 1;
            return;
        };
        let known = entry.inbound.find(packet.ssrc.0);
        let Some(route) = known.or_else(|| self.learn_route(now, at, &packet, &parsed)) else { return };
        if route.is_rtx {
            self.handle_retransmission(now, received_us, route, &packet, &parsed);
        } else {
            self.handle_original(now, received_us, route, inbound.index, &packet, &parsed);
        }
    }

    fn handle_original(
        &mut self,
        now: Instant,
        received_us: u64,
        route: Route,
        index: u64,
        packet: &RtpPacket<'_>,
        parsed: &Parsed<'_>,
    ) {
        let Some(producer) = self.producers.get_mut(route.producer) else { return };
        if !producer.is_media(packet.payload_type) {
            self.counters.drop_payload_type += 1;
            return;
        }
        let ticks = received_us.wrapping_mul(u64::from(producer.clock_rate)) / 1_000_000;
        let encoding = &mut producer.encodings[usize::from(route.encoding)];
        encoding.stats.handle_packet(index, packet.timestamp.0, ticks);
        encoding.bytes += packet.payload.len() as u64;
        let is_red = packet.payload_type != producer.payload_type && !packet.payload.is_empty();
        let mut media = Media {
            received_us,
            index,
            timestamp: packet.timestamp.0,
            marker: packet.marker,
            payload: packet.payload,
            primary_at: 0,
            is_recovered: false,
            parsed,
        };
        if is_red {
            let Some(primary_at) = self.handle_red(now, route, &media) else { return };
            media.primary_at = primary_at;
        }
        self.handle_media(now, route, &media);
    }

    /// RFC 4588: the original sequence number stands in front of the payload.
    fn handle_retransmission(
        &mut self,
        now: Instant,
        received_us: u64,
        route: Route,
        packet: &RtpPacket<'_>,
        parsed: &Parsed<'_>,
    ) {
        let Some(producer) = self.producers.get(route.producer) else { return };
        if Some(packet.payload_type) != producer.rtx_payload_type {
            self.counters.drop_payload_type += 1;
            return;
        }
        // Nothing but padding: a bandwidth probe.
        let Ok((seq, payload)) = split_rtx_payload(packet.payload) else {
            self.counters.padding_in += 1;
            return;
        };
        let Some(index) = producer.encodings[usize::from(route.encoding)].numbers.index_of(seq.0) else {
            self.counters.drop_late += 1;
            return;
        };
        let (timestamp, marker) = (packet.timestamp.0, packet.marker);
        let (primary_at, is_recovered) = (0, false);
        let media = Media { received_us, index, timestamp, marker, payload, primary_at, is_recovered, parsed };
        if self.handle_media(now, route, &media) {
            self.counters.rtx_in += 1;
        }
    }

    /// Stores a packet and queues it for the consumers; false when it was of no use.
    pub(super) fn handle_media(&mut self, now: Instant, route: Route, media: &Media<'_>) -> bool {
        let Some(producer) = self.producers.get(route.producer) else { return false };
        let inspection = producer.codec.inspect(media.payload, media.parsed.dependency_descriptor);
        let is_padding = media.payload.is_empty();
        // Probes are padding, or what was sent before on the RTX stream: an encoder that stopped may go on with both.
        if !route.is_rtx && !is_padding {
            self.note_alive(now, route, inspection.start == Start::Keyframe);
        }
        self.note_arrival(now, route, media);
        let Some(producer) = self.producers.get_mut(route.producer) else { return false };
        let encoding = &mut producer.encodings[usize::from(route.encoding)];
        let place = if is_padding {
            self.counters.padding_in += 1;
            encoding.numbers.place_padding(media.index)
        } else {
            encoding.numbers.place(media.index)
        };
        let (dense, is_new) = match place {
            Place::New(dense) => (dense, true),
            Place::Late(dense) => (dense, false),
            Place::Unknown => {
                self.counters.drop_late += 1;
                return false;
            }
            Place::None => return true,
        };
        let mut scratch = [0; PASSTHROUGH_MAX];
        let packet = Packet {
            received_us: media.received_us,
            timestamp: media.timestamp,
            marker: media.marker,
            skippable: inspection.skippable,
            keyframe_start: self.starts_keyframe(route, dense, media.timestamp, inspection),
            filler: is_padding,
            picture_id: inspection.picture_id,
            tl0_picture_index: inspection.tl0_picture_index,
            primary_at: media.primary_at,
            extensions: Passthrough::write(media.parsed, &mut scratch).0,
            // A filler is nothing but padding: one byte that counts itself.
            payload: if is_padding { &[1] } else { media.payload },
        };
        if !self.store(route, dense, is_new, &packet) {
            return false;
        }
        if packet.keyframe_start {
            self.note_keyframe(route, media.index, dense, media.received_us);
        }
        if let Some((level, _)) = media.parsed.audio_level {
            self.levels.record(now, route.producer, level);
        }
        self.pipe_packet(route.producer, route.encoding, dense);
        self.fan_out(now, route.producer, route.encoding, dense);
        true
    }

    /// First packet, or first after a silence: consumers may want to head for this encoding now. If a keyframe starts with it,
    /// nobody has to ask for one.
    fn note_alive(&mut self, now: Instant, route: Route, is_keyframe: bool) {
        let Some(producer) = self.producers.get_mut(route.producer) else { return };
        let (id, Some(transport)) = (producer.id, producer.transport()) else { return };
        let encoding = &mut producer.encodings[usize::from(route.encoding)];
        encoding.last_packet_at = Some(now);
        if encoding.lives {
            return;
        }
        encoding.lives = true;
        let ssrc = encoding.ssrc.map_or(0, |ssrc| ssrc.0);
        if let Some(due) = encoding.poll_silence() {
            self.deadlines.lower(transport, due);
        }
        self.start_reports(now, transport);
        self.events.push_back(Event::EncodingSeen { producer: id, encoding: route.encoding, ssrc });
        self.pipe_alive(route.producer, route.encoding, is_keyframe);
        self.retarget(now, route.producer, Some(route.encoding).filter(|_| is_keyframe));
    }

    fn note_arrival(&mut self, now: Instant, route: Route, media: &Media<'_>) {
        let Some(producer) = self.producers.get_mut(route.producer).filter(|producer| producer.nack) else { return };
        let Some(transport) = producer.transport() else { return };
        let nack = &mut producer.encodings[usize::from(route.encoding)].nack;
        match nack.handle_packet(now, media.index) {
            Arrival::InOrder | Arrival::Old => {}
            Arrival::Gap => {
                if let Some(due) = nack.poll_timeout() {
                    self.deadlines.lower(transport, due);
                }
            }
            Arrival::GivenUp => {
                if producer.kind == Kind::Video {
                    self.request_keyframe(now, route.producer, route.encoding, Need::Repair);
                }
            }
            Arrival::Recovered { round_trip } => {
                self.counters.nack_recovered += 1;
                // What a later packet brings is no answer to a request.
                let sample = round_trip.filter(|_| !media.is_recovered);
                if let (Some(entry), Some(sample)) = (self.transports.get_mut(transport), sample) {
                    entry.handle_round_trip(sample);
                }
            }
        }
    }

    fn starts_keyframe(&self, route: Route, dense: u64, timestamp: u32, inspection: Inspection) -> bool {
        match inspection.start {
            Start::No => false,
            Start::Keyframe => true,
            Start::KeyframeIfFirst => {
                let ring = self
                    .producers
                    .get(route.producer)
                    .and_then(|producer| self.rings.get(producer.encodings[usize::from(route.encoding)].ring));
                ring.and_then(|ring| ring.get(dense - 1)).is_some_and(|previous| previous.timestamp != timestamp)
            }
        }
    }

    pub(super) fn store(&mut self, route: Route, dense: u64, is_new: bool, packet: &Packet<'_>) -> bool {
        let Some(producer) = self.producers.get_mut(route.producer) else { return false };
        let encoding = &mut producer.encodings[usize::from(route.encoding)];
        let Some(ring) = self.rings.get_mut(encoding.ring) else { return false };
        if let Err(reason) = ring.insert(dense, packet) {
            let counter = match reason {
                NotStored::Duplicate => &mut self.counters.drop_duplicate,
                NotStored::TooOld => &mut self.counters.drop_late,
                NotStored::Oversize => &mut self.counters.drop_oversize,
            };
            *counter += 1;
            return false;
        }
        if is_new {
            encoding.newest = Some((packet.timestamp, packet.received_us));
        }
        if producer.kind == Kind::Video && !self.fresh.contains(&encoding.ring) {
            self.fresh.push(encoding.ring);
        }
        true
    }

    fn note_keyframe(&mut self, route: Route, index: u64, dense: u64, received_us: u64) {
        let Some(producer) = self.producers.get_mut(route.producer) else { return };
        let encoding = &mut producer.encodings[usize::from(route.encoding)];
        encoding.nack.handle_keyframe(index);
        self.counters.nack_abandoned += encoding.nack.take_abandoned();
        if encoding.last_keyframe.is_none_or(|(last, _)| dense > last) {
            encoding.keyframes.handle_keyframe();
            encoding.last_keyframe = Some((dense, received_us));
        }
        self.counters.keyframes_in += 1;
    }

    pub(super) fn start_reports(&mut self, now: Instant, transport: Index) {
        let Some(entry) = self.transports.get_mut(transport).filter(|entry| entry.report_due.is_none()) else { return };
        let due = now + super::timers::FIRST_RECEIVER_REPORT;
        entry.report_due = Some(due);
        self.deadlines.lower(transport, due);
    }
}

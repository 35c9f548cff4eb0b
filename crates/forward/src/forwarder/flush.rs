//! The way out: for each transport with something to say, session datagrams, RTCP, audio and video, in this order.
//!
//! A media packet is built here and only here: header from the consumer's template, one copy of the payload from the ring
//! into the sink's buffer, encryption in place. Runs of equal size to one path stay together for the sink to send as one.

use std::time::Instant;

use super::Forwarder;
use super::entry::TransportEntry;
use wire::PayloadType;
use wire::codec::red;

use crate::consumer::{Consumer, FIRST_REPORT};
use crate::deadlines::Deadlines;
use crate::egress::{Descriptor, HeaderFields, Passthrough, RtcpQueue, Stamps};
use crate::ring::{Ring, Slot};
use crate::transport::Transport;
use crate::{Counters, DatagramSink};
use slots::{Index, Slab};

impl Forwarder {
    /// Writes everything that is due, for transports that have something to say.
    pub fn flush(&mut self, now: Instant, sink: &mut impl DatagramSink) {
        self.unfinished_fan_out = 0;
        for ring in self.fresh.drain(..) {
            if let Some(ring) = self.rings.get_mut(ring) {
                ring.settle();
            }
        }
        let (counters, session) = (&mut self.counters, &mut *self.session_datagram);
        let mut outbox = Outbox { sink, counters, session, now };
        for mut transport in self.farewells.drain(..) {
            outbox.send_session(&mut transport);
        }
        let mut media = Media {
            consumers: &mut self.consumers,
            rings: &self.rings,
            deadlines: &mut self.deadlines,
            departure_us: self.clock.micros(now),
            abs_send_time: wire::ext::encode_abs_send_time(self.clock.since_start(now)),
        };
        for at in self.dirty.drain(..) {
            let Some(entry) = self.transports.get_mut(at) else { continue };
            entry.dirty = false;
            outbox.send_session(&mut entry.transport);
            if !entry.egress.rtcp.is_empty() {
                outbox.send_rtcp(&mut entry.transport, &mut entry.egress.rtcp);
            }
            outbox.send_media(at, entry, &mut media, |entry| &mut entry.egress.audio);
            outbox.send_media(at, entry, &mut media, |entry| &mut entry.egress.video);
            if let Some(due) = entry.transport.poll_timeout() {
                media.deadlines.lower(at, due);
            }
        }
    }
}

/// What media packets are made from.
struct Media<'a> {
    consumers: &'a mut Slab<Consumer>,
    rings: &'a Slab<Ring>,
    deadlines: &'a mut Deadlines,
    departure_us: u64,
    abs_send_time: [u8; 3],
}

struct Outbox<'a, S> {
    sink: &'a mut S,
    counters: &'a mut Counters,
    /// Room for a datagram of STUN, DTLS or SCTP.
    session: &'a mut [u8],
    now: Instant,
}

impl<S: DatagramSink> Outbox<'_, S> {
    fn send_session(&mut self, transport: &mut Transport) {
        while let Some((path, len)) = transport.poll_datagram(self.now, self.session) {
            self.sink.reserve(path, len)[..len].copy_from_slice(&self.session[..len]);
            self.commit(len);
        }
    }

    fn send_rtcp(&mut self, transport: &mut Transport, queue: &mut RtcpQueue) {
        for compound in queue.iter() {
            let Some(overhead) = transport.srtp_outbound().map(|srtp| srtp.rtcp_overhead()) else { break };
            let max = compound.len() + overhead;
            let Some(path) = transport.may_send(max) else {
                self.counters.drop_no_path += 1;
                continue;
            };
            let Some(srtp) = transport.srtp_outbound() else { break };
            let buf = self.sink.reserve(path, max);
            buf[..compound.len()].copy_from_slice(compound);
            let len = srtp.protect_rtcp(&mut buf[..max], compound.len());
            if len > 0 {
                self.counters.rtcp_out += 1;
                self.commit(len);
            }
        }
        queue.clear();
    }

    fn send_media(
        &mut self,
        at: Index,
        entry: &mut TransportEntry,
        media: &mut Media<'_>,
        queue: fn(&mut TransportEntry) -> &mut Vec<Descriptor>,
    ) {
        let mut descriptors = std::mem::take(queue(entry));
        for descriptor in &descriptors {
            self.send_packet(at, entry, media, descriptor);
        }
        descriptors.clear();
        *queue(entry) = descriptors;
    }

    #[inline]
    fn send_packet(&mut self, at: Index, entry: &mut TransportEntry, media: &mut Media<'_>, descriptor: &Descriptor) {
        let Some(consumer) = media.consumers.get_mut(descriptor.consumer) else { return };
        let Some(ring) = media.rings.get(descriptor.ring) else { return };
        let Some(slot) = ring.get_by_low_bits(descriptor.dense) else {
            self.counters.drop_overwritten += 1;
            return;
        };
        let (extensions, stored) = ring.bytes(slot);
        let (payload, is_red) = presented(consumer, descriptor, slot, stored);
        let passthrough = Passthrough(extensions);
        let padding = if descriptor.treatment.is_repair() { 0 } else { usize::from(slot.padding) };
        let max = consumer.template.max_len(passthrough) + RTX_PREFIX + payload.len() + padding + MAX_TAG;
        let Some(path) = entry.transport.may_send(max) else {
            self.counters.drop_no_path += 1;
            return;
        };
        let Some(srtp) = entry.transport.srtp_outbound() else { return };
        let Some((fields, index)) = number(consumer, descriptor, slot, is_red) else { return };
        let stamps = if descriptor.treatment.is_repeat() {
            let Some(stamps) = consumer.sent_stamps.of(index) else { return };
            stamps
        } else {
            let has_twcc = consumer.template.has_twcc();
            let twcc = if has_twcc { entry.stamper.stamp(media.departure_us, payload.len()) } else { 0 };
            Stamps { twcc, abs_send_time: media.abs_send_time }
        };
        let buf = &mut self.sink.reserve(path, max)[..max];
        let header_len = consumer.template.write(buf, &fields, stamps, passthrough, &entry.extensions);
        let payload_len = write_payload(&mut buf[header_len..], descriptor, payload);
        if is_red {
            red::rewrite(&mut buf[header_len..header_len + payload_len], PayloadType(consumer.payload_type));
            self.counters.red_out += 1;
        }
        if padding > 0 {
            pad(&mut buf[header_len + payload_len..], padding);
            self.counters.rtp_pad_bytes_out += padding as u64;
        }
        let len = srtp.protect_rtp(buf, header_len, payload_len + padding, fields.ssrc, index);
        if len == 0 {
            return;
        }
        self.commit(len);
        self.counters.rtp_out += 1;
        self.counters.rtp_bytes_out += len as u64;
        if descriptor.treatment.is_repair() || descriptor.treatment.is_repeat() {
            self.counters.rtx_out += 1;
            self.counters.rtx_bytes_out += len as u64;
            return;
        }
        if consumer.rtx.is_none() {
            consumer.sent_stamps.note(index, stamps);
        }
        entry.budget.earn(len);
        consumer.sent_packets = consumer.sent_packets.wrapping_add(1);
        consumer.sent_octets = consumer.sent_octets.wrapping_add(payload_len as u32);
        if consumer.is_lossy
            && let Some(due) = consumer.plan_probe(self.now, index, slot)
        {
            media.deadlines.lower(at, due);
        }
        if consumer.report_due.is_none() {
            let due = self.now + FIRST_REPORT;
            consumer.report_due = Some(due);
            media.deadlines.lower(at, due);
        }
    }

    #[inline]
    fn commit(&mut self, len: usize) {
        self.counters.datagrams_out += 1;
        self.counters.datagram_bytes_out += len as u64;
        self.sink.commit(len);
    }
}

/// What of a stored payload this consumer gets, and whether that is RED: its client understands it, or gets the newest block.
/// An RTX stream repeats one payload type, which is the plain one.
#[inline]
fn presented<'a>(consumer: &Consumer, descriptor: &Descriptor, slot: &Slot, stored: &'a [u8]) -> (&'a [u8], bool) {
    match (slot.primary_at, consumer.red_payload_type.filter(|_| !descriptor.treatment.is_repair())) {
        (0, _) => (stored, false),
        (_, Some(_)) => (stored, true),
        (primary_at, None) => (stored.get(usize::from(primary_at)..).unwrap_or_default(), false),
    }
}

/// Header fields and SRTP index of a packet; a retransmission takes the next number of its own stream.
#[inline]
fn number(consumer: &mut Consumer, descriptor: &Descriptor, slot: &Slot, is_red: bool) -> Option<(HeaderFields, u64)> {
    let (timestamp, marker) = (descriptor.timestamp, slot.marker);
    if descriptor.treatment.is_repair() {
        let rtx = consumer.rtx.as_mut()?;
        let (ssrc, payload_type, index) = (rtx.ssrc, rtx.payload_type, rtx.next_index);
        rtx.next_index += 1;
        return Some((
            HeaderFields { payload_type, marker, padding: false, seq: index as u16, timestamp, ssrc },
            index,
        ));
    }
    let index = descriptor.index;
    consumer.highest_sent = Some(consumer.highest_sent.map_or(index, |highest| highest.max(index)));
    let red_payload_type = consumer.red_payload_type.filter(|_| is_red);
    let (ssrc, payload_type) = (consumer.ssrc, red_payload_type.unwrap_or(consumer.payload_type));
    Some((
        HeaderFields {
            payload_type,
            marker,
            padding: slot.filler || slot.padding > 0,
            seq: index as u16,
            timestamp,
            ssrc,
        },
        index,
    ))
}

/// Copies the payload behind the header, with the original sequence number in front on an RTX stream (RFC 4588).
#[inline]
fn write_payload(room: &mut [u8], descriptor: &Descriptor, payload: &[u8]) -> usize {
    let start = if descriptor.treatment.is_repair() {
        room[..RTX_PREFIX].copy_from_slice(&(descriptor.index as u16).to_be_bytes());
        RTX_PREFIX
    } else {
        0
    };
    let end = start + payload.len();
    room[start..end].copy_from_slice(payload);
    if descriptor.treatment.rewrites_vp8() {
        wire::codec::vp8::rewrite(&mut room[start..end], descriptor.picture_id, descriptor.tl0_picture_index);
    }
    end
}

/// RTP padding of `len` bytes, the last of which counts them (RFC 3550 section 5.1).
#[inline]
fn pad(room: &mut [u8], len: usize) {
    room[..len - 1].fill(0);
    room[len - 1] = len as u8;
}

const RTX_PREFIX: usize = 2;
// GCM; the others are shorter.
const MAX_TAG: usize = 16;
pub(super) const SESSION_DATAGRAM: usize = 2_048;

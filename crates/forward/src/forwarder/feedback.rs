//! RTCP on its way in: reports, NACKs and keyframe requests of subscribers, sender reports of publishers.

use std::time::{Duration, Instant};

use wire::rtcp::{self, ReportBlock, Rtcp};
use wire::{RtpTimestamp, Ssrc};

use super::Forwarder;
use super::targets::Need;
use crate::Path;
use crate::clock::{Ntp, from_ntp_short, ntp_middle};
use crate::report::SenderTime;
use slots::Index;

impl Forwarder {
    pub(super) fn handle_rtcp(&mut self, now: Instant, received: Instant, path: Path, datagram: &mut [u8]) {
        let Some(at) = self.names.path(path) else {
            self.counters.drop_unknown_path += 1;
            return;
        };
        let Some(entry) = self.transports.get_mut(at) else { return };
        let len = match entry.transport.unprotect_rtcp(now, path, datagram) {
            Ok(len) => len,
            Err(drop) => return self.count_drop(drop),
        };
        entry.heard_at = Some(now);
        self.counters.rtcp_in += 1;
        let mut statuses = 0;
        for packet in rtcp::iter(&datagram[..len]) {
            let Ok(packet) = packet else {
                self.counters.drop_malformed += 1;
                return;
            };
            if let Rtcp::TransportFeedback(feedback) = &packet {
                statuses += u32::from(feedback.status_count);
                if statuses > MAX_STATUSES {
                    self.counters.drop_malformed += 1;
                    return;
                }
            }
            self.handle_rtcp_packet(now, received, at, packet);
        }
    }

    fn handle_rtcp_packet(&mut self, now: Instant, received: Instant, at: Index, packet: Rtcp<'_>) {
        match packet {
            Rtcp::SenderReport { ssrc, ntp, rtp_timestamp, reports, .. } => {
                self.handle_sender_report(received, at, ssrc, ntp, rtp_timestamp);
                reports.for_each(|block| self.handle_report_block(now, at, &block));
            }
            Rtcp::ReceiverReport { reports, .. } => {
                reports.for_each(|block| self.handle_report_block(now, at, &block));
            }
            Rtcp::Nack { media, lost, .. } => self.handle_nack(now, at, media, lost),
            Rtcp::Pli { media, .. } => self.handle_keyframe_request(now, at, media),
            Rtcp::Fir { entries, .. } => {
                entries.take(MAX_FIR_ENTRIES).for_each(|(media, _)| self.handle_keyframe_request(now, at, media));
            }
            Rtcp::TransportFeedback(feedback) => {
                let Some(entry) = self.transports.get_mut(at) else { return };
                let summary = entry.stamper.handle_feedback(&feedback);
                self.counters.twcc_in += 1;
                self.counters.twcc_reported_lost += summary.lost;
            }
            // A publisher that says goodbye falls silent; REMB is of no use before there is an estimate to compare it with.
            Rtcp::Sdes { .. } | Rtcp::Bye { .. } | Rtcp::Remb { .. } | Rtcp::Other { .. } => {}
        }
    }

    fn handle_sender_report(&mut self, received: Instant, at: Index, ssrc: Ssrc, ntp: Ntp, timestamp: RtpTimestamp) {
        let Some(entry) = self.transports.get_mut(at) else { return };
        let Some(route) = entry.inbound.find(ssrc.0).filter(|route| !route.is_rtx && ntp != 0) else { return };
        entry.origin.handle_sender_report(&self.clock, received, ntp);
        let Some(producer) = self.producers.get_mut(route.producer) else { return };
        let encoding = &mut producer.encodings[usize::from(route.encoding)];
        encoding.sender = Some(SenderTime { ntp, timestamp, arrival: received });
        self.pipe_sender_report(route.producer, route.encoding);
    }

    fn handle_report_block(&mut self, now: Instant, at: Index, block: &ReportBlock) {
        let our_middle = ntp_middle(self.clock.ntp(now));
        let Some(entry) = self.transports.get_mut(at) else { return };
        let consumer = entry.outbound.get(&block.ssrc.0).and_then(|at| self.consumers.get_mut(*at));
        let Some(consumer) = consumer else { return };
        if let Some(highest) = consumer.highest_sent {
            consumer.reception.handle_block(block, highest, consumer.sent_packets);
            consumer.is_lossy = consumer.reception.is_lossy();
        }
        if block.last_sr == 0 {
            return;
        }
        let round_trip = our_middle.wrapping_sub(block.last_sr).wrapping_sub(block.delay_since_last_sr);
        // Negative: a clock that runs differently, or a client that makes things up.
        if (round_trip as i32) >= 0 {
            entry.handle_round_trip(from_ntp_short(round_trip).max(Duration::from_micros(100)));
        }
    }

    fn handle_keyframe_request(&mut self, now: Instant, at: Index, media: Ssrc) {
        self.counters.keyframe_requests_in += 1;
        let consumer = self.transports.get(at).and_then(|entry| entry.outbound.get(&media.0)).copied();
        let Some(consumer) = consumer else { return };
        let Some(asking) = self.consumers.get_mut(consumer) else { return };
        if !asking.keyframe_allowance.admit(now) {
            self.counters.keyframe_requests_held += 1;
            return;
        }
        let producer = asking.producer;
        let outlet = self.producers.get_mut(producer).and_then(|producer| producer.outlet_of(consumer));
        if let Some(encoding) = outlet.and_then(|outlet| outlet.current.or(outlet.target)) {
            self.request_keyframe(now, producer, encoding, Need::Repair);
        }
    }

    fn handle_nack(&mut self, now: Instant, at: Index, media: Ssrc, lost: impl Iterator<Item = u16>) {
        let consumer = self.transports.get(at).and_then(|entry| entry.outbound.get(&media.0)).copied();
        let Some(consumer) = consumer else { return };
        for seq in lost.take(MAX_NACKED) {
            self.counters.nack_in += 1;
            self.repeat(now, at, consumer, seq);
        }
    }
}

// A NACK of one datagram names up to 4,800; nobody has lost more than this in a round trip and still sees a picture.
const MAX_NACKED: usize = 512;
const MAX_FIR_ENTRIES: usize = 16;
// Of one datagram: a quarter of a second, the longest that libwebrtc waits, of 200 Mbit/s. Forty bytes can name 65,535.
const MAX_STATUSES: u32 = 8_192;

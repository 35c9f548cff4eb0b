//! What happens by itself: transport timers, NACKs, keyframe retries, feedback and reports. One deadline per transport.

use std::time::{Duration, Instant};

use wire::rtcp::{self, ReportBlock};
use wire::{RtpTimestamp, Ssrc};

use super::Forwarder;
use crate::Event;
use crate::consumer::Consumer;
use crate::pipe::What;
use crate::producer::{Feed, Producer};
use crate::report::NtpOrigin;
use slots::Index;

impl Forwarder {
    /// Runs every timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((due, at)) = self.deadlines.peek() {
            if due > now {
                break;
            }
            let next = self.handle_transport_timeout(now, at);
            // Whatever a timer says, time goes on.
            self.deadlines.set(at, next.map(|next| next.max(now + MIN_STEP)));
        }
        self.counters.timers = self.deadlines.len() as u64;
        self.report_levels(now);
        self.report_transports(now);
    }

    fn report_levels(&mut self, now: Instant) {
        let Some(heard) = self.levels.handle_timeout(now) else { return };
        let levels = heard.into_iter().filter_map(|(at, level)| Some((self.producers.get(at)?.id, level))).collect();
        self.events.push_back(Event::AudioLevels { levels });
    }

    /// Runs what is due on one transport; gives its next deadline.
    fn handle_transport_timeout(&mut self, now: Instant, at: Index) -> Option<Instant> {
        let entry = self.transports.get_mut(at)?;
        if entry.transport.poll_timeout().is_some_and(|due| due <= now) {
            entry.transport.handle_timeout(now);
            self.settle(now, at);
        }
        self.send_twcc(now, at);
        self.send_receiver_reports(now, at);
        let producers = self.transports.get(at)?.producers.clone();
        let consumers = self.transports.get(at)?.consumers.clone();
        for producer in &producers {
            self.handle_producer_timeout(now, at, *producer);
        }
        for consumer in &consumers {
            self.send_sender_report(now, at, *consumer);
            self.probe_tail(now, at, *consumer);
        }
        self.next_deadline(at, &producers, &consumers)
    }

    fn next_deadline(&self, at: Index, producers: &[Index], consumers: &[Index]) -> Option<Instant> {
        let entry = self.transports.get(at)?;
        let own = [entry.transport.poll_timeout(), entry.recorder.poll_timeout(), entry.report_due];
        let encodings =
            producers.iter().filter_map(|at| self.producers.get(*at)).flat_map(|producer| &producer.encodings);
        let inbound = encodings.flat_map(|encoding| {
            [encoding.nack.poll_timeout(), encoding.keyframes.poll_timeout(), encoding.poll_silence()]
        });
        let outbound = consumers
            .iter()
            .filter_map(|at| self.consumers.get(*at))
            .flat_map(|consumer| [consumer.report_due, consumer.probe.map(|probe| probe.due)]);
        own.into_iter().chain(inbound).chain(outbound).flatten().min()
    }

    fn handle_producer_timeout(&mut self, now: Instant, at: Index, producer_at: Index) {
        let encodings = self.producers.get(producer_at).map_or(0, |producer| producer.encodings.len()) as u8;
        for encoding in 0..encodings {
            self.send_nack(now, at, producer_at, encoding);
            self.retry_keyframe(now, producer_at, encoding);
            self.notice_silence(now, producer_at, encoding);
        }
    }

    fn send_nack(&mut self, now: Instant, at: Index, producer_at: Index, encoding_at: u8) {
        let (Some(entry), Some(producer)) = (self.transports.get_mut(at), self.producers.get_mut(producer_at)) else {
            return;
        };
        let encoding = &mut producer.encodings[usize::from(encoding_at)];
        let mut lost = Vec::new();
        encoding.nack.collect_due(now, entry.round_trip_or_guess(), &mut lost);
        self.counters.nack_abandoned += encoding.nack.take_abandoned();
        let Some(media) = encoding.ssrc.filter(|_| !lost.is_empty()) else { return };
        let sender = entry.local_ssrc;
        // 128 numbers fill half a compound at worst.
        for lost in lost.chunks(128) {
            if entry.egress.rtcp.push(|buf| rtcp::write_nack(buf, sender, media, lost)) {
                self.counters.nack_out += lost.len() as u64;
            }
        }
        self.mark_dirty(at);
    }

    fn retry_keyframe(&mut self, now: Instant, producer_at: Index, encoding_at: u8) {
        let Some(producer) = self.producers.get_mut(producer_at) else { return };
        let waiting = producer.is_awaited(encoding_at);
        let encoding = &mut producer.encodings[usize::from(encoding_at)];
        if encoding.keyframes.handle_timeout(now, waiting && encoding.lives) {
            self.send_pli(producer_at, encoding_at);
        }
    }

    fn notice_silence(&mut self, now: Instant, producer_at: Index, encoding_at: u8) {
        let Some(producer) = self.producers.get_mut(producer_at) else { return };
        if producer.encodings[usize::from(encoding_at)].falls_silent(now) {
            self.events.push_back(Event::EncodingLost { producer: producer.id, encoding: encoding_at });
            self.pipe_note(producer_at, What::Silent { encoding: encoding_at });
            self.retarget(now, producer_at, None);
        }
    }

    fn send_twcc(&mut self, now: Instant, at: Index) {
        let Some(entry) = self.transports.get_mut(at) else { return };
        let mut sent = 0;
        while sent < MAX_FEEDBACKS {
            let (recorder, sender) = (&mut entry.recorder, entry.local_ssrc);
            if !entry.egress.rtcp.push(|buf| recorder.poll_feedback(now, sender, buf)) {
                break;
            }
            sent += 1;
        }
        if sent > 0 {
            self.counters.twcc_out += sent;
            self.mark_dirty(at);
        }
    }

    fn send_receiver_reports(&mut self, now: Instant, at: Index) {
        let Some(entry) = self.transports.get_mut(at) else { return };
        if entry.report_due.is_none_or(|due| due > now) {
            return;
        }
        let mut blocks: Vec<ReportBlock> = Vec::new();
        let mut remb: Vec<Ssrc> = Vec::new();
        let mut bytes = 0;
        for producer in &entry.producers {
            let Some(producer) = self.producers.get_mut(*producer) else { continue };
            for encoding in producer.encodings.iter_mut().filter(|encoding| encoding.lives) {
                let Some(ssrc) = encoding.ssrc else { continue };
                blocks.extend(encoding.stats.report(now, ssrc, encoding.sender.as_ref()));
                bytes += std::mem::take(&mut encoding.bytes);
                if producer.wants_remb {
                    remb.push(ssrc);
                }
            }
        }
        let spread = Duration::from_millis(u64::from(self.rng.below(200)));
        entry.report_due = (!blocks.is_empty()).then(|| now + RECEIVER_REPORT_INTERVAL + spread);
        let sender = entry.local_ssrc;
        for blocks in blocks.chunks(MAX_BLOCKS) {
            entry.egress.rtcp.push(|buf| rtcp::write_rr(buf, sender, blocks));
        }
        if !remb.is_empty() {
            let worst = blocks.iter().map(|block| block.fraction_lost).max().unwrap_or(0);
            entry.handle_interval(worst, bytes * 8);
            remb.truncate(MAX_BLOCKS);
            let bitrate = entry.remb_bps;
            if entry.egress.rtcp.push(|buf| rtcp::write_remb(buf, sender, bitrate, &remb)) {
                self.counters.remb_out += 1;
            }
        }
        self.mark_dirty(at);
    }

    fn send_sender_report(&mut self, now: Instant, at: Index, consumer_at: Index) {
        let Some(consumer) = self.consumers.get_mut(consumer_at) else { return };
        if consumer.report_due.is_none_or(|due| due > now + TOGETHER) {
            return;
        }
        // A consumer that has nothing new to report is set going again by its next packet.
        let sends = consumer.reported_packets != Some(consumer.sent_packets);
        consumer.reported_packets = Some(consumer.sent_packets);
        consumer.report_due = sends.then(|| now + consumer.report_interval());
        let Some(consumer) = self.consumers.get(consumer_at).filter(|_| sends) else { return };
        let Some(timestamp) = self.timestamp_now(now, consumer) else { return };
        let ntp = self.clock.ntp(now);
        let Some(entry) = self.transports.get_mut(at) else { return };
        let (ssrc, packets, octets) = (Ssrc(consumer.ssrc), consumer.sent_packets, consumer.sent_octets);
        entry.egress.rtcp.push(|buf| {
            let report = rtcp::write_sr(buf, ssrc, ntp, timestamp, packets, octets, &[])?;
            let name = rtcp::write_sdes_cname(&mut buf[report..], ssrc, &consumer.cname)?;
            Some(report + name)
        });
        self.mark_dirty(at);
    }

    /// The consumer's RTP timestamp of this moment: by the publisher's sender report, else by its newest packet.
    fn timestamp_now(&self, now: Instant, consumer: &Consumer) -> Option<RtpTimestamp> {
        let run = consumer.current_run()?;
        let producer = self.producers.get(consumer.producer)?;
        let encoding =
            producer.encodings.get(usize::from(run.encoding)).filter(|encoding| encoding.epoch == run.epoch)?;
        let origin = self.origin_of(producer)?;
        let by_report = encoding
            .sender
            .zip(origin.to_publisher(self.clock.ntp(now)))
            .map(|(sender, ntp)| sender.timestamp_at(ntp, producer.clock_rate));
        let by_arrival = encoding.newest.map(|(timestamp, received_us)| {
            let elapsed_us = self.clock.micros(now).saturating_sub(received_us);
            timestamp.wrapping_add((elapsed_us * u64::from(producer.clock_rate) / 1_000_000) as u32)
        });
        by_report.or(by_arrival).map(|timestamp| RtpTimestamp(timestamp.wrapping_add(run.timestamp_delta)))
    }

    /// How far a publisher's clock is from ours.
    pub(super) fn origin_of(&self, producer: &Producer) -> Option<NtpOrigin> {
        match &producer.feed {
            Feed::Client { transport } => self.transports.get(*transport).map(|entry| entry.origin),
            Feed::Pipe(mirror) => Some(mirror.origin),
        }
    }
}

/// Soon, so that the publisher learns its round trip before its estimate grows.
pub(super) const FIRST_RECEIVER_REPORT: Duration = Duration::from_millis(200);
const RECEIVER_REPORT_INTERVAL: Duration = Duration::from_millis(900);
/// Sender reports due within this go out together: one timer and one datagram for many consumers.
const TOGETHER: Duration = Duration::from_millis(50);
const MAX_BLOCKS: usize = 31;
const MAX_FEEDBACKS: u64 = 8;
const MIN_STEP: Duration = Duration::from_millis(1);

//! Transport-wide congestion control (draft-holmer-rmcat-transport-wide-cc-extensions-01), both directions: arrivals that we
//! report to publishers, and departures that subscribers report on.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use wire::seq::Extender;
use wire::{Ssrc, TwccSeq};

/// Arrivals on one transport, waiting to be reported.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    seqs: Extender,
    /// (extended number, microseconds since the start), ascending by number; reported ones are kept for a while.
    arrivals: VecDeque<(u64, i64)>,
    /// The lowest number that the next feedback must cover.
    report_from: Option<u64>,
    unreported: u32,
    first_unreported_at: Option<Instant>,
    feedback_count: u8,
    media: Ssrc,
}

impl Recorder {
    /// Notes an authenticated packet, whether or not anybody wants its media.
    pub(crate) fn record(&mut self, now: Instant, received_us: u64, seq: u16, media: Ssrc) {
        let seq = self.seqs.extend(seq);
        let at = self.arrivals.partition_point(|(other, _)| *other < seq);
        if self.arrivals.get(at).is_some_and(|(other, _)| *other == seq) {
            return;
        }
        self.arrivals.insert(at, (seq, received_us as i64));
        self.media = media;
        self.unreported += 1;
        self.first_unreported_at.get_or_insert(now);
        self.report_from = Some(self.report_from.map_or(seq, |from| from.min(seq)));
        if self.arrivals.len() > MAX_ARRIVALS {
            self.arrivals.pop_front();
        }
    }

    /// When feedback is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let busy = self.unreported >= BUSY;
        self.first_unreported_at.map(|first| first + if busy { BUSY_INTERVAL } else { INTERVAL })
    }

    /// Writes one feedback packet if it is due; call again until `None`.
    pub(crate) fn poll_feedback(&mut self, now: Instant, sender: Ssrc, buf: &mut [u8]) -> Option<usize> {
        self.poll_timeout().filter(|due| *due <= now)?;
        let mut base = self.report_from?;
        let first = self.arrivals.partition_point(|(seq, _)| *seq < base);
        let Some(&(first_seq, first_us)) = self.arrivals.get(first) else {
            self.finish_report();
            return None;
        };
        if first_seq - base > MAX_GAP {
            base = first_seq;
        }
        let reference = first_us / wire::twcc::REFERENCE_UNIT_US;
        let packets: Vec<(u16, Option<i64>)> = self
            .arrivals
            .range(first..)
            .take_while(|(seq, _)| seq - base < MAX_STATUSES)
            .map(|(seq, us)| (*seq as u16, Some(us - reference * wire::twcc::REFERENCE_UNIT_US)))
            .collect();
        let (len, consumed) = wire::twcc::write(
            buf,
            sender,
            self.media,
            TwccSeq(base as u16),
            reference as u32 & 0xff_ffff,
            self.feedback_count,
            &packets,
        );
        if consumed == 0 {
            // No room here; in an empty compound there is.
            if buf.len() >= ROOM_FOR_ANY {
                self.finish_report();
            }
            return None;
        }
        self.feedback_count = self.feedback_count.wrapping_add(1);
        self.report_from = self.arrivals.get(first + consumed - 1).map(|(seq, _)| seq + 1);
        if first + consumed == self.arrivals.len() {
            self.finish_report();
        }
        Some(len)
    }

    fn finish_report(&mut self) {
        self.unreported = 0;
        self.first_unreported_at = None;
        let keep = self.arrivals.len().min(KEPT_ARRIVALS);
        self.arrivals.drain(..self.arrivals.len() - keep);
    }
}

/// Numbers and departures of what we send on one transport.
#[derive(Debug, Default)]
pub(crate) struct Stamper {
    next: u64,
    /// The last entry has number `next - 1`.
    sent: VecDeque<Departure>,
}

/// Eight bytes per packet: this is the largest thing that a busy subscriber costs.
#[derive(Debug, Clone, Copy)]
struct Departure {
    /// Microseconds since the start, wrapping after 71 minutes.
    at_us: u32,
    bytes: u16,
}

/// What one feedback packet said about our packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct FeedbackSummary {
    pub(crate) received: u64,
    pub(crate) lost: u64,
    pub(crate) received_bytes: u64,
}

impl Stamper {
    /// The number of the next packet, which leaves now with `len` bytes.
    #[inline]
    pub(crate) fn stamp(&mut self, departure_us: u64, len: usize) -> u16 {
        let seq = self.next as u16;
        self.next += 1;
        if self.sent.len() >= MAX_SENT {
            self.sent.pop_front();
        }
        let at_us = departure_us as u32;
        while self.sent.front().is_some_and(|oldest| at_us.wrapping_sub(oldest.at_us) > HISTORY_US) {
            self.sent.pop_front();
        }
        self.sent.push_back(Departure { at_us, bytes: len as u16 });
        seq
    }

    /// Matches a feedback packet with the departures it is about; unknown numbers are ignored.
    pub(crate) fn handle_feedback(&mut self, feedback: &wire::twcc::Feedback<'_>) -> FeedbackSummary {
        let mut summary = FeedbackSummary::default();
        for (seq, arrival) in feedback {
            let age = TwccSeq(self.next as u16).distance(TwccSeq(seq));
            let Some(position) = usize::try_from(age).ok().and_then(|age| self.sent.len().checked_sub(age)) else {
                continue;
            };
            let Some(departure) = self.sent.get(position) else { continue };
            if arrival.is_some() {
                summary.received += 1;
                summary.received_bytes += u64::from(departure.bytes);
            } else {
                summary.lost += 1;
            }
        }
        summary
    }
}

// Chromium's own range is 50 to 250 ms; under load the shorter one, so that its estimate reacts.
const INTERVAL: Duration = Duration::from_millis(100);
const BUSY_INTERVAL: Duration = Duration::from_millis(50);
const BUSY: u32 = 20;
// Reported arrivals that a late packet may make us report again.
const KEPT_ARRIVALS: usize = 128;
const MAX_ARRIVALS: usize = 2_048;
// Numbers without a packet at the start of a feedback: beyond this the sender jumped.
const MAX_GAP: u64 = 4_096;
const MAX_STATUSES: u64 = 8_192;
const ROOM_FOR_ANY: usize = 600;
// Feedback is late by a round trip, a feedback interval and a stall of the client.
const HISTORY_US: u32 = 5_000_000;
const MAX_SENT: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    fn feedback(recorder: &mut Recorder, now: Instant) -> Vec<(u16, Option<i64>)> {
        let mut buf = [0; 1_200];
        let Some(len) = recorder.poll_feedback(now, Ssrc(1), &mut buf) else { return Vec::new() };
        match wire::rtcp::iter(&buf[..len]).next() {
            Some(Ok(wire::rtcp::Rtcp::TransportFeedback(feedback))) => {
                let reference = feedback.reference_us();
                feedback.iter().map(|(seq, at)| (seq, at.map(|at| at + reference))).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_arrived_is_reported_with_its_time_and_what_did_not_as_missing() {
        let start = Instant::now();
        let mut recorder = Recorder::default();
        recorder.record(start, 1_000_000, 65_534, Ssrc(7));
        recorder.record(start, 1_002_500, 1, Ssrc(7));
        assert!(feedback(&mut recorder, start + Duration::from_millis(99)).is_empty());
        let reported = feedback(&mut recorder, start + Duration::from_millis(100));
        assert_eq!(reported, [(65_534, Some(1_000_000)), (65_535, None), (0, None), (1, Some(1_002_500))]);
        assert_eq!(recorder.poll_timeout(), None);
    }

    #[test]
    fn the_next_feedback_starts_where_the_last_one_ended() {
        let start = Instant::now();
        let mut recorder = Recorder::default();
        recorder.record(start, 1_000, 10, Ssrc(7));
        feedback(&mut recorder, start + INTERVAL);
        recorder.record(start, 2_000, 13, Ssrc(7));
        let seqs: Vec<_> =
            feedback(&mut recorder, start + INTERVAL).iter().map(|(seq, at)| (*seq, at.is_some())).collect();
        assert_eq!(seqs, [(11, false), (12, false), (13, true)]);
    }

    #[test]
    fn a_late_packet_is_reported_again_with_its_neighbours() {
        let start = Instant::now();
        let mut recorder = Recorder::default();
        recorder.record(start, 1_000, 10, Ssrc(7));
        recorder.record(start, 2_000, 12, Ssrc(7));
        feedback(&mut recorder, start + INTERVAL);
        recorder.record(start, 9_000, 11, Ssrc(7));
        let reported = feedback(&mut recorder, start + INTERVAL);
        assert_eq!(reported, [(11, Some(9_000)), (12, Some(2_000))]);
    }

    #[test]
    fn feedback_is_matched_with_departures_over_the_wrap() {
        let mut stamper = Stamper::default();
        for packet in 0..65_600_u64 {
            assert_eq!(stamper.stamp(packet * 100, 1_000), packet as u16);
        }
        let mut buf = [0; 200];
        let packets = [(65_535, Some(0)), (1, Some(250)), (63, Some(500)), (90, Some(750))];
        let (len, _) = wire::twcc::write(&mut buf, Ssrc(1), Ssrc(2), TwccSeq(65_535), 1, 0, &packets);
        let Some(Ok(wire::rtcp::Rtcp::TransportFeedback(feedback))) = wire::rtcp::iter(&buf[..len]).next() else {
            panic!("not a feedback");
        };
        let summary = stamper.handle_feedback(&feedback);
        assert_eq!((summary.received, summary.received_bytes), (3, 3_000));
        assert_eq!(summary.lost, 62);
    }
}

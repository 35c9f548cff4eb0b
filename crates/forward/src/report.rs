//! Reception statistics for receiver reports (RFC 3550 section 6.4.1, appendix A) and what sender reports say about time.

use std::time::Instant;

use wire::rtcp::ReportBlock;
use wire::{RtpTimestamp, Ssrc};

use crate::clock::{Clock, Ntp, ntp_middle, ntp_short, ntp_ticks_between};

/// Packets expected and lost since somebody asked last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) expected: u32,
    pub(crate) lost: u32,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.expected = self.expected.saturating_add(other.expected);
        self.lost = self.lost.saturating_add(other.lost);
    }

    pub(crate) fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}

/// What one inbound stream lost and how much it jitters.
#[derive(Debug, Default)]
pub(crate) struct ReceiveStats {
    first: Option<u64>,
    highest: u64,
    received: u64,
    expected_prior: u64,
    received_prior: u64,
    /// In ticks of the media clock, times 16 (RFC 3550 A.8).
    jitter_x16: u32,
    transit: Option<i64>,
    pub(crate) tally: Tally,
}

impl ReceiveStats {
    /// Notes a packet; `ticks` is its receive time in ticks of the media clock.
    #[inline]
    pub(crate) fn handle_packet(&mut self, index: u64, timestamp: u32, ticks: u64) {
        if self.first.is_none() {
            self.first = Some(index);
            self.highest = index;
        }
        self.received += 1;
        if index < self.highest {
            return;
        }
        self.highest = index;
        let transit = i64::from((ticks as u32).wrapping_sub(timestamp));
        if let Some(last) = self.transit.replace(transit) {
            let change = ((transit - last) as i32).unsigned_abs();
            // A jump of the media clock (mute, another source) is no jitter.
            if change < MAX_TRANSIT_CHANGE {
                self.jitter_x16 = (self.jitter_x16 + change).saturating_sub((self.jitter_x16 + 8) >> 4);
            }
        }
    }

    /// The block for the next receiver report; `None` before the first packet.
    pub(crate) fn report(&mut self, now: Instant, ssrc: Ssrc, sender: Option<&SenderTime>) -> Option<ReportBlock> {
        let first = self.first?;
        let expected = self.highest - first + 1;
        let expected_interval = expected.saturating_sub(self.expected_prior);
        let received_interval = self.received - self.received_prior;
        self.expected_prior = expected;
        self.received_prior = self.received;
        let lost_interval = expected_interval.saturating_sub(received_interval);
        self.tally.add(Tally { expected: expected_interval as u32, lost: lost_interval as u32 });
        let fraction = (lost_interval << 8).checked_div(expected_interval).unwrap_or(0);
        Some(ReportBlock {
            ssrc,
            fraction_lost: fraction.min(255) as u8,
            cumulative_lost: (expected as i64 - self.received as i64).clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest_seq: self.highest as u32,
            jitter: self.jitter_x16 >> 4,
            last_sr: sender.map_or(0, |sender| ntp_middle(sender.ntp)),
            delay_since_last_sr: sender.map_or(0, |sender| ntp_short(now.saturating_duration_since(sender.arrival))),
        })
    }
}

/// What a client says it received of one outbound stream.
#[derive(Debug)]
pub(crate) struct Reception {
    first_index: u64,
    highest_seq: u16,
    cumulative_lost: i32,
    /// Of these, those that we had sent, at the most.
    lost_after_us: i32,
    pub(crate) tally: Tally,
    recent: Recent,
}

impl Reception {
    /// `first_index` is that of the stream's first packet.
    pub(crate) fn new(first_index: u64) -> Self {
        Self {
            first_index,
            highest_seq: (first_index as u16).wrapping_sub(1),
            cumulative_lost: 0,
            lost_after_us: 0,
            tally: Tally::default(),
            recent: Recent::default(),
        }
    }

    /// A report block; what does not follow the last one, or runs ahead of the `highest` index sent, is not believed.
    ///
    /// Of so many indices only `sent_packets` were sent: the rest was lost on its way to us, and is not this client's loss.
    pub(crate) fn handle_block(&mut self, block: &ReportBlock, highest: u64, sent_packets: u32) {
        let sent = highest as u16;
        let reported = block.highest_seq as u16;
        let expected = reported.wrapping_sub(self.highest_seq);
        if expected == 0 || expected > u16::MAX / 2 || sent.wrapping_sub(reported) > u16::MAX / 2 {
            return;
        }
        let never_sent = (highest + 1).saturating_sub(self.first_index).saturating_sub(sent_packets.into());
        let after_us = block.cumulative_lost.saturating_sub(i32::try_from(never_sent).unwrap_or(i32::MAX));
        let lost = after_us.saturating_sub(self.lost_after_us).clamp(0, i32::from(expected));
        // A gap is known here before it is reported there: the count may fall for that, or because something was repaired.
        let is_repaired = block.cumulative_lost < self.cumulative_lost;
        self.lost_after_us = if is_repaired { after_us } else { after_us.max(self.lost_after_us) };
        self.highest_seq = reported;
        self.cumulative_lost = block.cumulative_lost;
        let interval = Tally { expected: expected.into(), lost: lost as u32 };
        self.tally.add(interval);
        self.recent.add(interval);
    }

    /// Whether the client loses 1 % or more of what we send.
    pub(crate) fn is_lossy(&self) -> bool {
        self.recent.lost > 0.0 && self.recent.lost >= self.recent.expected * LOSSY
    }
}

/// Packets expected and lost, those of the last few reports counting most.
#[derive(Debug, Default)]
struct Recent {
    expected: f32,
    lost: f32,
}

impl Recent {
    fn add(&mut self, interval: Tally) {
        self.expected = self.expected * REMEMBERED + interval.expected as f32;
        self.lost = self.lost * REMEMBERED + interval.lost as f32;
    }
}

/// The last sender report of one inbound stream: this RTP timestamp was captured at that time of the publisher's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SenderTime {
    pub(crate) ntp: Ntp,
    pub(crate) timestamp: RtpTimestamp,
    pub(crate) arrival: Instant,
}

impl SenderTime {
    /// When `timestamp` was captured, by the publisher's clock.
    pub(crate) fn ntp_of(&self, timestamp: u32, clock_rate: u32) -> Ntp {
        let ticks = i64::from(RtpTimestamp(timestamp).distance(self.timestamp));
        let difference = (i128::from(ticks) << 32) / i128::from(clock_rate);
        self.ntp.wrapping_add(difference as i64 as u64)
    }

    /// The RTP timestamp that was captured at `ntp` of the publisher's clock.
    pub(crate) fn timestamp_at(&self, ntp: Ntp, clock_rate: u32) -> u32 {
        self.timestamp.0.wrapping_add(ntp_ticks_between(ntp, self.ntp, clock_rate) as u32)
    }
}

/// Difference between our clock and one publisher's, shared by its audio and video so that lips stay in sync.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NtpOrigin {
    offset: Option<u64>,
}

impl NtpOrigin {
    /// A sender report arrived. The first one counts, until the publisher's clock is set.
    pub(crate) fn handle_sender_report(&mut self, clock: &Clock, arrival: Instant, ntp: Ntp) {
        let offset = clock.ntp(arrival).wrapping_sub(ntp);
        let step = self.offset.map_or(u64::MAX, |old| (offset.wrapping_sub(old) as i64).unsigned_abs());
        if step > MAX_DRIFT {
            self.offset = Some(offset);
        }
    }

    /// A time of ours on the publisher's clock.
    pub(crate) fn to_publisher(self, ours: Ntp) -> Option<Ntp> {
        self.offset.map(|offset| ours.wrapping_sub(offset))
    }
}

// Ten seconds at 90 kHz.
const MAX_TRANSIT_CHANGE: u32 = 900_000;
// Two seconds: clocks drift by less in a day; more means that somebody set one.
const MAX_DRIFT: u64 = 2 << 32;

const LOSSY: f32 = 0.01;
// Of what was known before, with each report: clients send about one a second.
const REMEMBERED: f32 = 0.75;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn loss_is_counted_per_interval_and_in_total() {
        let now = Instant::now();
        let mut stats = ReceiveStats::default();
        assert_eq!(stats.report(now, Ssrc(1), None), None);
        for index in (65_530..65_540).filter(|index| index % 2 == 0) {
            stats.handle_packet(index, 0, 0);
        }
        let block = stats.report(now, Ssrc(1), None).unwrap();
        assert_eq!((block.cumulative_lost, block.fraction_lost, block.highest_seq), (4, 113, 65_538));
        stats.handle_packet(65_537, 0, 0);
        stats.handle_packet(65_539, 0, 0);
        let block = stats.report(now, Ssrc(1), None).unwrap();
        assert_eq!((block.cumulative_lost, block.fraction_lost), (3, 0));
    }

    #[test]
    fn what_a_client_reports_is_counted_once_and_only_as_far_as_it_was_sent() {
        let block =
            |highest_seq: u32, cumulative_lost| ReportBlock { highest_seq, cumulative_lost, ..Default::default() };
        let mut reception = Reception::new(65_530);
        let sent = |reception: &mut Reception, block| reception.handle_block(&block, 65_546, 17);
        sent(&mut reception, block(65_539, 2));
        sent(&mut reception, block(65_539, 2));
        assert_eq!(reception.tally.take(), Tally { expected: 10, lost: 2 });
        for impossible in [block(65_538, 50), block(65_550, 3)] {
            sent(&mut reception, impossible);
        }
        assert_eq!(reception.tally.take(), Tally::default());
        // A repaired packet is no loss any more; a count that jumps is no more than what was expected.
        sent(&mut reception, block(65_545, 1));
        assert_eq!(reception.tally.take(), Tally { expected: 6, lost: 0 });
        sent(&mut reception, block(65_546, 0x7f_ffff));
        assert_eq!(reception.tally.take(), Tally { expected: 1, lost: 1 });
    }

    #[test]
    fn what_was_lost_on_its_way_to_us_is_not_the_receivers_loss() {
        let block =
            |highest_seq: u32, cumulative_lost| ReportBlock { highest_seq, cumulative_lost, ..Default::default() };
        let mut reception = Reception::new(1);
        // 100 indices, of which 90 were sent; the client misses 12 packets.
        reception.handle_block(&block(100, 12), 100, 90);
        assert_eq!(reception.tally.take(), Tally { expected: 100, lost: 2 });
        // Five more gaps are known here, of which the report knows two.
        reception.handle_block(&block(190, 14), 200, 185);
        reception.handle_block(&block(200, 17), 200, 185);
        assert_eq!(reception.tally.take(), Tally { expected: 100, lost: 0 });
        // Ten of the gaps are filled late, one packet is lost on the way to the client.
        reception.handle_block(&block(300, 8), 300, 295);
        assert_eq!(reception.tally.take(), Tally { expected: 100, lost: 1 });
    }

    #[test]
    fn jitter_follows_the_transit_time() {
        let mut stats = ReceiveStats::default();
        for packet in 0..1_000_u32 {
            let late = u64::from(packet % 2 * 160);
            stats.handle_packet(u64::from(packet), packet * 3_000, u64::from(packet) * 3_000 + late);
        }
        let jitter = stats.report(Instant::now(), Ssrc(1), None).unwrap().jitter;
        assert!((150..=160).contains(&jitter), "{jitter}");
    }

    #[test]
    fn sender_time_maps_both_ways_over_the_wrap() {
        let sender = SenderTime { ntp: 5 << 32, timestamp: RtpTimestamp(u32::MAX - 100), arrival: Instant::now() };
        let later = (u32::MAX - 100).wrapping_add(90_000);
        assert_eq!(sender.ntp_of(later, 90_000), 6 << 32);
        assert_eq!(sender.timestamp_at(6 << 32, 90_000), later);
        assert_eq!(sender.timestamp_at(4 << 32, 90_000), (u32::MAX - 100).wrapping_sub(90_000));
    }

    #[test]
    fn the_origin_stays_until_the_publisher_sets_its_clock() {
        let start = Instant::now();
        let clock = Clock::new(start, Duration::from_secs(1_000));
        let mut origin = NtpOrigin::default();
        assert_eq!(origin.to_publisher(0), None);
        origin.handle_sender_report(&clock, start, 7 << 32);
        let ours = clock.ntp(start);
        assert_eq!(origin.to_publisher(ours), Some(7 << 32));
        origin.handle_sender_report(&clock, start + Duration::from_millis(100), 7 << 32);
        assert_eq!(origin.to_publisher(ours), Some(7 << 32));
        origin.handle_sender_report(&clock, start, 50 << 32);
        assert_eq!(origin.to_publisher(ours), Some(50 << 32));
    }
}

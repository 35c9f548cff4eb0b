//! Reception statistics for receiver reports (RFC 3550 section 6.4.1, appendix A) and what sender reports say about time.

use std::time::Instant;

use wire::rtcp::ReportBlock;
use wire::{RtpTimestamp, Ssrc};

use crate::clock::{Clock, Ntp, ntp_middle, ntp_short, ntp_ticks_between};

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

//! Timestamps over a switch: the new encoding's clock is aligned with the old one's by the sender reports of both, else by
//! arrival times. Time never runs backwards.

use super::outlet::Newest;
use crate::clock::ntp_ticks_between;
use crate::report::SenderTime;
use crate::ring::Slot;

/// What is known about the clocks on both sides of a switch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Alignment<'a> {
    pub(crate) clock_rate: u32,
    /// Of the encoding that the newest packet came from. `None` too when it was this same stream.
    pub(crate) old: Option<&'a SenderTime>,
    pub(crate) new: Option<&'a SenderTime>,
    /// The same stream goes on (after a pause): its own clock counts.
    pub(crate) same_stream: bool,
}

impl Alignment<'_> {
    /// What to add to the new run's timestamps.
    pub(super) fn timestamp_delta(&self, newest: Option<&Newest>, slot: &Slot) -> u32 {
        let Some(newest) = newest else { return 0 };
        let elapsed = self.elapsed_ticks(newest, slot);
        newest.timestamp.wrapping_add(elapsed).wrapping_sub(slot.timestamp)
    }

    fn elapsed_ticks(&self, newest: &Newest, slot: &Slot) -> u32 {
        if self.same_stream {
            return slot.timestamp.wrapping_sub(newest.original_timestamp);
        }
        let by_arrival = slot.received_us.saturating_sub(newest.received_us) * u64::from(self.clock_rate) / 1_000_000;
        let by_arrival = by_arrival as i64;
        let ticks = self.by_sender_reports(newest, slot).unwrap_or(by_arrival);
        // A report that puts the frames seconds apart from their arrival is wrong.
        let tolerance = i64::from(self.clock_rate) * MAX_DISAGREEMENT_S;
        let ticks = if (ticks - by_arrival).abs() > tolerance { by_arrival } else { ticks };
        ticks.max(i64::from(self.clock_rate) / SHORTEST_FRAME_HZ) as u32
    }

    fn by_sender_reports(&self, newest: &Newest, slot: &Slot) -> Option<i64> {
        let old = self.old?.ntp_of(newest.original_timestamp, self.clock_rate);
        let new = self.new?.ntp_of(slot.timestamp, self.clock_rate);
        Some(ntp_ticks_between(new, old, self.clock_rate))
    }
}

const MAX_DISAGREEMENT_S: i64 = 2;
// The next frame comes at least this much later, whatever the reports say.
const SHORTEST_FRAME_HZ: i64 = 240;

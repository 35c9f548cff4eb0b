//! When a packet may be sent again: not again within a round trip, and 15 % of what is sent at most.

use std::time::{Duration, Instant};

/// Remembers which packets were just repeated. Direct-mapped and made on first use: 1 KiB per consumer that loses packets.
#[derive(Debug, Default)]
pub(crate) struct RepeatGuard {
    recent: Option<Box<[Repeat; RECENT]>>,
}

/// Sequence number and time of a repetition.
type Repeat = Option<(u16, Instant)>;

impl RepeatGuard {
    /// Whether `seq` may be repeated now; notes that it was.
    pub(crate) fn admit(&mut self, now: Instant, seq: u16, round_trip: Duration) -> bool {
        let entry = self.entry(seq);
        if entry.is_some_and(|(last, at)| last == seq && now < at + round_trip) {
            return false;
        }
        *entry = Some((seq, now));
        true
    }

    /// It goes out anyway, late.
    pub(crate) fn note(&mut self, now: Instant, seq: u16) {
        *self.entry(seq) = Some((seq, now));
    }

    fn entry(&mut self, seq: u16) -> &mut Repeat {
        let recent = self.recent.get_or_insert_with(|| Box::new([None; RECENT]));
        &mut recent[usize::from(seq) % RECENT]
    }
}

/// How many bytes of retransmission one transport may still send.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes: u64,
    /// Of these, what may be spent unasked.
    probe_bytes: u64,
}

impl Budget {
    /// Media of `len` bytes was sent.
    #[inline]
    pub(crate) fn earn(&mut self, len: usize) {
        self.bytes = (self.bytes + len as u64 * 3 / 20).min(CAP_BYTES);
        self.probe_bytes = (self.probe_bytes + len as u64 / 10).min(PROBE_CAP_BYTES);
    }

    /// Whether a retransmission of `len` bytes fits.
    pub(crate) fn covers(&self, len: usize) -> bool {
        self.bytes >= len as u64
    }

    /// Whether `len` bytes may be repeated that nobody asked for: two thirds of the budget at most, and never its last.
    pub(crate) fn covers_probe(&self, len: usize) -> bool {
        self.probe_bytes >= len as u64 && self.bytes >= len as u64 + ASKED_FOR_BYTES
    }

    /// `len` bytes that nobody asked for go out.
    pub(crate) fn spend_on_probe(&mut self, len: usize) {
        self.probe_bytes = self.probe_bytes.saturating_sub(len as u64);
        self.spend(len);
    }

    /// A retransmission of `len` bytes goes out.
    pub(crate) fn spend(&mut self, len: usize) {
        self.bytes = self.bytes.saturating_sub(len as u64);
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self { bytes: START_BYTES, probe_bytes: 0 }
    }
}

const RECENT: usize = 64;
// Enough to repair one lost keyframe before any was earned.
const START_BYTES: u64 = 60_000;
// A second of 8 Mbit/s may lose 15 % in one burst.
const CAP_BYTES: u64 = 150_000;
// Frames of some seconds.
const PROBE_CAP_BYTES: u64 = 30_000;
// Kept for what clients ask for.
const ASKED_FOR_BYTES: u64 = 30_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_repeated_once_per_round_trip() {
        let now = Instant::now();
        let round_trip = Duration::from_millis(50);
        let mut guard = RepeatGuard::default();
        assert!(guard.admit(now, 7, round_trip));
        assert!(!guard.admit(now + round_trip / 2, 7, round_trip));
        assert!(guard.admit(now + round_trip / 2, 8, round_trip));
        assert!(guard.admit(now + round_trip, 7, round_trip));
    }

    #[test]
    fn retransmissions_are_at_most_15_percent_of_what_is_sent() {
        let mut budget = Budget::default();
        budget.spend(1_000_000);
        let mut repeated = 0;
        for _ in 0..1_000 {
            budget.earn(1_000);
            if budget.covers(1_000) {
                budget.spend(1_000);
                repeated += 1;
            }
        }
        assert!((149..=150).contains(&repeated), "{repeated}");
    }

    #[test]
    fn probes_are_at_most_10_percent_and_leave_the_rest_to_who_asks() {
        let mut budget = Budget::default();
        let mut probes = 0;
        for _ in 0..1_000 {
            budget.earn(1_000);
            if budget.covers_probe(1_000) {
                budget.spend_on_probe(1_000);
                probes += 1;
            }
        }
        assert!((99..=100).contains(&probes), "{probes}");
        budget.spend(1_000_000);
        for _ in 0..200 {
            budget.earn(1_000);
            assert!(!budget.covers_probe(1_000), "{budget:?}");
        }
        assert!(budget.covers(29_000), "{budget:?}");
    }
}

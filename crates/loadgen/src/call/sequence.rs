//! Judges the sequence numbers of one RTP stream: what is missing, what came late, what came twice. Pure.

use wire::seq::Extender;

/// What the arrival of a packet means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Newer than all before; so many between it and the last are missing.
    New { missing: u32 },
    /// One that was taken for missing.
    Late,
    /// From before the first.
    Early,
    /// Seen before, or too old to tell.
    Again,
    /// The sender started over.
    Restart,
}

/// Sums of judgements.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Different packets that arrived.
    pub(crate) received: u64,
    /// Numbers that the sender used.
    pub(crate) expected: u64,
    pub(crate) reordered: u64,
    pub(crate) duplicated: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::New { missing } => {
                self.received += 1;
                self.expected += u64::from(missing) + 1;
            }
            Arrival::Restart => {
                self.received += 1;
                self.expected += 1;
            }
            Arrival::Late => {
                self.received += 1;
                self.reordered += 1;
            }
            Arrival::Early => {
                self.received += 1;
                self.expected += 1;
                self.reordered += 1;
            }
            Arrival::Again => self.duplicated += 1,
        }
    }

    pub(crate) fn lost(&self) -> u64 {
        self.expected.saturating_sub(self.received)
    }
}

/// One RTP stream.
#[derive(Debug, Default, Clone)]
pub(crate) struct Sequence {
    extender: Extender,
    first: u64,
    /// One bit for each of the last `WINDOW` numbers, at its place modulo `WINDOW`.
    seen: [u64; WINDOW as usize / 64],
}

impl Sequence {
    pub(crate) fn handle(&mut self, number: u16) -> Arrival {
        let Some(highest) = self.extender.highest() else {
            return self.start(number, Arrival::New { missing: 0 });
        };
        let number_extended = self.extender.peek(number);
        if number_extended.abs_diff(highest) > MAX_JUMP {
            *self = Self::default();
            return self.start(number, Arrival::Restart);
        }
        if number_extended <= highest {
            return self.handle_old(number_extended, highest);
        }
        let missing = number_extended - highest - 1;
        for skipped in (highest + 1..number_extended).rev().take(WINDOW as usize) {
            self.clear(skipped);
        }
        self.extender.extend(number);
        self.set(number_extended);
        Arrival::New { missing: missing as u32 }
    }

    /// The highest number so far with its wraps, as receiver reports have it; 0 before the first.
    pub(crate) fn highest(&self) -> u32 {
        let highest = self.extender.highest().unwrap_or_default();
        // The extender starts one cycle up.
        highest.saturating_sub(1 << 16) as u32
    }

    fn start(&mut self, number: u16, arrival: Arrival) -> Arrival {
        self.first = self.extender.extend(number);
        self.set(self.first);
        arrival
    }

    fn handle_old(&mut self, number: u64, highest: u64) -> Arrival {
        if highest - number >= WINDOW || self.is_set(number) {
            return Arrival::Again;
        }
        self.set(number);
        if number < self.first { Arrival::Early } else { Arrival::Late }
    }

    fn is_set(&self, number: u64) -> bool {
        self.seen[(number % WINDOW / 64) as usize] & 1 << (number % 64) != 0
    }

    fn set(&mut self, number: u64) {
        self.seen[(number % WINDOW / 64) as usize] |= 1 << (number % 64);
    }

    fn clear(&mut self, number: u64) {
        self.seen[(number % WINDOW / 64) as usize] &= !(1 << (number % 64));
    }
}

/// Seconds of any stream: nothing is held up for longer.
const WINDOW: u64 = 1_024;
/// A sender that leaps so far, forwards or back, is another one.
const MAX_JUMP: u64 = 3_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(numbers: impl IntoIterator<Item = u16>) -> Counts {
        let (mut sequence, mut counts) = (Sequence::default(), Counts::default());
        for number in numbers {
            counts.add(sequence.handle(number));
        }
        counts
    }

    #[test]
    fn a_stream_without_gaps_has_lost_nothing_over_wraps() {
        let counts = judge((0..200_000_u32).map(|step| (65_000 + step) as u16));
        assert_eq!(counts, Counts { received: 200_000, expected: 200_000, reordered: 0, duplicated: 0 });
    }

    #[test]
    fn what_never_comes_is_lost() {
        let counts = judge((0..100_000_u32).filter(|step| step % 100 != 50).map(|step| step as u16));
        assert_eq!((counts.expected, counts.received, counts.lost()), (100_000, 99_000, 1_000));
        assert_eq!((counts.reordered, counts.duplicated), (0, 0));
    }

    #[test]
    fn what_comes_late_is_reordered_and_not_lost() {
        let counts = judge([65_533, 65_534, 1, 65_535, 0, 2]);
        assert_eq!(counts, Counts { received: 6, expected: 6, reordered: 2, duplicated: 0 });
    }

    #[test]
    fn what_comes_before_the_first_is_reordered_too() {
        let counts = judge([10, 8, 9, 11, 9]);
        assert_eq!(counts, Counts { received: 4, expected: 4, reordered: 2, duplicated: 1 });
    }

    #[test]
    fn what_comes_twice_is_counted_once() {
        let counts = judge([7, 7, 8, 9, 8, 10]);
        assert_eq!(counts, Counts { received: 4, expected: 4, reordered: 0, duplicated: 2 });
    }

    #[test]
    fn places_are_cleared_before_they_are_used_again() {
        let window = WINDOW as u16;
        let counts = judge((0..window).chain([window + 10, window + 5, window + 5]));
        assert_eq!(counts.received, u64::from(window) + 2);
        assert_eq!((counts.lost(), counts.reordered, counts.duplicated), (9, 1, 1));
    }

    #[test]
    fn a_jump_is_another_sender_and_no_loss() {
        let counts = judge([1, 2, 40_000, 40_001, 39_999, 50_000, 20_000]);
        assert_eq!(counts, Counts { received: 7, expected: 7, reordered: 1, duplicated: 0 });
    }

    #[test]
    fn reports_count_from_the_first_cycle() {
        let mut sequence = Sequence::default();
        assert_eq!(sequence.highest(), 0);
        sequence.handle(65_535);
        assert_eq!(sequence.highest(), 65_535);
        sequence.handle(0);
        assert_eq!(sequence.highest(), 65_536);
    }
}

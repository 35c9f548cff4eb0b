//! Connections whose handshakes go on, in line: a thousand at once must not hold up a call.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// They have a share of the time, in small pieces with a rest after each. Meanwhile, everything else has its turns.
pub(super) struct Handshakes {
    line: VecDeque<u64>,
    rest_until: Instant,
}

impl Handshakes {
    pub(super) fn new(now: Instant) -> Self {
        Self { line: VecDeque::new(), rest_until: now }
    }

    pub(super) fn push(&mut self, token: u64) {
        self.line.push_back(token);
    }

    pub(super) fn len(&self) -> usize {
        self.line.len()
    }

    /// When the next piece of time begins, which may have passed.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        (!self.line.is_empty()).then_some(self.rest_until)
    }

    /// The next in line. `None` when there is none, or since `started` its piece of time is used up.
    pub(super) fn next(&mut self, started: Instant, now: Instant) -> Option<u64> {
        if started < self.rest_until {
            return None;
        }
        let taken = now.saturating_duration_since(started);
        if taken >= TIME {
            self.rest_until = now + taken / 2;
            return None;
        }
        self.line.pop_front()
    }
}

/// A handshake takes 0.1 to 4 ms, by the kind of key; the last one begins within this.
const TIME: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_time_is_followed_by_half_of_it_for_others() {
        let start = Instant::now();
        let at = |micros| start + Duration::from_micros(micros);
        let mut handshakes = Handshakes::new(start);
        assert_eq!((handshakes.poll_timeout(), handshakes.next(start, start)), (None, None));
        (1..=4).for_each(|token| handshakes.push(token));
        assert_eq!(handshakes.poll_timeout(), Some(start));
        assert_eq!(handshakes.next(start, start), Some(1));
        assert_eq!(handshakes.next(start, at(999)), Some(2));
        assert_eq!(handshakes.next(start, at(4_000)), None);
        assert_eq!(handshakes.poll_timeout(), Some(at(6_000)));
        assert_eq!(handshakes.next(at(5_999), at(5_999)), None);
        assert_eq!(handshakes.next(at(6_000), at(6_000)), Some(3));
        assert_eq!(handshakes.len(), 1);
    }
}

//! When to wait for more before receiving again: waking up costs several times what a packet does, so under spread load it pays to
//! let a few arrive. When little comes, nobody waits.

use std::time::{Duration, Instant};

/// Measures how much comes.
pub(super) struct Coalescer {
    /// The longest wait; zero: none.
    limit: Duration,
    /// Packets per second, smoothed.
    rate: f64,
    since: Instant,
    packets: u64,
}

impl Coalescer {
    pub(super) fn new(now: Instant) -> Self {
        Self { limit: Duration::ZERO, rate: 0.0, since: now, packets: 0 }
    }

    pub(super) fn set_limit(&mut self, limit: Duration) {
        self.limit = limit.min(MAX_LIMIT);
    }

    /// So many packets came in the turn that ends now.
    pub(super) fn handle_packets(&mut self, now: Instant, packets: u64) {
        self.packets += packets;
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= WINDOW {
            let rate = self.packets as f64 / elapsed.as_secs_f64();
            // After a long pause the old rate means nothing.
            let weight = if elapsed > 4 * WINDOW { 1.0 } else { 0.5 };
            self.rate += weight * (rate - self.rate);
            (self.since, self.packets) = (now, 0);
        }
    }

    /// How long to wait before the next turn, after one that began at `turn_started`.
    pub(super) fn pause(&self, now: Instant, turn_started: Instant) -> Option<Duration> {
        if self.rate * self.limit.as_secs_f64() < WORTHWHILE_PACKETS {
            return None;
        }
        let pause = (turn_started + self.limit).saturating_duration_since(now);
        (!pause.is_zero()).then_some(pause)
    }
}

/// Two of the longest waits.
const WINDOW: Duration = Duration::from_millis(2);
/// Fewer are not worth the delay.
const WORTHWHILE_PACKETS: f64 = 4.0;
const MAX_LIMIT: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// One that saw `per_ms` packets each millisecond for a while, until the instant that it gives.
    fn busy(per_ms: u64) -> (Coalescer, Instant) {
        let start = Instant::now();
        let mut coalescer = Coalescer::new(start);
        coalescer.set_limit(ms(1));
        for t in 1..100 {
            coalescer.handle_packets(start + ms(t), per_ms);
        }
        (coalescer, start + ms(99))
    }

    #[test]
    fn under_spread_load_the_next_turn_begins_a_millisecond_after_the_last() {
        let (coalescer, now) = busy(20);
        assert_eq!(coalescer.pause(now, now), Some(ms(1)));
        assert_eq!(coalescer.pause(now + Duration::from_micros(300), now), Some(Duration::from_micros(700)));
        assert_eq!(coalescer.pause(now + ms(1), now), None, "the turn took as long: there is more to do");
    }

    #[test]
    fn when_little_comes_nobody_waits() {
        assert_eq!(busy(1).0.pause(busy(1).1, busy(1).1), None);
        let (mut coalescer, now) = busy(20);
        coalescer.handle_packets(now + ms(500), 1);
        assert_eq!(coalescer.pause(now + ms(500), now + ms(500)), None, "a pause ends it at once");
    }

    #[test]
    fn it_can_be_switched_off() {
        let (mut coalescer, now) = busy(20);
        coalescer.set_limit(Duration::ZERO);
        assert_eq!(coalescer.pause(now, now), None);
    }
}

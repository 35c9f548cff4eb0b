//! How busy a shard is: the share of time it spends working instead of waiting. Plain arithmetic, no clock.

use std::time::{Duration, Instant};

pub(crate) struct Load {
    window_start: Instant,
    /// Worked in this window, and ever.
    busy: Duration,
    total_busy: Duration,
    woke_at: Instant,
    is_high: bool,
}

impl Load {
    pub(crate) fn new(now: Instant) -> Self {
        Self { window_start: now, busy: Duration::ZERO, total_busy: Duration::ZERO, woke_at: now, is_high: false }
    }

    /// The wait is over.
    pub(crate) fn handle_wake(&mut self, now: Instant) {
        self.woke_at = now;
    }

    /// The work is done, a wait follows.
    pub(crate) fn handle_wait(&mut self, now: Instant) {
        let worked = now.saturating_duration_since(self.woke_at);
        self.busy += worked;
        self.total_busy += worked;
        let window = now.saturating_duration_since(self.window_start);
        if window < WINDOW {
            return;
        }
        let percent = self.busy.as_micros() * 100 / window.as_micros().max(1);
        // Two marks, because what is done about a high load lowers it.
        self.is_high = percent > if self.is_high { LOW_PERCENT } else { HIGH_PERCENT };
        (self.window_start, self.busy) = (now, Duration::ZERO);
    }

    /// Whether it pays to wait a little for more to do at once.
    pub(crate) fn is_high(&self) -> bool {
        self.is_high
    }

    pub(crate) fn total_busy(&self) -> Duration {
        self.total_busy
    }
}

const WINDOW: Duration = Duration::from_millis(100);
const HIGH_PERCENT: u128 = 60;
const LOW_PERCENT: u128 = 40;

#[cfg(test)]
mod tests {
    use super::*;

    /// Works so many of each 10 ms, for a second.
    fn work(load: &mut Load, now: &mut Instant, busy_ms: u64) {
        for _ in 0..100 {
            load.handle_wake(*now);
            load.handle_wait(*now + Duration::from_millis(busy_ms));
            *now += Duration::from_millis(10);
        }
    }

    #[test]
    fn it_is_high_from_the_upper_mark_until_the_lower_one() {
        let mut now = Instant::now();
        let mut load = Load::new(now);
        for (busy_ms, high) in [(5, false), (7, true), (5, true), (3, false), (5, false)] {
            work(&mut load, &mut now, busy_ms);
            assert_eq!(load.is_high(), high, "{busy_ms} of 10 ms");
        }
        assert_eq!(load.total_busy(), Duration::from_millis(2500));
    }
}

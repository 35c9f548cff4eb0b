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

    /// How long it pays to hold media back, so that more of it leaves in one message: under load for whatever comes, else for the
    /// rest of a picture that goes to so many, as long as sending its beginning to all of them would take.
    pub(crate) fn worthwhile_hold(&self, unfinished_fan_out: u32) -> Duration {
        if self.is_high {
            return MAX_HOLD;
        }
        let hold = (SENDING_TIME * unfinished_fan_out).min(MAX_HOLD);
        if hold < MIN_HOLD { Duration::ZERO } else { hold }
    }

    pub(crate) fn total_busy(&self) -> Duration {
        self.total_busy
    }
}

const WINDOW: Duration = Duration::from_millis(100);
const HIGH_PERCENT: u128 = 60;
const LOW_PERCENT: u128 = 40;
/// Shorter than the spread of one frame's packets on most networks.
const MAX_HOLD: Duration = Duration::from_millis(1);
/// Several times what waking up for nothing costs.
const MIN_HOLD: Duration = Duration::from_micros(30);
/// Of one message, for the kernel.
const SENDING_TIME: Duration = Duration::from_micros(2);

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
            assert_eq!(!load.worthwhile_hold(0).is_zero(), high, "{busy_ms} of 10 ms");
        }
        assert_eq!(load.total_busy(), Duration::from_millis(2500));
    }

    #[test]
    fn without_load_only_the_rest_of_a_picture_for_many_is_worth_waiting_for() {
        let load = Load::new(Instant::now());
        let holds = [0, 14, 15, 200, 10_000, u32::MAX].map(|fan_out| load.worthwhile_hold(fan_out).as_micros());
        assert_eq!(holds, [0, 0, 30, 400, 1_000, 1_000]);
    }
}

//! When the next trains leave: at a rate, or as fast as the server takes them.

use std::time::{Duration, Instant};

/// Says how many trains are due.
pub(crate) struct Pace {
    /// Between two trains; `None` floods.
    interval: Option<Duration>,
    due: Instant,
    /// Trains that leave together. Each flow is in it once at most, so that two trains never join to one.
    volley: usize,
    /// Packets that may be on their way in a flood; `None` when nobody can tell how many are.
    limit: Option<u64>,
    skipped: u64,
}

impl Pace {
    /// `rate_pps` packets a second in trains of `train` over `flows`; 0 floods. `watched` is whether arrivals are seen.
    pub(crate) fn new(rate_pps: f64, train: usize, flows: usize, watched: bool, now: Instant) -> Self {
        let volley = (VOLLEY_PACKETS / train).clamp(1, flows.max(1));
        let interval = (rate_pps > 0.0).then(|| Duration::from_secs_f64(train as f64 / rate_pps));
        Self { interval, due: now, volley, limit: watched.then_some(MAX_OUTSTANDING), skipped: 0 }
    }

    /// Trains to send now.
    pub(crate) fn trains_due(&mut self, now: Instant, outstanding: u64) -> usize {
        let Some(interval) = self.interval else {
            return if self.limit.is_some_and(|limit| outstanding >= limit) { 0 } else { self.volley };
        };
        self.skip_what_is_too_late(now, interval);
        let mut trains = 0;
        while self.due <= now && trains < self.volley {
            self.due += interval;
            trains += 1;
        }
        trains
    }

    /// Trains that were not sent because this process was away when they were due.
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// A stall must not end in a burst, which would be another load than what was asked for.
    fn skip_what_is_too_late(&mut self, now: Instant, interval: Duration) {
        while now.saturating_duration_since(self.due) > MAX_DELAY.max(interval) {
            self.due += interval;
            self.skipped += 1;
        }
    }
}

/// Few enough that no server's receive buffer overflows with one volley, many enough for a `sendmmsg`.
const VOLLEY_PACKETS: usize = 64;
/// Some volleys: the server always has something to do, its socket's buffer (4 MiB where we set it) is never full.
const MAX_OUTSTANDING: u64 = 1_024;
const MAX_DELAY: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_rate_gives_trains_at_their_times() {
        let start = Instant::now();
        let mut pace = Pace::new(4_000.0, 4, 50, true, start);
        let mut due = |after| pace.trains_due(start + after, 0);
        assert_eq!([due(Duration::ZERO), due(MS / 2), due(MS), due(MS * 3), due(MS * 3)], [1, 0, 1, 2, 0]);
        assert_eq!(pace.skipped(), 0);
    }

    #[test]
    fn a_stall_skips_trains_and_does_not_send_them_later() {
        let start = Instant::now();
        let mut pace = Pace::new(1_000.0, 1, 50, true, start);
        assert_eq!(pace.trains_due(start + MS * 100, 0), 3);
        assert_eq!(pace.skipped(), 98);
        assert_eq!(pace.trains_due(start + MS * 100, 0), 0);
    }

    #[test]
    fn a_flood_waits_for_what_is_on_its_way() {
        let now = Instant::now();
        let mut pace = Pace::new(0.0, 16, 50, true, now);
        assert_eq!((pace.trains_due(now, 0), pace.trains_due(now, MAX_OUTSTANDING)), (4, 0));
        let mut blind = Pace::new(0.0, 16, 50, false, now);
        assert_eq!(blind.trains_due(now, MAX_OUTSTANDING), 4);
    }

    #[test]
    fn no_flow_is_twice_in_a_volley() {
        let now = Instant::now();
        assert_eq!(Pace::new(0.0, 1, 10, true, now).trains_due(now, 0), 10);
        assert_eq!(Pace::new(0.0, 1, 1_000, true, now).trains_due(now, 0), 64);
        assert_eq!(Pace::new(0.0, 100, 10, true, now).trains_due(now, 0), 1);
    }
}

//! Audio levels (RFC 6464) in windows of 100 ms: the loudest packet of each producer counts.

use std::time::{Duration, Instant};

use slots::Index;

/// The producers heard in the current window.
#[derive(Debug, Default)]
pub(crate) struct LevelWindow {
    heard: Vec<Index>,
    /// By producer; `SILENCE` for those not heard.
    loudest: Vec<u8>,
    ends_at: Option<Instant>,
}

impl LevelWindow {
    /// Notes a packet's level in -dBov; silence (127) is not heard.
    pub(crate) fn record(&mut self, now: Instant, producer: Index, level: u8) {
        if level >= SILENCE {
            return;
        }
        self.ends_at.get_or_insert(now + WINDOW);
        let at = producer as usize;
        if self.loudest.len() <= at {
            self.loudest.resize(at + 1, SILENCE);
        }
        if self.loudest[at] == SILENCE {
            self.heard.push(producer);
        }
        self.loudest[at] = level.min(self.loudest[at]);
    }

    /// A producer is gone; its index may be used again.
    pub(crate) fn forget(&mut self, producer: Index) {
        self.heard.retain(|heard| *heard != producer);
        if let Some(loudest) = self.loudest.get_mut(producer as usize) {
            *loudest = SILENCE;
        }
    }

    /// When the window ends; `None` while nobody is heard.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.ends_at
    }

    /// Ends the window if it is due and hands out what was heard in it.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Option<Vec<(Index, u8)>> {
        self.ends_at.filter(|ends_at| *ends_at <= now)?;
        self.ends_at = None;
        let loudest = &mut self.loudest;
        let heard = self.heard.drain(..).map(|at| (at, std::mem::replace(&mut loudest[at as usize], SILENCE)));
        Some(heard.collect()).filter(|heard: &Vec<_>| !heard.is_empty())
    }
}

const WINDOW: Duration = Duration::from_millis(100);
const SILENCE: u8 = 127;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_reports_the_loudest_packet_of_each_producer_once() {
        let start = Instant::now();
        let mut window = LevelWindow::default();
        window.record(start, 1, 127);
        assert_eq!(window.poll_timeout(), None);
        for (producer, level) in [(1, 40), (2, 60), (1, 30), (1, 50)] {
            window.record(start, producer, level);
        }
        assert_eq!(window.handle_timeout(start + Duration::from_millis(99)), None);
        assert_eq!(window.handle_timeout(start + WINDOW), Some(vec![(1, 30), (2, 60)]));
        assert_eq!(window.poll_timeout(), None);
        window.record(start, 2, 70);
        window.record(start, 1, 80);
        window.forget(2);
        assert_eq!(window.handle_timeout(start + WINDOW), Some(vec![(1, 80)]));
    }
}

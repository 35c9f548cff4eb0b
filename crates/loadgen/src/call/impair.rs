//! Loss and delay inside the generator, in front of everything that counts: the proof that it reports what it is to report.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use netio::Datagram;
use serde::Deserialize;

/// What to do to RTP packets that arrive.
#[derive(Debug, Default, Clone, Copy, PartialEq, Deserialize)]
pub(crate) struct Impairment {
    /// Share of packets that are dropped.
    #[serde(default)]
    pub(crate) loss: f64,
    #[serde(default)]
    pub(crate) delay_ms: f64,
}

/// Applies it.
#[derive(Default)]
pub(crate) struct Impairer {
    impairment: Impairment,
    random: u64,
    /// Packets so far, those that were dropped, and the next to be.
    passed: u64,
    dropped: u64,
    next_drop: f64,
    held: VecDeque<Held>,
}

/// A packet that is kept back.
pub(crate) struct Held {
    due: Instant,
    /// The participant that it is for.
    pub(crate) number: u32,
    pub(crate) slot: usize,
    local: SocketAddr,
    remote: SocketAddr,
    bytes: Vec<u8>,
}

impl Held {
    /// As if it came now.
    pub(crate) fn datagram(&mut self) -> Datagram<'_> {
        Datagram { local: self.local, remote: self.remote, received: self.due, bytes: &mut self.bytes }
    }
}

impl Impairer {
    pub(crate) fn set(&mut self, impairment: Impairment) {
        *self = Self { impairment, held: std::mem::take(&mut self.held), ..Self::default() };
        self.next_drop = self.draw_drop();
    }

    /// True when the packet is to be handled now; else it is gone, or comes later.
    #[inline]
    pub(crate) fn passes(&mut self, slot: usize, number: u32, datagram: &Datagram<'_>) -> bool {
        if self.impairment == Impairment::default() {
            return true;
        }
        self.passed += 1;
        if self.passed as f64 > self.next_drop {
            self.dropped += 1;
            self.next_drop = self.draw_drop();
            return false;
        }
        if self.impairment.delay_ms <= 0.0 {
            return true;
        }
        self.held.push_back(Held {
            due: datagram.received + Duration::from_secs_f64(self.impairment.delay_ms / 1e3),
            number,
            slot,
            local: datagram.local,
            remote: datagram.remote,
            bytes: datagram.bytes.to_vec(),
        });
        false
    }

    /// A packet whose delay is over.
    pub(crate) fn poll_held(&mut self, now: Instant) -> Option<Held> {
        self.held.front().filter(|held| held.due <= now)?;
        self.held.pop_front()
    }

    /// One packet of each row of `1 / loss`, anywhere in it: few packets show the share as well as many do.
    fn draw_drop(&mut self) -> f64 {
        let row = 1.0 / self.impairment.loss;
        (self.dropped as f64 + self.draw()) * row
    }

    /// Between 0 and 1; the same row of numbers in each run.
    fn draw(&mut self) -> f64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(bytes: &mut [u8], received: Instant) -> Datagram<'_> {
        let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
        Datagram { local: nobody, remote: nobody, received, bytes }
    }

    #[test]
    fn packets_pass_unless_something_is_asked_for() {
        let mut impairer = Impairer::default();
        assert!((0..100).all(|_| impairer.passes(0, 0, &datagram(&mut [1], Instant::now()))));
    }

    #[test]
    fn one_in_a_hundred_is_lost() {
        let mut impairer = Impairer::default();
        impairer.set(Impairment { loss: 0.01, delay_ms: 0.0 });
        let lost = (0..100_000).filter(|_| !impairer.passes(0, 0, &datagram(&mut [1], Instant::now()))).count();
        assert!((999..=1_001).contains(&lost), "{lost}");
    }

    #[test]
    fn everything_can_be_lost_and_then_nothing() {
        let mut impairer = Impairer::default();
        impairer.set(Impairment { loss: 1.0, delay_ms: 0.0 });
        assert!((0..100).all(|_| !impairer.passes(0, 0, &datagram(&mut [1], Instant::now()))));
        impairer.set(Impairment { loss: 0.0, delay_ms: 0.001 });
        assert!((0..100).all(|_| !impairer.passes(0, 0, &datagram(&mut [1], Instant::now()))));
        assert_eq!(impairer.held.len(), 100);
    }

    #[test]
    fn what_is_delayed_comes_later_and_counts_as_received_then() {
        let (mut impairer, now) = (Impairer::default(), Instant::now());
        let delay = Duration::from_millis(5);
        impairer.set(Impairment { loss: 0.0, delay_ms: 5.0 });
        assert!(!impairer.passes(3, 9, &datagram(&mut [1, 2], now)));
        assert!(impairer.poll_held(now + delay / 2).is_none());
        let mut held = impairer.poll_held(now + delay).expect("it is due");
        assert_eq!((held.slot, held.number), (3, 9));
        assert_eq!((held.datagram().received, &*held.datagram().bytes), (now + delay, &[1, 2][..]));
    }
}

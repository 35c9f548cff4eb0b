//! One direction of a network path.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use crate::loss::{Loss, LossState};
use crate::rng::Rng;

/// What a link does to datagrams. The default does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LinkConfig {
    /// What is lost before it takes up any of the rate.
    pub loss: Loss,
    /// The least time a datagram takes.
    pub delay: Duration,
    /// Up to this much is added, evenly distributed, without changing the order.
    pub jitter: Duration,
    /// Probability that a datagram takes `reorder_by` longer and is overtaken.
    pub reorder: f64,
    /// How much longer.
    pub reorder_by: Duration,
    /// Probability that a datagram arrives twice.
    pub duplicate: f64,
    /// How fast it sends, and how much may wait.
    pub rate: Option<RateLimit>,
}

/// A bottleneck with a drop-tail queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Bits per second.
    pub bps: u64,
    /// Bytes that may wait; what comes on top is lost.
    pub queue_bytes: usize,
}

/// One direction of a network path in virtual time.
pub struct Link {
    config: LinkConfig,
    loss: LossState,
    rng: Rng,
    in_flight: BinaryHeap<Reverse<Flight>>,
    sent: u64,
    lost: usize,
    /// When the bottleneck has sent what waits.
    busy_until: Option<Instant>,
    /// The last in-order arrival: jitter does not overtake.
    last_arrival: Option<Instant>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Flight {
    arrival: Instant,
    /// Ties arrive in the order they were sent.
    number: u64,
    datagram: Vec<u8>,
}

impl Link {
    /// A link whose every choice follows from `seed`.
    pub fn new(config: LinkConfig, seed: u64) -> Self {
        Self {
            config,
            loss: LossState::new(config.loss),
            rng: Rng::new(seed),
            in_flight: BinaryHeap::new(),
            sent: 0,
            lost: 0,
            busy_until: None,
            last_arrival: None,
        }
    }

    /// Changes what happens to later datagrams.
    pub fn set_config(&mut self, config: LinkConfig) {
        self.loss = LossState::new(config.loss);
        self.config = config;
    }

    /// Puts a datagram on the link.
    pub fn send(&mut self, now: Instant, datagram: &[u8]) {
        if self.loss.loses(&mut self.rng) {
            self.lost += 1;
            return;
        }
        let Some(departure) = self.depart(now, datagram.len()) else { return };
        let jitter = self.config.jitter.mul_f64(self.rng.unit());
        let arrival = departure + self.config.delay + jitter;
        let in_order = self.last_arrival.map_or(arrival, |last| last.max(arrival));
        if self.rng.chance(self.config.reorder) {
            self.put(in_order + self.config.reorder_by, datagram);
        } else {
            self.last_arrival = Some(in_order);
            self.put(in_order, datagram);
        }
        if self.rng.chance(self.config.duplicate) {
            self.put(in_order, datagram);
        }
    }

    /// The next datagram that has arrived by `now`.
    pub fn receive(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.poll_timeout()? > now {
            return None;
        }
        self.in_flight.pop().map(|Reverse(flight)| flight.datagram)
    }

    /// How many the loss model took; not those that found no room in the queue.
    pub fn lost(&self) -> usize {
        self.lost
    }

    /// When the next datagram arrives.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.in_flight.peek().map(|Reverse(flight)| flight.arrival)
    }

    /// When the bottleneck has sent a datagram; `None` when its queue is full.
    fn depart(&mut self, now: Instant, len: usize) -> Option<Instant> {
        let Some(rate) = self.config.rate else { return Some(now) };
        let start = self.busy_until.map_or(now, |busy| busy.max(now));
        let waiting = (start - now).as_secs_f64() * rate.bps as f64 / 8.0;
        if waiting as usize + len > rate.queue_bytes {
            return None;
        }
        let departure = start + Duration::from_secs_f64(len as f64 * 8.0 / rate.bps as f64);
        self.busy_until = Some(departure);
        Some(departure)
    }

    fn put(&mut self, arrival: Instant, datagram: &[u8]) {
        self.sent += 1;
        self.in_flight.push(Reverse(Flight { arrival, number: self.sent, datagram: datagram.to_vec() }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Sends a datagram each millisecond; gives (first byte, arrival in ms).
    fn deliveries(config: LinkConfig, count: u8, seed: u64) -> Vec<(u8, u128)> {
        let start = Instant::now();
        let mut link = Link::new(config, seed);
        for number in 0..count {
            link.send(start + ms(u64::from(number)), &[number; 100]);
        }
        let mut arrived = Vec::new();
        while let Some(at) = link.poll_timeout() {
            let datagram = link.receive(at).unwrap();
            arrived.push((datagram[0], (at - start).as_millis()));
        }
        arrived
    }

    #[test]
    fn one_seed_is_one_run() {
        let config = LinkConfig {
            loss: Loss::Random(0.2),
            delay: ms(10),
            jitter: ms(20),
            reorder: 0.1,
            reorder_by: ms(5),
            duplicate: 0.1,
            rate: None,
        };
        assert_eq!(deliveries(config, 200, 7), deliveries(config, 200, 7));
        assert_ne!(deliveries(config, 200, 7), deliveries(config, 200, 8));
    }

    #[test]
    fn jitter_delays_but_keeps_the_order() {
        let arrived = deliveries(LinkConfig { delay: ms(10), jitter: ms(20), ..LinkConfig::default() }, 200, 1);
        assert_eq!(arrived.len(), 200);
        assert!(arrived.is_sorted());
        assert!(arrived.iter().any(|(number, at)| *at > u128::from(*number) + 20));
    }

    #[test]
    fn reordered_datagrams_are_overtaken() {
        let config = LinkConfig { reorder: 0.1, reorder_by: ms(3), ..LinkConfig::default() };
        let arrived = deliveries(config, 200, 1);
        assert_eq!(arrived.len(), 200);
        assert!(!arrived.iter().map(|(number, _)| number).is_sorted());
    }

    #[test]
    fn duplicates_arrive_twice() {
        let arrived = deliveries(LinkConfig { duplicate: 1.0, ..LinkConfig::default() }, 3, 1);
        assert_eq!(arrived, [(0, 0), (0, 0), (1, 1), (1, 1), (2, 2), (2, 2)]);
    }

    #[test]
    fn a_bottleneck_queues_and_then_drops() {
        // 100 bytes take 10 ms.
        let rate = Some(RateLimit { bps: 80_000, queue_bytes: 300 });
        let arrived = deliveries(LinkConfig { rate, ..LinkConfig::default() }, 30, 1);
        assert_eq!(arrived.len(), 5);
        assert!(arrived.windows(2).all(|pair| pair[1].1 >= pair[0].1 + 10));
    }
}

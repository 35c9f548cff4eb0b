//! Counts what was sent and what arrived, flow by flow: how much is on its way, what came in the measuring window, and how
//! late. A packet is lost when one that was sent after it in the same flow has arrived, or when nothing arrives any more.

use std::time::{Duration, Instant};

use super::Direction;
use super::stamp::Stamp;

/// One run.
pub(crate) struct Tally {
    run: u16,
    epoch: Instant,
    /// Towards the peers first, then towards the clients: `count` each.
    flows: Vec<Flow>,
    count: usize,
    outstanding: u64,
    sent: u64,
    received: u64,
    strays: u64,
    last_arrival: Instant,
    open: bool,
    /// In nanoseconds, of the window; `None` when nobody asked.
    latencies: Option<Vec<u32>>,
}

#[derive(Clone, Copy, Default)]
struct Flow {
    sent: u32,
    /// One past the last that arrived.
    seen: u32,
    in_window: u64,
}

impl Tally {
    /// For `count` flows each way, from `now` on. `epoch` is what stamps count from.
    pub(crate) fn new(run: u16, epoch: Instant, now: Instant, count: usize, with_latency: bool) -> Self {
        Self {
            run,
            epoch,
            flows: vec![Flow::default(); 2 * count],
            count,
            outstanding: 0,
            sent: 0,
            received: 0,
            strays: 0,
            last_arrival: now,
            open: false,
            latencies: with_latency.then(Vec::new),
        }
    }

    /// The next packet of a flow leaves now.
    pub(crate) fn stamp(&mut self, direction: Direction, index: usize, now: Instant) -> Stamp {
        let flow = self.position(direction, index);
        let number = self.flows[flow].sent;
        self.flows[flow].sent = number.wrapping_add(1);
        self.outstanding += 1;
        self.sent += 1;
        Stamp { run: self.run, flow: flow as u32, number, at: now.saturating_duration_since(self.epoch) }
    }

    /// A payload has arrived at the far end of flow `index`.
    pub(crate) fn handle_arrival(&mut self, direction: Direction, index: usize, received: Instant, payload: &[u8]) {
        let Some(stamp) = Stamp::parse(payload).filter(|stamp| stamp.run == self.run) else { return };
        let position = self.position(direction, index);
        if stamp.flow as usize != position {
            self.strays += 1;
            return;
        }
        let flow = &mut self.flows[position];
        let ahead = stamp.number.wrapping_sub(flow.seen);
        if ahead < u32::MAX / 2 {
            self.outstanding = self.outstanding.saturating_sub(u64::from(ahead) + 1);
            flow.seen = stamp.number.wrapping_add(1);
        }
        self.received += 1;
        self.last_arrival = received;
        if self.open {
            flow.in_window += 1;
            if let Some(latencies) = &mut self.latencies {
                let late = received.saturating_duration_since(self.epoch + stamp.at);
                latencies.push(u32::try_from(late.as_nanos()).unwrap_or(u32::MAX));
            }
        }
    }

    /// There was nothing to read at `now` or after: in the long run, what is under way is lost.
    pub(crate) fn handle_silence(&mut self, now: Instant) {
        if self.outstanding > 0 && now.saturating_duration_since(self.last_arrival) > LOST_AFTER {
            self.flows.iter_mut().for_each(|flow| flow.seen = flow.sent);
            self.outstanding = 0;
            self.last_arrival = now;
        }
    }

    /// Packets that may still arrive.
    pub(crate) fn outstanding(&self) -> u64 {
        self.outstanding
    }

    /// Arrivals count for the window from now on, or no longer.
    pub(crate) fn set_window(&mut self, open: bool) {
        self.open = open;
    }

    /// Over the whole run.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Over the whole run.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Packets that arrived where no one had sent them to.
    pub(crate) fn strays(&self) -> u64 {
        self.strays
    }

    /// Arrivals in the window, flow by flow, of one direction.
    pub(crate) fn window(&self, direction: Direction) -> impl Iterator<Item = u64> + '_ {
        let start = self.position(direction, 0);
        self.flows[start..start + self.count].iter().map(|flow| flow.in_window)
    }

    /// Latencies of the window in microseconds at these shares (0.5: the median). Empty when none were taken.
    pub(crate) fn latencies_us(&mut self, shares: &[f64]) -> Vec<f64> {
        let Some(latencies) = self.latencies.as_mut().filter(|latencies| !latencies.is_empty()) else {
            return Vec::new();
        };
        latencies.sort_unstable();
        let last = latencies.len() - 1;
        shares.iter().map(|share| f64::from(latencies[(last as f64 * share).round() as usize]) / 1e3).collect()
    }

    fn position(&self, direction: Direction, index: usize) -> usize {
        match direction {
            Direction::ToPeers => index,
            Direction::ToClients => self.count + index,
        }
    }
}

/// Far more than a server that is busy takes for what its receive buffer holds.
const LOST_AFTER: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(tally: &mut Tally, index: usize, count: usize, now: Instant) -> Vec<[u8; 32]> {
        let write = |tally: &mut Tally| {
            let mut payload = [0; 32];
            tally.stamp(Direction::ToPeers, index, now).write(&mut payload);
            payload
        };
        (0..count).map(|_| write(tally)).collect()
    }

    #[test]
    fn a_later_packet_of_a_flow_tells_that_the_ones_before_it_are_lost() {
        let now = Instant::now();
        let mut tally = Tally::new(1, now, now, 2, false);
        let (first, second) = (sent(&mut tally, 0, 4, now), sent(&mut tally, 1, 4, now));
        assert_eq!(tally.outstanding(), 8);
        tally.handle_arrival(Direction::ToPeers, 0, now, &first[2]);
        assert_eq!(tally.outstanding(), 5);
        tally.handle_arrival(Direction::ToPeers, 0, now, &first[1]); // late: counted, but it was given up
        tally.handle_arrival(Direction::ToPeers, 1, now, &second[3]);
        assert_eq!((tally.outstanding(), tally.sent(), tally.received()), (1, 8, 3));
    }

    #[test]
    fn what_does_not_arrive_at_all_is_given_up_after_a_while_of_silence() {
        let now = Instant::now();
        let mut tally = Tally::new(1, now, now, 1, false);
        let packets = sent(&mut tally, 0, 4, now);
        tally.handle_silence(now + LOST_AFTER);
        assert_eq!(tally.outstanding(), 4);
        tally.handle_silence(now + LOST_AFTER * 2);
        assert_eq!(tally.outstanding(), 0);
        sent(&mut tally, 0, 3, now);
        tally.handle_arrival(Direction::ToPeers, 0, now, &packets[3]); // it was only slow, and says nothing of the new ones
        tally.handle_silence(now + LOST_AFTER);
        assert_eq!((tally.outstanding(), tally.received()), (3, 1));
    }

    #[test]
    fn only_arrivals_of_this_run_at_the_right_end_within_the_window_count() {
        let now = Instant::now();
        let mut earlier = Tally::new(1, now, now, 2, false);
        let old = sent(&mut earlier, 0, 1, now);
        let mut tally = Tally::new(2, now, now, 2, true);
        let mine = sent(&mut tally, 0, 3, now);
        tally.handle_arrival(Direction::ToPeers, 0, now, &mine[0]);
        tally.set_window(true);
        tally.handle_arrival(Direction::ToPeers, 0, now, &old[0]);
        tally.handle_arrival(Direction::ToPeers, 1, now, &mine[1]);
        tally.handle_arrival(Direction::ToClients, 0, now, &mine[1]);
        tally.handle_arrival(Direction::ToPeers, 0, now + Duration::from_micros(250), &mine[1]);
        tally.set_window(false);
        tally.handle_arrival(Direction::ToPeers, 0, now, &mine[2]);
        assert_eq!(tally.window(Direction::ToPeers).collect::<Vec<_>>(), [1, 0]);
        assert_eq!((tally.received(), tally.strays()), (3, 2));
        assert_eq!(tally.latencies_us(&[0.5, 0.99]), [250.0, 250.0]);
    }

    #[test]
    fn shares_of_latencies_are_by_rank() {
        let now = Instant::now();
        let mut tally = Tally::new(1, now, now, 1, true);
        tally.set_window(true);
        let packets = sent(&mut tally, 0, 101, now);
        for (micros, packet) in (0..101).rev().zip(&packets) {
            tally.handle_arrival(Direction::ToPeers, 0, now + Duration::from_micros(micros), packet);
        }
        assert_eq!(tally.latencies_us(&[0.0, 0.5, 0.99, 1.0]), [0.0, 50.0, 99.0, 100.0]);
    }
}

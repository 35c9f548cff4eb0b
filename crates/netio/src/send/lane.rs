//! What waits for one socket: runs of datagrams, each one path and one size. No system calls.

use std::io;
use std::net::SocketAddr;

use super::{GSO_REFUSALS, MAX_RUN_BYTES, MAX_SEGMENTS, PlainRoutes, SendCounters};

/// Datagrams that lie one behind the other in the slab and share a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) start: usize,
    pub(super) len: usize,
    /// The size of every datagram but the last, which may be shorter.
    pub(super) segment: usize,
    pub(super) count: usize,
}

impl Run {
    pub(super) fn single(local: SocketAddr, remote: SocketAddr, start: usize, len: usize) -> Self {
        Self { local, remote, start, len, segment: len, count: 1 }
    }

    /// Whether `next`, a single datagram, can leave in the same message.
    fn takes(&self, next: &Self) -> bool {
        next.len <= self.segment
            && self.len == self.segment * self.count // a shorter datagram ends the run
            && self.count < MAX_SEGMENTS
            && self.len + next.len <= MAX_RUN_BYTES
            && self.start + self.len == next.start
            && self.remote == next.remote
            && self.local == next.local
    }

    fn split(self) -> impl Iterator<Item = Self> {
        (0..self.count).map(move |index| {
            let start = index * self.segment;
            let len = self.segment.min(self.len - start);
            Self::single(self.local, self.remote, self.start + start, len)
        })
    }
}

/// The runs of one socket, in the order in which they were queued.
pub(super) struct Lane {
    runs: Vec<Run>,
    gso: bool,
}

impl Lane {
    pub(super) fn new(gso: bool) -> Self {
        Self { runs: Vec::with_capacity(INITIAL_RUNS), gso }
    }

    /// Queues a single datagram, in the last run if it fits.
    pub(super) fn push(&mut self, next: Run, plain: &PlainRoutes) {
        match self.runs.last_mut() {
            Some(last) if self.gso && last.takes(&next) && !plain.contains(&next.remote) => {
                last.len += next.len;
                last.count += 1;
            }
            _ => self.runs.push(next),
        }
    }

    /// Sends until nothing waits (true) or `send` would block. `send` takes runs from the front and tells how many.
    pub(super) fn drain(
        &mut self,
        mut send: impl FnMut(&[Run]) -> io::Result<usize>,
        plain: &mut PlainRoutes,
        counters: &mut SendCounters,
    ) -> bool {
        let mut next = 0;
        while next < self.runs.len() {
            counters.calls += 1;
            match send(&self.runs[next..]) {
                Ok(count) => {
                    for run in &self.runs[next..next + count] {
                        counters.datagrams += run.count as u64;
                        counters.bytes += run.len as u64;
                    }
                    counters.messages += count as u64;
                    next += count;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.runs.drain(..next);
                    return false;
                }
                Err(error) => next += self.handle_refusal(next, &error, plain, counters),
            }
        }
        self.runs.clear();
        true
    }

    /// The run at `index` was refused: splits it if that may help, else drops it. Gives how many runs are done with.
    fn handle_refusal(
        &mut self,
        index: usize,
        error: &io::Error,
        plain: &mut PlainRoutes,
        counters: &mut SendCounters,
    ) -> usize {
        let run = self.runs[index];
        if run.count > 1 && error.raw_os_error().is_some_and(|code| GSO_REFUSALS.contains(&code)) {
            plain.insert(&run.remote);
            counters.fallbacks += 1;
            self.runs.splice(index..=index, run.split());
            return 0;
        }
        counters.errors += run.count as u64;
        1
    }
}

/// Grows if ever more wait at once; a slab of one-packet runs has fewer.
const INITIAL_RUNS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn path(port: u16) -> (SocketAddr, SocketAddr) {
        (SocketAddr::from(([127, 0, 0, 1], 7882)), SocketAddr::from(([192, 0, 2, 1], port)))
    }

    /// A lane with datagrams of (remote port, length), laid one behind the other.
    fn lane(datagrams: &[(u16, usize)], plain: &PlainRoutes) -> Lane {
        let mut lane = Lane::new(true);
        let mut start = 0;
        for &(port, len) in datagrams {
            let (local, remote) = path(port);
            lane.push(Run::single(local, remote, start, len), plain);
            start += len;
        }
        lane
    }

    fn shapes(lane: &Lane) -> Vec<(u16, usize, usize)> {
        lane.runs.iter().map(|run| (run.remote.port(), run.segment, run.count)).collect()
    }

    fn refuse(code: i32) -> io::Result<usize> {
        Err(io::Error::from_raw_os_error(code))
    }

    #[test]
    fn equal_sizes_to_one_path_share_a_run_that_a_shorter_one_ends() {
        let lane = lane(&[(1, 900), (1, 900), (1, 300), (1, 300), (1, 901), (2, 901)], &PlainRoutes::default());
        assert_eq!(shapes(&lane), [(1, 900, 3), (1, 300, 1), (1, 901, 1), (2, 901, 1)]);
    }

    #[test]
    fn a_run_keeps_within_the_kernels_limits() {
        let many = lane(&[(1, 100); 70], &PlainRoutes::default());
        assert_eq!(shapes(&many), [(1, 100, 64), (1, 100, 6)]);
        let big = lane(&[(1, 1400); 50], &PlainRoutes::default());
        assert_eq!(shapes(&big), [(1, 1400, 46), (1, 1400, 4)]);
    }

    #[test]
    fn a_refused_run_is_sent_again_one_by_one_and_its_route_stays_plain() {
        let (mut plain, mut counters) = (PlainRoutes::default(), SendCounters::default());
        let mut queue = lane(&[(1, 900), (1, 900), (1, 300)], &plain);
        let mut taken = Vec::new();
        let send = |runs: &[Run]| {
            if runs[0].count > 1 {
                return refuse(libc::EIO);
            }
            taken.extend(runs.iter().map(|run| (run.start, run.len)));
            Ok(runs.len())
        };
        assert!(queue.drain(send, &mut plain, &mut counters));
        assert_eq!(taken, [(0, 900), (900, 900), (1800, 300)]);
        assert_eq!((counters.datagrams, counters.bytes, counters.fallbacks, counters.errors), (3, 2100, 1, 0));
        assert_eq!(shapes(&lane(&[(1, 900), (1, 900)], &plain)), [(1, 900, 1), (1, 900, 1)]);
    }

    #[test]
    fn what_the_kernel_does_not_take_waits_and_what_it_refuses_is_dropped() {
        let (mut plain, mut counters) = (PlainRoutes::default(), SendCounters::default());
        let mut queue = lane(&[(1, 10), (2, 10), (3, 10), (4, 10)], &plain);
        let mut answers = [Ok(1), refuse(libc::ENETUNREACH), Ok(1), refuse(libc::EAGAIN)].into_iter();
        let send = |_: &[Run]| answers.next().expect("not called again after it would block");
        assert!(!queue.drain(send, &mut plain, &mut counters));
        assert_eq!(shapes(&queue), [(4, 10, 1)]);
        assert_eq!((counters.datagrams, counters.errors), (2, 1));
        assert!(queue.drain(|runs| Ok(runs.len()), &mut plain, &mut counters));
        assert_eq!(counters.datagrams, 3);
    }
}

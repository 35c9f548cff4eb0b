//! Datagrams that are not media, held until all media that has arrived is on its way. One ring of bytes, allocated once: a
//! flood costs no memory.

use std::collections::VecDeque;
use std::time::Instant;

use forward::Path;

/// What is held, oldest first: a handshake must not overtake the check that makes its path known.
pub(crate) struct Held {
    /// Never more than `MAX_HELD`, for which it has room from the start.
    queue: VecDeque<Datagram>,
    /// Each datagram in one piece.
    bytes: Box<[u8]>,
    /// Behind the newest.
    end: usize,
    dropped: u64,
}

struct Datagram {
    path: Path,
    received: Instant,
    start: usize,
    len: usize,
}

impl Held {
    pub(crate) fn new() -> Self {
        Self { queue: VecDeque::with_capacity(MAX_HELD), bytes: vec![0; HELD_BYTES].into(), end: 0, dropped: 0 }
    }

    pub(crate) fn push(&mut self, path: Path, received: Instant, bytes: &[u8]) {
        let len = bytes.len();
        let Some(start) = self.place(len).filter(|_| self.queue.len() < MAX_HELD) else {
            self.dropped += 1;
            return;
        };
        self.end = start + len;
        self.bytes[start..self.end].copy_from_slice(bytes);
        self.queue.push_back(Datagram { path, received, start, len });
    }

    /// Takes the oldest: where and when it came, and its bytes.
    pub(crate) fn pop(&mut self) -> Option<(Path, Instant, &mut [u8])> {
        let Datagram { path, received, start, len } = self.queue.pop_front()?;
        Some((path, received, &mut self.bytes[start..start + len]))
    }

    /// What came over a connection that is closed now must not make its path known again.
    pub(crate) fn forget(&mut self, path: Path) {
        self.queue.retain(|datagram| datagram.path != path);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many there was no room for.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Where so many bytes fit. What is in use begins with the oldest and ends at `end`, over the ring's end or not.
    fn place(&self, len: usize) -> Option<usize> {
        let Some(first) = self.queue.front().map(|oldest| oldest.start) else {
            return (len <= self.bytes.len()).then_some(0);
        };
        if first >= self.end {
            return (self.end + len < first).then_some(self.end);
        }
        if self.end + len <= self.bytes.len() {
            return Some(self.end);
        }
        (len < first).then_some(0)
    }
}

// Two for each of 2,000 clients that arrive at once; about what a default socket buffer holds.
const MAX_HELD: usize = 4_096;
const HELD_BYTES: usize = 2 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn path(port: u16) -> Path {
        Path::udp(([192, 0, 2, 1], 7882).into(), ([198, 51, 100, 1], port).into())
    }

    #[test]
    fn what_is_held_comes_back_in_order_and_unchanged_wherever_it_lay() {
        let (mut held, mut model, now) = (Held::new(), VecDeque::new(), Instant::now());
        let mut taken = 0;
        for step in 0..60_000_usize {
            let datagram = vec![step as u8; 1 + step * 7_919 % 1_400];
            let before = held.dropped();
            held.push(path(step as u16), now, &datagram);
            if held.dropped() == before {
                model.push_back((path(step as u16), datagram));
            }
            // For a while more comes than goes, then the other way round.
            for _ in 0..if step / 5_000 % 2 == 0 { 0 } else { 2 } {
                let got = held.pop().map(|(path, _, bytes)| (path, bytes.to_vec()));
                assert_eq!(got, model.pop_front());
                taken += usize::from(got.is_some());
            }
        }
        assert!(taken > 40_000 && held.dropped() > 1_000, "{taken} taken, {} dropped", held.dropped());
    }

    #[test]
    fn a_flood_is_dropped_and_nothing_grows() {
        let (mut held, now) = (Held::new(), Instant::now());
        let capacity = held.queue.capacity();
        for len in [0, 1, 20, 1_500, 2 << 20, 3 << 20] {
            for _ in 0..10_000 {
                held.push(path(1), now, &vec![0; len]);
            }
            assert!(held.queue.len() <= MAX_HELD && held.queue.capacity() == capacity);
            while held.pop().is_some() {}
        }
        assert_eq!(held.bytes.len(), HELD_BYTES);
    }

    #[test]
    fn what_a_closed_connection_brought_is_forgotten_and_its_room_used_again() {
        let (mut held, now) = (Held::new(), Instant::now());
        for step in 0..3_000_u16 {
            held.push(path(step % 3), now, &[step as u8; 1_000]);
        }
        held.forget(path(0));
        held.forget(path(1));
        while let Some((left, _, bytes)) = held.pop() {
            assert!(left == path(2) && bytes.len() == 1_000);
        }
        held.push(path(0), now, &[7; 1_000]);
        assert_eq!(held.pop().map(|(_, _, bytes)| bytes.to_vec()), Some(vec![7; 1_000]));
    }
}

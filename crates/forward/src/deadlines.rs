//! A heap of deadlines with one entry per key, so that moving a deadline leaves nothing behind.

use std::time::Instant;

use slots::Index;

/// A binary min-heap over slab indices.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    heap: Vec<(Instant, Index)>,
    /// Position of each key in the heap plus one; 0 is absent.
    positions: Vec<u32>,
}

impl Deadlines {
    /// The earliest deadline and whose it is.
    pub(crate) fn peek(&self) -> Option<(Instant, Index)> {
        self.heap.first().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Sets, moves or clears a key's deadline.
    pub(crate) fn set(&mut self, key: Index, deadline: Option<Instant>) {
        let Some(deadline) = deadline else {
            return self.remove(key);
        };
        match self.position(key) {
            Some(at) => {
                self.heap[at].0 = deadline;
                self.settle(at);
            }
            None => self.insert(deadline, key),
        }
    }

    /// Moves a key's deadline forward if `deadline` is earlier, or sets it.
    #[inline]
    pub(crate) fn lower(&mut self, key: Index, deadline: Instant) {
        if self.position(key).is_none_or(|at| deadline < self.heap[at].0) {
            self.set(key, Some(deadline));
        }
    }

    pub(crate) fn remove(&mut self, key: Index) {
        let Some(at) = self.position(key) else { return };
        self.positions[key as usize] = 0;
        let last = self.heap.len() - 1;
        self.heap.swap_remove(at);
        if at < last {
            self.positions[self.heap[at].1 as usize] = at as u32 + 1;
            self.settle(at);
        }
    }

    #[inline]
    fn position(&self, key: Index) -> Option<usize> {
        self.positions.get(key as usize).filter(|position| **position > 0).map(|position| *position as usize - 1)
    }

    fn insert(&mut self, deadline: Instant, key: Index) {
        if self.positions.len() <= key as usize {
            self.positions.resize(key as usize + 1, 0);
        }
        self.heap.push((deadline, key));
        let at = self.heap.len() - 1;
        self.positions[key as usize] = at as u32 + 1;
        self.settle(at);
    }

    fn settle(&mut self, at: usize) {
        let at = self.rise(at);
        self.sink(at);
    }

    fn rise(&mut self, mut at: usize) -> usize {
        while at > 0 {
            let parent = (at - 1) / 2;
            if self.heap[parent].0 <= self.heap[at].0 {
                break;
            }
            self.swap(at, parent);
            at = parent;
        }
        at
    }

    fn sink(&mut self, mut at: usize) {
        loop {
            let left = 2 * at + 1;
            let Some(smaller) = (left..(left + 2).min(self.heap.len())).min_by_key(|child| self.heap[*child].0) else {
                return;
            };
            if self.heap[at].0 <= self.heap[smaller].0 {
                return;
            }
            self.swap(at, smaller);
            at = smaller;
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.positions[self.heap[a].1 as usize] = a as u32 + 1;
        self.positions[self.heap[b].1 as usize] = b as u32 + 1;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rng::Rng;

    #[test]
    fn the_earliest_of_many_moving_deadlines_comes_first() {
        let start = Instant::now();
        let mut rng = Rng::new(1);
        let mut deadlines = Deadlines::default();
        let mut expected = vec![None; 50];
        for _ in 0..5_000 {
            let key = rng.below(50);
            let at = start + Duration::from_millis(u64::from(rng.below(1_000)));
            match rng.below(4) {
                0 => {
                    deadlines.remove(key);
                    expected[key as usize] = None;
                }
                1 => {
                    deadlines.lower(key, at);
                    let slot = &mut expected[key as usize];
                    *slot = Some(slot.map_or(at, |earlier: Instant| earlier.min(at)));
                }
                _ => {
                    deadlines.set(key, Some(at));
                    expected[key as usize] = Some(at);
                }
            }
            assert_eq!(deadlines.peek().map(|(at, _)| at), expected.iter().flatten().min().copied());
            if let Some((at, key)) = deadlines.peek() {
                assert_eq!(expected[key as usize], Some(at));
            }
        }
    }
}

//! Replay protection per SSRC (RFC 3711 section 3.3.2): a table of sliding windows that moves only on `accept`.

/// A sliding window over packet indices.
struct Window {
    highest: u64,
    /// One bit per index, in a ring of blocks of 64.
    seen: [u64; BLOCKS as usize],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    New,
    Replayed,
    TooOld,
}

impl Window {
    fn new(first: u64) -> Self {
        let mut window = Self { highest: first, seen: [0; BLOCKS as usize] };
        window.mark(first);
        window
    }

    fn check(&self, index: u64) -> Verdict {
        if index > self.highest {
            Verdict::New
        } else if index / 64 + BLOCKS <= self.highest / 64 {
            Verdict::TooOld
        } else if self.seen[block(index)] & bit(index) != 0 {
            Verdict::Replayed
        } else {
            Verdict::New
        }
    }

    fn accept(&mut self, index: u64) {
        let (from, to) = (self.highest / 64, index / 64);
        for stale in (from + 1..=to).take(BLOCKS as usize) {
            self.seen[(stale % BLOCKS) as usize] = 0;
        }
        self.highest = self.highest.max(index);
        self.mark(index);
    }

    fn mark(&mut self, index: u64) {
        self.seen[block(index)] |= bit(index);
    }
}

fn block(index: u64) -> usize {
    (index / 64 % BLOCKS) as usize
}

fn bit(index: u64) -> u64 {
    1 << (index % 64)
}

struct Entry {
    ssrc: u32,
    last_use: u64,
    window: Window,
}

/// The windows of one direction. Bounded: a client that changes its SSRCs for hours loses the longest unused one.
#[derive(Default)]
pub(super) struct ReplayTable {
    entries: Vec<Entry>,
    recent: usize,
    uses: u64,
}

impl ReplayTable {
    /// The highest index accepted for an SSRC.
    #[inline]
    pub(super) fn highest(&mut self, ssrc: u32) -> Option<u64> {
        self.find(ssrc).map(|entry| entry.window.highest)
    }

    #[inline]
    pub(super) fn check(&mut self, ssrc: u32, index: u64) -> Verdict {
        self.find(ssrc).map_or(Verdict::New, |entry| entry.window.check(index))
    }

    /// To be called for authenticated packets only.
    #[inline]
    pub(super) fn accept(&mut self, ssrc: u32, index: u64) {
        self.uses += 1;
        let last_use = self.uses;
        if let Some(entry) = self.find(ssrc) {
            entry.window.accept(index);
            entry.last_use = last_use;
            return;
        }
        if self.entries.len() == MAX_SSRCS {
            let oldest = (0..MAX_SSRCS).min_by_key(|at| self.entries[*at].last_use);
            oldest.map(|at| self.entries.swap_remove(at));
        }
        self.entries.push(Entry { ssrc, last_use, window: Window::new(index) });
    }

    #[inline]
    fn find(&mut self, ssrc: u32) -> Option<&mut Entry> {
        if self.entries.get(self.recent).is_none_or(|entry| entry.ssrc != ssrc) {
            self.recent = self.entries.iter().position(|entry| entry.ssrc == ssrc)?;
        }
        self.entries.get_mut(self.recent)
    }
}

// 17 blocks of 64 always cover the last 1,024 indices, wherever in its block the highest stands.
const BLOCKS: u64 = 17;
// Three encodings with RTX and one audio stream are 7; the rest is room for hours of publishing and unpublishing.
const MAX_SSRCS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn table_after(indices: impl IntoIterator<Item = u64>) -> ReplayTable {
        let mut table = ReplayTable::default();
        for index in indices {
            assert_eq!(table.check(1, index), Verdict::New);
            table.accept(1, index);
        }
        table
    }

    #[test]
    fn the_last_1024_indices_are_told_apart() {
        for highest in 5_000..5_070 {
            let mut table = table_after([highest]);
            for back in 1..1_024 {
                assert_eq!(table.check(1, highest - back), Verdict::New, "{highest} - {back}");
                table.accept(1, highest - back);
                assert_eq!(table.check(1, highest - back), Verdict::Replayed);
            }
            assert_eq!(table.check(1, highest), Verdict::Replayed);
            assert_eq!(table.check(1, highest - 2_000), Verdict::TooOld);
        }
    }

    #[test]
    fn a_jump_forgets_what_it_leaves_behind() {
        let mut table = table_after(0..200);
        table.accept(1, 100_000);
        assert_eq!(table.check(1, 100_000), Verdict::Replayed);
        assert_eq!(table.check(1, 99_990), Verdict::New);
        assert_eq!(table.check(1, 199), Verdict::TooOld);
    }

    #[test]
    fn every_index_is_new_once_in_a_long_run() {
        let mut table = ReplayTable::default();
        for index in 0..10_000_u64 {
            let swapped = index ^ 1;
            assert_eq!(table.check(1, swapped), Verdict::New);
            table.accept(1, swapped);
            assert_eq!(table.check(1, swapped), Verdict::Replayed);
        }
    }

    #[test]
    fn the_table_is_bounded_and_drops_the_longest_unused() {
        let mut table = ReplayTable::default();
        for ssrc in 0..MAX_SSRCS as u32 {
            table.accept(ssrc, 7);
        }
        table.accept(0, 8);
        table.accept(9_999, 1);
        assert_eq!(table.entries.len(), MAX_SSRCS);
        assert_eq!(table.highest(0), Some(8));
        assert_eq!(table.highest(1), None);
        assert_eq!(table.highest(9_999), Some(1));
    }
}

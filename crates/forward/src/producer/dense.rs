//! Numbers without holes: maps a stream's packet indices to dense numbers in which padding-only packets do not count.
//!
//! Consumers number their packets from dense numbers, so what is never forwarded leaves no gap for anybody.

use std::collections::VecDeque;

#[derive(Debug, Default)]
pub(crate) struct DenseMap {
    /// (first index, what to subtract from there on), ascending.
    breaks: VecDeque<(u64, u64)>,
    highest: Option<u64>,
    /// Dense number of the newest packet that counts; 0 before the very first.
    highest_dense: u64,
}

/// Where a packet stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The next or a later one.
    New(u64),
    /// One before the newest.
    Late(u64),
    /// From before what the map remembers.
    Unknown,
    /// A padding-only packet that takes no number.
    None,
}

impl DenseMap {
    /// Places a packet with media.
    #[inline]
    pub(crate) fn place(&mut self, index: u64) -> Place {
        let Some(highest) = self.highest else {
            return Place::New(self.start(index));
        };
        if index <= highest {
            return self.find(index).map_or(Place::Unknown, Place::Late);
        }
        if index - highest > MAX_JUMP {
            self.start_over();
            return Place::New(self.start(index));
        }
        self.highest = Some(index);
        let offset = self.breaks.back().map_or(0, |(_, offset)| *offset);
        self.highest_dense = index.wrapping_sub(offset);
        Place::New(self.highest_dense)
    }

    /// Places a padding-only packet. A late one has its number already promised and is `Late`.
    pub(crate) fn place_padding(&mut self, index: u64) -> Place {
        let Some(highest) = self.highest else {
            return Place::None;
        };
        if index <= highest {
            return self.find(index).map_or(Place::Unknown, Place::Late);
        }
        if index - highest > MAX_JUMP {
            return Place::None;
        }
        self.highest = Some(index);
        let offset = self.breaks.back().map_or(0, |(_, offset)| *offset);
        if let Some(last) = self.breaks.back_mut().filter(|(from, _)| *from == index) {
            *last = (index + 1, offset.wrapping_add(1));
        } else {
            self.add_break(index + 1, offset.wrapping_add(1));
        }
        Place::None
    }

    /// The index nearest to the newest one with this sequence number; `None` before the first packet.
    pub(crate) fn index_of(&self, seq: u16) -> Option<u64> {
        let highest = self.highest?;
        highest.checked_add_signed(i64::from(seq.wrapping_sub(highest as u16) as i16))
    }

    /// The number that a packet with media has, or would get as the next one; `None` before the first packet.
    pub(crate) fn dense_of(&self, index: u64) -> Option<u64> {
        let highest = self.highest?;
        if index <= highest {
            return self.find(index);
        }
        (index - highest <= MAX_JUMP).then(|| self.highest_dense + (index - highest))
    }

    /// The stream starts over (another SSRC, a jump): whatever index comes next, dense numbers go on behind the newest.
    pub(crate) fn start_over(&mut self) {
        self.breaks.clear();
        self.highest = None;
    }

    /// The first packet. The very first of all may have overtaken others, which get numbers below its own.
    fn start(&mut self, index: u64) -> u64 {
        let is_fresh = self.highest_dense == 0;
        let (from, dense) =
            if is_fresh { (index.saturating_sub(MAX_EARLY), FIRST_DENSE) } else { (index, self.highest_dense + 1) };
        self.breaks.push_back((from, index.wrapping_sub(dense)));
        self.highest = Some(index);
        self.highest_dense = dense;
        dense
    }

    fn find(&self, index: u64) -> Option<u64> {
        let after = self.breaks.partition_point(|(from, _)| *from <= index);
        self.breaks.get(after.checked_sub(1)?).map(|(_, offset)| index.wrapping_sub(*offset))
    }

    fn add_break(&mut self, from: u64, offset: u64) {
        if self.breaks.len() == MAX_BREAKS {
            self.breaks.pop_front();
        }
        self.breaks.push_back((from, offset));
    }
}

// Leaves room below the first packet.
const FIRST_DENSE: u64 = 1 << 32;
// How far the first packet may have overtaken others.
const MAX_EARLY: u64 = 256;
// Packets older than 64 interruptions by padding are not worth a map.
const MAX_BREAKS: usize = 64;
// RFC 3550 A.1: a jump of 3,000 is a restart.
const MAX_JUMP: u64 = 3_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_takes_no_number_wherever_it_comes() {
        let mut map = DenseMap::default();
        assert_eq!(map.place(100), Place::New(FIRST_DENSE));
        assert_eq!(map.place_padding(101), Place::None);
        assert_eq!(map.place_padding(102), Place::None);
        assert_eq!(map.place(103), Place::New(FIRST_DENSE + 1));
        assert_eq!(map.place_padding(105), Place::None);
        assert_eq!(map.place(106), Place::New(FIRST_DENSE + 3));
        assert_eq!(map.place(104), Place::Late(FIRST_DENSE + 2));
    }

    #[test]
    fn late_padding_finds_its_number_promised() {
        let mut map = DenseMap::default();
        map.place(100);
        assert_eq!(map.place(102), Place::New(FIRST_DENSE + 2));
        assert_eq!(map.place_padding(101), Place::Late(FIRST_DENSE + 1));
    }

    #[test]
    fn a_restart_goes_on_behind_the_newest() {
        let mut map = DenseMap::default();
        map.place(100);
        map.place(101);
        map.start_over();
        assert_eq!(map.place(5), Place::New(FIRST_DENSE + 2));
        assert_eq!(map.place(4), Place::Unknown);
        assert_eq!(map.place(50_000), Place::New(FIRST_DENSE + 3));
        assert_eq!(map.place(50_001), Place::New(FIRST_DENSE + 4));
    }

    #[test]
    fn a_restart_at_index_zero_is_one_like_any_other() {
        let mut map = DenseMap::default();
        map.place(100);
        map.start_over();
        assert_eq!(map.place(0), Place::New(FIRST_DENSE + 1));
        assert_eq!(map.place_padding(1), Place::None);
        assert_eq!(map.place(2), Place::New(FIRST_DENSE + 2));
        assert_eq!(map.index_of(1), Some(1));
    }

    #[test]
    fn sequence_numbers_find_their_index_over_the_wrap() {
        let mut map = DenseMap::default();
        assert_eq!(map.index_of(1), None);
        map.place(65_540);
        assert_eq!(map.index_of(65_535), Some(65_535));
        assert_eq!(map.index_of(10), Some(65_546));
    }

    #[test]
    fn the_first_packet_may_have_overtaken_others() {
        let mut map = DenseMap::default();
        map.place(1_000);
        assert_eq!(map.place(998), Place::Late(FIRST_DENSE - 2));
        assert_eq!(map.place(743), Place::Unknown);
    }
}

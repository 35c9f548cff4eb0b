//! Which packets of one inbound stream are missing, and when to ask for them (RFC 4585 section 6.2.1).
//!
//! Works on 48-bit packet indices. Bounded; a list that would overflow asks for a keyframe instead.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::Kind;

#[derive(Debug, Clone, Copy)]
struct Missing {
    index: u64,
    tries: u8,
    due: Instant,
    asked_at: Option<Instant>,
}

/// What a packet's arrival meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Nothing was missing before it.
    InOrder,
    /// Packets before it are missing and noted.
    Gap,
    /// More are missing than the list holds: they were given up.
    GivenUp,
    /// It was missing. The time since it was asked for the first and only time, if that is known.
    Recovered { round_trip: Option<Duration> },
    /// Older than the newest, and not missing.
    Old,
}

#[derive(Debug)]
pub(crate) struct NackList {
    /// How long a gap may be reordering.
    grace: Duration,
    /// Ascending by index.
    missing: VecDeque<Missing>,
    highest: Option<u64>,
    /// No entry is due before.
    next: Option<Instant>,
    abandoned: u64,
}

impl NackList {
    pub(crate) fn new(kind: Kind) -> Self {
        let grace = match kind {
            Kind::Audio => Duration::ZERO,
            Kind::Video => REORDERING_GRACE,
        };
        Self { grace, missing: VecDeque::new(), highest: None, next: None, abandoned: 0 }
    }

    /// Notes an arrived packet, padding included.
    pub(crate) fn handle_packet(&mut self, now: Instant, index: u64) -> Arrival {
        let Some(highest) = self.highest else {
            self.highest = Some(index);
            return Arrival::InOrder;
        };
        if index <= highest {
            return self.handle_late(now, index);
        }
        self.highest = Some(index);
        let gap = index - highest - 1;
        if gap == 0 {
            return Arrival::InOrder;
        }
        if gap as usize + self.missing.len() > MAX_MISSING {
            self.abandoned += self.missing.len() as u64 + gap;
            self.missing.clear();
            self.next = None;
            return Arrival::GivenUp;
        }
        let due = now + self.grace;
        self.missing.extend((highest + 1..index).map(|index| Missing { index, tries: 0, due, asked_at: None }));
        self.next = Some(self.next.map_or(due, |next| next.min(due)));
        Arrival::Gap
    }

    fn handle_late(&mut self, now: Instant, index: u64) -> Arrival {
        let Ok(at) = self.missing.binary_search_by_key(&index, |missing| missing.index) else {
            return Arrival::Old;
        };
        let found = self.missing.remove(at);
        if self.missing.is_empty() {
            self.next = None;
        }
        let round_trip = found
            .filter(|missing| missing.tries == 1)
            .and_then(|missing| missing.asked_at)
            .map(|asked_at| now.saturating_duration_since(asked_at));
        Arrival::Recovered { round_trip }
    }

    /// A keyframe starts at `index`: nothing before it is worth asking for.
    pub(crate) fn handle_keyframe(&mut self, index: u64) {
        let stale = self.missing.partition_point(|missing| missing.index < index);
        self.missing.drain(..stale);
        self.abandoned += stale as u64;
        if self.missing.is_empty() {
            self.next = None;
        }
    }

    /// The stream starts over: another SSRC, or a jump in its numbers.
    pub(crate) fn reset(&mut self) {
        self.missing.clear();
        self.highest = None;
        self.next = None;
    }

    /// Appends the sequence numbers to ask for now, and gives up what was asked for too often.
    pub(crate) fn collect_due(&mut self, now: Instant, round_trip: Duration, lost: &mut Vec<u16>) {
        if self.next.is_none_or(|next| next > now) {
            return;
        }
        let again = now + round_trip.max(MIN_SPACING);
        let before = self.missing.len();
        self.missing.retain(|missing| missing.due > now || missing.tries < MAX_TRIES);
        self.abandoned += (before - self.missing.len()) as u64;
        for missing in self.missing.iter_mut().filter(|missing| missing.due <= now) {
            missing.tries += 1;
            missing.due = again;
            missing.asked_at.get_or_insert(now);
            lost.push(missing.index as u16);
        }
        self.next = self.missing.iter().map(|missing| missing.due).min();
    }

    /// When `collect_due` has something to say.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// How many were given up since the last call.
    pub(crate) fn take_abandoned(&mut self) -> u64 {
        std::mem::take(&mut self.abandoned)
    }
}

// mediasoup's bound; two seconds of a 4 Mbit/s stream.
const MAX_MISSING: usize = 1_000;
const MAX_TRIES: u8 = 10;
// Reordering on real paths is mostly within a few milliseconds; asking sooner costs retransmissions nobody needs. Packets of sound
// are further apart than that, and receivers hold it back by little more than two of them.
const REORDERING_GRACE: Duration = Duration::from_millis(5);
// Below this the answer may still be in the publisher's pacer.
const MIN_SPACING: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn due(missing: &mut NackList, now: Instant) -> Vec<u16> {
        let mut asked_for = Vec::new();
        missing.collect_due(now, ms(50), &mut asked_for);
        asked_for
    }

    #[test]
    fn a_gap_is_asked_for_after_the_grace_and_once_per_round_trip_ten_times() {
        let start = Instant::now();
        let mut list = NackList::new(Kind::Video);
        list.handle_packet(start, 65_534);
        assert_eq!(list.handle_packet(start, 65_537), Arrival::Gap);
        assert!(due(&mut list, start + ms(4)).is_empty());
        let mut asked = Vec::new();
        for t in 0..2_000 {
            for seq in due(&mut list, start + ms(t)) {
                asked.push((t, seq));
            }
        }
        assert_eq!(asked.len(), 20);
        assert_eq!(asked[..4], [(5, 65_535), (5, 0), (55, 65_535), (55, 0)]);
        assert_eq!(list.take_abandoned(), 2);
        assert_eq!(list.poll_timeout(), None);
    }

    #[test]
    fn what_arrives_within_the_grace_is_never_asked_for() {
        let start = Instant::now();
        let mut list = NackList::new(Kind::Video);
        list.handle_packet(start, 10);
        list.handle_packet(start, 12);
        assert_eq!(list.handle_packet(start + ms(3), 11), Arrival::Recovered { round_trip: None });
        assert!(due(&mut list, start + ms(10)).is_empty());
        assert_eq!(list.handle_packet(start + ms(3), 11), Arrival::Old);
    }

    #[test]
    fn sound_is_asked_for_at_once() {
        let start = Instant::now();
        let mut list = NackList::new(Kind::Audio);
        list.handle_packet(start, 10);
        list.handle_packet(start, 12);
        assert_eq!(list.poll_timeout(), Some(start));
        assert_eq!(due(&mut list, start), [11]);
    }

    #[test]
    fn the_first_answer_tells_the_round_trip() {
        let start = Instant::now();
        let mut list = NackList::new(Kind::Video);
        list.handle_packet(start, 10);
        list.handle_packet(start, 12);
        assert_eq!(due(&mut list, start + ms(5)), [11]);
        assert_eq!(list.handle_packet(start + ms(45), 11), Arrival::Recovered { round_trip: Some(ms(40)) });
    }

    #[test]
    fn a_keyframe_ends_the_search_for_what_came_before() {
        let start = Instant::now();
        let mut list = NackList::new(Kind::Video);
        list.handle_packet(start, 10);
        list.handle_packet(start, 15);
        list.handle_packet(start, 17);
        list.handle_keyframe(15);
        assert_eq!(due(&mut list, start + ms(5)), [16]);
    }

    #[test]
    fn the_list_is_bounded() {
        let start = Instant::now();
        let mut list = NackList::new(Kind::Video);
        list.handle_packet(start, 0);
        assert_eq!(list.handle_packet(start, 900), Arrival::Gap);
        assert_eq!(list.handle_packet(start, 1_800), Arrival::GivenUp);
        assert!(due(&mut list, start + ms(5)).is_empty());
        assert_eq!(list.take_abandoned(), 899 + 899);
    }
}

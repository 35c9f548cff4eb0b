//! The last two seconds of one encoding in clear text, shared by all its consumers.
//!
//! Packets are keyed by their dense number (see `producer::dense`). Bounded by time and bytes; both tables start small and
//! double only while they hold less than the time span.

use std::time::Duration;

/// One stored packet without its bytes.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_excessive_bools)] // Facts of one packet, each on its own.
pub(crate) struct Slot {
    dense: u64,
    at: u64,
    /// Kernel receive time in microseconds since the start.
    pub(crate) received_us: u64,
    pub(crate) timestamp: u32,
    payload_len: u16,
    extensions_len: u16,
    /// Of RED: where the newest block starts in the payload. 0: it is plain.
    pub(crate) primary_at: u16,
    pub(crate) picture_id: Option<u16>,
    pub(crate) tl0_picture_index: Option<u8>,
    pub(crate) marker: bool,
    /// Of a frame that receivers go on without: no other needs it, as far as is known.
    pub(crate) skippable: bool,
    /// First packet of a keyframe: a consumer may start here.
    pub(crate) keyframe_start: bool,
    /// Stands for a padding-only packet whose number was already promised to consumers.
    pub(crate) filler: bool,
    /// Bytes of RTP padding that it is sent with, see `Ring::settle`.
    pub(crate) padding: u8,
}

impl Slot {
    pub(crate) fn dense(&self) -> u64 {
        self.dense
    }

    /// Lengths of its extensions and of its payload.
    #[inline]
    pub(crate) fn lens(&self) -> (usize, usize) {
        (usize::from(self.extensions_len), usize::from(self.payload_len))
    }

    /// As it was before it was stored, for another ring.
    pub(crate) fn packet<'a>(&self, extensions: &'a [u8], payload: &'a [u8]) -> Packet<'a> {
        let Self { received_us, timestamp, marker, skippable, keyframe_start, filler, .. } = *self;
        let Self { picture_id, tl0_picture_index, primary_at, .. } = *self;
        Packet {
            received_us,
            timestamp,
            marker,
            skippable,
            keyframe_start,
            filler,
            picture_id,
            tl0_picture_index,
            primary_at,
            extensions,
            payload,
        }
    }
}

/// What the receive path knows about a packet before it is stored.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::struct_excessive_bools)] // As above.
pub(crate) struct Packet<'a> {
    pub(crate) received_us: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    /// As in [`Slot`].
    pub(crate) skippable: bool,
    pub(crate) keyframe_start: bool,
    pub(crate) filler: bool,
    pub(crate) picture_id: Option<u16>,
    pub(crate) tl0_picture_index: Option<u8>,
    /// As in [`Slot`].
    pub(crate) primary_at: u16,
    /// Extensions that pass through, in the form of `egress::passthrough`.
    pub(crate) extensions: &'a [u8],
    pub(crate) payload: &'a [u8],
}

/// Why a packet was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotStored {
    Duplicate,
    TooOld,
    Oversize,
}

/// Bounds of a ring.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) slots: usize,
    pub(crate) max_slots: usize,
    pub(crate) bytes: usize,
    pub(crate) max_bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Ring {
    limits: Limits,
    /// Indexed by the dense number's low bits; a power of two.
    slots: Box<[Slot]>,
    arena: Box<[u8]>,
    /// Bytes ever written, gaps at the arena's end included. A packet at `at` lives while `written - at` fits in the arena.
    written: u64,
    /// When the arena's start was last written.
    lap_began_us: u64,
    highest: Option<u64>,
    /// Below this nobody knows whether a packet was stored before.
    floor: u64,
    /// Below this it is decided what packets are sent with.
    settled: u64,
}

impl Ring {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            slots: vec![EMPTY; limits.slots].into_boxed_slice(),
            arena: vec![0; limits.bytes].into_boxed_slice(),
            written: 0,
            lap_began_us: 0,
            highest: None,
            floor: 0,
            settled: 0,
        }
    }

    /// Stores a packet under its dense number; never twice, not even after its bytes were overwritten.
    ///
    /// SRTP depends on that: a consumer's index is a function of the dense number.
    pub(crate) fn insert(&mut self, dense: u64, packet: &Packet<'_>) -> Result<(), NotStored> {
        let len = packet.extensions.len() + packet.payload.len();
        if len > MAX_PACKET {
            return Err(NotStored::Oversize);
        }
        self.make_room_for_slot(dense, packet.received_us);
        if dense < self.floor || self.highest.is_some_and(|highest| dense + self.slots.len() as u64 <= highest) {
            return Err(NotStored::TooOld);
        }
        if self.slots[self.index(dense)].dense == dense {
            return Err(NotStored::Duplicate);
        }
        let at = self.make_room_for_bytes(len, packet.received_us);
        let start = (at % self.arena.len() as u64) as usize;
        let (extensions, payload) = self.arena[start..start + len].split_at_mut(packet.extensions.len());
        extensions.copy_from_slice(packet.extensions);
        payload.copy_from_slice(packet.payload);
        let index = self.index(dense);
        self.slots[index] = Slot {
            dense,
            at,
            received_us: packet.received_us,
            timestamp: packet.timestamp,
            payload_len: packet.payload.len() as u16,
            extensions_len: packet.extensions.len() as u16,
            picture_id: packet.picture_id,
            tl0_picture_index: packet.tl0_picture_index,
            primary_at: packet.primary_at,
            marker: packet.marker,
            skippable: packet.skippable,
            keyframe_start: packet.keyframe_start,
            filler: packet.filler,
            padding: 0,
        };
        self.highest = Some(self.highest.map_or(dense, |highest| highest.max(dense)));
        Ok(())
    }

    /// Makes the packets of a picture that are about to be sent equally long, where they nearly are: encoders cut pictures into pieces
    /// that differ by a byte, but only equal datagrams, with a shorter one at the end, leave in one message (GSO). Before the first
    /// of them is sent, since SRTP must not encrypt two things under one index: what was decided once stays so.
    pub(crate) fn settle(&mut self) {
        let Some(end) = self.highest.map(|highest| highest + 1) else { return };
        let oldest = end.saturating_sub(self.slots.len() as u64);
        let mut start = self.settled.max(oldest);
        self.settled = end;
        while start < end {
            start = self.settle_run(start, end);
        }
    }

    /// The packets from `start` that belong together; gives where the next ones start.
    fn settle_run(&mut self, start: u64, end: u64) -> u64 {
        let Some(first) = self.get(start).copied() else { return start + 1 };
        let joins = |slot: &Slot| {
            (slot.timestamp, slot.extensions_len) == (first.timestamp, first.extensions_len) && !slot.filler
        };
        let run = (start..end).map_while(|dense| self.get(dense).filter(|slot| joins(slot)));
        let (count, longest) = run.fold((0, 0), |(count, longest), slot| (count + 1, longest.max(slot.payload_len)));
        // The last one may be shorter.
        for dense in start..(start + count).saturating_sub(1) {
            let index = self.index(dense);
            let missing = longest - self.slots[index].payload_len;
            if missing <= MAX_PADDING {
                self.slots[index].padding = missing as u8;
            }
        }
        start + count.max(1)
    }

    /// The packet with this dense number, while it lives.
    #[inline]
    pub(crate) fn get(&self, dense: u64) -> Option<&Slot> {
        Some(&self.slots[self.index(dense)]).filter(|slot| slot.dense == dense && self.lives(slot))
    }

    /// Whether a packet may still be stored under this dense number: it never was, and is not too old.
    pub(crate) fn lacks(&self, dense: u64) -> bool {
        let is_old =
            dense < self.floor || self.highest.is_some_and(|highest| dense + self.slots.len() as u64 <= highest);
        !is_old && self.slots[self.index(dense)].dense != dense
    }

    /// Like `get`, by the low 32 bits that a descriptor carries.
    #[inline]
    pub(crate) fn get_by_low_bits(&self, dense: u32) -> Option<&Slot> {
        let slot = &self.slots[self.index(u64::from(dense))];
        Some(slot).filter(|slot| slot.dense as u32 == dense && self.lives(slot))
    }

    /// Extensions and payload of a slot that `get` gave.
    #[inline]
    pub(crate) fn bytes(&self, slot: &Slot) -> (&[u8], &[u8]) {
        let start = (slot.at % self.arena.len() as u64) as usize;
        let len = usize::from(slot.extensions_len) + usize::from(slot.payload_len);
        self.arena[start..start + len].split_at(usize::from(slot.extensions_len))
    }

    pub(crate) fn highest(&self) -> Option<u64> {
        self.highest
    }

    #[inline]
    fn index(&self, dense: u64) -> usize {
        dense as usize & (self.slots.len() - 1)
    }

    #[inline]
    fn lives(&self, slot: &Slot) -> bool {
        slot.at != DEAD && self.written - slot.at <= self.arena.len() as u64
    }

    /// Doubles the slots when the one to be overwritten is still within the time span.
    fn make_room_for_slot(&mut self, dense: u64, now_us: u64) {
        while self.slots.len() < self.limits.max_slots && self.highest.is_none_or(|highest| dense > highest) {
            let victim = self.slots[self.index(dense)];
            if victim.dense == NO_DENSE || victim.received_us + SPAN_US < now_us {
                return;
            }
            let known = self.highest.map_or(0, |highest| (highest + 1).saturating_sub(self.slots.len() as u64));
            self.floor = self.floor.max(known);
            let doubled = vec![EMPTY; 2 * self.slots.len()].into_boxed_slice();
            let old = std::mem::replace(&mut self.slots, doubled);
            for slot in old.iter().filter(|slot| slot.dense != NO_DENSE) {
                let index = self.index(slot.dense);
                self.slots[index] = *slot;
            }
        }
    }

    /// A contiguous piece of the arena; doubles the arena when a lap took less than the time span.
    fn make_room_for_bytes(&mut self, len: usize, now_us: u64) -> u64 {
        let capacity = self.arena.len() as u64;
        let position = self.written % capacity;
        let wraps = position + len as u64 > capacity;
        if wraps {
            if self.lap_began_us + SPAN_US > now_us && self.arena.len() < self.limits.max_bytes {
                self.grow_arena();
                return self.make_room_for_bytes(len, now_us);
            }
            self.written += capacity - position;
        }
        if wraps || position == 0 {
            self.lap_began_us = now_us;
        }
        let at = self.written;
        self.written += len as u64;
        at
    }

    fn grow_arena(&mut self) {
        let mut live: Vec<Slot> = self.slots.iter().filter(|slot| self.lives(slot)).copied().collect();
        live.sort_unstable_by_key(|slot| slot.at);
        for slot in &mut self.slots {
            slot.at = DEAD;
        }
        let old = std::mem::take(&mut self.arena);
        self.arena = vec![0; 2 * old.len()].into_boxed_slice();
        self.written = 0;
        for mut slot in live {
            let from = (slot.at % old.len() as u64) as usize;
            let to = self.written as usize;
            let len = usize::from(slot.extensions_len) + usize::from(slot.payload_len);
            self.arena[to..to + len].copy_from_slice(&old[from..from + len]);
            slot.at = self.written;
            let index = self.index(slot.dense);
            self.slots[index] = slot;
            self.written += len as u64;
        }
    }
}

const NO_DENSE: u64 = u64::MAX;
/// The place of a packet whose bytes are gone.
const DEAD: u64 = u64::MAX;
const EMPTY: Slot = Slot {
    dense: NO_DENSE,
    at: DEAD,
    received_us: 0,
    timestamp: 0,
    payload_len: 0,
    extensions_len: 0,
    picture_id: None,
    tl0_picture_index: None,
    primary_at: 0,
    marker: false,
    skippable: false,
    keyframe_start: false,
    filler: false,
    padding: 0,
};

/// A message less is worth more than these bytes.
const MAX_PADDING: u16 = 8;
/// How long a packet is kept: nobody waits longer for a retransmission.
pub(crate) const SPAN: Duration = Duration::from_secs(2);
const SPAN_US: u64 = 2_000_000;
/// A datagram of an Ethernet, which is what WebRTC clients send.
pub(crate) const MAX_PACKET: usize = 1_500;

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Limits = Limits { slots: 8, max_slots: 64, bytes: 4_096, max_bytes: 16_384 };

    fn insert(ring: &mut Ring, dense: u64, ms: u64, payload: &[u8]) -> Result<(), NotStored> {
        ring.insert(
            dense,
            &Packet {
                received_us: ms * 1_000,
                timestamp: dense as u32,
                marker: false,
                skippable: false,
                keyframe_start: false,
                filler: false,
                picture_id: None,
                tl0_picture_index: None,
                primary_at: 0,
                extensions: &[dense as u8; 3],
                payload,
            },
        )
    }

    fn is_intact(ring: &Ring, dense: u64, len: usize) -> bool {
        ring.get(dense).is_some_and(|slot| ring.bytes(slot) == (&[dense as u8; 3][..], &vec![dense as u8; len][..]))
    }

    #[test]
    fn it_grows_while_it_holds_less_than_two_seconds_and_loses_nothing_on_the_way() {
        let mut ring = Ring::new(SMALL);
        for dense in 100..115 {
            insert(&mut ring, dense, dense, &[dense as u8; 1_000]).unwrap();
        }
        assert_eq!(ring.arena.len(), 16_384);
        assert!((100..115).all(|dense| is_intact(&ring, dense, 1_000)));
    }

    #[test]
    fn it_does_not_grow_for_slow_streams_and_overwrites_the_oldest() {
        let mut ring = Ring::new(SMALL);
        for dense in 100..200 {
            insert(&mut ring, dense, dense * 3_000, &[dense as u8; 900]).unwrap();
        }
        assert_eq!((ring.arena.len(), ring.slots.len()), (4_096, 8));
        assert!((197..200).all(|dense| is_intact(&ring, dense, 900)));
        assert!(ring.get(190).is_none());
    }

    #[test]
    fn it_stays_within_its_bounds() {
        let mut ring = Ring::new(SMALL);
        for dense in 0..10_000 {
            insert(&mut ring, dense, 1, &vec![dense as u8; (dense % 1_400) as usize]).unwrap();
            assert!(is_intact(&ring, dense, (dense % 1_400) as usize));
        }
        assert_eq!((ring.arena.len(), ring.slots.len()), (16_384, 64));
    }

    #[test]
    fn duplicates_and_packets_older_than_the_ring_are_refused() {
        let mut ring = Ring::new(SMALL);
        insert(&mut ring, 1_000, 5, b"a").unwrap();
        assert_eq!(insert(&mut ring, 1_000, 6, b"a"), Err(NotStored::Duplicate));
        assert_eq!(insert(&mut ring, 999, 6, b"b"), Ok(()));
        assert_eq!(insert(&mut ring, 900, 6, b"c"), Err(NotStored::TooOld));
        assert_eq!(insert(&mut ring, 1_001, 6, &[0; 1_600]), Err(NotStored::Oversize));
    }

    /// Stores pieces of these lengths, from `dense` on, all of one picture.
    fn picture(ring: &mut Ring, dense: u64, lens: &[usize]) {
        for (dense, len) in (dense..).zip(lens) {
            let packet = Packet { timestamp: 7, payload: &vec![1; *len], ..Packet::default() };
            ring.insert(dense, &packet).unwrap();
        }
    }

    fn paddings(ring: &Ring, dense: std::ops::Range<u64>) -> Vec<u8> {
        dense.map(|dense| ring.get(dense).unwrap().padding).collect()
    }

    #[test]
    fn pieces_of_a_picture_are_made_equally_long_but_for_the_last() {
        let mut ring = Ring::new(SMALL);
        picture(&mut ring, 10, &[100, 101, 100, 101, 99]);
        ring.settle();
        assert_eq!(paddings(&ring, 10..15), [1, 0, 1, 0, 0]);
    }

    #[test]
    fn what_is_much_shorter_or_of_another_picture_stays_as_it_is() {
        let mut ring = Ring::new(SMALL);
        picture(&mut ring, 10, &[100, 109, 108, 109]);
        insert(&mut ring, 14, 1, &[0; 110]).unwrap();
        insert(&mut ring, 15, 1, &[0; 111]).unwrap();
        ring.settle();
        assert_eq!(paddings(&ring, 10..16), [0, 0, 1, 0, 0, 0]);
    }

    #[test]
    fn what_was_decided_stays_so() {
        let mut ring = Ring::new(SMALL);
        picture(&mut ring, 10, &[100, 101]);
        ring.settle();
        picture(&mut ring, 13, &[103, 103]);
        ring.settle();
        picture(&mut ring, 12, &[99]);
        ring.settle();
        assert_eq!(paddings(&ring, 10..15), [1, 0, 0, 0, 0]);
    }

    #[test]
    fn no_number_is_ever_stored_twice() {
        let mut random = crate::rng::Rng::new(3);
        let mut ring = Ring::new(SMALL);
        let mut stored = std::collections::HashSet::new();
        for step in 0..20_000_u64 {
            let dense = (1_000 + step / 4).saturating_sub(u64::from(random.below(100)));
            let len = random.below(1_400) as usize;
            if insert(&mut ring, dense, step, &vec![1; len]).is_ok() {
                assert!(stored.insert(dense), "{dense}");
            }
        }
    }
}

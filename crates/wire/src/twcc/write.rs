//! Writes feedback in two passes over the same chunker: measure what fits, then write chunks and deltas side by side.

use super::{DELTA_UNIT_US, Symbol};
use crate::rtcp::{format, packet_type};
use crate::{Ssrc, TwccSeq};

/// Writes one feedback packet at the start of `buf` for as many of `packets` as fit.
///
/// `packets` holds (transport-wide sequence number, arrival in microseconds since the reference time, or `None` when missing)
/// in ascending order from `base_seq` on; numbers left out count as missing. `reference_time` counts 64 ms, modulo 2^24.
/// Returns (bytes written, packets consumed). A packet that cannot be expressed in this feedback ends it: an arrival more than
/// 8 s from the one before, or a number out of order. (0, 0) when not even the first could be written.
pub fn write(
    buf: &mut [u8],
    sender: Ssrc,
    media: Ssrc,
    base_seq: TwccSeq,
    reference_time: u32,
    feedback_count: u8,
    packets: &[(u16, Option<i64>)],
) -> (usize, usize) {
    let Some(room) = (buf.len() & !3).checked_sub(HEADER_LEN) else {
        return (0, 0);
    };
    let statuses = Statuses { packets, consumed: 0, next_seq: base_seq, ticks: 0 };
    let chunker = Chunker { statuses, room, statuses_left: usize::from(u16::MAX) };
    let plan = measure(chunker.clone());
    if plan.consumed == 0 {
        return (0, 0);
    }
    let deltas_at = HEADER_LEN + 2 * plan.chunks;
    let end = deltas_at + plan.deltas_len;
    let len = end.next_multiple_of(4);
    let (head, deltas) = buf[..len].split_at_mut(deltas_at);
    write_statuses(chunker, &mut head[HEADER_LEN..], deltas);

    let padding = len - end;
    if padding > 0 {
        buf[end..len].fill(0);
        buf[len - 1] = padding as u8;
    }
    buf[0] = 0x80 | (u8::from(padding > 0) << 5) | format::TRANSPORT_CC;
    buf[1] = packet_type::RTPFB;
    buf[2..4].copy_from_slice(&((len / 4 - 1) as u16).to_be_bytes());
    buf[4..8].copy_from_slice(&sender.0.to_be_bytes());
    buf[8..12].copy_from_slice(&media.0.to_be_bytes());
    buf[12..14].copy_from_slice(&base_seq.0.to_be_bytes());
    buf[14..16].copy_from_slice(&(plan.statuses as u16).to_be_bytes());
    buf[16..20].copy_from_slice(&((reference_time << 8) | u32::from(feedback_count)).to_be_bytes());
    (len, plan.consumed)
}

#[derive(Default)]
struct Plan {
    chunks: usize,
    statuses: usize,
    deltas_len: usize,
    consumed: usize,
}

fn measure(mut chunker: Chunker<'_>) -> Plan {
    let mut plan = Plan::default();
    for chunk in chunker.by_ref() {
        plan.chunks += 1;
        plan.statuses += chunk.count;
        plan.deltas_len += chunk.deltas_len;
    }
    plan.consumed = chunker.statuses.consumed;
    plan
}

fn write_statuses(chunker: Chunker<'_>, chunks: &mut [u8], deltas: &mut [u8]) {
    let mut at = 0;
    for (chunk, room) in chunker.zip(chunks.chunks_exact_mut(2)) {
        room.copy_from_slice(&chunk.word.to_be_bytes());
        for (symbol, delta) in chunk.statuses.take(chunk.count) {
            let bytes = (delta as i16).to_be_bytes();
            let len = symbol.delta_len();
            deltas[at..at + len].copy_from_slice(&bytes[2 - len..]);
            at += len;
        }
    }
}

/// Packets as (symbol, delta in ticks), gaps in the numbering filled in.
#[derive(Clone)]
struct Statuses<'a> {
    packets: &'a [(u16, Option<i64>)],
    consumed: usize,
    next_seq: TwccSeq,
    /// Arrival of the last received packet in units of 250 us.
    ticks: i64,
}

impl Iterator for Statuses<'_> {
    type Item = (Symbol, i64);

    fn next(&mut self) -> Option<Self::Item> {
        let &(seq, arrival) = self.packets.get(self.consumed)?;
        let gap = TwccSeq(seq).distance(self.next_seq);
        if gap < 0 {
            return None;
        }
        let mut status = (Symbol::Missing, 0);
        if let (0, Some(arrival_us)) = (gap, arrival) {
            let ticks = arrival_us.div_euclid(DELTA_UNIT_US);
            let delta = ticks.saturating_sub(self.ticks);
            status = (symbol_for(delta)?, delta);
            self.ticks = ticks;
        }
        self.consumed += usize::from(gap == 0);
        self.next_seq = self.next_seq.next();
        Some(status)
    }
}

fn symbol_for(delta: i64) -> Option<Symbol> {
    if u8::try_from(delta).is_ok() {
        Some(Symbol::Small)
    } else if i16::try_from(delta).is_ok() {
        Some(Symbol::Large)
    } else {
        None
    }
}

/// Cuts statuses into chunks as long as a chunk and its deltas fit into `room` bytes.
#[derive(Clone)]
struct Chunker<'a> {
    statuses: Statuses<'a>,
    room: usize,
    statuses_left: usize,
}

struct Chunk<'a> {
    word: u16,
    /// Statuses described by the word: the first `count` of `statuses`.
    count: usize,
    statuses: Statuses<'a>,
    deltas_len: usize,
}

impl<'a> Iterator for Chunker<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let ahead = self.look_ahead()?;
        let (word, count) = ahead.choose_chunk();
        let statuses = self.statuses.clone();
        let deltas_len = self.statuses.by_ref().take(count).map(|(symbol, _)| symbol.delta_len()).sum();
        self.room -= 2 + deltas_len;
        self.statuses_left -= count;
        Some(Chunk { word, count, statuses, deltas_len })
    }
}

impl Chunker<'_> {
    /// The next statuses that fit: at least one vector chunk's worth, or all of a run. When the room cuts a vector short,
    /// what is left of it is too little for another chunk, so only the last vector is ever partly used.
    fn look_ahead(&self) -> Option<Ahead> {
        let room = self.room.checked_sub(2)?;
        let mut ahead = Ahead { window: [Symbol::Missing; ONE_BIT_LEN], seen: 0, run: 0 };
        let mut deltas_len = 0;
        for (symbol, _) in self.statuses.clone().take(self.statuses_left.min(RUN_MAX)) {
            deltas_len += symbol.delta_len();
            if deltas_len > room {
                break;
            }
            if let Some(slot) = ahead.window.get_mut(ahead.seen) {
                *slot = symbol;
            }
            if ahead.run == ahead.seen && symbol == ahead.window[0] {
                ahead.run += 1;
            }
            ahead.seen += 1;
            if ahead.run < ahead.seen && ahead.seen >= ONE_BIT_LEN {
                break;
            }
        }
        (ahead.seen > 0).then_some(ahead)
    }
}

struct Ahead {
    window: [Symbol; ONE_BIT_LEN],
    seen: usize,
    /// Leading statuses that equal the first.
    run: usize,
}

impl Ahead {
    /// The chunk that covers most of what is ahead, and how many statuses it covers.
    fn choose_chunk(&self) -> (u16, usize) {
        let window = &self.window[..self.seen.min(ONE_BIT_LEN)];
        let run_chunk = (((self.window[0] as u16) << 13) | self.run as u16, self.run);
        if self.run == self.seen || self.run >= ONE_BIT_LEN {
            return run_chunk;
        }
        if !window.contains(&Symbol::Large) {
            return (vector(0b10, window, 1, ONE_BIT_LEN), window.len());
        }
        if self.run >= TWO_BIT_LEN {
            return run_chunk;
        }
        let window = &window[..window.len().min(TWO_BIT_LEN)];
        (vector(0b11, window, 2, TWO_BIT_LEN), window.len())
    }
}

fn vector(kind: u16, symbols: &[Symbol], bits: usize, len: usize) -> u16 {
    let packed = symbols.iter().fold(0, |packed, symbol| (packed << bits) | *symbol as u16);
    (kind << 14) | (packed << (bits * (len - symbols.len())))
}

const HEADER_LEN: usize = 20;
/// Symbols of a status vector with one bit each.
const ONE_BIT_LEN: usize = 14;
/// Symbols of a status vector with two bits each.
const TWO_BIT_LEN: usize = 7;
/// A run length has 13 bits.
const RUN_MAX: usize = 0x1fff;

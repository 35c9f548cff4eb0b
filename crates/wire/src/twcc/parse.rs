//! Reads feedback. `parse` walks the chunks once so that iterating afterwards cannot fail.

use super::{DELTA_UNIT_US, FIXED_LEN, REFERENCE_UNIT_US, Symbol};
use crate::bytes::{u8_at, u16_at, u32_at};
use crate::{ParseError, Ssrc, TwccSeq};

/// One feedback packet, validated.
#[derive(Debug, Clone)]
pub struct Feedback<'a> {
    /// Who reports.
    pub sender: Ssrc,
    /// Any media source of the transport; not meaningful.
    pub media: Ssrc,
    /// First transport-wide sequence number reported.
    pub base_seq: TwccSeq,
    /// How many numbers are reported, received or not.
    pub status_count: u16,
    /// 24 bits signed, in units of 64 ms on the reporter's clock.
    pub reference_time: i32,
    /// Wrapping number of the feedback packet.
    pub feedback_count: u8,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl<'a> Feedback<'a> {
    /// Parses the body of an RTCP packet of type 205, format 15, from the sender SSRC on.
    pub fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let time_and_count = u32_at(body, 12)?;
        let status_count = u16_at(body, 10)?;
        let statuses = &body[8 + FIXED_LEN..];
        let (chunks_len, deltas_len) = measure(statuses, status_count)?;
        let (chunks, deltas) = statuses.split_at_checked(chunks_len).ok_or(ParseError::Truncated)?;
        Ok(Self {
            sender: Ssrc(u32_at(body, 0)?),
            media: Ssrc(u32_at(body, 4)?),
            base_seq: TwccSeq(u16_at(body, 8)?),
            status_count,
            // Arithmetic shift: the upper 24 bits with their sign.
            reference_time: (time_and_count as i32) >> 8,
            feedback_count: time_and_count as u8,
            chunks,
            deltas: deltas.get(..deltas_len).ok_or(ParseError::Truncated)?,
        })
    }

    /// Each reported packet as (sequence number, arrival in microseconds since the reference time, or `None` when missing).
    pub fn iter(&self) -> Arrivals<'a> {
        Arrivals {
            symbols: Symbols { chunks: self.chunks, left: self.status_count, chunk: Chunk::Run { symbol: 0, left: 0 } },
            deltas: self.deltas,
            seq: self.base_seq,
            ticks: 0,
        }
    }

    /// The reference time in microseconds on the reporter's clock.
    pub fn reference_us(&self) -> i64 {
        i64::from(self.reference_time) * REFERENCE_UNIT_US
    }
}

impl<'a> IntoIterator for &Feedback<'a> {
    type Item = (u16, Option<i64>);
    type IntoIter = Arrivals<'a>;

    fn into_iter(self) -> Arrivals<'a> {
        self.iter()
    }
}

/// Iterator over the packets of a feedback, made by [`Feedback::iter`].
#[derive(Debug, Clone)]
pub struct Arrivals<'a> {
    symbols: Symbols<'a>,
    deltas: &'a [u8],
    seq: TwccSeq,
    ticks: i64,
}

impl Iterator for Arrivals<'_> {
    type Item = (u16, Option<i64>);

    fn next(&mut self) -> Option<Self::Item> {
        let symbol = self.symbols.next()?;
        let delta = match symbol {
            Symbol::Missing => None,
            Symbol::Small => Some(i64::from(u8_at(self.deltas, 0).ok()?)),
            Symbol::Large => Some(i64::from(u16_at(self.deltas, 0).ok()? as i16)),
        };
        self.deltas = self.deltas.get(symbol.delta_len()..)?;
        let seq = self.seq;
        self.seq = seq.next();
        self.ticks += delta.unwrap_or(0);
        Some((seq.0, delta.map(|_| self.ticks * DELTA_UNIT_US)))
    }
}

/// Bytes of chunks and of deltas that `count` statuses take, in time linear in the bytes, not in the statuses.
fn measure(statuses: &[u8], count: u16) -> Result<(usize, usize), ParseError> {
    let (mut at, mut deltas_len, mut left) = (0, 0, count);
    while left > 0 {
        let mut chunk = Chunk::parse(u16_at(statuses, at)?);
        at += 2;
        if let Chunk::Run { symbol, left: run } = chunk {
            let symbol = Symbol::from_bits(symbol).ok_or(ParseError::Value)?;
            deltas_len += usize::from(run.min(left)) * symbol.delta_len();
            left -= run.min(left);
            continue;
        }
        while left > 0
            && let Some(bits) = chunk.next_symbol()
        {
            deltas_len += Symbol::from_bits(bits).ok_or(ParseError::Value)?.delta_len();
            left -= 1;
        }
    }
    Ok((at, deltas_len))
}

/// What is left of one status chunk.
#[derive(Debug, Clone)]
enum Chunk {
    Run {
        symbol: u16,
        left: u16,
    },
    /// `bits` is shifted so that the next symbol is on top of its 14 bits.
    OneBit {
        bits: u16,
        left: u16,
    },
    TwoBit {
        bits: u16,
        left: u16,
    },
}

impl Chunk {
    fn parse(chunk: u16) -> Self {
        match chunk >> 14 {
            0b10 => Self::OneBit { bits: chunk, left: 14 },
            0b11 => Self::TwoBit { bits: chunk, left: 7 },
            _ => Self::Run { symbol: (chunk >> 13) & 3, left: chunk & 0x1fff },
        }
    }

    #[inline]
    fn next_symbol(&mut self) -> Option<u16> {
        let (Self::Run { left, .. } | Self::OneBit { left, .. } | Self::TwoBit { left, .. }) = self;
        *left = left.checked_sub(1)?;
        Some(match self {
            Self::Run { symbol, .. } => *symbol,
            Self::OneBit { bits, .. } => {
                let symbol = (*bits >> 13) & 1;
                *bits <<= 1;
                symbol
            }
            Self::TwoBit { bits, .. } => {
                let symbol = (*bits >> 12) & 3;
                *bits <<= 2;
                symbol
            }
        })
    }
}

/// The status symbols of consecutive chunks that [`measure`] has checked.
#[derive(Debug, Clone)]
struct Symbols<'a> {
    chunks: &'a [u8],
    left: u16,
    chunk: Chunk,
}

impl Iterator for Symbols<'_> {
    type Item = Symbol;

    #[inline]
    fn next(&mut self) -> Option<Symbol> {
        self.left = self.left.checked_sub(1)?;
        loop {
            if let Some(bits) = self.chunk.next_symbol() {
                return Symbol::from_bits(bits);
            }
            self.chunk = Chunk::parse(u16_at(self.chunks, 0).ok()?);
            self.chunks = &self.chunks[2..];
        }
    }
}

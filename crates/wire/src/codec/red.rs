//! Redundant audio (RFC 2198): a packet's newest block and, in front of it, earlier ones that may have been lost.

use crate::bytes::u8_at;
use crate::{ParseError, PayloadType};

/// A payload of newest block and redundancy, all of one payload type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Red<'a> {
    payload: &'a [u8],
    /// Redundant blocks.
    count: usize,
    primary_at: usize,
}

/// An earlier packet's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block<'a> {
    /// How much earlier its RTP timestamp was, 14 bits.
    pub timestamp_offset: u16,
    /// At most 1,023 bytes; may be empty.
    pub payload: &'a [u8],
}

/// Parses a payload whose blocks must all be of `block_type`, and whose newest must not be empty.
#[inline]
pub fn parse(payload: &[u8], block_type: PayloadType) -> Result<Red<'_>, ParseError> {
    let (mut at, mut lengths, mut count) = (0, 0, 0);
    loop {
        let first = u8_at(payload, at)?;
        if first & 0x7f != block_type.0 {
            return Err(ParseError::Value);
        }
        if first & FOLLOWS == 0 {
            break;
        }
        let header = payload.get(at..at + HEADER_LEN).ok_or(ParseError::Truncated)?;
        lengths += block_len(header);
        at += HEADER_LEN;
        count += 1;
        if count > MAX_REDUNDANT {
            return Err(ParseError::Length);
        }
    }
    let primary_at = at + 1 + lengths;
    if primary_at >= payload.len() {
        return Err(ParseError::Length);
    }
    Ok(Red { payload, count, primary_at })
}

impl<'a> Red<'a> {
    /// Where the newest block starts in the payload; never 0.
    #[inline]
    pub fn primary_at(&self) -> usize {
        self.primary_at
    }

    /// The newest block.
    pub fn primary(&self) -> &'a [u8] {
        &self.payload[self.primary_at..]
    }

    /// The earlier blocks, oldest first: at most [`MAX_REDUNDANT`].
    pub fn redundant(&self) -> impl ExactSizeIterator<Item = Block<'a>> + use<'a> {
        let (headers, rest) = self.payload.split_at(self.count * HEADER_LEN);
        let mut blocks = &rest[1..];
        headers.chunks_exact(HEADER_LEN).map(move |header| {
            let (payload, later) = blocks.split_at(block_len(header).min(blocks.len()));
            blocks = later;
            Block { timestamp_offset: u16::from_be_bytes([header[1], header[2]]) >> 2, payload }
        })
    }
}

/// Writes `block_type` into every block's header. Lengths stay; a malformed payload is left alone behind its fault.
#[inline]
pub fn rewrite(payload: &mut [u8], block_type: PayloadType) {
    for at in (0..payload.len()).step_by(HEADER_LEN) {
        let follows = payload[at] & FOLLOWS;
        payload[at] = follows | (block_type.0 & 0x7f);
        if follows == 0 {
            return;
        }
    }
}

/// The 10 bits of length in a four-byte header.
#[inline]
fn block_len(header: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([header[2], header[3]]) & 0x3ff)
}

/// libwebrtc sends one or two, nine in trials; more would not fit a packet of useful sizes.
pub const MAX_REDUNDANT: usize = 16;
const HEADER_LEN: usize = 4;
/// F: another header follows this one.
const FOLLOWS: u8 = 0x80;

//! The bodies of feedback packets (RFC 4585 §6.1).

use crate::bytes::{u8_at, u16_at, u32_at, u32_of};
use crate::{ParseError, Ssrc};

/// Sender and media source in front of every feedback body.
pub(super) fn parties(body: &[u8]) -> Result<(Ssrc, Ssrc), ParseError> {
    Ok((Ssrc(u32_at(body, 0)?), Ssrc(u32_at(body, 4)?)))
}

/// Bitrate and streams of a REMB, from behind its name.
pub(super) fn parse_remb(bytes: &[u8]) -> Result<(u64, Ssrcs<'_>), ParseError> {
    let count = usize::from(u8_at(bytes, 0)?);
    let word = u32_at(bytes, 0)?;
    let exponent = (word >> 18) & 0x3f;
    let mantissa = u64::from(word & 0x3_ffff);
    if mantissa << exponent >> exponent != mantissa {
        return Err(ParseError::Value);
    }
    Ok((mantissa << exponent, Ssrcs::parse(&bytes[4..], count)?))
}

/// A list of sources.
#[derive(Debug, Clone)]
pub struct Ssrcs<'a> {
    bytes: &'a [u8],
}

impl<'a> Ssrcs<'a> {
    pub(super) fn parse(bytes: &'a [u8], count: usize) -> Result<Self, ParseError> {
        let bytes = bytes.get(..4 * count).ok_or(ParseError::Truncated)?;
        Ok(Self { bytes })
    }
}

impl Iterator for Ssrcs<'_> {
    type Item = Ssrc;

    fn next(&mut self) -> Option<Ssrc> {
        let (source, rest) = self.bytes.split_at_checked(4)?;
        self.bytes = rest;
        Some(Ssrc(u32_of(source)))
    }
}

/// The sequence numbers of a generic NACK: at most 17 per four bytes.
#[derive(Debug, Clone)]
pub struct LostSeqs<'a> {
    bytes: &'a [u8],
    /// Bit n stands for `next + n`.
    pending: u32,
    next: u16,
}

impl<'a> LostSeqs<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        if bytes.is_empty() || !bytes.len().is_multiple_of(4) {
            return Err(ParseError::Length);
        }
        Ok(Self { bytes, pending: 0, next: 0 })
    }
}

impl Iterator for LostSeqs<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if self.pending == 0 {
            let (item, rest) = self.bytes.split_at_checked(4)?;
            self.bytes = rest;
            self.next = u16_at(item, 0).ok()?;
            self.pending = (u32::from(u16_at(item, 2).ok()?) << 1) | 1;
        }
        let step = self.pending.trailing_zeros();
        self.pending &= self.pending - 1;
        Some(self.next.wrapping_add(step as u16))
    }
}

/// The entries of a FIR.
#[derive(Debug, Clone)]
pub struct FirEntries<'a> {
    bytes: &'a [u8],
}

impl<'a> FirEntries<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        if bytes.is_empty() || !bytes.len().is_multiple_of(8) {
            return Err(ParseError::Length);
        }
        Ok(Self { bytes })
    }
}

impl Iterator for FirEntries<'_> {
    type Item = (Ssrc, u8);

    fn next(&mut self) -> Option<(Ssrc, u8)> {
        let (entry, rest) = self.bytes.split_at_checked(8)?;
        self.bytes = rest;
        Some((Ssrc(u32_of(entry)), entry[4]))
    }
}

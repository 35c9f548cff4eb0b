//! Report blocks (RFC 3550 §6.4.1).

use crate::bytes::{Appender, u32_of};
use crate::{ParseError, Ssrc};

/// How one source is received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReportBlock {
    /// The source.
    pub ssrc: Ssrc,
    /// Share lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost in total, 24 bits signed: duplicates make it negative.
    pub cumulative_lost: i32,
    /// Highest sequence number, extended by 16 bits of wraps.
    pub highest_seq: u32,
    /// Interarrival jitter in units of the media clock.
    pub jitter: u32,
    /// Middle 32 bits of the last SR's NTP time; 0 when there was none.
    pub last_sr: u32,
    /// Time since that SR in 1/65536 s.
    pub delay_since_last_sr: u32,
}

impl ReportBlock {
    fn from_bytes(bytes: &[u8]) -> Self {
        let mut words = bytes.chunks_exact(4).map(u32_of);
        let mut word = || words.next().unwrap_or(0);
        let ssrc = Ssrc(word());
        let loss = word();
        Self {
            ssrc,
            fraction_lost: (loss >> 24) as u8,
            // Shifted up and back to carry the sign of 24 bits into 32.
            cumulative_lost: ((loss << 8) as i32) >> 8,
            highest_seq: word(),
            jitter: word(),
            last_sr: word(),
            delay_since_last_sr: word(),
        }
    }

    pub(super) fn append(&self, out: &mut Appender<'_>) {
        let lost = self.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff;
        out.u32(self.ssrc.0)
            .u32((u32::from(self.fraction_lost) << 24) | lost)
            .u32(self.highest_seq)
            .u32(self.jitter)
            .u32(self.last_sr)
            .u32(self.delay_since_last_sr);
    }
}

/// The report blocks of one SR or RR.
#[derive(Debug, Clone)]
pub struct ReportBlocks<'a> {
    bytes: &'a [u8],
}

impl<'a> ReportBlocks<'a> {
    /// Bytes behind the announced blocks are profile-specific extensions and skipped.
    pub(super) fn parse(bytes: &'a [u8], count: u8) -> Result<Self, ParseError> {
        let bytes = bytes.get(..BLOCK_LEN * usize::from(count)).ok_or(ParseError::Truncated)?;
        Ok(Self { bytes })
    }

    /// Blocks left.
    pub fn len(&self) -> usize {
        self.bytes.len() / BLOCK_LEN
    }

    /// Whether no block is left.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.bytes.split_at_checked(BLOCK_LEN)?;
        self.bytes = rest;
        Some(ReportBlock::from_bytes(block))
    }
}

const BLOCK_LEN: usize = 24;

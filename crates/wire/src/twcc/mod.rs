//! Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).
//!
//! Arrival times are microseconds since the feedback's reference time, which itself counts 64 ms; the wire keeps 250 us.

mod parse;
mod write;

pub use parse::{Arrivals, Feedback};
pub use write::write;

/// Microseconds of one unit of the reference time.
pub const REFERENCE_UNIT_US: i64 = 64_000;
/// Microseconds of one unit of a receive delta.
pub const DELTA_UNIT_US: i64 = 250;

/// Header bytes behind sender and media source.
const FIXED_LEN: usize = 8;

/// What one feedback says about one packet. The numbers are the wire's two-bit symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Symbol {
    Missing = 0,
    /// Delta of 0-255 units in one byte.
    Small = 1,
    /// Signed delta in two bytes.
    Large = 2,
}

impl Symbol {
    fn from_bits(bits: u16) -> Option<Self> {
        match bits {
            0 => Some(Self::Missing),
            1 => Some(Self::Small),
            2 => Some(Self::Large),
            _ => None,
        }
    }

    fn delta_len(self) -> usize {
        self as usize
    }
}

//! AV1 aggregation header (AV1 RTP payload specification §4.4).

use crate::ParseError;
use crate::bytes::u8_at;

/// The first byte of an AV1 payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AggregationHeader {
    /// Z: the first element continues the last one of the packet before.
    pub continuation: bool,
    /// Y: the last element continues in the next packet.
    pub continues: bool,
    /// W: number of elements, or 0 when each has a length.
    pub element_count: u8,
    /// N: first packet of a coded video sequence, so a keyframe starts here.
    pub is_keyframe: bool,
}

/// Parses the aggregation header.
#[inline]
pub fn parse(payload: &[u8]) -> Result<AggregationHeader, ParseError> {
    let byte = u8_at(payload, 0)?;
    Ok(AggregationHeader {
        continuation: byte & 0x80 != 0,
        continues: byte & 0x40 != 0,
        element_count: (byte >> 4) & 0x03,
        is_keyframe: byte & 0x08 != 0,
    })
}

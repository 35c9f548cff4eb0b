//! H.264 RTP payload (RFC 6184 §5): which NAL units start in a packet.

use crate::ParseError;
use crate::bytes::u8_at;

/// The kinds of NAL unit that start in one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NalUnits {
    /// Sequence parameter set.
    pub sps: bool,
    /// Picture parameter set.
    pub pps: bool,
    /// Slice of an IDR picture.
    pub idr: bool,
}

impl NalUnits {
    fn add(&mut self, header: u8) {
        match header & TYPE_MASK {
            NAL_IDR => self.idr = true,
            NAL_SPS => self.sps = true,
            NAL_PPS => self.pps = true,
            _ => {}
        }
    }
}

/// Finds the NAL units that start in `payload`: a single one, a STAP-A, or the first fragment of a FU-A.
#[inline]
pub fn parse(payload: &[u8]) -> Result<NalUnits, ParseError> {
    let header = u8_at(payload, 0)?;
    let mut units = NalUnits::default();
    match header & TYPE_MASK {
        STAP_A => add_aggregated(&mut units, &payload[1..])?,
        FU_A => {
            let fragment = u8_at(payload, 1)?;
            if fragment & FU_START != 0 {
                units.add(fragment);
            }
        }
        _ => units.add(header),
    }
    Ok(units)
}

/// Whether a keyframe starts or continues at a unit boundary here: an SPS or an IDR slice begins in this packet.
#[inline]
pub fn is_keyframe(payload: &[u8]) -> bool {
    parse(payload).is_ok_and(|units| units.sps || units.idr)
}

fn add_aggregated(units: &mut NalUnits, mut rest: &[u8]) -> Result<(), ParseError> {
    while let Some((len, after)) = rest.split_first_chunk::<2>() {
        let (unit, after) =
            after.split_at_checked(usize::from(u16::from_be_bytes(*len))).ok_or(ParseError::Truncated)?;
        units.add(u8_at(unit, 0).map_err(|_| ParseError::Length)?);
        rest = after;
    }
    if rest.is_empty() { Ok(()) } else { Err(ParseError::Truncated) }
}

const TYPE_MASK: u8 = 0x1f;
const NAL_IDR: u8 = 5;
const NAL_SPS: u8 = 7;
const NAL_PPS: u8 = 8;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const FU_START: u8 = 0x80;

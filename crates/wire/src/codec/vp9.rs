//! VP9 payload descriptor (RFC 9628 §4.2).

use crate::ParseError;
use crate::bytes::{u8_at, u16_at};

/// What precedes the VP9 data of one packet. The scalability structure, when there is one, is not decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::struct_excessive_bools)] // Flag bits of the wire format.
pub struct Descriptor {
    /// Bytes up to the scalability structure, or of the whole descriptor when there is none.
    pub len: usize,
    /// Picture id, 7 or 15 bits.
    pub picture_id: Option<u16>,
    /// P: refers to an earlier picture.
    pub inter_picture_predicted: bool,
    /// F: flexible mode.
    pub flexible: bool,
    /// B: first packet of a layer frame.
    pub start_of_frame: bool,
    /// E: last packet of a layer frame.
    pub end_of_frame: bool,
    /// Temporal layer, 0-7; 0 when not signalled.
    pub temporal_id: u8,
    /// Spatial layer, 0-7; 0 when not signalled.
    pub spatial_id: u8,
    /// U: a switch up to this temporal layer may happen here.
    pub switching_up: bool,
    /// D: depends on the next lower spatial layer of the same picture.
    pub inter_layer_predicted: bool,
    /// Running index of temporal-layer-0 pictures, non-flexible mode only.
    pub tl0picidx: Option<u8>,
    /// V: a scalability structure follows.
    pub has_scalability_structure: bool,
    /// Z: no upper spatial layer depends on this frame.
    pub not_a_reference: bool,
}

impl Descriptor {
    /// First packet of the lowest layer of a keyframe: where a decoder can start.
    pub fn is_keyframe(&self) -> bool {
        self.start_of_frame && !self.inter_picture_predicted && !self.inter_layer_predicted && self.spatial_id == 0
    }
}

/// Parses the descriptor up to the scalability structure.
#[inline]
pub fn parse(payload: &[u8]) -> Result<Descriptor, ParseError> {
    let flags = u8_at(payload, 0)?;
    let mut descriptor = Descriptor {
        len: 1,
        inter_picture_predicted: flags & 0x40 != 0,
        flexible: flags & 0x10 != 0,
        start_of_frame: flags & 0x08 != 0,
        end_of_frame: flags & 0x04 != 0,
        has_scalability_structure: flags & 0x02 != 0,
        not_a_reference: flags & 0x01 != 0,
        ..Descriptor::default()
    };
    if flags & 0x80 != 0 {
        descriptor.read_picture_id(payload)?;
    }
    if flags & 0x20 != 0 {
        descriptor.read_layer_indices(payload)?;
    }
    if descriptor.flexible && descriptor.inter_picture_predicted {
        descriptor.skip_reference_indices(payload)?;
    }
    Ok(descriptor)
}

impl Descriptor {
    fn read_picture_id(&mut self, payload: &[u8]) -> Result<(), ParseError> {
        let byte = u8_at(payload, self.len)?;
        if byte & 0x80 == 0 {
            self.picture_id = Some(u16::from(byte));
            self.len += 1;
        } else {
            self.picture_id = Some(u16_at(payload, self.len)? & 0x7fff);
            self.len += 2;
        }
        Ok(())
    }

    fn read_layer_indices(&mut self, payload: &[u8]) -> Result<(), ParseError> {
        let byte = u8_at(payload, self.len)?;
        self.temporal_id = byte >> 5;
        self.switching_up = byte & 0x10 != 0;
        self.spatial_id = (byte >> 1) & 0x07;
        self.inter_layer_predicted = byte & 0x01 != 0;
        self.len += 1;
        if !self.flexible {
            self.tl0picidx = Some(u8_at(payload, self.len)?);
            self.len += 1;
        }
        Ok(())
    }

    fn skip_reference_indices(&mut self, payload: &[u8]) -> Result<(), ParseError> {
        for _ in 0..MAX_REFERENCES {
            let byte = u8_at(payload, self.len)?;
            self.len += 1;
            if byte & 0x01 == 0 {
                return Ok(());
            }
        }
        Err(ParseError::Value)
    }
}

/// RFC 9628 §4.2: `P_DIFF` appears at most three times.
const MAX_REFERENCES: usize = 3;

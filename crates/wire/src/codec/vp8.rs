//! VP8 payload descriptor (RFC 7741 §4.2), read and rewritten in place.

use crate::ParseError;
use crate::bytes::{u8_at, u16_at};

/// A picture id with the width it was sent in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureId {
    /// 7 bits.
    Narrow(u8),
    /// 15 bits.
    Wide(u16),
}

impl PictureId {
    /// The id as a number.
    #[inline]
    pub fn value(self) -> u16 {
        match self {
            Self::Narrow(id) => u16::from(id),
            Self::Wide(id) => id,
        }
    }

    /// The highest id of this width; ids wrap behind it.
    #[inline]
    pub fn mask(self) -> u16 {
        match self {
            Self::Narrow(_) => 0x7f,
            Self::Wide(_) => 0x7fff,
        }
    }
}

/// What precedes the VP8 data of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // Flag bits of the wire format.
pub struct Descriptor {
    /// Bytes of the descriptor.
    pub len: usize,
    /// N: no other frame refers to this one.
    pub non_reference: bool,
    /// S: a partition starts here.
    pub start_of_partition: bool,
    /// Partition of the first byte, 0-7.
    pub partition: u8,
    /// Picture id.
    pub picture_id: Option<PictureId>,
    /// Running index of temporal-layer-0 frames.
    pub tl0picidx: Option<u8>,
    /// Temporal layer, 0-3.
    pub tid: Option<u8>,
    /// Y: depends on layer 0 only.
    pub layer_sync: bool,
    /// Temporal keyframe index, 0-31.
    pub key_idx: Option<u8>,
    /// The first packet of a keyframe.
    pub is_keyframe: bool,
}

/// Parses the descriptor and the first byte of the VP8 frame header behind it.
#[inline]
pub fn parse(payload: &[u8]) -> Result<Descriptor, ParseError> {
    let layout = Layout::parse(payload)?;
    let first = u8_at(payload, 0)?;
    let start_of_partition = first & 0x10 != 0;
    let partition = first & 0x07;
    let layer = layout.layer_at.map(|at| u8_at(payload, at)).transpose()?;
    let frame_header = payload.get(layout.len).copied();
    Ok(Descriptor {
        len: layout.len,
        non_reference: first & 0x20 != 0,
        start_of_partition,
        partition,
        picture_id: layout.picture_id(payload)?,
        tl0picidx: layout.tl0picidx_at.map(|at| u8_at(payload, at)).transpose()?,
        tid: layer.filter(|_| layout.has_tid).map(|byte| byte >> 6),
        layer_sync: layout.has_tid && layer.is_some_and(|byte| byte & 0x20 != 0),
        key_idx: layer.filter(|_| layout.has_key_idx).map(|byte| byte & 0x1f),
        // The P bit of the frame header is inverted: 0 says keyframe.
        is_keyframe: start_of_partition && partition == 0 && frame_header.is_some_and(|byte| byte & 1 == 0),
    })
}

/// Writes `picture_id` and `tl0picidx` over the ones in `payload`. Fields that are absent stay absent and widths stay, so the
/// payload's length never changes; a 7-bit field takes the low bits. A malformed payload is left alone.
#[inline]
pub fn rewrite(payload: &mut [u8], picture_id: u16, tl0picidx: u8) {
    let Ok(layout) = Layout::parse(payload) else {
        return;
    };
    if let Some(at) = layout.picture_id_at {
        if layout.wide {
            payload[at..at + 2].copy_from_slice(&(WIDE | (picture_id & 0x7fff)).to_be_bytes());
        } else {
            payload[at] = picture_id as u8 & 0x7f;
        }
    }
    if let Some(at) = layout.tl0picidx_at {
        payload[at] = tl0picidx;
    }
}

/// Where the optional fields are. Every offset is inside the payload it was parsed from.
#[derive(Default)]
struct Layout {
    len: usize,
    picture_id_at: Option<usize>,
    wide: bool,
    tl0picidx_at: Option<usize>,
    layer_at: Option<usize>,
    has_tid: bool,
    has_key_idx: bool,
}

impl Layout {
    #[inline]
    fn parse(payload: &[u8]) -> Result<Self, ParseError> {
        let mut layout = Self { len: 1, ..Self::default() };
        if u8_at(payload, 0)? & 0x80 == 0 {
            return Ok(layout);
        }
        let flags = u8_at(payload, 1)?;
        layout.len = 2;
        if flags & 0x80 != 0 {
            layout.picture_id_at = Some(layout.len);
            layout.wide = u8_at(payload, layout.len)? & 0x80 != 0;
            layout.len += if layout.wide { 2 } else { 1 };
        }
        if flags & 0x40 != 0 {
            layout.tl0picidx_at = Some(layout.len);
            layout.len += 1;
        }
        layout.has_tid = flags & 0x20 != 0;
        layout.has_key_idx = flags & 0x10 != 0;
        if layout.has_tid || layout.has_key_idx {
            layout.layer_at = Some(layout.len);
            layout.len += 1;
        }
        if layout.len > payload.len() {
            return Err(ParseError::Truncated);
        }
        Ok(layout)
    }

    #[inline]
    fn picture_id(&self, payload: &[u8]) -> Result<Option<PictureId>, ParseError> {
        let Some(at) = self.picture_id_at else {
            return Ok(None);
        };
        if self.wide {
            u16_at(payload, at).map(|id| Some(PictureId::Wide(id & 0x7fff)))
        } else {
            u8_at(payload, at).map(|id| Some(PictureId::Narrow(id)))
        }
    }
}

/// M bit of a 15-bit picture id.
const WIDE: u16 = 0x8000;

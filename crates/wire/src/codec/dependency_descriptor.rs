//! Mandatory part of the Dependency Descriptor header extension (AV1 RTP payload specification, appendix A.8.1).

use crate::ParseError;
use crate::bytes::{u8_at, u16_at};

/// What every packet of a video stream with this extension says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // Flag bits of the wire format.
pub struct DependencyDescriptor {
    /// First packet of a frame (one spatial layer of a picture).
    pub start_of_frame: bool,
    /// Last packet of a frame.
    pub end_of_frame: bool,
    /// Frame dependency template, 0-63.
    pub template_id: u8,
    /// Frame number, wrapping.
    pub frame_number: u16,
    /// A template structure is attached, which happens exactly on the first packet of a keyframe.
    pub has_template_structure: bool,
    /// A mask of active decode targets is attached.
    pub has_active_decode_targets: bool,
}

impl DependencyDescriptor {
    /// Whether a decoder can start with this packet.
    pub fn is_keyframe(&self) -> bool {
        self.has_template_structure && self.start_of_frame
    }
}

/// Parses the three mandatory bytes and, when more follow, the flags behind them.
#[inline]
pub fn parse(extension: &[u8]) -> Result<DependencyDescriptor, ParseError> {
    let first = u8_at(extension, 0)?;
    let frame_number = u16_at(extension, 1)?;
    let flags = extension.get(3).copied().unwrap_or(0);
    Ok(DependencyDescriptor {
        start_of_frame: first & 0x80 != 0,
        end_of_frame: first & 0x40 != 0,
        template_id: first & 0x3f,
        frame_number,
        has_template_structure: flags & 0x80 != 0,
        has_active_decode_targets: flags & 0x40 != 0,
    })
}

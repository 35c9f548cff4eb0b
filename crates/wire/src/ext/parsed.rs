//! The normal form: what the extensions of one packet say, whatever ids the client chose.

use super::{ExtensionBlock, ExtensionMap, Uri};

/// The extensions of one packet in normal form. Absent, malformed and unknown ones are `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Parsed<'a> {
    /// Media section id, printable ASCII.
    pub mid: Option<&'a str>,
    /// Simulcast encoding, printable ASCII.
    pub rid: Option<&'a str>,
    /// Simulcast encoding that this RTX packet repairs.
    pub repaired_rid: Option<&'a str>,
    /// (Level as -dBov: 0 loudest, 127 silence; the voice flag of RFC 6464.)
    pub audio_level: Option<(u8, bool)>,
    /// Transport-wide sequence number.
    pub twcc: Option<u16>,
    /// 24 bits, 6.18 fixed point seconds.
    pub abs_send_time: Option<u32>,
    /// Dependency Descriptor, see [`crate::codec::dependency_descriptor`].
    pub dependency_descriptor: Option<&'a [u8]>,
    /// Three bytes: minimum and maximum delay in 10 ms, 12 bits each.
    pub playout_delay: Option<&'a [u8]>,
    /// One byte: camera, flip and rotation bits.
    pub video_orientation: Option<&'a [u8]>,
    /// 8 or 16 bytes: NTP capture time and (optional) clock offset.
    pub abs_capture_time: Option<&'a [u8]>,
}

/// Reads every known extension of `block`. When an id repeats, the last one counts.
#[inline]
pub fn parse<'a>(block: &ExtensionBlock<'a>, map: &ExtensionMap) -> Parsed<'a> {
    let mut parsed = Parsed::default();
    for (id, value) in block {
        match map.uri(id) {
            Some(Uri::TransportCc) => parsed.twcc = value.first_chunk().map(|v| u16::from_be_bytes(*v)),
            Some(Uri::AbsSendTime) => parsed.abs_send_time = abs_send_time(value),
            Some(Uri::AudioLevel) => parsed.audio_level = value.first().map(|v| (v & 0x7f, v & 0x80 != 0)),
            Some(Uri::Mid) => parsed.mid = token(value),
            Some(Uri::Rid) => parsed.rid = token(value),
            Some(Uri::RepairedRid) => parsed.repaired_rid = token(value),
            Some(Uri::DependencyDescriptor) => parsed.dependency_descriptor = Some(value),
            Some(Uri::PlayoutDelay) => parsed.playout_delay = Some(value).filter(|v| v.len() == 3),
            Some(Uri::VideoOrientation) => parsed.video_orientation = Some(value).filter(|v| v.len() == 1),
            Some(Uri::AbsCaptureTime) => {
                parsed.abs_capture_time = Some(value).filter(|v| matches!(v.len(), 8 | 16));
            }
            _ => {}
        }
    }
    parsed
}

#[inline]
fn abs_send_time(value: &[u8]) -> Option<u32> {
    let &[a, b, c] = value.first_chunk()?;
    Some(u32::from_be_bytes([0, a, b, c]))
}

/// A mid or rid: SDP tokens, so anything but printable ASCII is noise.
#[inline]
fn token(value: &[u8]) -> Option<&str> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    std::str::from_utf8(value).ok()
}

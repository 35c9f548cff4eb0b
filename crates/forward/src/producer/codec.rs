//! The few things the forwarder reads of a payload: where a keyframe starts, and VP8's picture numbers.

use wire::codec::{av1, dependency_descriptor, h264, vp8, vp9};

/// Codecs as far as forwarding cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    Audio,
    Vp8,
    Vp9,
    H264,
    Av1,
    /// Forwarded as it comes; any packet is a start.
    OtherVideo,
}

/// Whether a consumer may start with this packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    No,
    Keyframe,
    /// H.264 without parameter sets: only if this is the frame's first packet.
    KeyframeIfFirst,
}

/// What was read of one payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inspection {
    pub(crate) start: Start,
    pub(crate) picture_id: Option<u16>,
    pub(crate) tl0_picture_index: Option<u8>,
    /// No other frame needs this one, or nobody knows.
    pub(crate) skippable: bool,
}

impl Codec {
    /// By the seam's MIME type, in any case.
    pub(crate) fn from_mime_type(mime_type: &str, is_audio: bool) -> Self {
        let subtype = mime_type.split_once('/').map_or(mime_type, |(_, subtype)| subtype);
        let is = |name: &str| subtype.eq_ignore_ascii_case(name);
        match () {
            () if is_audio => Self::Audio,
            () if is("VP8") => Self::Vp8,
            () if is("VP9") => Self::Vp9,
            () if is("H264") => Self::H264,
            () if is("AV1") => Self::Av1,
            () => Self::OtherVideo,
        }
    }

    /// Reads a payload; whatever does not parse is no start.
    #[inline]
    pub(crate) fn inspect(self, payload: &[u8], descriptor: Option<&[u8]>) -> Inspection {
        let nothing = Inspection { start: Start::No, picture_id: None, tl0_picture_index: None, skippable: true };
        match self {
            Self::Audio => Inspection { skippable: false, ..nothing },
            Self::OtherVideo => Inspection { start: Start::Keyframe, ..nothing },
            Self::Vp8 => vp8::parse(payload).map_or(nothing, |read| Inspection {
                start: keyframe_if(read.is_keyframe),
                picture_id: read.picture_id.map(vp8::PictureId::value),
                tl0_picture_index: read.tl0picidx,
                skippable: read.non_reference || read.tid.is_some_and(|layer| layer >= VP8_TOP_LAYER),
            }),
            Self::Vp9 => vp9::parse(payload).map_or(nothing, |read| Inspection {
                start: keyframe_if(read.is_keyframe()),
                skippable: read.temporal_id > 0,
                ..nothing
            }),
            Self::H264 => Inspection { start: inspect_h264(payload), ..nothing },
            Self::Av1 => Inspection { start: keyframe_if(starts_av1_keyframe(payload, descriptor)), ..nothing },
        }
    }
}

fn inspect_h264(payload: &[u8]) -> Start {
    match h264::parse(payload) {
        Ok(units) if units.sps => Start::Keyframe,
        Ok(units) if units.idr => Start::KeyframeIfFirst,
        _ => Start::No,
    }
}

fn starts_av1_keyframe(payload: &[u8], descriptor: Option<&[u8]>) -> bool {
    match descriptor.map(dependency_descriptor::parse) {
        Some(Ok(descriptor)) => descriptor.is_keyframe(),
        _ => av1::parse(payload).is_ok_and(|header| header.is_keyframe),
    }
}

fn keyframe_if(starts: bool) -> Start {
    if starts { Start::Keyframe } else { Start::No }
}

// Of three layers. Of two, the upper one's frames say themselves that nobody refers to them.
const VP8_TOP_LAYER: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mime_types_are_told_apart_in_any_case() {
        assert_eq!(Codec::from_mime_type("video/vp8", false), Codec::Vp8);
        assert_eq!(Codec::from_mime_type("video/AV1", false), Codec::Av1);
        assert_eq!(Codec::from_mime_type("video/H265", false), Codec::OtherVideo);
        assert_eq!(Codec::from_mime_type("audio/opus", true), Codec::Audio);
    }

    #[test]
    fn keyframes_start_where_a_decoder_can_start() {
        let start = |codec: Codec, payload: &[u8]| codec.inspect(payload, None).start;
        assert_eq!(start(Codec::Vp8, &[0x10, 0x00, 0, 0]), Start::Keyframe);
        assert_eq!(start(Codec::Vp8, &[0x10, 0x01, 0, 0]), Start::No);
        assert_eq!(start(Codec::Vp8, &[0x00, 0x00, 0, 0]), Start::No);
        assert_eq!(start(Codec::H264, &[0x67, 1, 2]), Start::Keyframe);
        assert_eq!(start(Codec::H264, &[0x7c, 0x85, 1]), Start::KeyframeIfFirst);
        assert_eq!(start(Codec::H264, &[0x7c, 0x05, 1]), Start::No);
        assert_eq!(start(Codec::Av1, &[0x18, 1]), Start::Keyframe);
        assert_eq!(start(Codec::Av1, &[0x10, 1]), Start::No);
        let descriptor = Codec::Av1.inspect(&[0x10, 1], Some(&[0x80, 0, 1, 0x80]));
        assert_eq!(descriptor.start, Start::Keyframe);
    }

    #[test]
    fn what_no_frame_refers_to_is_skippable() {
        let skippable = |codec: Codec, payload: &[u8]| codec.inspect(payload, None).skippable;
        // TID 0, 1 and 2; N without layers.
        let layered = |n: u8, tid: u8| [0x90 | n, 0xE0, 0x80, 1, 1, tid << 6, 1];
        assert_eq!([0, 1, 2].map(|tid| skippable(Codec::Vp8, &layered(0, tid))), [false, false, true]);
        assert!(skippable(Codec::Vp8, &layered(0x20, 1)));
        assert!(skippable(Codec::Vp8, &[0x30, 1, 0]));
        assert!(!skippable(Codec::Vp8, &[0x10, 1, 0]));
        assert!(skippable(Codec::H264, &[0x67, 1, 2]), "who knows");
        assert!(!skippable(Codec::Audio, &[1, 2, 3]));
    }
}

//! Codec payload descriptors.

use wire::{PayloadType, codec};

use crate::outcome::Outcome;

pub(super) fn vp8(input: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    let parsed = codec::vp8::parse(input);
    let mut rewritten = input.to_vec();
    codec::vp8::rewrite(&mut rewritten, 0x5a5a, 0xa5);
    let before = match parsed {
        Ok(descriptor) => descriptor,
        Err(error) => {
            assert_eq!(rewritten, input);
            return *outcome.error(error);
        }
    };
    assert!(before.len <= input.len());
    assert_eq!(rewritten[before.len..], input[before.len..]);
    let after = codec::vp8::parse(&rewritten).expect("a rewrite keeps a descriptor valid");
    assert_eq!(
        after.picture_id.map(|id| (id.value(), id.mask())),
        before.picture_id.map(|id| (0x5a5a & id.mask(), id.mask()))
    );
    assert_eq!(after.tl0picidx, before.tl0picidx.map(|_| 0xa5));
    assert_eq!((after.len, after.tid, after.key_idx), (before.len, before.tid, before.key_idx));
    assert_eq!(after.is_keyframe, before.is_keyframe);
    *outcome
        .size(before.len)
        .note(before.picture_id.map_or(0, codec::vp8::PictureId::mask))
        .note(before.tl0picidx.is_some())
        .note(before.tid.is_some())
        .note(before.key_idx.is_some())
        .note(before.is_keyframe)
}

pub(super) fn vp9(input: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    match codec::vp9::parse(input) {
        Ok(descriptor) => {
            assert!(descriptor.len <= input.len());
            assert!(descriptor.temporal_id < 8 && descriptor.spatial_id < 8);
            assert!(descriptor.picture_id.is_none_or(|id| id < 1 << 15));
            outcome
                .size(descriptor.len)
                .note(descriptor.flexible)
                .note(descriptor.picture_id.is_some())
                .note(descriptor.tl0picidx.is_some())
                .note(descriptor.is_keyframe());
        }
        Err(error) => _ = outcome.error(error),
    }
    outcome
}

pub(super) fn h264(input: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    match codec::h264::parse(input) {
        Ok(units) => {
            assert_eq!(codec::h264::is_keyframe(input), units.sps || units.idr);
            outcome.note(units.sps).note(units.pps).note(units.idr).note(input[0] & 0x1f);
        }
        Err(error) => {
            assert!(!codec::h264::is_keyframe(input));
            outcome.error(error);
        }
    }
    outcome
}

pub(super) fn av1(input: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    match codec::av1::parse(input) {
        Ok(header) => {
            assert!(header.element_count < 4);
            outcome.note(header.element_count).note(header.is_keyframe).note(header.continuation);
        }
        Err(error) => _ = outcome.error(error),
    }
    outcome
}

pub(super) fn dependency_descriptor(input: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    match codec::dependency_descriptor::parse(input) {
        Ok(descriptor) => {
            assert!(descriptor.template_id < 64);
            assert!(input.len() > 3 || !descriptor.is_keyframe());
            outcome.note(descriptor.start_of_frame).note(descriptor.is_keyframe()).note(descriptor.template_id);
        }
        Err(error) => _ = outcome.error(error),
    }
    outcome
}

pub(super) fn red(input: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    let mut rewritten = input.to_vec();
    codec::red::rewrite(&mut rewritten, PayloadType(96));
    assert_eq!(rewritten.len(), input.len());
    match codec::red::parse(input, PayloadType(111)) {
        Ok(red) => {
            let redundant: usize = red.redundant().map(|block| block.payload.len()).sum();
            let headers = 4 * red.redundant().len() + 1;
            assert_eq!(headers + redundant + red.primary().len(), input.len());
            assert_eq!(red.primary_at(), headers + redundant);
            let after = codec::red::parse(&rewritten, PayloadType(96)).expect("a rewrite keeps a payload valid");
            assert!(after.redundant().eq(red.redundant()) && after.primary() == red.primary());
            outcome.size(red.primary_at()).note(red.redundant().len() as u8);
        }
        Err(error) => _ = outcome.error(error),
    }
    outcome
}

//! Codec payload descriptors: field by field, keyframe detection, and the VP8 rewrite.

mod common;

use common::hex;
use wire::codec::red::{self, Block};
use wire::codec::vp8::PictureId;
use wire::codec::{av1, dependency_descriptor, h264, vp8, vp9};
use wire::{ParseError, PayloadType};

#[test]
fn vp8_minimal_descriptor() {
    let descriptor = vp8::parse(&hex("10 50")).unwrap();
    assert_eq!((descriptor.len, descriptor.picture_id, descriptor.tl0picidx, descriptor.tid), (1, None, None, None));
    assert!(descriptor.is_keyframe);
    assert!(!vp8::parse(&hex("10 51")).unwrap().is_keyframe);
    assert!(!vp8::parse(&hex("00 50")).unwrap().is_keyframe);
    assert!(!vp8::parse(&hex("11 50")).unwrap().is_keyframe);
    assert!(!vp8::parse(&hex("10")).unwrap().is_keyframe);
}

#[test]
fn vp8_full_descriptor() {
    let descriptor = vp8::parse(&hex("b0 f0 ffff 2a 65 51")).unwrap();
    assert_eq!(descriptor.len, 6);
    assert!(descriptor.non_reference && descriptor.start_of_partition && descriptor.layer_sync);
    assert_eq!(descriptor.picture_id, Some(PictureId::Wide(0x7fff)));
    assert_eq!((descriptor.tl0picidx, descriptor.tid, descriptor.key_idx), (Some(0x2a), Some(1), Some(5)));
    let narrow = vp8::parse(&hex("90 80 7f 50")).unwrap();
    assert_eq!((narrow.len, narrow.picture_id), (3, Some(PictureId::Narrow(0x7f))));
    assert_eq!(narrow.picture_id.map(|id| (id.value(), id.mask())), Some((0x7f, 0x7f)));
}

#[test]
fn vp8_truncated_descriptors_are_refused() {
    for text in ["", "80", "90 80", "90 80 ff", "90 c0 01", "90 f0 8001 01"] {
        assert_eq!(vp8::parse(&hex(text)).unwrap_err(), ParseError::Truncated, "{text}");
        let mut payload = hex(text);
        vp8::rewrite(&mut payload, 1, 1);
        assert_eq!(payload, hex(text));
    }
}

#[test]
fn vp8_rewrite_keeps_widths_and_everything_else() {
    let cases = [
        ("b0 f0 ffff 2a 65 51aa", "b0 f0 9234 77 65 51aa"),
        ("90 c0 05 2a 50", "90 c0 34 77 50"),
        ("90 80 05 50", "90 80 34 50"),
        ("90 40 05 50", "90 40 77 50"),
        ("90 20 c0 50", "90 20 c0 50"),
        ("10 50", "10 50"),
    ];
    for (before, after) in cases {
        let mut payload = hex(before);
        vp8::rewrite(&mut payload, 0x1234, 0x77);
        assert_eq!(payload, hex(after), "{before}");
    }
}

#[test]
fn vp8_picture_ids_wrap_in_their_own_width() {
    let mut payload = hex("90 80 8000 50");
    vp8::rewrite(&mut payload, 0x7fff_u16.wrapping_add(1), 0);
    assert_eq!(vp8::parse(&payload).unwrap().picture_id, Some(PictureId::Wide(0)));
}

#[test]
fn vp9_non_flexible_descriptor() {
    // I L B V; 15-bit picture id; tid 1, U, sid 0; tl0picidx.
    let descriptor = vp9::parse(&hex("aa 8123 30 07 18")).unwrap();
    assert_eq!((descriptor.len, descriptor.picture_id, descriptor.tl0picidx), (5, Some(0x123), Some(7)));
    assert_eq!((descriptor.temporal_id, descriptor.spatial_id), (1, 0));
    assert!(descriptor.switching_up && descriptor.has_scalability_structure && descriptor.is_keyframe());
}

#[test]
fn vp9_flexible_descriptor_with_references() {
    // I P L F E; 7-bit picture id; tid 2, sid 1, D; two P_DIFFs.
    let descriptor = vp9::parse(&hex("f4 11 43 03 04 ff")).unwrap();
    assert_eq!((descriptor.len, descriptor.picture_id, descriptor.tl0picidx), (5, Some(0x11), None));
    assert_eq!((descriptor.temporal_id, descriptor.spatial_id), (2, 1));
    assert!(descriptor.inter_layer_predicted && descriptor.end_of_frame && !descriptor.is_keyframe());
    assert_eq!(vp9::parse(&hex("50 03 03 03 04")).unwrap_err(), ParseError::Value);
}

#[test]
fn vp9_only_the_lowest_layer_of_a_keyframe_starts_it() {
    assert!(vp9::parse(&hex("88 01")).unwrap().is_keyframe());
    assert!(!vp9::parse(&hex("80 01")).unwrap().is_keyframe(), "not the start of the frame");
    assert!(!vp9::parse(&hex("c8 01")).unwrap().is_keyframe(), "predicted");
    assert!(!vp9::parse(&hex("a8 01 03 00")).unwrap().is_keyframe(), "upper spatial layer");
    for text in ["", "80", "80 80", "a0 01", "a0 01 00"] {
        assert_eq!(vp9::parse(&hex(text)).unwrap_err(), ParseError::Truncated, "{text}");
    }
}

#[test]
fn h264_keyframes_in_every_packetization() {
    for (text, keyframe) in [
        ("67 42", true),
        ("65 88", true),
        ("68 ce", false),
        ("41 9a", false),
        ("78 0002 6742 0002 68ce", true),
        ("78 0002 68ce 0001 65", true),
        ("78 0002 68ce 0001 41", false),
        ("7c 85 88", true),
        ("7c 05 88", false),
        ("7c 45 88", false),
        ("7c 81 9a", false),
        ("", false),
        ("7c", false),
        ("78 0005 67", false),
        ("78 0000", false),
    ] {
        assert_eq!(h264::is_keyframe(&hex(text)), keyframe, "{text}");
    }
    let units = h264::parse(&hex("78 0002 6742 0002 68ce 0001 65")).unwrap();
    assert!(units.sps && units.pps && units.idr);
    assert_eq!(h264::parse(&hex("78 0002 68ce 00")).unwrap_err(), ParseError::Truncated);
}

#[test]
fn av1_new_sequence_is_a_keyframe() {
    let header = av1::parse(&[0x68]).unwrap();
    assert!(!header.continuation && header.continues && header.is_keyframe);
    assert_eq!(header.element_count, 2);
    assert!(!av1::parse(&[0xd0]).unwrap().is_keyframe);
    assert!(av1::parse(&[]).is_err());
}

#[test]
fn dependency_descriptor_with_a_structure_is_a_keyframe() {
    let descriptor = dependency_descriptor::parse(&hex("c5 ffff")).unwrap();
    assert!(descriptor.start_of_frame && descriptor.end_of_frame && !descriptor.is_keyframe());
    assert_eq!((descriptor.template_id, descriptor.frame_number), (5, 0xffff));
    assert!(dependency_descriptor::parse(&hex("80 0001 80 00")).unwrap().is_keyframe());
    assert!(!dependency_descriptor::parse(&hex("40 0001 80 00")).unwrap().is_keyframe());
    assert!(dependency_descriptor::parse(&hex("80 0001 40")).unwrap().has_active_decode_targets);
    assert_eq!(dependency_descriptor::parse(&hex("80 00")).unwrap_err(), ParseError::Truncated);
}

const OPUS: PayloadType = PayloadType(111);

#[test]
fn red_tells_the_newest_block_from_the_earlier_ones() {
    // 960 ticks ago three bytes, 480 ticks ago none, and the newest.
    let payload = hex("ef 0f00 03 ef 0780 00 6f aabbcc 0102");
    let read = red::parse(&payload, OPUS).unwrap();
    assert_eq!((read.primary(), read.primary_at()), (&[1, 2][..], 12));
    let blocks: Vec<Block<'_>> = read.redundant().collect();
    let [first, second] = blocks[..] else { panic!("{blocks:?}") };
    assert_eq!((first.timestamp_offset, first.payload), (960, &[0xaa, 0xbb, 0xcc][..]));
    assert_eq!((second.timestamp_offset, second.payload), (480, &[][..]));
    let payload = hex("6f 77");
    let alone = red::parse(&payload, OPUS).unwrap();
    assert_eq!((alone.primary(), alone.primary_at(), alone.redundant().len()), (&[0x77][..], 1, 0));
}

#[test]
fn red_that_contradicts_itself_or_carries_something_else_is_refused() {
    let refused = |text: &str| red::parse(&hex(text), OPUS).unwrap_err();
    for text in ["", "ef", "ef 0f00", "ef 0f00 00"] {
        assert_eq!(refused(text), ParseError::Truncated, "{text}");
    }
    for text in ["6f", "ef 0f00 03 6f aabbcc", "ef 0fff ff 6f aabbcc"] {
        assert_eq!(refused(text), ParseError::Length, "{text}");
    }
    for text in ["60 01", "e0 0f00 01 6f aa 01", "ef 0f00 01 60 aa 01"] {
        assert_eq!(refused(text), ParseError::Value, "{text}");
    }
    let endless = [[0xef, 0, 0, 0].repeat(17), vec![0x6f, 1]].concat();
    assert_eq!(red::parse(&endless, OPUS).unwrap_err(), ParseError::Length);
}

#[test]
fn red_is_rewritten_to_the_receivers_payload_type() {
    let mut payload = hex("ef 0f00 03 6f ef6fef 6f");
    red::rewrite(&mut payload, PayloadType(96));
    assert_eq!(payload, hex("e0 0f00 03 60 ef6fef 6f"));
    for text in ["", "ef", "ef 0f"] {
        red::rewrite(&mut hex(text), PayloadType(96));
    }
}

//! Header extensions: both element forms, the id table, the normal form, the writer.

mod common;

use std::time::Duration;

use common::hex;
use wire::ext::{
    self, ExtensionBlock, ExtensionMap, ONE_BYTE_PROFILE, Parsed, TWO_BYTE_PROFILE, Uri, Writer, encode_abs_send_time,
    encode_audio_level,
};

fn elements(profile: u16, data: &[u8]) -> Vec<(u8, Vec<u8>)> {
    ExtensionBlock { profile, data }.iter().map(|(id, value)| (id, value.to_vec())).collect()
}

fn chromium_map() -> ExtensionMap {
    ExtensionMap::from_iter([
        (1, Uri::AudioLevel),
        (2, Uri::AbsSendTime),
        (3, Uri::TransportCc),
        (4, Uri::Mid),
        (10, Uri::Rid),
        (11, Uri::RepairedRid),
        (12, Uri::DependencyDescriptor),
        (13, Uri::VideoOrientation),
        (5, Uri::PlayoutDelay),
        (6, Uri::AbsCaptureTime),
    ])
}

#[test]
fn one_byte_elements_are_split() {
    assert_eq!(
        elements(ONE_BYTE_PROFILE, &hex("10aa 00 00 22010203 e0ff 0000")),
        [(1, vec![0xaa]), (2, vec![1, 2, 3]), (14, vec![0xff])]
    );
}

#[test]
fn two_byte_elements_are_split() {
    assert_eq!(
        elements(TWO_BYTE_PROFILE | 0x7, &hex("0100 00 0f02aabb ff01cc 00")),
        [(1, vec![]), (15, vec![0xaa, 0xbb]), (255, vec![0xcc])]
    );
}

#[test]
fn reserved_ids_and_malformed_elements_end_a_block() {
    assert_eq!(elements(ONE_BYTE_PROFILE, &hex("10aa f0bb 20cc")), [(1, vec![0xaa])]);
    assert_eq!(elements(ONE_BYTE_PROFILE, &hex("10aa 01bb 20cc")), [(1, vec![0xaa])]);
    assert_eq!(elements(ONE_BYTE_PROFILE, &hex("10aa 23bb")), [(1, vec![0xaa])]);
    assert_eq!(elements(TWO_BYTE_PROFILE, &hex("0101aa 0204bb")), [(1, vec![0xaa])]);
    assert_eq!(elements(TWO_BYTE_PROFILE, &hex("0101aa 02")), [(1, vec![0xaa])]);
    assert_eq!(elements(0xabcd, &hex("10aa")), []);
}

#[test]
fn uris_convert_both_ways() {
    for uri in Uri::ALL {
        assert_eq!(Uri::from_uri(uri.as_str()), Some(uri));
    }
    assert_eq!(Uri::from_uri("urn:example:none"), None);
}

#[test]
fn rebinding_an_id_or_a_uri_forgets_the_old_pair() {
    let mut map = ExtensionMap::new();
    map.set(0, Uri::Rid);
    assert_eq!(map.id(Uri::Rid), None);
    map.set(4, Uri::Mid);
    map.set(200, Uri::Mid);
    assert_eq!((map.uri(4), map.uri(200), map.id(Uri::Mid)), (None, Some(Uri::Mid), Some(200)));
    map.set(200, Uri::Rid);
    assert_eq!((map.id(Uri::Mid), map.id(Uri::Rid)), (None, Some(200)));
    assert_eq!(map.iter().collect::<Vec<_>>(), [(200, Uri::Rid)]);
}

#[test]
fn the_normal_form_is_the_same_from_both_element_forms() {
    let map = chromium_map();
    for two_byte in [false, true] {
        let mut buf = [0xff; 128];
        let mut writer = Writer::new(&mut buf, two_byte);
        assert!(writer.push(1, &encode_audio_level(34, true)));
        assert!(writer.push(2, &[1, 2, 3]));
        assert!(writer.push(3, &0xfffe_u16.to_be_bytes()));
        assert!(writer.push(4, b"7"));
        assert!(writer.push(10, b"q"));
        assert!(writer.push(11, b"h"));
        assert!(writer.push(12, &[0x80, 0, 1]));
        assert!(writer.push(13, &[3]));
        assert!(writer.push(5, &[0, 0, 9]));
        assert!(writer.push(6, &[8; 8]));
        let len = writer.finish();
        assert_eq!(len % 4, 0);
        assert_eq!(usize::from(u16::from_be_bytes([buf[2], buf[3]])) * 4 + 4, len);
        let block = ExtensionBlock { profile: u16::from_be_bytes([buf[0], buf[1]]), data: &buf[4..len] };
        let expected = Parsed {
            mid: Some("7"),
            rid: Some("q"),
            repaired_rid: Some("h"),
            audio_level: Some((34, true)),
            twcc: Some(0xfffe),
            abs_send_time: Some(0x01_0203),
            dependency_descriptor: Some(&[0x80, 0, 1]),
            playout_delay: Some(&[0, 0, 9]),
            video_orientation: Some(&[3]),
            abs_capture_time: Some(&[8; 8]),
        };
        assert_eq!(ext::parse(&block, &map), expected);
        assert_eq!(block.find(4), Some(&b"7"[..]));
    }
}

#[test]
fn values_of_a_wrong_size_or_alphabet_are_absent() {
    let map = chromium_map();
    let data = hex("30aa 2100 40ff 50aa 63000000 00");
    let block = ExtensionBlock { profile: ONE_BYTE_PROFILE, data: &data };
    assert_eq!(ext::parse(&block, &map), Parsed::default());
}

#[test]
fn the_writer_refuses_what_its_form_cannot_express() {
    let mut buf = [0; 400];
    let mut one = Writer::new(&mut buf, false);
    assert!(!one.push(0, b"a") && !one.push(15, b"a") && !one.push(1, b"") && !one.push(1, &[0; 17]));
    assert!(one.push(14, &[0; 16]));
    assert_eq!(one.finish(), 24);

    let mut two = Writer::new(&mut buf, true);
    assert!(!two.push(0, b"a") && !two.push(1, &[0; 256]));
    assert!(two.push(255, &[0; 255]) && two.push(1, b""));
    assert_eq!(two.finish(), 4 + 2 + 255 + 2 + 1);
}

#[test]
fn the_writer_never_writes_past_its_room() {
    for room in 0..32 {
        let mut buf = [0xee; 32];
        let mut writer = Writer::new(&mut buf[..room], false);
        let pushed = writer.push(1, b"abc");
        assert_eq!(pushed, room >= 8);
        assert_eq!(writer.finish(), if pushed { 8 } else { 0 });
        assert!(buf[room..].iter().all(|byte| *byte == 0xee));
    }
}

#[test]
fn an_empty_block_is_no_block() {
    assert_eq!(Writer::new(&mut [0; 8], false).finish(), 0);
    assert_eq!(Writer::new(&mut [], true).finish(), 0);
}

#[test]
fn departure_times_are_fixed_point_and_wrap() {
    assert_eq!(encode_abs_send_time(Duration::from_secs(1)), [0x04, 0, 0]);
    assert_eq!(encode_abs_send_time(Duration::from_millis(500)), [0x02, 0, 0]);
    assert_eq!(encode_abs_send_time(Duration::from_secs(64)), [0, 0, 0]);
    assert_eq!(encode_abs_send_time(Duration::from_nanos(63_999_999_999)), [0xff, 0xff, 0xff]);
}

//! RTCP: golden bytes, round trips, compounds and what ends them.

mod common;

use common::hex;
use wire::rtcp::{self, ReportBlock, Rtcp};
use wire::{ParseError, RtpTimestamp, Ssrc};

const SENDER: Ssrc = Ssrc(0x0102_0304);
const MEDIA: Ssrc = Ssrc(0xa1a2_a3a4);

fn one(bytes: &[u8]) -> Rtcp<'_> {
    let mut packets = rtcp::iter(bytes);
    let packet = packets.next().expect("a packet").expect("a good one");
    assert!(packets.next().is_none());
    packet
}

fn block(cumulative_lost: i32) -> ReportBlock {
    ReportBlock {
        ssrc: MEDIA,
        fraction_lost: 64,
        cumulative_lost,
        highest_seq: 0x0001_ffff,
        jitter: 77,
        last_sr: 0x1234_5678,
        delay_since_last_sr: 65_536,
    }
}

#[test]
fn a_sender_report_has_these_bytes_and_reads_back() {
    let mut buf = [0; 64];
    let reports = [block(-1)];
    let len = rtcp::write_sr(&mut buf, SENDER, 0x1122_3344_5566_7788, RtpTimestamp(9), 10, 11, &reports).unwrap();
    let golden = hex("81c8000c 01020304 1122334455667788 00000009 0000000a 0000000b
        a1a2a3a4 40ffffff 0001ffff 0000004d 12345678 00010000");
    assert_eq!(&buf[..len], golden);
    let Rtcp::SenderReport { ssrc, ntp, rtp_timestamp, packet_count, octet_count, reports } = one(&buf[..len]) else {
        panic!("not a sender report")
    };
    assert_eq!((ssrc, ntp, rtp_timestamp), (SENDER, 0x1122_3344_5566_7788, RtpTimestamp(9)));
    assert_eq!((packet_count, octet_count), (10, 11));
    assert_eq!(reports.collect::<Vec<_>>(), [block(-1)]);
}

#[test]
fn receiver_reports_read_back_with_clamped_loss() {
    let mut buf = [0; 800];
    for (lost, read) in [(0, 0), (8_388_607, 8_388_607), (9_000_000, 8_388_607), (-9_000_000, -8_388_608)] {
        let len = rtcp::write_rr(&mut buf, SENDER, &[block(lost); 31]).unwrap();
        let Rtcp::ReceiverReport { ssrc, mut reports } = one(&buf[..len]) else { panic!("not a receiver report") };
        assert_eq!((ssrc, reports.len(), reports.is_empty()), (SENDER, 31, false));
        assert!(reports.all(|report| report == block(read)));
    }
    assert_eq!(rtcp::write_rr(&mut buf, SENDER, &[block(0); 32]), None);
}

#[test]
fn a_nack_packs_seventeen_numbers_into_a_word_and_wraps() {
    let mut buf = [0; 64];
    let lost: Vec<u16> = (0..17).map(|step| 65_530_u16.wrapping_add(step)).collect();
    let len = rtcp::write_nack(&mut buf, SENDER, MEDIA, &lost).unwrap();
    assert_eq!(&buf[..len], hex("81cd0003 01020304 a1a2a3a4 fffaffff"));
    let Rtcp::Nack { sender, media, lost: read } = one(&buf[..len]) else { panic!("not a nack") };
    assert_eq!((sender, media), (SENDER, MEDIA));
    assert_eq!(read.collect::<Vec<_>>(), lost);
}

#[test]
fn scattered_nacks_read_back() {
    let mut buf = [0; 256];
    for lost in [vec![0], vec![1, 1, 2], vec![5, 22, 23, 40], vec![65_535, 0, 3, 100, 1000], vec![9, 3]] {
        let len = rtcp::write_nack(&mut buf, SENDER, MEDIA, &lost).unwrap();
        let Rtcp::Nack { lost: read, .. } = one(&buf[..len]) else { panic!("not a nack") };
        let mut expected = lost.clone();
        expected.dedup();
        assert_eq!(read.collect::<Vec<_>>(), expected);
    }
    assert_eq!(rtcp::write_nack(&mut buf, SENDER, MEDIA, &[]), None);
}

#[test]
fn keyframe_requests_have_these_bytes_and_read_back() {
    let mut buf = [0; 64];
    let len = rtcp::write_pli(&mut buf, SENDER, MEDIA).unwrap();
    assert_eq!(&buf[..len], hex("81ce0002 01020304 a1a2a3a4"));
    assert!(matches!(one(&buf[..len]), Rtcp::Pli { sender: SENDER, media: MEDIA }));

    let len = rtcp::write_fir(&mut buf, SENDER, &[(MEDIA, 7), (Ssrc(9), 255)]).unwrap();
    assert_eq!(&buf[..len], hex("84ce0006 01020304 00000000 a1a2a3a4 07000000 00000009 ff000000"));
    let Rtcp::Fir { sender, entries } = one(&buf[..len]) else { panic!("not a fir") };
    assert_eq!(sender, SENDER);
    assert_eq!(entries.collect::<Vec<_>>(), [(MEDIA, 7), (Ssrc(9), 255)]);
    assert_eq!(rtcp::write_fir(&mut buf, SENDER, &[]), None);
}

#[test]
fn remb_reads_back_within_its_eighteen_bits() {
    let mut buf = [0; 64];
    let len = rtcp::write_remb(&mut buf, SENDER, 4_000_000, &[MEDIA]).unwrap();
    assert_eq!(&buf[..len], hex("8fce0005 01020304 00000000 52454d42 0113d090 a1a2a3a4"));
    for bitrate in [0, 1, 262_143, 262_144, 2_500_001, u64::from(u32::MAX), u64::MAX] {
        let len = rtcp::write_remb(&mut buf, SENDER, bitrate, &[MEDIA, Ssrc(2)]).unwrap();
        let Rtcp::Remb { sender, bitrate: read, ssrcs } = one(&buf[..len]) else { panic!("not a remb") };
        assert_eq!(sender, SENDER);
        assert!(read <= bitrate && bitrate - read <= bitrate >> 17, "{bitrate} became {read}");
        assert_eq!(ssrcs.collect::<Vec<_>>(), [MEDIA, Ssrc(2)]);
    }
    // A mantissa shifted out of 64 bits.
    assert_eq!(
        rtcp::iter(&hex("8fce0004 01020304 00000000 52454d42 00ffffff")).next().unwrap().unwrap_err(),
        ParseError::Value
    );
}

#[test]
fn sdes_and_bye_have_these_bytes() {
    let mut buf = [0; 64];
    let len = rtcp::write_sdes_cname(&mut buf, SENDER, "ab").unwrap();
    assert_eq!(&buf[..len], hex("81ca0003 01020304 01026162 00000000"));
    assert!(matches!(one(&buf[..len]), Rtcp::Sdes { count: 1, raw } if raw.len() == 12));
    let len = rtcp::write_sdes_cname(&mut buf, SENDER, "abc").unwrap();
    assert_eq!(&buf[..len], hex("81ca0003 01020304 01036162 63000000"));

    let len = rtcp::write_bye(&mut buf, &[SENDER, MEDIA]).unwrap();
    assert_eq!(&buf[..len], hex("82cb0002 01020304 a1a2a3a4"));
    let Rtcp::Bye { ssrcs } = one(&buf[..len]) else { panic!("not a bye") };
    assert_eq!(ssrcs.collect::<Vec<_>>(), [SENDER, MEDIA]);
}

#[test]
fn a_compound_is_read_packet_by_packet() {
    let mut buf = [0; 128];
    let mut len = rtcp::write_rr(&mut buf, SENDER, &[block(3)]).unwrap();
    len += rtcp::write_sdes_cname(&mut buf[len..], SENDER, "cname").unwrap();
    len += rtcp::write_pli(&mut buf[len..], SENDER, MEDIA).unwrap();
    let kinds: Vec<_> = rtcp::iter(&buf[..len]).map(|packet| std::mem::discriminant(&packet.unwrap())).collect();
    assert_eq!(kinds.len(), 3);
    assert!(matches!(rtcp::iter(&buf[..len]).nth(2), Some(Ok(Rtcp::Pli { .. }))));
}

#[test]
fn the_first_malformed_packet_ends_a_compound() {
    let pli = hex("81ce0002 01020304 a1a2a3a4");
    let tails = [
        ("41ce0000", ParseError::Protocol),
        ("81ce0003 00000000", ParseError::Truncated),
        ("81", ParseError::Truncated),
        ("a1ce0002 01020304 00000000", ParseError::Padding),
        ("a1ce0002 01020304 00000009", ParseError::Padding),
        ("82c90001 01020304", ParseError::Truncated),
        ("80c80000", ParseError::Truncated),
        ("81cd0002 01020304 a1a2a3a4", ParseError::Length),
        ("84ce0003 01020304 a1a2a3a4 00000001", ParseError::Length),
        ("83cb0002 01020304 a1a2a3a4", ParseError::Truncated),
    ];
    for (tail, error) in tails {
        let bytes = [pli.clone(), hex(tail), pli.clone()].concat();
        // The last PLI would complete a truncated tail, so leave it off there.
        let bytes = if error == ParseError::Truncated { &bytes[..pli.len() + hex(tail).len()] } else { &bytes[..] };
        let results: Vec<_> = rtcp::iter(bytes).map(Result::err).collect();
        assert_eq!(results, [None, Some(error)], "{tail}");
    }
}

#[test]
fn padding_is_removed_and_unknown_packets_pass() {
    let bytes = hex("a3cf0003 01020304 aabbccdd 00000004");
    assert!(matches!(one(&bytes), Rtcp::Other { packet_type: 207, count: 3, body } if body.len() == 8));
    // An application feedback that is not REMB.
    assert!(matches!(one(&hex("8fce0003 01020304 00000000 41424344")), Rtcp::Other { packet_type: 206, .. }));
}

#[test]
fn writers_without_room_say_so() {
    for room in 0..12 {
        let mut buf = vec![0; room];
        assert_eq!(rtcp::write_pli(&mut buf, SENDER, MEDIA), None);
        assert_eq!(rtcp::write_sdes_cname(&mut buf, SENDER, "abc"), None);
        assert_eq!(rtcp::write_nack(&mut buf, SENDER, MEDIA, &[1]), None);
    }
}

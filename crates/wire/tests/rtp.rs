//! RTP headers, padding, and the extension block as SRTP leaves them.

mod common;

use common::hex;
use wire::ext::{ExtensionBlock, ONE_BYTE_PROFILE};
use wire::rtp::{self, FixedHeader, RtpPacket};
use wire::{ParseError, PayloadType, RtpTimestamp, SeqNo, Ssrc};

/// Version 2, padding, extension, two CSRCs, marker, payload type 96.
const FULL: &str = "b2e0 ffff 01020304 a1a2a3a4 00000001 00000002 bede0001 10310000 c0ffee 000003";

#[test]
fn every_field_is_read() {
    let bytes = hex(FULL);
    let packet = RtpPacket::parse(&bytes).unwrap();
    assert_eq!(packet.payload_type, PayloadType(96));
    assert!(packet.marker);
    assert_eq!(packet.seq, SeqNo(65_535));
    assert_eq!(packet.timestamp, RtpTimestamp(0x0102_0304));
    assert_eq!(packet.ssrc, Ssrc(0xa1a2_a3a4));
    assert_eq!(packet.csrcs.iter().collect::<Vec<_>>(), [Ssrc(1), Ssrc(2)]);
    assert_eq!(packet.csrcs.len(), 2);
    assert_eq!(packet.header_len, 28);
    assert_eq!(packet.extension, Some(ExtensionBlock { profile: ONE_BYTE_PROFILE, data: &[0x10, 0x31, 0, 0] }));
    assert_eq!(packet.payload, [0xc0, 0xff, 0xee]);
    assert_eq!(packet.padding_len, 3);
    assert_eq!(rtp::peek_ssrc(&bytes).unwrap(), packet.ssrc);
}

#[test]
fn the_header_parses_before_the_padding_can_be_read() {
    let mut bytes = hex(FULL);
    *bytes.last_mut().unwrap() = 0xff;
    let header = rtp::parse_header(&bytes).unwrap();
    assert!(header.padding && header.has_extension);
    assert_eq!(header.header_len, 28);
    assert_eq!(RtpPacket::from_header(&header, &bytes).unwrap_err(), ParseError::Padding);
}

#[test]
fn a_padding_only_packet_has_an_empty_payload() {
    let bytes = hex("a060 0001 00000000 00000001 00000004");
    let packet = RtpPacket::parse(&bytes).unwrap();
    assert!(packet.payload.is_empty());
    assert_eq!(packet.padding_len, 4);
}

#[test]
fn malformed_packets_are_refused() {
    let good = hex(FULL);
    for len in 0..28 {
        assert_eq!(rtp::parse_header(&good[..len]).unwrap_err(), ParseError::Truncated);
    }
    let cases = [
        ("4060 0001 00000000 00000001", ParseError::Protocol),
        ("8f60 0001 00000000 00000001", ParseError::Truncated),
        ("9060 0001 00000000 00000001 bede ffff 00", ParseError::Truncated),
        ("a060 0001 00000000 00000001", ParseError::Padding),
        ("a060 0001 00000000 00000001 aabb00", ParseError::Padding),
        ("a060 0001 00000000 00000001 aabb04", ParseError::Padding),
    ];
    for (text, error) in cases {
        assert_eq!(RtpPacket::parse(&hex(text)).unwrap_err(), error, "{text}");
    }
}

#[test]
fn a_written_header_reads_back_for_any_field() {
    for step in 0..=65_535_u32 {
        let header = FixedHeader {
            payload_type: PayloadType((step % 128) as u8),
            marker: step % 3 == 0,
            has_extension: false,
            seq: SeqNo(step as u16),
            timestamp: RtpTimestamp(step.wrapping_mul(0x9e37_79b9)),
            ssrc: Ssrc(!step),
        };
        let mut buf = [0xff; rtp::FIXED_HEADER_LEN];
        assert_eq!(rtp::write_fixed_header(&mut buf, &header), Some(12));
        let read = rtp::parse_header(&buf).unwrap();
        assert_eq!((read.payload_type, read.marker), (header.payload_type, header.marker));
        assert_eq!((read.seq, read.timestamp, read.ssrc), (header.seq, header.timestamp, header.ssrc));
        assert_eq!((read.padding, read.has_extension, read.csrc_count), (false, false, 0));
    }
    let header = rtp::parse_header(&hex(FULL)).unwrap();
    let fixed = FixedHeader {
        payload_type: header.payload_type,
        marker: true,
        has_extension: true,
        seq: header.seq,
        timestamp: header.timestamp,
        ssrc: header.ssrc,
    };
    assert_eq!(rtp::write_fixed_header(&mut [0; 11], &fixed), None);
}

#[test]
fn an_rtx_payload_splits_into_original_number_and_payload() {
    assert_eq!(rtp::split_rtx_payload(&[0xff, 0xfe, 1, 2]).unwrap(), (SeqNo(0xfffe), &[1, 2][..]));
    assert_eq!(rtp::split_rtx_payload(&[0, 1]).unwrap(), (SeqNo(1), &[][..]));
    assert_eq!(rtp::split_rtx_payload(&[0]).unwrap_err(), ParseError::Truncated);
}

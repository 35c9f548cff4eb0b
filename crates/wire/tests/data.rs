//! DCEP and `ChannelData`: golden bytes, round trips, refusals.

mod common;

use common::hex;
use wire::dcep::{self, Dcep, Open, Reliability};
use wire::{ParseError, channeldata};

#[test]
fn an_open_has_these_bytes_and_reads_back() {
    let open = Open {
        ordered: false,
        reliability: Reliability::MaxRetransmits(0),
        priority: 256,
        label: "_lossy",
        protocol: "",
    };
    let mut buf = [0; 64];
    let len = dcep::write_open(&mut buf, &open).unwrap();
    assert_eq!(&buf[..len], hex("03 81 0100 00000000 0006 0000 5f6c6f737379"));
    assert_eq!(dcep::parse(&buf[..len]), Ok(Dcep::Open(open)));
    assert_eq!(dcep::write_open(&mut buf[..len - 1], &open), None);
}

#[test]
fn every_reliability_reads_back() {
    let mut buf = [0; 64];
    for ordered in [true, false] {
        for reliability in
            [Reliability::Reliable, Reliability::MaxRetransmits(u32::MAX), Reliability::MaxLifetimeMs(3_000)]
        {
            let open = Open { ordered, reliability, priority: 0, label: "é", protocol: "p" };
            let len = dcep::write_open(&mut buf, &open).unwrap();
            assert_eq!(dcep::parse(&buf[..len]), Ok(Dcep::Open(open)));
        }
    }
    let len = dcep::write_ack(&mut buf).unwrap();
    assert_eq!(dcep::parse(&buf[..len]), Ok(Dcep::Ack));
}

#[test]
fn malformed_dcep_is_refused() {
    for (text, error) in [
        ("", ParseError::Truncated),
        ("04", ParseError::Protocol),
        ("03 00 0000 00000000 0001", ParseError::Truncated),
        ("03 00 0000 00000000 0002 0000 61", ParseError::Truncated),
        ("03 00 0000 00000000 ffff ffff 61", ParseError::Truncated),
        ("03 00 0000 00000000 0001 0000 ff", ParseError::Value),
        ("03 07 0000 00000000 0000 0000", ParseError::Value),
    ] {
        assert_eq!(dcep::parse(&hex(text)), Err(error), "{text}");
    }
}

#[test]
fn channel_data_reads_back_and_ignores_padding() {
    let mut buf = [0; 16];
    let len = channeldata::write(&mut buf, 0x4fff, b"abc").unwrap();
    assert_eq!(&buf[..len], hex("4fff 0003 616263"));
    assert_eq!(channeldata::parse(&buf[..len]), Ok((0x4fff, &b"abc"[..])));
    assert_eq!(channeldata::parse(&buf[..8]), Ok((0x4fff, &b"abc"[..])));
    assert_eq!(channeldata::parse(&hex("4000 0000")), Ok((0x4000, &[][..])));
    assert_eq!(channeldata::parse(&hex("7ffe 0001 61")), Ok((0x7ffe, &b"a"[..])));
}

#[test]
fn malformed_channel_data_is_refused() {
    assert_eq!(channeldata::parse(&hex("4000 0001")), Err(ParseError::Truncated));
    assert_eq!(channeldata::parse(&hex("4000 00")), Err(ParseError::Truncated));
    assert_eq!(channeldata::parse(&hex("3fff 0000")), Err(ParseError::Protocol));
    assert_eq!(channeldata::parse(&hex("7fff 0000")), Err(ParseError::Protocol));
    assert_eq!(channeldata::write(&mut [0; 16], 0x7fff, b""), None);
    assert_eq!(channeldata::write(&mut [0; 16], 0x3fff, b""), None);
    assert_eq!(channeldata::write(&mut [0; 6], 0x4000, b"abc"), None);
}

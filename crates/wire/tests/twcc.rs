//! Transport-wide feedback: golden bytes and writer/reader round trips over wraps, gaps and full buffers.

mod common;

use common::hex;
use wire::rtcp::{self, Rtcp};
use wire::twcc::{self, Feedback};
use wire::{ParseError, Ssrc, TwccSeq};

type Packet = (u16, Option<i64>);

fn write(buf: &mut [u8], packets: &[Packet]) -> (usize, usize) {
    twcc::write(buf, Ssrc(1), Ssrc(2), TwccSeq(packets[0].0), 0x00ab_cdef, 200, packets)
}

fn read(bytes: &[u8]) -> Feedback<'_> {
    match rtcp::iter(bytes).next() {
        Some(Ok(Rtcp::TransportFeedback(feedback))) => feedback,
        other => panic!("not transport feedback: {other:?}"),
    }
}

/// What the wire keeps of arrivals: whole ticks, gaps filled in.
fn expected(packets: &[Packet]) -> Vec<Packet> {
    let mut all = Vec::new();
    let mut next = packets[0].0;
    for (seq, arrival) in packets {
        while next != *seq {
            all.push((next, None));
            next = next.wrapping_add(1);
        }
        all.push((*seq, arrival.map(|us| us.div_euclid(250) * 250)));
        next = next.wrapping_add(1);
    }
    all
}

/// A small generator of its own: the same packets for the same seed everywhere.
fn random(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

#[test]
fn one_small_delta_has_these_bytes() {
    let mut buf = [0; 64];
    let (len, consumed) = write(&mut buf, &[(0xffff, Some(1_250))]);
    assert_eq!(consumed, 1);
    // Padded by one byte, as libwebrtc does: run of one small delta, 5 ticks.
    assert_eq!(&buf[..len], hex("afcd0005 00000001 00000002 ffff0001 abcdefc8 2001 05 01"));
    let feedback = read(&buf[..len]);
    assert_eq!((feedback.sender, feedback.media, feedback.base_seq), (Ssrc(1), Ssrc(2), TwccSeq(0xffff)));
    assert_eq!((feedback.status_count, feedback.feedback_count), (1, 200));
    assert_eq!(feedback.reference_time, 0x00ab_cdef - (1 << 24));
    assert_eq!(feedback.reference_us(), i64::from(0x00ab_cdef - (1 << 24)) * 64_000);
    assert_eq!(feedback.iter().collect::<Vec<_>>(), [(0xffff, Some(1_250))]);
}

#[test]
fn every_chunk_kind_reads() {
    // Run of 2 missing, one-bit vector (14 symbols, 1 received), two-bit vector (small, large, missing x5).
    let bytes = hex("8fcd0008 00000001 00000002 00100017 00000100 0002 a000 d800 04 08 ffff 00000000 000000");
    let feedback = read(&bytes);
    assert_eq!(feedback.reference_us(), 64_000);
    let received: Vec<_> = feedback.iter().filter(|(_, arrival)| arrival.is_some()).collect();
    assert_eq!(received, [(18, Some(1_000)), (32, Some(3_000)), (33, Some(2_750))]);
    assert_eq!(feedback.iter().count(), 23);
}

#[test]
fn negative_deltas_and_wraps_read_back() {
    let mut buf = [0; 200];
    let packets = [(65_533, Some(500_000)), (65_534, Some(499_000)), (1, Some(600_000)), (2, None), (3, Some(600_100))];
    let (len, consumed) = write(&mut buf, &packets);
    assert_eq!(consumed, packets.len());
    assert_eq!(read(&buf[..len]).iter().collect::<Vec<_>>(), expected(&packets));
}

#[test]
fn random_traffic_reads_back() {
    let mut seed = 42;
    for round in 0..2_000 {
        let mut packets = Vec::new();
        let (mut seq, mut now) = (random(&mut seed) as u16, 0_i64);
        let loss = [0, 2, 5, 10][round % 4];
        for _ in 0..=random(&mut seed) % 300 {
            let missing = random(&mut seed) % 20 < loss;
            now += (random(&mut seed) % [300, 5_000, 100_000][round % 3]) as i64 - 200;
            match random(&mut seed) % 8 {
                0 if missing && !packets.is_empty() => {}
                _ => packets.push((seq, (!missing).then_some(now))),
            }
            seq = seq.wrapping_add(1);
        }
        let mut buf = [0; 1_200];
        let (len, consumed) = write(&mut buf, &packets);
        assert_eq!(consumed, packets.len(), "round {round}");
        assert_eq!(len % 4, 0);
        assert_eq!(read(&buf[..len]).iter().collect::<Vec<_>>(), expected(&packets), "round {round}");
    }
}

#[test]
fn long_runs_take_one_chunk() {
    let packets: Vec<Packet> = (0..8_191).map(|seq| (seq, None)).chain([(8_191, Some(0))]).collect();
    let mut buf = [0; 64];
    let (len, consumed) = write(&mut buf, &packets);
    assert_eq!((len, consumed), (20 + 2 + 2 + 1 + 3, packets.len()));
    assert_eq!(read(&buf[..len]).iter().count(), packets.len());
}

#[test]
fn a_short_buffer_takes_a_prefix_that_reads_back() {
    let mut seed = 7;
    let packets: Vec<Packet> =
        (0..200).map(|seq| (seq, (random(&mut seed) & 3 > 0).then_some(i64::from(seq) * 40_000))).collect();
    let mut last = 0;
    for room in 0..600 {
        let mut buf = vec![0xee; 600];
        let (len, consumed) = write(&mut buf[..room], &packets);
        assert!(len <= room && consumed >= last, "{room}");
        assert!(buf[room..].iter().all(|byte| *byte == 0xee));
        last = consumed;
        if consumed > 0 {
            let arrivals: Vec<_> = read(&buf[..len]).iter().collect();
            assert_eq!(arrivals, expected(&packets[..consumed]), "{room}");
        }
    }
    assert_eq!(last, packets.len());
}

#[test]
fn what_cannot_be_expressed_ends_the_feedback() {
    let mut buf = [0; 200];
    assert_eq!(write(&mut buf, &[(1, Some(0)), (2, Some(9_000_000))]).1, 1);
    assert_eq!(write(&mut buf, &[(1, Some(0)), (1, Some(1))]).1, 1);
    assert_eq!(write(&mut buf, &[(1, Some(0)), (0, Some(1))]).1, 1);
    assert_eq!(write(&mut buf, &[(1, Some(i64::MAX))]), (0, 0));
    assert_eq!(twcc::write(&mut buf, Ssrc(1), Ssrc(2), TwccSeq(0), 0, 0, &[]), (0, 0));
    assert_eq!(twcc::write(&mut buf, Ssrc(1), Ssrc(2), TwccSeq(5), 0, 0, &[(4, None)]), (0, 0));
}

#[test]
fn malformed_feedback_is_refused() {
    let cases = [
        ("00000001 00000002 00100001 000001", ParseError::Truncated),
        // One status, no chunk.
        ("00000001 00000002 00100001 00000100", ParseError::Truncated),
        // One small delta announced, none there.
        ("00000001 00000002 00100001 00000100 2001", ParseError::Truncated),
        // The reserved symbol.
        ("00000001 00000002 00100001 00000100 6001 0000", ParseError::Value),
        // Only runs of length zero.
        ("00000001 00000002 00100001 00000100 2000 2000", ParseError::Truncated),
    ];
    for (text, error) in cases {
        assert_eq!(Feedback::parse(&hex(text)).unwrap_err(), error, "{text}");
    }
}

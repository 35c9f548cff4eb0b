//! RTCP compounds of every kind, and transport feedback of every shape.

use wire::rtcp::{self, ReportBlock};
use wire::{RtpTimestamp, Ssrc, TwccSeq, twcc as feedback};

use super::written;
use crate::rng::Rng;

const SENDER: Ssrc = Ssrc(0x0102_0304);
const MEDIA: Ssrc = Ssrc(0xa1a2_a3a4);

pub(super) fn rtcp() -> Vec<Vec<u8>> {
    let mut seeds = reports();
    seeds.extend(requests());
    seeds.extend(estimates());
    for body in twcc().into_iter().step_by(6) {
        seeds.push(framed(0x8f, 205, &body));
    }
    seeds.extend(raw());
    let compounds: Vec<_> = seeds.windows(3).step_by(5).map(<[Vec<u8>]>::concat).collect();
    seeds.extend(compounds);
    seeds
}

fn reports() -> Vec<Vec<u8>> {
    let block = |index: u32| ReportBlock {
        ssrc: Ssrc(index),
        fraction_lost: index as u8,
        cumulative_lost: 5 - index as i32,
        highest_seq: 0xffff + index,
        jitter: index * 100,
        last_sr: 0x1234_5678,
        delay_since_last_sr: index << 16,
    };
    let mut seeds = Vec::new();
    for count in [0, 1, 2, 31] {
        let blocks: Vec<_> = (0..count).map(block).collect();
        seeds.push(written(|buf| rtcp::write_sr(buf, SENDER, u64::MAX / 3, RtpTimestamp(1), 2, 3, &blocks)));
        seeds.push(written(|buf| rtcp::write_rr(buf, SENDER, &blocks)));
    }
    for cname in ["", "a", "abc", "{01234567-89ab-cdef-0123-456789abcdef}"] {
        seeds.push(written(|buf| rtcp::write_sdes_cname(buf, SENDER, cname)));
    }
    for count in [0, 1, 31] {
        seeds.push(written(|buf| rtcp::write_bye(buf, &vec![MEDIA; count])));
    }
    seeds
}

fn requests() -> Vec<Vec<u8>> {
    let mut seeds = vec![written(|buf| rtcp::write_pli(buf, SENDER, MEDIA))];
    for lost in [vec![0], vec![65_535, 0, 1], (0..17).collect(), (0..500).step_by(3).collect(), vec![9, 3, 9]] {
        seeds.push(written(|buf| rtcp::write_nack(buf, SENDER, MEDIA, &lost)));
    }
    for count in [1, 2, 40] {
        seeds.push(written(|buf| rtcp::write_fir(buf, SENDER, &vec![(MEDIA, count as u8); count])));
    }
    seeds
}

fn estimates() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for bitrate in [0, 300_000, 4_000_000, u64::MAX] {
        for count in [0, 1, 3] {
            seeds.push(written(|buf| rtcp::write_remb(buf, SENDER, bitrate, &vec![MEDIA; count])));
        }
    }
    seeds
}

/// Packets that no writer of ours makes.
fn raw() -> Vec<Vec<u8>> {
    vec![
        framed(0x80, 204, b"....name"),
        framed(0x80, 207, &[1, 2, 3, 4, 4, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]),
        framed(0x8f, 206, b"....0000ABCD"),
        framed(0xa1, 206, &[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4]),
        framed(0xa1, 206, &[0; 8]),
        framed(0xbf, 201, &[0xff; 8]),
        framed(0x81, 205, &[0; 9]),
        framed(0x84, 206, &[0; 12]),
        vec![0x80, 200, 0xff, 0xff],
        vec![0x80, 200],
        vec![0x41, 206, 0, 0],
    ]
}

fn framed(first: u8, packet_type: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first, packet_type, 0, (body.len() / 4) as u8];
    packet.extend_from_slice(body);
    packet
}

/// Bodies, from the sender's SSRC on.
pub(super) fn twcc() -> Vec<Vec<u8>> {
    let mut rng = Rng::new(0, "twcc shapes");
    let mut seeds = Vec::new();
    for round in 0..42_usize {
        let count = [1, 7, 14, 15, 40, 100, 200][round % 7];
        let loss = [0, 1, 5, 9][round % 4];
        let step = [200, 4_000, 70_000][round % 3];
        let mut now = 0;
        let mut packets = Vec::new();
        for index in 0..count {
            now += rng.below(step) as i64 - 100;
            let arrival = (rng.below(10) >= loss).then_some(now);
            packets.push((65_500_u16.wrapping_add(index), arrival));
        }
        seeds.push(body(&packets));
    }
    let run: Vec<_> = (0..8_000).map(|seq| (seq, None)).collect();
    seeds.push(body(&run));
    let header =
        |count: u16| [&[0, 0, 0, 1, 0, 0, 0, 2, 0, 9][..], &count.to_be_bytes(), &[0xff, 0xff, 0xfe, 7]].concat();
    for (count, statuses) in [
        (1, &[0x20, 0x01, 0xff][..]),
        (23, &[0, 2, 0xa0, 0, 0xd8, 0, 4, 8, 0xff, 0xff][..]),
        (1, &[0x60, 1, 0, 0][..]),
        (
            0xffff,
            &[0x1f, 0xff, 0x1f, 0xff, 0x1f, 0xff, 0x1f, 0xff, 0x1f, 0xff, 0x1f, 0xff, 0x1f, 0xff, 0x1f, 0xff, 0, 7][..],
        ),
        (0xffff, &[0x20, 0, 0x20, 0][..]),
        (0, &[][..]),
        (7, &[0xea, 0xaa, 0x80, 0, 0x7f, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..]),
        (14, &[0xbf, 0xff, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14][..]),
        (14, &[0xbf, 0xff, 1, 2, 3][..]),
    ] {
        seeds.push([&header(count)[..], statuses].concat());
    }
    seeds
}

fn body(packets: &[(u16, Option<i64>)]) -> Vec<u8> {
    let mut packet = written(|buf| {
        let (len, consumed) = feedback::write(buf, SENDER, MEDIA, TwccSeq(packets[0].0), 0x80_0001, 250, packets);
        (consumed > 0).then_some(len)
    });
    packet.drain(..4);
    packet
}

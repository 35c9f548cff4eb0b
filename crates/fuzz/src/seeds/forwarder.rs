//! Datagrams for a whole forwarder, and conversations of authenticated clients.

use wire::ext::Writer;
use wire::rtcp::{self as rtcp_packets, ReportBlock};
use wire::rtp::{FIXED_HEADER_LEN, FixedHeader, write_fixed_header};
use wire::{PayloadType, RtpTimestamp, SeqNo, Ssrc};

use super::{data, rtcp, rtp, written};
use crate::rng::Rng;

pub(super) fn datagram() -> Vec<Vec<u8>> {
    data::demux()
}

pub(super) fn session() -> Vec<Vec<u8>> {
    let mut seeds = vec![audio(30), video(10, &["q"], 5_000), video(8, &["q", "h", "f"], 65_530), mixed(), quiet()];
    let mut rng = Rng::new(0, "sessions");
    let (packets, feedback) = (rtp::rtp(), rtcp::rtcp());
    while seeds.len() < super::COUNT_MIN + 5 {
        let mut input = if rng.below(2) == 0 { video(3, &["q", "h"], 100) } else { audio(3) };
        for _ in 0..=rng.below(8) {
            let packet = rng.pick(&packets).cloned().unwrap_or_default();
            let report = rng.pick(&feedback).cloned().unwrap_or_default();
            let kind = rng.below(8) as u8;
            let bytes = match kind {
                0 | 5 => packet,
                1 | 2 => report,
                6 => vec![0; rng.below(30)],
                _ => {
                    let len = rng.below(100);
                    rng.bytes(len)
                }
            };
            input.extend(record(kind, &bytes));
        }
        seeds.push(input);
    }
    seeds
}

fn record(kind: u8, bytes: &[u8]) -> Vec<u8> {
    [&[kind][..], &(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

fn packet(payload_type: u8, ssrc: u32, seq: u16, marker: bool, elements: &[(u8, &[u8])], payload: &[u8]) -> Vec<u8> {
    let header = FixedHeader {
        payload_type: PayloadType(payload_type),
        marker,
        has_extension: true,
        seq: SeqNo(seq),
        timestamp: RtpTimestamp(u32::from(seq) * 960),
        ssrc: Ssrc(ssrc),
    };
    let mut bytes = written(|buf| {
        write_fixed_header(buf, &header)?;
        let mut writer = Writer::new(&mut buf[FIXED_HEADER_LEN..], false);
        for (id, value) in elements {
            writer.push(*id, value);
        }
        Some(FIXED_HEADER_LEN + writer.finish())
    });
    bytes.extend_from_slice(payload);
    bytes
}

fn audio(count: u16) -> Vec<u8> {
    let mut input = Vec::new();
    for seq in 0..count {
        let number = seq.to_be_bytes();
        let elements: [(u8, &[u8]); 3] = [(1, &[0x80 | (seq as u8 & 0x7f)]), (3, &number), (4, b"7")];
        input.extend(record(0, &packet(111, 0xa0d10, seq, seq == 0, &elements, &[seq as u8; 60])));
        input.extend(record(6, &[0, 0]));
    }
    input
}

/// Frames of two packets on each encoding; the first is a keyframe.
fn video(frames: u16, rids: &[&str], first_seq: u16) -> Vec<u8> {
    let mut input = Vec::new();
    for frame in 0..frames {
        for (at, rid) in rids.iter().enumerate() {
            for part in 0..2 {
                let seq = first_seq.wrapping_add(2 * frame + part);
                let number = (frame * 8 + part).to_be_bytes();
                let elements: [(u8, &[u8]); 3] = [(3, &number), (4, b"8"), (10, rid.as_bytes())];
                let descriptor = [0x80 | (u8::from(part == 0) << 4), 0xe0, 0x80, frame as u8, frame as u8, 0x20];
                let payload = [&descriptor[..], &[u8::from(frame != 0); 300]].concat();
                let ssrc = 0x0076_1d00 + at as u32;
                input.extend(record(0, &packet(96, ssrc, seq, part == 1, &elements, &payload)));
            }
        }
        input.extend(record(6, &[0; 3]));
    }
    input
}

/// Media with reports, losses told by the subscriber, and data both ways.
fn mixed() -> Vec<u8> {
    let mut input = video(4, &["q", "h"], 10);
    let block = ReportBlock { ssrc: Ssrc(2_000), fraction_lost: 30, highest_seq: 12, ..ReportBlock::default() };
    let sender = Ssrc(0x0076_1d00);
    for (kind, packet) in [
        (1, written(|buf| rtcp_packets::write_sr(buf, sender, 1 << 40, RtpTimestamp(9_600), 8, 2_400, &[]))),
        (2, written(|buf| rtcp_packets::write_rr(buf, Ssrc(1), &[block]))),
        (2, written(|buf| rtcp_packets::write_nack(buf, Ssrc(1), Ssrc(2_000), &[0, 1, 2, 3, 4, 5, 65_535]))),
        (2, written(|buf| rtcp_packets::write_pli(buf, Ssrc(1), Ssrc(2_000)))),
        (2, written(|buf| rtcp_packets::write_fir(buf, Ssrc(1), &[(Ssrc(2_000), 1), (Ssrc(1_000), 2)]))),
        (1, written(|buf| rtcp_packets::write_bye(buf, &[sender]))),
    ] {
        input.extend(record(kind, &packet));
        input.extend(record(6, &[0; 4]));
    }
    input.extend(record(3, b"hello"));
    input.extend(record(4, &[7; 3_000]));
    input.extend(video(4, &["q", "h"], 20));
    input
}

/// Nothing but time: timeouts, consent, reports without media.
fn quiet() -> Vec<u8> {
    [record(6, &[0; 100]), record(7, &[]), record(6, &[0; 1_500])].concat()
}

//! RTP packets as browsers send them, and extension blocks of both forms.

use wire::ext::{ONE_BYTE_PROFILE, TWO_BYTE_PROFILE, Writer};
use wire::rtp::{FixedHeader, write_fixed_header};
use wire::{PayloadType, RtpTimestamp, SeqNo, Ssrc};

use super::{payload, written};

pub(super) fn rtp() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (index, elements) in element_lists().iter().enumerate() {
        for two_byte in [false, true] {
            seeds.push(packet(index as u16, elements, two_byte, &payload(10 * index)));
        }
    }
    for (index, len) in [0, 1, 2, 3, 160, 1_200].into_iter().enumerate() {
        seeds.push(packet(0xffff - index as u16, &[], false, &payload(len)));
    }
    seeds.extend(with_csrcs());
    seeds.extend(with_padding());
    seeds.extend(bent());
    seeds
}

pub(super) fn ext() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for elements in element_lists() {
        for two_byte in [false, true] {
            let block = block(&elements, two_byte);
            if block.len() > 4 {
                seeds.push([&block[..2], &block[4..]].concat());
            }
        }
    }
    for data in raw_blocks() {
        for profile in [ONE_BYTE_PROFILE, TWO_BYTE_PROFILE, TWO_BYTE_PROFILE | 0xf, 0] {
            seeds.push([&profile.to_be_bytes()[..], data].concat());
        }
    }
    seeds
}

type Element = (u8, Vec<u8>);

fn element_lists() -> Vec<Vec<Element>> {
    let audio = vec![(1, vec![0x9f]), (2, vec![1, 2, 3]), (3, vec![0xff, 0xff]), (4, b"0".to_vec())];
    let video = vec![(2, vec![9, 9, 9]), (3, vec![0, 0]), (4, b"1".to_vec()), (10, b"q".to_vec())];
    let repair = vec![(3, vec![0, 1]), (4, b"mid16bytes-long!".to_vec()), (11, b"h".to_vec())];
    let descriptor = vec![(12, vec![0x80, 0, 1]), (13, vec![2]), (5, vec![0, 0, 0])];
    let structure = vec![(12, [&[0xc0, 0, 1, 0x80][..], &payload(60)].concat()), (3, vec![7, 7])];
    let capture = vec![(200, payload(16)), (14, payload(8)), (255, vec![])];
    let wrong = vec![(1, vec![]), (2, vec![1]), (3, vec![1]), (4, vec![0xff]), (10, vec![]), (5, vec![1, 2])];
    vec![vec![], audio, video, repair, descriptor, structure, capture, wrong]
}

fn raw_blocks() -> Vec<&'static [u8]> {
    vec![
        &[],
        &[0; 8],
        &[0x10, 0xaa, 0, 0, 0x22, 1, 2, 3],
        &[0xf0, 0xaa, 0x10, 0xbb],
        &[0x01, 0xaa, 0x10, 0xbb],
        &[0x2f, 1, 2, 3],
        &[0x32, 0xff, 0xff, 0xff],
        &[1, 0, 2, 1, 9, 3, 0xff],
        &[0xff; 12],
    ]
}

fn block(elements: &[Element], two_byte: bool) -> Vec<u8> {
    written(|buf| {
        let mut writer = Writer::new(buf, two_byte);
        for (id, value) in elements {
            writer.push(*id, value);
        }
        Some(writer.finish())
    })
}

fn packet(seq: u16, elements: &[Element], two_byte: bool, payload: &[u8]) -> Vec<u8> {
    let block = block(elements, two_byte);
    let header = FixedHeader {
        payload_type: PayloadType(96 + (seq % 32) as u8),
        marker: seq.is_multiple_of(2),
        has_extension: !block.is_empty(),
        seq: SeqNo(seq),
        timestamp: RtpTimestamp(u32::from(seq).wrapping_mul(960)),
        ssrc: Ssrc(0x1234_0000 + u32::from(seq)),
    };
    let mut bytes = written(|buf| write_fixed_header(buf, &header));
    bytes.extend(block);
    bytes.extend_from_slice(payload);
    bytes
}

fn with_csrcs() -> Vec<Vec<u8>> {
    let with = |count: u8| {
        let mut bytes = packet(100, &[(4, b"0".to_vec())], false, &payload(20));
        bytes[0] |= count;
        bytes.splice(12..12, payload(4 * usize::from(count)));
        bytes
    };
    vec![with(1), with(2), with(15)]
}

fn with_padding() -> Vec<Vec<u8>> {
    let with = |payload_len: usize, padding: &[u8]| {
        let mut bytes = packet(200, &[(3, vec![1, 2])], false, &payload(payload_len));
        bytes[0] |= 0x20;
        bytes.extend_from_slice(padding);
        bytes
    };
    let mut probe = vec![0; 255];
    probe[254] = 255;
    vec![with(0, &[0, 0, 0, 4]), with(30, &[1]), with(0, &probe), with(5, &[0]), with(5, &[7]), with(0, &[])]
}

fn bent() -> Vec<Vec<u8>> {
    let good = packet(300, &element_lists()[2], false, &payload(40));
    let mut seeds: Vec<Vec<u8>> = (0..24).step_by(3).map(|len| good[..len].to_vec()).collect();
    for (at, value) in [(0, 0x00), (0, 0x9f), (0, 0xb0), (0, 0xbf), (1, 0xff), (12, 0x10), (14, 0xff), (15, 0xff)] {
        let mut bent = good.clone();
        bent[at] = value;
        seeds.push(bent);
    }
    seeds
}

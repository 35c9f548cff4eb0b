//! DCEP, `ChannelData`, and a bit of everything for the demultiplexer.

use wire::dcep::{Open, Reliability, write_ack, write_open};

use super::{payload, rtcp, rtp, stun, written};

pub(super) fn demux() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for source in [stun::stun(), rtp::rtp(), rtcp::rtcp(), channeldata()] {
        seeds.extend(source.into_iter().step_by(5));
    }
    for content_type in [20, 21, 22, 23, 25, 63] {
        // A DTLS 1.2 record header: epoch 0, sequence number 1, 16 bytes.
        let header = [content_type, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1, 0, 16];
        seeds.push([&header[..], &payload(16)].concat());
    }
    for first in (0..=255).step_by(16) {
        seeds.push(vec![first]);
        seeds.push(vec![first, 200, 0, 1, 0, 0, 0, 0]);
    }
    seeds.push(vec![]);
    seeds
}

pub(super) fn channeldata() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for channel in [0x3fff_u16, 0x4000, 0x4001, 0x4fff, 0x5000, 0x7fff] {
        for announced in [0_u16, 1, 4, 5, 1_000, 0xffff] {
            for present in [0, 4, 7] {
                let header = [channel.to_be_bytes(), announced.to_be_bytes()].concat();
                seeds.push([&header[..], &payload(present)].concat());
            }
        }
    }
    seeds.extend([vec![], vec![0x40], vec![0x40, 0, 0]]);
    seeds
}

pub(super) fn dcep() -> Vec<Vec<u8>> {
    let mut seeds = vec![vec![], vec![0x04], vec![0x03], written(write_ack), vec![0x02, 0]];
    let reliabilities = [
        Reliability::Reliable,
        Reliability::MaxRetransmits(0),
        Reliability::MaxRetransmits(u32::MAX),
        Reliability::MaxLifetimeMs(3_000),
    ];
    for reliability in reliabilities {
        for ordered in [false, true] {
            for (label, protocol) in [("_reliable", ""), ("_lossy", ""), ("_data_track", "p"), ("", ""), ("é→🎥", "ü")]
            {
                let open = Open { ordered, reliability, priority: 256, label, protocol };
                seeds.push(written(|buf| write_open(buf, &open)));
            }
        }
    }
    for (at, value) in [(1, 0x03), (1, 0x82), (8, 0xff), (9, 0x06), (10, 0xff), (11, 0x01), (12, 0xff), (13, 0xc0)] {
        let open =
            Open { ordered: true, reliability: Reliability::Reliable, priority: 0, label: "label", protocol: "p" };
        let mut bent = written(|buf| write_open(buf, &open));
        bent[at] = value;
        seeds.push(bent);
    }
    seeds
}

//! Valid and nearly valid inputs per target, made deterministically: where mutation starts from until real traffic is captured.

mod codec;
mod data;
mod forwarder;
mod operations;
mod relay;
mod rtcp;
mod rtp;
mod stun;

use crate::rng::Rng;
use crate::targets::Target;

/// The generated inputs of a target, always the same, at least [`COUNT_MIN`].
pub fn of(target: &Target) -> Vec<Vec<u8>> {
    let mut seeds = match target.name {
        "demux" => data::demux(),
        "stun" => stun::stun(),
        "channeldata" => data::channeldata(),
        "rtp" => rtp::rtp(),
        "ext" => rtp::ext(),
        "rtcp" => rtcp::rtcp(),
        "twcc" => rtcp::twcc(),
        "dcep" => data::dcep(),
        "vp8" => codec::vp8(),
        "vp9" => codec::vp9(),
        "h264" => codec::h264(),
        "av1" => codec::av1(),
        "red" => codec::red(),
        "datagram" => forwarder::datagram(),
        "session" => forwarder::session(),
        "operations" => operations::operations(),
        "relay" => relay::relay(),
        "dependency_descriptor" => codec::dependency_descriptor(),
        _ => Vec::new(),
    };
    seeds.sort();
    seeds.dedup();
    let mut rng = Rng::new(0, target.name);
    while seeds.len() < COUNT_MIN {
        let len = 1 + rng.below(64);
        seeds.push(rng.bytes(len));
    }
    seeds
}

/// Runs a writer on a buffer big enough for any seed and keeps what it wrote.
fn written(write: impl FnOnce(&mut [u8]) -> Option<usize>) -> Vec<u8> {
    let mut buf = vec![0; 2_048];
    let len = write(&mut buf).expect("seeds fit into their buffer");
    buf.truncate(len);
    buf
}

/// Payload bytes that tell their position.
fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|at| at as u8).collect()
}

/// Fewer files are not a corpus.
pub const COUNT_MIN: usize = 50;

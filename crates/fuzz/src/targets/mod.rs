//! The targets: what must hold for any bytes.

mod codec;
mod data;
mod forwarder;
mod operations;
mod relay;
mod rtcp;
mod rtp;
mod stun;

pub use forwarder::converse;
pub use relay::relayed;

use crate::outcome::Outcome;

/// One thing to fuzz.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Name on the command line and of the corpus folder.
    pub name: &'static str,
    /// Runs one input; panics when an invariant breaks.
    pub run: fn(&[u8]) -> Outcome,
    /// A run takes milliseconds: handshakes and virtual seconds.
    pub slow: bool,
}

const fn parser(name: &'static str, run: fn(&[u8]) -> Outcome) -> Target {
    Target { name, run, slow: false }
}

const fn machine(name: &'static str, run: fn(&[u8]) -> Outcome) -> Target {
    Target { name, run, slow: true }
}

/// Every target.
pub const ALL: &[Target] = &[
    parser("demux", data::demux),
    parser("stun", stun::stun),
    parser("channeldata", data::channeldata),
    parser("rtp", rtp::rtp),
    parser("ext", rtp::ext),
    parser("rtcp", rtcp::rtcp),
    parser("twcc", rtcp::twcc),
    parser("dcep", data::dcep),
    parser("vp8", codec::vp8),
    parser("vp9", codec::vp9),
    parser("h264", codec::h264),
    parser("av1", codec::av1),
    parser("red", codec::red),
    parser("dependency_descriptor", codec::dependency_descriptor),
    machine("datagram", forwarder::datagram),
    machine("session", forwarder::session),
    machine("operations", operations::operations),
    machine("relay", relay::relay),
];

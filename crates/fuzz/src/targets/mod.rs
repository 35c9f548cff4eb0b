//! The targets: what must hold for any bytes.

mod codec;
mod data;
mod rtcp;
mod rtp;
mod stun;

use crate::outcome::Outcome;

/// One thing to fuzz.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Name on the command line and of the corpus folder.
    pub name: &'static str,
    /// Runs one input; panics when an invariant breaks.
    pub run: fn(&[u8]) -> Outcome,
}

/// Every target.
pub const ALL: &[Target] = &[
    Target { name: "demux", run: data::demux },
    Target { name: "stun", run: stun::stun },
    Target { name: "channeldata", run: data::channeldata },
    Target { name: "rtp", run: rtp::rtp },
    Target { name: "ext", run: rtp::ext },
    Target { name: "rtcp", run: rtcp::rtcp },
    Target { name: "twcc", run: rtcp::twcc },
    Target { name: "dcep", run: data::dcep },
    Target { name: "vp8", run: codec::vp8 },
    Target { name: "vp9", run: codec::vp9 },
    Target { name: "h264", run: codec::h264 },
    Target { name: "av1", run: codec::av1 },
    Target { name: "dependency_descriptor", run: codec::dependency_descriptor },
];

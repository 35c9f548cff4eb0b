//! Parsers and writers for everything that crosses the network: STUN, `ChannelData`, RTP, RTCP, header extensions,
//! DCEP and the codec payload descriptors the forwarder has to understand.
//!
//! No state between calls, no I/O, no clock, no allocation. Parsers borrow from the datagram, never panic on it and take
//! time linear in its length; writers fill a caller's slice and say `None` when it is too small.

mod bytes;
pub mod channeldata;
pub mod codec;
pub mod dcep;
pub mod demux;
mod error;
pub mod ext;
pub mod rtcp;
pub mod rtp;
pub mod seq;
pub mod stun;
pub mod twcc;
pub mod types;

pub use error::ParseError;
pub use types::{PayloadType, RtpTimestamp, SeqNo, Ssrc, TwccSeq};

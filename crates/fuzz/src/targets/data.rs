//! Demultiplexing, DCEP and `ChannelData`.

use wire::demux::{Protocol, classify};
use wire::{channeldata, dcep};

use super::{rtcp, rtp, stun};
use crate::outcome::Outcome;

/// Classifies a datagram and hands it on, as the socket loop does.
pub(super) fn demux(input: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    let protocol = classify(input);
    outcome.note(protocol as u64);
    match protocol {
        Protocol::Stun => stun::stun(input),
        Protocol::Rtp => rtp::rtp(input),
        Protocol::Rtcp => rtcp::rtcp(input),
        Protocol::ChannelData => channeldata(input),
        Protocol::Dtls | Protocol::Unknown => outcome,
    }
}

pub(super) fn channeldata(input: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    match channeldata::parse(input) {
        Ok((channel, data)) => {
            let mut buf = vec![0; input.len()];
            let len = channeldata::write(&mut buf, channel, data).expect("it came from as many bytes");
            assert_eq!(buf[..len], input[..len]);
            outcome.size(data.len()).note(len == input.len());
        }
        Err(error) => _ = outcome.error(error),
    }
    outcome
}

pub(super) fn dcep(input: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    match dcep::parse(input) {
        Ok(dcep::Dcep::Open(open)) => {
            let mut buf = vec![0; input.len()];
            let len = dcep::write_open(&mut buf, &open).expect("it came from as many bytes");
            assert_eq!(dcep::parse(&buf[..len]), Ok(dcep::Dcep::Open(open)));
            outcome.note(input[1]).size(open.label.len()).size(open.protocol.len());
        }
        Ok(dcep::Dcep::Ack) => _ = outcome.note(1_u8),
        Err(error) => _ = outcome.error(error),
    }
    outcome
}

//! Data channels by label: who opened which on what stream (RFC 8831, RFC 8832).

use super::socket::Delivery;

/// How a data channel is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelParameters {
    /// Its label: the name by which data is sent and received.
    pub label: String,
    /// Whether messages arrive in the order they were sent.
    pub ordered: bool,
    /// `None` is reliable.
    pub max_retransmits: Option<u16>,
    /// A pre-negotiated stream id, or `None` to announce the channel by DCEP.
    pub stream: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// To be announced or declared open as soon as the association is up.
    Waiting,
    /// Announced; the peer has not answered.
    Announced,
    Open,
}

#[derive(Debug)]
pub(super) struct Channel {
    pub(super) label: String,
    pub(super) stream: u16,
    pub(super) delivery: Delivery,
    pub(super) negotiated: bool,
    pub(super) state: State,
}

impl Channel {
    /// How to send now: before the peer has answered, nothing may overtake the announcement (RFC 8832 section 6).
    pub(super) fn delivery(&self) -> Delivery {
        let announced = self.state == State::Announced;
        Delivery { ordered: self.delivery.ordered || announced, ..self.delivery }
    }

    /// Messages that are allowed to get lost must not grow old in a queue.
    pub(super) fn is_lossy(&self) -> bool {
        self.delivery.max_retransmits == Some(0)
    }
}

/// The channels of one transport, at most 64. The newest of a label comes last and is the one to send on.
#[derive(Default)]
pub(super) struct Channels {
    channels: Vec<Channel>,
}

impl Channels {
    pub(super) fn by_label(&self, label: &str) -> Option<&Channel> {
        self.channels.iter().rev().find(|channel| channel.label == label)
    }

    pub(super) fn by_stream(&mut self, stream: u16) -> Option<&mut Channel> {
        self.channels.iter_mut().find(|channel| channel.stream == stream)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Channel> {
        self.channels.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Channel> {
        self.channels.iter_mut()
    }

    /// False when the stream is taken or there are 64 already.
    pub(super) fn add(&mut self, channel: Channel) -> bool {
        let fits = self.channels.len() < MAX_CHANNELS && self.by_stream(channel.stream).is_none();
        if fits {
            self.channels.push(channel);
        }
        fits
    }

    pub(super) fn remove(&mut self, stream: u16) -> Option<Channel> {
        let at = self.channels.iter().position(|channel| channel.stream == stream)?;
        Some(self.channels.remove(at))
    }

    /// What the peer opened is gone with its association; what we want open waits for the next.
    pub(super) fn forget_association(&mut self, ours: impl Fn(&Channel) -> bool) {
        self.channels.retain(ours);
        self.channels.iter_mut().for_each(|channel| channel.state = State::Waiting);
    }

    /// The next stream for a channel of ours.
    pub(super) fn free_stream(&mut self, parity: u16) -> Option<u16> {
        let mut streams = (parity..MAX_STREAM).step_by(2);
        streams.find(|stream| self.by_stream(*stream).is_none())
    }
}

const MAX_CHANNELS: usize = 64;
// 65,535 is reserved (RFC 8831 section 6.2).
const MAX_STREAM: u16 = 65_535;

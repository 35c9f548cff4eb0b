//! Data channels (RFC 8831) inside DTLS: an SCTP association that is made when first needed, and channels by label.
//!
//! In: `handle_*`, `send`, `open`, `pause`. Out: `poll_*`. Too much waiting towards the client is
//! `Overflow`; the client is pushed back by not polling its messages.

mod channel;
mod pieces;
mod socket;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Instant;

use wire::dcep::{self, Dcep, Open, Reliability, ppid};

pub use self::channel::ChannelParameters;
use self::channel::{Channel, Channels, State};
use self::pieces::Pieces;
use self::socket::{DcSctp, Delivery, MESSAGE_MAX, Message, Socket, SocketEvent};
use crate::transport::Refusal;

/// What happened; polled with `DataChannels::poll_event`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DataEvent {
    Opened { label: String },
    Data { label: String, payload: Vec<u8> },
    Overflow,
    Low,
}

/// The stream ids that a side may choose: the DTLS client's are even (RFC 8832 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parity {
    #[cfg_attr(not(feature = "testing"), allow(dead_code, reason = "the client side is for tests"))]
    Even = 0,
    Odd = 1,
}

/// The data channels of one transport.
pub(crate) struct DataChannels {
    parity: Parity,
    remote_port: u16,
    socket: Option<DcSctp>,
    pieces: Pieces,
    connected: bool,
    channels: Channels,
    /// Messages on streams that nobody has opened yet: an unordered channel's data may overtake its announcement.
    early: VecDeque<Message>,
    events: VecDeque<DataEvent>,
    /// What a lost association still had to say.
    farewell: VecDeque<Vec<u8>>,
    paused: bool,
    overflowing: bool,
}

impl DataChannels {
    pub(crate) fn new(parity: Parity) -> Self {
        Self {
            parity,
            remote_port: DEFAULT_PORT,
            socket: None,
            pieces: Pieces::new(),
            connected: false,
            channels: Channels::default(),
            early: VecDeque::new(),
            events: VecDeque::new(),
            farewell: VecDeque::new(),
            paused: false,
            overflowing: false,
        }
    }

    // ---- commands

    /// Before the association exists.
    pub(crate) fn set_remote_port(&mut self, port: u16) {
        self.remote_port = port;
    }

    /// Opens a channel, or notes it until the association is up.
    pub(crate) fn open(&mut self, now: Instant, parameters: ChannelParameters) -> Result<(), Refusal> {
        if self.channels.by_label(&parameters.label).is_some() || parameters.label.len() > LABEL_MAX {
            return Err(Refusal::ChannelTaken);
        }
        let free = || self.channels.free_stream(self.parity as u16);
        let stream = parameters.stream.or_else(free).ok_or(Refusal::ChannelTaken)?;
        let added = self.channels.add(Channel {
            label: parameters.label,
            stream,
            delivery: Delivery { ordered: parameters.ordered, max_retransmits: parameters.max_retransmits },
            negotiated: parameters.stream.is_some(),
            state: State::Waiting,
        });
        if !added {
            return Err(Refusal::ChannelTaken);
        }
        self.open_waiting(now);
        Ok(())
    }

    /// DTLS is up: what waits for an association gets one.
    pub(crate) fn start(&mut self, now: Instant) {
        if self.socket.is_none() && self.channels.iter().next().is_some() {
            self.socket(now).connect(now);
        }
    }

    /// Queues a message; false when there is no such channel, the message is too long or too much waits already.
    pub(crate) fn send(&mut self, now: Instant, label: &str, payload: &[u8]) -> bool {
        let (Some(channel), Some(socket)) = (self.channels.by_label(label), &mut self.socket) else {
            return false;
        };
        if channel.state == State::Waiting || payload.len() > MESSAGE_MAX {
            return false;
        }
        if channel.is_lossy() && socket.buffered(channel.stream) > LOSSY_QUEUE {
            return false;
        }
        let (protocol, payload) = match payload {
            // SCTP has no empty messages (RFC 8831 section 6.6).
            [] => (ppid::BINARY_EMPTY, vec![0]),
            payload => (ppid::BINARY, payload.to_vec()),
        };
        let accepted = socket.send(now, Message { stream: channel.stream, protocol, payload }, channel.delivery());
        self.watch_queue();
        accepted
    }

    /// While paused, messages stay in the receive window and push back on the client.
    pub(crate) fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    // ---- in

    /// False when it was too much of too little.
    pub(crate) fn handle_packet(&mut self, now: Instant, packet: &[u8]) -> bool {
        if !self.pieces.admit(packet) {
            return false;
        }
        self.socket(now).handle_packet(now, packet);
        self.drain(now);
        true
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if let Some(socket) = self.socket.as_mut().filter(|socket| socket.poll_timeout().is_some_and(|at| at <= now)) {
            socket.handle_timeout(now);
            self.drain(now);
        }
    }

    // ---- out

    pub(crate) fn poll_packet(&mut self) -> Option<Vec<u8>> {
        self.farewell.pop_front().or_else(|| self.socket.as_mut()?.poll_packet())
    }

    pub(crate) fn poll_event(&mut self, now: Instant) -> Option<DataEvent> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if self.paused {
                return None;
            }
            let Some(message) = self.socket.as_mut()?.poll_message() else {
                self.pieces.handle_read();
                return None;
            };
            self.handle_message(now, message);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.socket.as_ref()?.poll_timeout()
    }

    // ---- for tests

    #[cfg(feature = "testing")]
    pub(crate) fn fuse(&mut self) -> Option<&mut crate::fuse::Fuse> {
        self.socket.as_mut().map(DcSctp::fuse)
    }

    // ---- details

    fn socket(&mut self, now: Instant) -> &mut DcSctp {
        self.socket.get_or_insert_with(|| DcSctp::new(now, self.remote_port))
    }

    fn drain(&mut self, now: Instant) {
        while let Some(event) = self.socket.as_mut().and_then(Socket::poll_event) {
            match event {
                SocketEvent::Connected => {
                    self.connected = true;
                    self.open_waiting(now);
                }
                SocketEvent::Lost => self.lose_association(),
                SocketEvent::StreamsReset(streams) => self.close_streams(now, &streams),
            }
        }
        self.watch_queue();
    }

    fn lose_association(&mut self) {
        if let Some(mut socket) = self.socket.take() {
            self.farewell.extend(std::iter::from_fn(|| socket.poll_packet()));
        }
        self.connected = false;
        self.early.clear();
        if std::mem::take(&mut self.overflowing) {
            self.events.push_back(DataEvent::Low);
        }
        let parity = self.parity as u16;
        self.channels.forget_association(|channel| channel.negotiated || channel.stream % 2 == parity);
    }

    /// The peer closed channels (an empty list means all): our direction follows (RFC 8831 section 6.7).
    fn close_streams(&mut self, now: Instant, streams: &[u16]) {
        let all: Vec<u16> = self.channels.iter().map(|channel| channel.stream).collect();
        let streams = if streams.is_empty() { &all } else { streams };
        let closed: Vec<u16> =
            streams.iter().copied().filter(|stream| self.channels.remove(*stream).is_some()).collect();
        if let Some(socket) = self.socket.as_mut().filter(|_| !closed.is_empty()) {
            socket.reset(now, &closed);
        }
    }

    fn open_waiting(&mut self, now: Instant) {
        let Some(socket) = self.socket.as_mut().filter(|_| self.connected) else {
            return;
        };
        let mut opened = Vec::new();
        for channel in self.channels.iter_mut().filter(|channel| channel.state == State::Waiting) {
            if channel.negotiated {
                channel.state = State::Open;
                self.events.push_back(DataEvent::Opened { label: channel.label.clone() });
                opened.push(channel.stream);
            } else {
                channel.state = State::Announced;
                let message = Message { stream: channel.stream, protocol: ppid::DCEP, payload: announcement(channel) };
                socket.send(now, message, Delivery::RELIABLE);
            }
        }
        for stream in opened {
            self.deliver_early(now, stream);
        }
    }

    fn handle_message(&mut self, now: Instant, message: Message) {
        if message.protocol == ppid::DCEP {
            self.handle_dcep(now, &message);
            return;
        }
        if message.payload.len() > MESSAGE_MAX {
            return;
        }
        let Some(channel) = self.channels.by_stream(message.stream) else {
            if self.early.len() < EARLY_MAX && message.payload.len() <= EARLY_BYTES {
                self.early.push_back(message);
            }
            return;
        };
        // Data on a channel that we announced says as much as an answer.
        let answered = channel.state == State::Announced;
        channel.state = State::Open;
        let label = channel.label.clone();
        if answered {
            self.events.push_back(DataEvent::Opened { label: label.clone() });
        }
        let empty = matches!(message.protocol, ppid::STRING_EMPTY | ppid::BINARY_EMPTY);
        let payload = if empty { Vec::new() } else { message.payload };
        self.events.push_back(DataEvent::Data { label, payload });
    }

    fn handle_dcep(&mut self, now: Instant, message: &Message) {
        match dcep::parse(&message.payload) {
            Ok(Dcep::Open(open)) => self.accept(now, message.stream, &open),
            Ok(Dcep::Ack) => {
                if let Some(channel) = self.channels.by_stream(message.stream).filter(|it| it.state == State::Announced)
                {
                    channel.state = State::Open;
                    let label = channel.label.clone();
                    self.events.push_back(DataEvent::Opened { label });
                }
            }
            Err(_) => {}
        }
    }

    fn accept(&mut self, now: Instant, stream: u16, open: &Open<'_>) {
        let max_retransmits = match open.reliability {
            Reliability::Reliable => None,
            Reliability::MaxRetransmits(count) => Some(u16::try_from(count).unwrap_or(u16::MAX)),
            // Nobody that we speak to limits by time; what is closest in spirit is not to insist.
            Reliability::MaxLifetimeMs(_) => Some(0),
        };
        let channel = Channel {
            label: open.label.to_owned(),
            stream,
            delivery: Delivery { ordered: open.ordered, max_retransmits },
            negotiated: false,
            state: State::Open,
        };
        if open.label.len() > LABEL_MAX || !self.channels.add(channel) {
            return;
        }
        let mut ack = [0; 1];
        if let (Some(socket), Some(_)) = (&mut self.socket, dcep::write_ack(&mut ack)) {
            socket.send(now, Message { stream, protocol: ppid::DCEP, payload: ack.to_vec() }, Delivery::RELIABLE);
        }
        self.events.push_back(DataEvent::Opened { label: open.label.to_owned() });
        self.deliver_early(now, stream);
    }

    fn deliver_early(&mut self, now: Instant, stream: u16) {
        let (due, kept): (Vec<_>, Vec<_>) = self.early.drain(..).partition(|message| message.stream == stream);
        self.early.extend(kept);
        for message in due {
            self.handle_message(now, message);
        }
    }

    /// One `Overflow` when too much waits towards the client, one `Low` when it has drained.
    fn watch_queue(&mut self) {
        let Some(socket) = &self.socket else {
            return;
        };
        let waiting: usize = self.channels.iter().map(|channel| socket.buffered(channel.stream)).sum();
        if !self.overflowing && waiting > HIGH_WATER {
            self.overflowing = true;
            self.events.push_back(DataEvent::Overflow);
        } else if self.overflowing && waiting < LOW_WATER {
            self.overflowing = false;
            self.events.push_back(DataEvent::Low);
        }
    }
}

fn announcement(channel: &Channel) -> Vec<u8> {
    let reliability = match channel.delivery.max_retransmits {
        None => Reliability::Reliable,
        Some(count) => Reliability::MaxRetransmits(u32::from(count)),
    };
    let open = Open {
        ordered: channel.delivery.ordered,
        reliability,
        priority: PRIORITY,
        label: &channel.label,
        protocol: "",
    };
    let mut buf = vec![0; 12 + channel.label.len()];
    let len = dcep::write_open(&mut buf, &open).unwrap_or(0);
    buf.truncate(len);
    buf
}

const HIGH_WATER: usize = 1_024 * 1_024;
const LOW_WATER: usize = 256 * 1_024;
// About 60 ms at 8 Mbit/s: what waits longer than that on a channel without retransmissions is better dropped.
const LOSSY_QUEUE: usize = 64 * 1_024;
// What everybody writes into `a=sctp-port`.
const DEFAULT_PORT: u16 = 5_000;
// "Normal" (RFC 8831 section 6.4).
const PRIORITY: u16 = 256;
const LABEL_MAX: usize = 256;
const EARLY_MAX: usize = 16;
const EARLY_BYTES: usize = 4_096;

//! One SCTP association (RFC 8831) behind a trait, and the library that does it. Why this one: docs/adr.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use dcsctp::api::{
    DcSctpSocket, Message as DcMessage, Options, PpId, SendOptions, SocketEvent as DcEvent, SocketTime, StreamId,
};

use crate::fuse::Fuse;

/// How one message is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delivery {
    pub(super) ordered: bool,
    pub(super) max_retransmits: Option<u16>,
}

impl Delivery {
    pub(super) const RELIABLE: Self = Self { ordered: true, max_retransmits: None };
}

/// A whole message from the peer.
pub(super) struct Message {
    pub(super) stream: u16,
    pub(super) protocol: u32,
    pub(super) payload: Vec<u8>,
}

pub(super) enum SocketEvent {
    Connected,
    /// The peer ended the association, or restarted it: channels are gone.
    Lost,
    /// The peer closed these streams.
    StreamsReset(Vec<u16>),
}

/// An association without sockets, threads or clocks. In: `handle_*`, `send`, `reset`. Out: `poll_*`.
pub(super) trait Socket {
    fn connect(&mut self, now: Instant);
    fn handle_packet(&mut self, now: Instant, packet: &[u8]);
    fn handle_timeout(&mut self, now: Instant);
    /// False when the message is too long or the queue is full.
    fn send(&mut self, now: Instant, message: Message, delivery: Delivery) -> bool;
    fn reset(&mut self, now: Instant, streams: &[u16]);
    fn poll_packet(&mut self) -> Option<Vec<u8>>;
    fn poll_event(&mut self) -> Option<SocketEvent>;
    /// What is not polled stays in the receive window and pushes back on the peer.
    fn poll_message(&mut self) -> Option<Message>;
    fn poll_timeout(&self) -> Option<Instant>;
    /// Bytes accepted by `send` on this stream and not yet put into packets.
    fn buffered(&self, stream: u16) -> usize;
}

/// dcSCTP: the stack of Chrome, in Rust.
pub(super) struct DcSctp {
    base: Instant,
    inner: Box<dyn DcSctpSocket>,
    packets: VecDeque<Vec<u8>>,
    events: VecDeque<SocketEvent>,
    /// As of the last step: asking must not be able to panic.
    due: Option<Instant>,
    fuse: Fuse,
}

impl DcSctp {
    pub(super) fn new(now: Instant, remote_port: u16) -> Self {
        let options = Options {
            local_port: LOCAL_PORT,
            remote_port,
            mtu: PACKET_MAX,
            max_message_size: MESSAGE_MAX,
            max_receiver_window_buffer_size: RECEIVE_WINDOW,
            max_send_buffer_size: SEND_LIMIT,
            per_stream_send_queue_limit: SEND_LIMIT,
            // Whether the client is there is for ICE to say; the association never gives up by itself.
            max_retransmissions: None,
            max_init_retransmits: None,
            max_timer_backoff_duration: Some(LONGEST_TIMER),
            ..Options::default()
        };
        Self {
            base: now,
            inner: dcsctp::new_socket("", &options),
            packets: VecDeque::new(),
            events: VecDeque::new(),
            due: None,
            fuse: Fuse::default(),
        }
    }

    #[cfg(feature = "testing")]
    pub(super) fn fuse(&mut self) -> &mut Fuse {
        &mut self.fuse
    }

    fn advance(&mut self, now: Instant) {
        self.fuse.pass();
        self.inner.advance_time(SocketTime::zero() + now.saturating_duration_since(self.base));
    }

    /// Sorts what the library produced: packets and events have one queue there.
    fn drain(&mut self) {
        while let Some(event) = self.inner.poll_event() {
            match event {
                DcEvent::SendPacket(packet) => self.packets.push_back(packet),
                DcEvent::OnConnected() => self.events.push_back(SocketEvent::Connected),
                DcEvent::OnClosed() | DcEvent::OnAborted(..) => self.events.push_back(SocketEvent::Lost),
                DcEvent::OnIncomingStreamReset(streams) => {
                    let streams = streams.into_iter().map(|stream| stream.0).collect();
                    self.events.push_back(SocketEvent::StreamsReset(streams));
                }
                // Errors that the association survives, and progress nobody waits for.
                _ => {}
            }
        }
        let at = self.inner.poll_timeout();
        self.due = (at != SocketTime::infinite_future()).then(|| self.base + (at - SocketTime::zero()));
    }
}

impl Socket for DcSctp {
    fn connect(&mut self, now: Instant) {
        self.advance(now);
        self.inner.connect();
        self.drain();
    }

    fn handle_packet(&mut self, now: Instant, packet: &[u8]) {
        self.advance(now);
        self.inner.handle_input(packet);
        self.drain();
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        self.drain();
    }

    fn send(&mut self, now: Instant, message: Message, delivery: Delivery) -> bool {
        self.advance(now);
        let options = SendOptions {
            unordered: !delivery.ordered,
            max_retransmissions: delivery.max_retransmits,
            ..SendOptions::default()
        };
        let message = DcMessage::new(StreamId(message.stream), PpId(message.protocol), message.payload);
        let accepted = self.inner.send(message, &options).is_ok();
        self.drain();
        accepted
    }

    fn reset(&mut self, now: Instant, streams: &[u16]) {
        self.advance(now);
        let streams: Vec<StreamId> = streams.iter().copied().map(StreamId).collect();
        // A peer without stream reset keeps its half open: nothing is lost by it.
        let _ = self.inner.reset_streams(&streams);
        self.drain();
    }

    fn poll_packet(&mut self) -> Option<Vec<u8>> {
        self.packets.pop_front()
    }

    fn poll_event(&mut self) -> Option<SocketEvent> {
        self.events.pop_front()
    }

    fn poll_message(&mut self) -> Option<Message> {
        self.fuse.pass();
        let message = self.inner.get_next_message()?;
        // Room in the window may be worth a packet.
        self.drain();
        Some(Message { stream: message.stream_id.0, protocol: message.ppid.0, payload: message.payload })
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    fn buffered(&self, stream: u16) -> usize {
        self.fuse.pass();
        self.inner.buffered_amount(StreamId(stream))
    }
}

impl Drop for DcSctp {
    fn drop(&mut self) {
        self.fuse.pass();
    }
}

/// The longest message in either direction; `max-message-size` in our SDP.
pub(super) const MESSAGE_MAX: usize = 256 * 1_024;
// 1,200 bytes of datagram, less 37 of DTLS record, rounded down to SCTP's alignment.
const PACKET_MAX: usize = 1_160;
// Room for three of the longest messages in the making.
const RECEIVE_WINDOW: usize = 1_024 * 1_024;
// The hard end behind `Overflow`: a sender who does not listen to it loses messages from here on.
const SEND_LIMIT: usize = 4 * 1_024 * 1_024;
// As in our SDP.
const LOCAL_PORT: u16 = 5_000;
// libwebrtc's value: after an outage of the network the association is back within 3 s.
const LONGEST_TIMER: Duration = Duration::from_secs(3);

//! One client's transport: ICE-lite, DTLS server, SRTP and SCTP over one set of paths. No media knowledge.
//!
//! In: `handle_*`, `queue_session_datagram`, `unprotect_*`. Out: `poll_*`. The rest are commands and getters.

mod event;

use std::sync::Arc;
use std::time::Instant;

pub use event::{CloseReason, Drop, Refusal, StunOutcome, StunRejection, TransportEvent};

use crate::Path;
use crate::dtls::Certificate;
use crate::srtp::{Profile, SrtpOutbound};

/// What a transport is built from. The ufrag and the password are ours, as written into the SDP.
#[derive(Clone)]
pub struct TransportConfig {
    /// Local ICE user fragment.
    pub ufrag: String,
    /// Local ICE password.
    pub password: String,
    /// Our certificate, shared by all transports.
    pub certificate: Arc<Certificate>,
    /// Best first; the first that the client offers too is taken.
    pub srtp_profiles: Arc<[Profile]>,
}

/// What the client's SDP said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The client's ICE user fragment.
    pub ufrag: String,
    /// The client's ICE password.
    pub password: String,
    /// "sha-256 AA:BB:...".
    pub fingerprint: String,
    /// The client's SCTP port; `None` when no data section was negotiated.
    pub sctp_port: Option<u16>,
}

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

/// An authenticated RTP packet, decrypted in place.
#[derive(Debug, Clone, Copy)]
pub struct InboundRtp {
    // `header: wire::rtp::RtpHeader` joins with the wire crate's parser.
    /// 48 bits: roll-over counter and sequence number.
    pub index: u64,
    /// Length of the plaintext packet, header included.
    pub len: usize,
}

/// One client's transport.
pub struct Transport;

impl Transport {
    /// A transport that answers checks for `config.ufrag` and waits for the client's handshake.
    pub fn new(_now: Instant, _config: TransportConfig, _seed: u64) -> Self {
        Self
    }

    // ---- commands

    /// Takes what the client's SDP said; early DTLS datagrams are handled by the next `handle_background`.
    pub fn set_remote(&mut self, _now: Instant, _remote: Remote) -> Result<(), Refusal> {
        todo!()
    }

    /// New local credentials; the old ones stay valid until a check with the new ones has verified.
    pub fn restart_ice(&mut self, _now: Instant, _ufrag: String, _password: String) {
        todo!()
    }

    /// Opens a channel now or, before SCTP is up, as soon as it is.
    pub fn open_channel(&mut self, _now: Instant, _parameters: ChannelParameters) -> Result<(), Refusal> {
        todo!()
    }

    /// Queues a message on the channel with this label; false when there is none or the queue is full.
    pub fn send_data(&mut self, _now: Instant, _label: &str, _payload: &[u8]) -> bool {
        todo!()
    }

    /// Stops or resumes handing out `Data`, so that SCTP's window pushes back on the client.
    pub fn pause_data(&mut self, _now: Instant, _paused: bool) {
        todo!()
    }

    /// Says goodbye (close_notify waits in `poll_datagram`). No `Closed` event follows.
    pub fn close(&mut self, _now: Instant) {
        todo!()
    }

    // ---- in

    /// A STUN message for this transport, found by its username's first half or by its path.
    pub fn handle_stun(&mut self, _now: Instant, _path: Path, _datagram: &[u8]) -> StunOutcome {
        todo!()
    }

    /// A DTLS datagram: handled later, by `handle_background`. Bounded; false when it was dropped.
    pub fn queue_session_datagram(&mut self, _now: Instant, _path: Path, _datagram: &[u8]) -> bool {
        todo!()
    }

    /// Handles at most `budget` queued DTLS datagrams; true when more wait.
    pub fn handle_background(&mut self, _now: Instant, _budget: usize) -> bool {
        todo!()
    }

    /// Authenticates and decrypts an SRTP packet in place.
    pub fn unprotect_rtp(&mut self, _now: Instant, _path: Path, _packet: &mut [u8]) -> Result<InboundRtp, Drop> {
        todo!()
    }

    /// Authenticates and decrypts an SRTCP packet in place; gives the plaintext's length.
    pub fn unprotect_rtcp(&mut self, _now: Instant, _path: Path, _packet: &mut [u8]) -> Result<usize, Drop> {
        todo!()
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, _now: Instant) {
        todo!()
    }

    // ---- out

    /// The next datagram of STUN, DTLS or SCTP; call until `None`. `buf` holds 1,500 bytes at least.
    pub fn poll_datagram(&mut self, _now: Instant, _buf: &mut [u8]) -> Option<(Path, usize)> {
        todo!()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<TransportEvent> {
        todo!()
    }

    /// When `handle_timeout` wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    // ---- getters

    /// The encrypting side of SRTP; `None` until connected and after the end.
    pub fn srtp_outbound(&mut self) -> Option<&mut SrtpOutbound> {
        todo!()
    }

    /// Where media goes.
    pub fn selected_path(&self) -> Option<Path> {
        todo!()
    }

    /// Where a media datagram of `len` bytes may go now, and charges it. `None` while there is no path, or while a path
    /// that has not answered our own check has used up three times what it sent.
    pub fn may_send(&mut self, _len: usize) -> Option<Path> {
        todo!()
    }

    /// Every path whose tuple belongs to this transport (to be forgotten when it closes).
    pub fn paths(&self) -> impl Iterator<Item = Path> + '_ {
        std::iter::empty()
    }

    /// The local ufrags that are valid now: one, or two during an ICE restart.
    pub fn ufrags(&self) -> impl Iterator<Item = &str> + '_ {
        std::iter::empty()
    }
}

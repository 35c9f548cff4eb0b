//! One client's transport: ICE-lite, DTLS server, SRTP and SCTP over one set of paths. No media knowledge.
//!
//! In: `handle_*`, `queue_session_datagram`, `unprotect_*`. Out: `poll_*`. The rest are commands and getters.

mod event;
pub(crate) mod session;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

pub use event::{CloseReason, Drop, Refusal, StunOutcome, StunRejection, TransportEvent};

use self::session::{Session, SessionEvent};
use crate::Path;
use crate::dtls::{Certificate, Role, parse_fingerprint};
use crate::ice::{Agent, IceEvent};
pub use crate::sctp::ChannelParameters;
use crate::sctp::DataEvent;
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

/// An authenticated RTP packet, decrypted in place.
#[derive(Debug, Clone, Copy)]
pub struct InboundRtp {
    /// Its header.
    pub header: wire::rtp::RtpHeader,
    /// 48 bits: roll-over counter and sequence number.
    pub index: u64,
    /// Length of the plaintext packet, header included.
    pub len: usize,
}

/// One client's transport.
pub struct Transport {
    ice: Agent,
    session: Session,
    events: VecDeque<TransportEvent>,
    /// The path that was told last; there may be none now.
    last_path: Option<Path>,
    /// `Connected` was told.
    connected: bool,
    closed: bool,
}

impl Transport {
    /// A transport that answers checks for `config.ufrag` and waits for the client's handshake.
    ///
    /// `seed` must be unpredictable to the client: transaction ids come from it.
    pub fn new(_now: Instant, config: TransportConfig, seed: u64) -> Self {
        let context = config.certificate.context().clone();
        Self {
            ice: Agent::new(config.ufrag, &config.password, seed),
            session: Session::new(Role::Server, context, config.srtp_profiles),
            events: VecDeque::new(),
            last_path: None,
            connected: false,
            closed: false,
        }
    }

    // ---- commands

    /// Takes what the client's SDP said; early DTLS datagrams are handled by the next `handle_background`.
    ///
    /// A changed fingerprint on a connected transport closes it.
    pub fn set_remote(&mut self, now: Instant, remote: Remote) -> Result<(), Refusal> {
        if self.closed {
            return Err(Refusal::Closed);
        }
        let fingerprint = parse_fingerprint(&remote.fingerprint).ok_or(Refusal::BadFingerprint)?;
        self.ice.set_remote(now, remote.ufrag, &remote.password);
        self.session.set_remote(fingerprint, remote.sctp_port);
        Ok(())
    }

    /// New local credentials; the old ones stay valid until a check with the new ones has verified.
    pub fn restart_ice(&mut self, _now: Instant, ufrag: String, password: &str) {
        self.ice.restart(ufrag, password);
    }

    /// Opens a channel now or, before SCTP is up, as soon as it is.
    pub fn open_channel(&mut self, now: Instant, parameters: ChannelParameters) -> Result<(), Refusal> {
        self.session.open_channel(now, parameters)
    }

    /// Queues a message on the channel with this label; false when there is none, or the queue is full.
    pub fn send_data(&mut self, now: Instant, label: &str, payload: &[u8]) -> bool {
        self.session.send_data(now, label, payload)
    }

    /// Stops or resumes handing out `Data`, so that SCTP's window pushes back on the client.
    pub fn pause_data(&mut self, paused: bool) {
        self.session.pause_data(paused);
    }

    /// Says goodbye (`close_notify` waits in `poll_datagram`). No `Closed` event follows.
    pub fn close(&mut self, _now: Instant) {
        self.session.close();
        self.closed = true;
    }

    // ---- in

    /// A STUN message for this transport, found by its username's first half or by its path.
    pub fn handle_stun(&mut self, now: Instant, path: Path, datagram: &[u8]) -> StunOutcome {
        if self.closed {
            return StunOutcome::Rejected(StunRejection::Closed);
        }
        self.ice.handle_stun(now, path, datagram)
    }

    /// A DTLS datagram: handled later, by `handle_background`. Bounded, and over paths with a verified
    /// check only; false when it was dropped.
    pub fn queue_session_datagram(&mut self, path: Path, datagram: &[u8]) -> bool {
        if !self.ice.knows(path) {
            return false;
        }
        self.ice.note_received(path, datagram.len());
        self.session.queue(datagram)
    }

    /// Handles at most `budget` queued DTLS datagrams; true when more wait.
    pub fn handle_background(&mut self, now: Instant, budget: usize) -> bool {
        self.session.handle_background(now, budget)
    }

    /// How many DTLS datagrams were of no use since the last call.
    pub fn take_dropped(&mut self) -> u64 {
        self.session.take_dropped()
    }

    /// Authenticates and decrypts an SRTP packet in place.
    #[inline]
    pub fn unprotect_rtp(&mut self, _now: Instant, path: Path, packet: &mut [u8]) -> Result<InboundRtp, Drop> {
        let header = wire::rtp::parse_header(packet).map_err(|_| Drop::Malformed)?;
        self.ice.note_received(path, packet.len());
        let (index, len) = self.session.unprotect_rtp(packet, &header)?;
        Ok(InboundRtp { header, index, len })
    }

    /// Authenticates and decrypts an SRTCP packet in place; gives the plaintext's length.
    pub fn unprotect_rtcp(&mut self, _now: Instant, path: Path, packet: &mut [u8]) -> Result<usize, Drop> {
        self.ice.note_received(path, packet.len());
        self.session.unprotect_rtcp(packet)
    }

    /// The TCP connection of this path is closed: nothing can be sent there any more.
    pub fn handle_path_closed(&mut self, now: Instant, path: Path) {
        if !self.closed {
            self.ice.handle_path_closed(now, path);
        }
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.closed {
            return;
        }
        if self.ice.consent_expired(now) {
            self.session.close();
            self.end(CloseReason::ConsentExpired);
            return;
        }
        self.ice.handle_timeout(now);
        self.session.handle_timeout(now);
    }

    // ---- out

    /// The next datagram of STUN, DTLS or SCTP; call until `None`. `buf` holds 1,500 bytes at least.
    pub fn poll_datagram(&mut self, _now: Instant, buf: &mut [u8]) -> Option<(Path, usize)> {
        if let Some((path, message)) = self.ice.poll_datagram() {
            return put(buf, path, &message);
        }
        let path = self.ice.selected()?;
        let len = self.session.next_datagram_len()?;
        // A flight waits for a path that may take it: the check that proves the path is on its way.
        if !self.ice.charge(path, len) {
            return None;
        }
        put(buf, path, &self.session.poll_datagram()?)
    }

    /// The next event; call until `None`, or until no more `Data` can be taken.
    pub fn poll_event(&mut self, now: Instant) -> Option<TransportEvent> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        while let Some(event) = self.ice.poll_event() {
            match event {
                IceEvent::Selected(path) => {
                    self.last_path = Some(path);
                    // The first selection is told by `Connected`.
                    if self.connected {
                        return Some(TransportEvent::PathChanged(path));
                    }
                }
                IceEvent::Forgotten(path) => return Some(TransportEvent::PathForgotten(path)),
                IceEvent::Retired(ufrag) => return Some(TransportEvent::UfragRetired(ufrag)),
            }
        }
        // Whoever hears of the connection sends media, and most of it would be lost on a path that is not proven.
        if self.closed || (self.session.is_connected() && !self.connected && !self.ice.may_begin()) {
            return None;
        }
        match self.session.poll_event(now)? {
            SessionEvent::Connected(profile) => {
                let path = self.last_path?;
                self.connected = true;
                Some(TransportEvent::Connected { path, profile })
            }
            SessionEvent::Closed(reason) => {
                self.closed = true;
                Some(TransportEvent::Closed(reason))
            }
            SessionEvent::Data(event) => Some(event.into()),
        }
    }

    /// When `handle_timeout` wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.closed {
            return None;
        }
        self.ice.poll_timeout().into_iter().chain(self.session.poll_timeout()).min()
    }

    // ---- getters

    /// The encrypting side of SRTP; `None` until connected and after the end.
    #[inline]
    pub fn srtp_outbound(&mut self) -> Option<&mut SrtpOutbound> {
        self.session.outbound()
    }

    /// Where media goes.
    pub fn selected_path(&self) -> Option<Path> {
        self.ice.selected()
    }

    /// Where a media datagram of `len` bytes may go now, and charges it. `None` while there is no path, or while a path
    /// that has not answered our own check has used up three times what it sent, less the room for a check.
    #[inline]
    pub fn may_send(&mut self, len: usize) -> Option<Path> {
        let path = self.ice.selected()?;
        self.ice.charge_media(path, len).then_some(path)
    }

    /// Every path whose tuple belongs to this transport (to be forgotten when it closes).
    pub fn paths(&self) -> impl Iterator<Item = Path> + '_ {
        self.ice.paths()
    }

    /// The local ufrags that are valid now: one, or two during an ICE restart.
    pub fn ufrags(&self) -> impl Iterator<Item = &str> + '_ {
        self.ice.ufrags()
    }

    /// For tests: see `Forwarder::sabotage`.
    #[cfg(feature = "testing")]
    pub(crate) fn sabotage(&mut self, machine: crate::testing::Machine) -> bool {
        self.session.sabotage(machine)
    }

    // ---- details

    fn end(&mut self, reason: CloseReason) {
        if !self.closed {
            self.closed = true;
            self.events.push_back(TransportEvent::Closed(reason));
        }
    }
}

fn put(buf: &mut [u8], path: Path, datagram: &[u8]) -> Option<(Path, usize)> {
    buf.get_mut(..datagram.len())?.copy_from_slice(datagram);
    Some((path, datagram.len()))
}

impl From<DataEvent> for TransportEvent {
    fn from(event: DataEvent) -> Self {
        match event {
            DataEvent::Opened { label } => Self::ChannelOpened { label },
            DataEvent::Data { label, payload } => Self::Data { label, payload },
            DataEvent::Overflow => Self::Overflow,
            DataEvent::Low => Self::Low,
        }
    }
}

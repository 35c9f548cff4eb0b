//! What rides on a path, whichever that is: DTLS, and the SRTP and SCTP that it keys. In either role; ICE is not in here.
//!
//! The protocol libraries run under `guard`: a panic in one ends this session and nothing else.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use openssl::ssl::SslContext;

use super::event::{CloseReason, Drop, Refusal};
use crate::dtls::{DtlsEvent, Endpoint, Role};
use crate::sctp::{ChannelParameters, DataChannels, DataEvent, Parity};
use crate::srtp::{KeyingMaterial, Profile, SrtpInbound, SrtpOutbound};

/// What happened; polled with `Session::poll_event`.
pub(crate) enum SessionEvent {
    Connected(Profile),
    Closed(CloseReason),
    Data(DataEvent),
}

/// DTLS, SRTP and SCTP of one transport.
pub(crate) struct Session {
    role: Role,
    context: SslContext,
    profiles: Arc<[Profile]>,
    /// SHA-256 of the peer's certificate; no handshake before it is known.
    expected: Option<[u8; 32]>,
    endpoint: Option<Endpoint>,
    media: Option<Media>,
    data: DataChannels,
    /// Whether the peer negotiated a data section; `None` while that is unknown.
    has_data: Option<bool>,
    inbound: VecDeque<Vec<u8>>,
    events: VecDeque<SessionEvent>,
    /// Datagrams of no use since `take_dropped`.
    dropped: u64,
    closed: bool,
}

struct Media {
    inbound: SrtpInbound,
    outbound: SrtpOutbound,
}

impl Session {
    pub(crate) fn new(role: Role, context: SslContext, profiles: Arc<[Profile]>) -> Self {
        Self {
            role,
            context,
            profiles,
            expected: None,
            endpoint: None,
            media: None,
            data: DataChannels::new(parity_of(role)),
            has_data: None,
            inbound: VecDeque::new(),
            events: VecDeque::new(),
            dropped: 0,
            closed: false,
        }
    }

    // ---- commands

    /// What the peer's SDP said about itself. Another certificate than before ends a connected session.
    pub(crate) fn set_remote(&mut self, fingerprint: [u8; 32], sctp_port: Option<u16>) {
        let changed = self.expected.is_some_and(|expected| expected != fingerprint);
        if changed && self.is_connected() {
            self.end(CloseReason::FingerprintMismatch);
            return;
        }
        if changed {
            self.endpoint = None;
        }
        self.expected = Some(fingerprint);
        self.has_data = Some(sctp_port.is_some());
        if let Some(port) = sctp_port {
            self.data.set_remote_port(port);
        }
    }

    /// A client's first flight; a server waits for one.
    #[cfg(feature = "testing")]
    pub(crate) fn start(&mut self, now: Instant) {
        if self.endpoint.is_none() {
            self.guard(|session| session.make_endpoint(now));
        }
    }

    /// For tests: see `Forwarder::sabotage`.
    #[cfg(feature = "testing")]
    pub(crate) fn sabotage(&mut self, machine: crate::testing::Machine) -> bool {
        let fuse = match machine {
            crate::testing::Machine::Dtls => self.endpoint.as_mut().map(Endpoint::fuse),
            crate::testing::Machine::Sctp => self.data.fuse(),
        };
        fuse.map(crate::fuse::Fuse::light).is_some()
    }

    pub(crate) fn open_channel(&mut self, now: Instant, parameters: ChannelParameters) -> Result<(), Refusal> {
        if self.closed {
            return Err(Refusal::Closed);
        }
        if self.has_data == Some(false) {
            return Err(Refusal::NoData);
        }
        self.guard(|session| {
            session.data.open(now, parameters)?;
            session.start_data(now);
            Ok(())
        })
        .unwrap_or(Err(Refusal::Closed))
    }

    pub(crate) fn send_data(&mut self, now: Instant, label: &str, payload: &[u8]) -> bool {
        let sent = self.guard(|session| {
            let sent = session.data.send(now, label, payload);
            session.pump();
            sent
        });
        sent.unwrap_or(false)
    }

    pub(crate) fn pause_data(&mut self, paused: bool) {
        self.data.pause(paused);
    }

    /// Says goodbye; no event follows.
    pub(crate) fn close(&mut self) {
        self.guard(|session| session.endpoint.as_mut().map(Endpoint::close));
        self.stop();
    }

    // ---- in

    /// Holds a datagram for `handle_background`; false when there is no room.
    pub(crate) fn queue(&mut self, datagram: &[u8]) -> bool {
        let room = if self.is_connected() { QUEUE_MAX } else { EARLY_MAX };
        let fits = !self.closed && self.inbound.len() < room && datagram.len() <= DATAGRAM_MAX;
        if fits {
            self.inbound.push_back(datagram.to_vec());
        }
        fits
    }

    /// Handles at most `budget` held datagrams; true when more wait.
    pub(crate) fn handle_background(&mut self, now: Instant, budget: usize) -> bool {
        if self.expected.is_none() {
            return false;
        }
        for _ in 0..budget {
            let Some(datagram) = self.inbound.pop_front() else { break };
            self.guard(|session| session.handle_datagram(now, &datagram));
        }
        !self.inbound.is_empty()
    }

    pub(crate) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.guard(|session| {
            if let Some(endpoint) = &mut session.endpoint {
                endpoint.handle_timeout(now);
            }
            session.data.handle_timeout(now);
            session.pump();
            session.drain(now);
        });
    }

    #[inline]
    pub(crate) fn unprotect_rtp(
        &mut self,
        packet: &mut [u8],
        header: &wire::rtp::RtpHeader,
    ) -> Result<(u64, usize), Drop> {
        let media = self.media.as_mut().ok_or(Drop::NotConnected)?;
        Ok(media.inbound.unprotect_rtp(packet, header.header_len, header.ssrc.0, header.seq.0)?)
    }

    pub(crate) fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Drop> {
        let media = self.media.as_mut().ok_or(Drop::NotConnected)?;
        Ok(media.inbound.unprotect_rtcp(packet)?)
    }

    // ---- out

    /// Length of what `poll_datagram` gives next.
    pub(crate) fn next_datagram_len(&self) -> Option<usize> {
        self.endpoint.as_ref()?.next_datagram_len()
    }

    pub(crate) fn poll_datagram(&mut self) -> Option<Vec<u8>> {
        self.endpoint.as_mut()?.poll_datagram()
    }

    pub(crate) fn poll_event(&mut self, now: Instant) -> Option<SessionEvent> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        let data = self.guard(|session| {
            let event = session.data.poll_event(now);
            session.pump();
            event
        });
        data.flatten().map(SessionEvent::Data).or_else(|| self.events.pop_front())
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.closed {
            return None;
        }
        let handshake = self.endpoint.as_ref().and_then(Endpoint::poll_timeout);
        handshake.into_iter().chain(self.data.poll_timeout()).min()
    }

    // ---- getters

    pub(crate) fn is_connected(&self) -> bool {
        self.media.is_some()
    }

    #[inline]
    pub(crate) fn outbound(&mut self) -> Option<&mut SrtpOutbound> {
        self.media.as_mut().map(|media| &mut media.outbound)
    }

    // ---- details

    fn guard<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.closed {
            return None;
        }
        let result = catch_unwind(AssertUnwindSafe(|| run(self)));
        result.map_err(|_panic| self.discard()).ok()
    }

    /// After a panic the machines are in no state to be touched again.
    fn discard(&mut self) {
        self.endpoint = None;
        self.end(CloseReason::InternalError);
    }

    fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
        if self.endpoint.is_none() {
            self.make_endpoint(now);
        }
        if let Some(endpoint) = &mut self.endpoint {
            self.dropped += u64::from(!endpoint.handle_datagram(now, datagram));
        }
        self.drain(now);
    }

    fn make_endpoint(&mut self, now: Instant) {
        let Some(expected) = self.expected else { return };
        match Endpoint::new(now, self.role, &self.context, &self.profiles, expected) {
            Ok(endpoint) => self.endpoint = Some(endpoint),
            Err(_) => self.end(CloseReason::InternalError),
        }
    }

    fn drain(&mut self, now: Instant) {
        while let Some(event) = self.endpoint.as_mut().and_then(Endpoint::poll_event) {
            match event {
                DtlsEvent::Connected(keys) => self.connect(now, &keys),
                _ if self.closed => {}
                DtlsEvent::Data(packet) if self.has_data == Some(true) => {
                    self.dropped += u64::from(!self.data.handle_packet(now, &packet));
                }
                DtlsEvent::Data(_) => self.dropped += 1,
                DtlsEvent::Closed(reason) => self.end(reason),
            }
        }
        self.pump();
    }

    fn connect(&mut self, now: Instant, keys: &KeyingMaterial) {
        let contexts = match self.role {
            Role::Server => {
                SrtpInbound::from_client(keys).and_then(|inbound| Ok((inbound, SrtpOutbound::to_client(keys)?)))
            }
            Role::Client => {
                SrtpInbound::from_server(keys).and_then(|inbound| Ok((inbound, SrtpOutbound::to_server(keys)?)))
            }
        };
        let Ok((inbound, outbound)) = contexts else {
            self.end(CloseReason::InternalError);
            return;
        };
        self.media = Some(Media { inbound, outbound });
        self.events.push_back(SessionEvent::Connected(keys.profile()));
        self.start_data(now);
    }

    fn start_data(&mut self, now: Instant) {
        if self.is_connected() && self.has_data == Some(true) {
            self.data.start(now);
            self.pump();
        }
    }

    /// SCTP's packets into DTLS records. What does not fit is lost, as it might have been on the way.
    fn pump(&mut self) {
        let Some(endpoint) = &mut self.endpoint else { return };
        while let Some(packet) = self.data.poll_packet() {
            if endpoint.queued() < QUEUE_MAX {
                endpoint.send(&packet);
            }
        }
    }

    fn end(&mut self, reason: CloseReason) {
        if !self.closed {
            self.stop();
            self.events.push_back(SessionEvent::Closed(reason));
        }
    }

    fn stop(&mut self) {
        self.closed = true;
        self.media = None;
        self.inbound.clear();
        let data = std::mem::replace(&mut self.data, DataChannels::new(parity_of(self.role)));
        // Its end may panic like any other step. OpenSSL's is not Rust.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(data)));
    }
}

/// RFC 8832 section 6.
fn parity_of(role: Role) -> Parity {
    match role {
        Role::Server => Parity::Odd,
        Role::Client => Parity::Even,
    }
}

// A burst of a file transfer that comes faster than the background budget: SCTP repeats what is dropped beyond.
const QUEUE_MAX: usize = 512;
// Chromium repeats its two-datagram hello four times in the first 400 ms.
const EARLY_MAX: usize = 16;
// Longer than any that crosses the internet in one piece.
const DATAGRAM_MAX: usize = 2_048;

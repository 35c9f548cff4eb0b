//! The client's side of a transport, for tests and for the bench: ICE checks, a DTLS client, SRTP both ways, data channels.
//!
//! Made of the same session as the server, so it proves nothing about interoperability: browsers and SDKs do that.
//! Shape as [`Transport`](crate::transport::Transport): `handle_*` in, `poll_*` out, no sockets, no clock.

mod arrivals;
mod checks;
mod shards;

pub use arrivals::Arrivals;
pub use shards::Shards;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::ssl::{SslContext, SslMethod};

use self::checks::Checks;
use crate::Path;
use crate::dtls::{Role, context, format_fingerprint, parse_fingerprint, self_signed};
use crate::sctp::ChannelParameters;
use crate::srtp::{Profile, SrtpOutbound};
use crate::transport::session::{Session, SessionEvent};
use crate::transport::{Drop, InboundRtp, Refusal, Remote, TransportEvent};

/// A third-party state machine that a test can make panic: `Forwarder::sabotage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// OpenSSL.
    Dtls,
    /// dcSCTP.
    Sctp,
}

/// What the client shows in the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificate {
    /// P-256, as browsers make it.
    Ecdsa,
    /// RSA with 2,048 bits.
    Rsa,
    /// None at all; its fingerprint reads as zeros.
    Missing,
}

/// What a client is built from.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// As the client sees it: its own address is the local one.
    pub path: Path,
    /// What it shows in the handshake.
    pub certificate: ClientCertificate,
    /// What it offers, best first. libwebrtc: CM, GCM-256, GCM-128.
    pub srtp_profiles: Vec<Profile>,
    /// Whether it negotiates a data section.
    pub data: bool,
    /// Whether it nominates paths, which it must towards an ICE-lite server; else it leaves that to the server.
    pub controlling: bool,
    /// Makes ufrag, password and transaction ids.
    pub seed: u64,
}

impl ClientConfig {
    /// A client like a browser, with data.
    pub fn new(path: Path, seed: u64) -> Self {
        Self {
            path,
            certificate: ClientCertificate::Ecdsa,
            srtp_profiles: vec![Profile::Aes128CmSha1_80, Profile::AeadAes256Gcm, Profile::AeadAes128Gcm],
            data: true,
            controlling: true,
            seed,
        }
    }
}

/// What the server's SDP said.
#[derive(Debug, Clone)]
pub struct ServerParameters {
    /// The server's ICE user fragment.
    pub ufrag: String,
    /// The server's ICE password.
    pub password: String,
    /// "sha-256 AA:BB:...".
    pub fingerprint: String,
}

/// What a datagram turned out to be.
#[derive(Debug, Clone, Copy)]
pub enum ClientInbound {
    /// STUN or DTLS: dealt with.
    Session,
    /// RTP, decrypted in place.
    Rtp(InboundRtp),
    /// Compound RTCP of this length, decrypted in place.
    Rtcp(usize),
    /// None of ours.
    Dropped(Option<Drop>),
}

/// The client's side of a transport.
pub struct ClientTransport {
    checks: Checks,
    fingerprint: String,
    data: bool,
    session: Session,
    events: VecDeque<TransportEvent>,
}

impl ClientTransport {
    /// A client that does nothing until `connect`.
    pub fn new(_now: Instant, config: ClientConfig) -> Self {
        let (context, fingerprint) = identity(config.certificate).expect("OpenSSL makes certificates");
        Self {
            checks: Checks::new(config.path, config.controlling, config.seed),
            fingerprint,
            data: config.data,
            session: Session::new(Role::Client, context, Arc::from(config.srtp_profiles)),
            events: VecDeque::new(),
        }
    }

    /// What this client's SDP says, for `Transport::set_remote`.
    pub fn remote(&self) -> Remote {
        Remote {
            ufrag: self.checks.ufrag().to_owned(),
            password: self.checks.password().to_owned(),
            fingerprint: self.fingerprint.clone(),
            sctp_port: self.data.then_some(5_000),
        }
    }

    // ---- commands

    /// Starts checking; also takes new credentials of the server after an ICE restart.
    pub fn connect(&mut self, now: Instant, server: &ServerParameters) {
        let fingerprint = parse_fingerprint(&server.fingerprint).expect("a sha-256 fingerprint");
        self.checks.set_server(now, server);
        self.session.set_remote(fingerprint, self.data.then_some(5_000));
    }

    /// Moves to another path: checks and nominates it.
    pub fn migrate(&mut self, now: Instant, path: Path) {
        self.checks.migrate(now, path);
    }

    /// Whether the server's checks are answered; a spoofed address would not.
    pub fn answer_checks(&mut self, answer: bool) {
        self.checks.answer = answer;
    }

    /// See `Transport::open_channel`.
    pub fn open_channel(&mut self, now: Instant, parameters: ChannelParameters) -> Result<(), Refusal> {
        self.session.open_channel(now, parameters)
    }

    /// See `Transport::send_data`.
    pub fn send_data(&mut self, now: Instant, label: &str, payload: &[u8]) -> bool {
        self.session.send_data(now, label, payload)
    }

    /// See `Transport::pause_data`.
    pub fn pause_data(&mut self, paused: bool) {
        self.session.pause_data(paused);
    }

    /// Sends `close_notify` and stops checking.
    pub fn close(&mut self) {
        self.session.close();
        self.checks.stop();
    }

    // ---- in

    /// Any datagram from the server.
    pub fn handle_datagram(&mut self, now: Instant, path: Path, datagram: &mut [u8]) -> ClientInbound {
        match datagram.first().copied() {
            Some(0..=3) => self.handle_stun(now, path, datagram),
            Some(20..=63) => {
                self.session.queue(datagram);
                self.session.handle_background(now, usize::MAX);
                ClientInbound::Session
            }
            Some(128..=191) if datagram.get(1).is_some_and(|second| (192..=223).contains(second)) => {
                match self.session.unprotect_rtcp(datagram) {
                    Ok(len) => ClientInbound::Rtcp(len),
                    Err(reason) => ClientInbound::Dropped(Some(reason)),
                }
            }
            Some(128..=191) => match self.unprotect_rtp(datagram) {
                Ok(packet) => ClientInbound::Rtp(packet),
                Err(reason) => ClientInbound::Dropped(Some(reason)),
            },
            _ => ClientInbound::Dropped(None),
        }
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.checks.handle_timeout(now);
        self.session.handle_timeout(now);
    }

    // ---- out

    /// The next datagram of STUN, DTLS or SCTP; call until `None`.
    pub fn poll_datagram(&mut self, _now: Instant, buf: &mut [u8]) -> Option<(Path, usize)> {
        let next = self.checks.poll_datagram();
        let (path, datagram) = next.or_else(|| Some((self.checks.path(), self.session.poll_datagram()?)))?;
        buf.get_mut(..datagram.len())?.copy_from_slice(&datagram);
        Some((path, datagram.len()))
    }

    /// The next event.
    pub fn poll_event(&mut self, now: Instant) -> Option<TransportEvent> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        Some(match self.session.poll_event(now)? {
            SessionEvent::Connected(profile) => TransportEvent::Connected { path: self.checks.path(), profile },
            SessionEvent::Closed(reason) => TransportEvent::Closed(reason),
            SessionEvent::Data(event) => event.into(),
        })
    }

    /// When `handle_timeout` wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.checks.poll_timeout().into_iter().chain(self.session.poll_timeout()).min()
    }

    // ---- getters

    /// The encrypting side of SRTP, once connected.
    pub fn srtp_outbound(&mut self) -> Option<&mut SrtpOutbound> {
        self.session.outbound()
    }

    /// Where the client sends.
    pub fn path(&self) -> Path {
        self.checks.path()
    }

    /// Whether DTLS is done.
    pub fn is_connected(&self) -> bool {
        self.session.is_connected()
    }

    // ---- details

    fn handle_stun(&mut self, now: Instant, path: Path, datagram: &[u8]) -> ClientInbound {
        if !self.checks.handle_stun(now, path, datagram) {
            return ClientInbound::Dropped(None);
        }
        // Like libwebrtc: DTLS starts with the first answered check.
        if self.checks.is_writable() {
            self.session.start(now);
        }
        ClientInbound::Session
    }

    fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<InboundRtp, Drop> {
        let header = wire::rtp::parse_header(packet).map_err(|_| Drop::Malformed)?;
        let (index, len) = self.session.unprotect_rtp(packet, &header)?;
        Ok(InboundRtp { header, index, len })
    }
}

fn identity(certificate: ClientCertificate) -> Result<(SslContext, String), ErrorStack> {
    let key = match certificate {
        ClientCertificate::Ecdsa => {
            let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
            PKey::from_ec_key(EcKey::generate(&group)?)?
        }
        ClientCertificate::Rsa => PKey::from_rsa(Rsa::generate(2_048)?)?,
        ClientCertificate::Missing => {
            return Ok((context(SslMethod::dtls_client(), None)?, format_fingerprint(&[0; 32])));
        }
    };
    let certificate = self_signed(&key)?;
    let fingerprint = format_fingerprint(&certificate.digest(MessageDigest::sha256())?);
    Ok((context(SslMethod::dtls_client(), Some((&certificate, &key)))?, fingerprint))
}

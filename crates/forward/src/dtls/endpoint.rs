//! One DTLS association. In: `handle_*`, `send`, `close`. Out: `poll_*`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::memcmp;
use openssl::srtp::SrtpProfileId;
use openssl::ssl::{ErrorCode, Ssl, SslContext, SslStream, SslVerifyMode};
use openssl::x509::{X509Ref, X509StoreContextRef};

use super::flight::{Flight, Inbound};
use super::link::Link;
use super::record::records;
use crate::fuse::Fuse;
use crate::srtp::{KEYING_MATERIAL_MAX, KeyingMaterial, Profile};
use crate::transport::CloseReason;

/// Which side of the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    #[cfg_attr(not(feature = "testing"), allow(dead_code, reason = "the client side is for tests"))]
    Client,
}

/// What happened; polled with `Endpoint::poll_event`.
pub(crate) enum DtlsEvent {
    /// The handshake is done and the peer's certificate is the expected one.
    Connected(KeyingMaterial),
    /// Application data: one SCTP packet.
    Data(Vec<u8>),
    /// The end. Nothing follows.
    Closed(CloseReason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Handshaking,
    Connected,
    Closed,
}

/// One DTLS association, in either role.
pub(crate) struct Endpoint {
    role: Role,
    stream: SslStream<Link>,
    expected: [u8; 32],
    mismatch: Arc<AtomicBool>,
    state: State,
    flight: Flight,
    give_up: Instant,
    outbound: VecDeque<Vec<u8>>,
    events: VecDeque<DtlsEvent>,
    fuse: Fuse,
}

impl Endpoint {
    /// `expected` is the SHA-256 of the peer's certificate, as its SDP announced it.
    pub(crate) fn new(
        now: Instant,
        role: Role,
        context: &SslContext,
        profiles: &[Profile],
        expected: [u8; 32],
    ) -> Result<Self, ErrorStack> {
        let mut ssl = Ssl::new(context)?;
        // OpenSSL calls the profiles by their registered names.
        let names: Vec<&str> = profiles.iter().map(|profile| profile.as_str()).collect();
        ssl.set_tlsext_use_srtp(&names.join(":"))?;
        ssl.set_mtu(MTU as u32)?;
        let mismatch = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&mismatch);
        ssl.set_verify_callback(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT, move |_, chain| {
            let matches = leaf_matches(chain, &expected);
            seen.fetch_or(!matches, Ordering::Relaxed);
            matches
        });
        match role {
            Role::Server => ssl.set_accept_state(),
            Role::Client => ssl.set_connect_state(),
        }
        let mut endpoint = Self {
            role,
            stream: SslStream::new(ssl, Link::default())?,
            expected,
            mismatch,
            state: State::Handshaking,
            flight: Flight::default(),
            give_up: now + HANDSHAKE_LIMIT,
            outbound: VecDeque::new(),
            events: VecDeque::new(),
            fuse: Fuse::default(),
        };
        if role == Role::Client {
            endpoint.handshake(now);
        }
        Ok(endpoint)
    }

    // ---- in

    /// False when it was of no use: no whole record in it, or none that verifies. (OpenSSL does not tell during a handshake.)
    pub(crate) fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> bool {
        if self.state == State::Closed {
            return false;
        }
        let connected = self.state == State::Connected;
        let (mut fresh, mut repeated) = (Vec::new(), false);
        for record in records(datagram) {
            match self.flight.judge(&record, connected) {
                Inbound::Fresh => fresh.extend_from_slice(record.bytes),
                Inbound::Repeated => repeated = true,
            }
        }
        // A connected client sent the last flight but one: answering a repetition would only start an endless exchange.
        let waiting = self.outbound.len();
        if repeated && !(connected && self.role == Role::Client) {
            self.outbound.extend(self.flight.repeat(now).iter().cloned());
        }
        let answered = self.outbound.len() > waiting;
        if fresh.is_empty() {
            return answered;
        }
        self.stream.get_mut().put(&fresh);
        if connected {
            return self.read() || answered;
        }
        self.handshake(now);
        true
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.state != State::Handshaking {
            return;
        }
        if self.give_up <= now {
            self.end(CloseReason::DtlsFailed);
            return;
        }
        self.fuse.pass();
        self.outbound.extend(self.flight.retry(now).iter().cloned());
    }

    /// Encrypts one packet of application data; false when not connected.
    pub(crate) fn send(&mut self, packet: &[u8]) -> bool {
        if self.state != State::Connected {
            return false;
        }
        self.fuse.pass();
        forget_errors();
        if self.stream.ssl_write(packet).is_err() {
            return false;
        }
        self.send_written();
        true
    }

    /// Says goodbye; no event follows.
    pub(crate) fn close(&mut self) {
        if self.state == State::Connected {
            self.fuse.pass();
            // What close_notify wrote is all that matters; the peer's answer is not waited for.
            let _ = self.stream.shutdown();
            self.send_written();
        }
        self.state = State::Closed;
    }

    // ---- out

    pub(crate) fn poll_datagram(&mut self) -> Option<Vec<u8>> {
        self.outbound.pop_front()
    }

    /// Length of what `poll_datagram` gives next.
    pub(crate) fn next_datagram_len(&self) -> Option<usize> {
        self.outbound.front().map(Vec::len)
    }

    /// Bytes and datagrams that wait to be sent.
    pub(crate) fn queued(&self) -> usize {
        self.outbound.len()
    }

    pub(crate) fn poll_event(&mut self) -> Option<DtlsEvent> {
        self.events.pop_front()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        (self.state == State::Handshaking)
            .then(|| self.flight.deadline().map_or(self.give_up, |at| at.min(self.give_up)))
    }

    // ---- for tests

    #[cfg(feature = "testing")]
    pub(crate) fn fuse(&mut self) -> &mut Fuse {
        &mut self.fuse
    }

    // ---- details

    fn handshake(&mut self, now: Instant) {
        self.fuse.pass();
        forget_errors();
        let result = self.stream.do_handshake();
        let written = self.stream.get_mut().take();
        let due = self.flight.replace(now, &written, MTU);
        self.outbound.extend(due);
        match result {
            Ok(()) => self.finish(),
            Err(error) if is_waiting(error.code()) => {}
            Err(_) => self.end(self.failure()),
        }
    }

    /// The handshake is done: nothing is connected before the certificate and the profile have been looked at (again).
    fn finish(&mut self) {
        self.flight.stop_retrying();
        let matches = self.stream.ssl().peer_certificate().is_some_and(|leaf| digest_matches(&leaf, &self.expected));
        if !matches {
            let _ = self.stream.shutdown();
            self.send_written();
            self.end(CloseReason::FingerprintMismatch);
            return;
        }
        let Some(keys) = self.export_keys() else {
            self.end(CloseReason::DtlsFailed);
            return;
        };
        self.state = State::Connected;
        self.events.push_back(DtlsEvent::Connected(keys));
        // Application data may have come in the datagram that ended the handshake.
        self.read();
    }

    fn export_keys(&self) -> Option<KeyingMaterial> {
        let ssl = self.stream.ssl();
        let profile = profile_of(ssl.selected_srtp_profile()?.id())?;
        let mut exported = [0; KEYING_MATERIAL_MAX];
        let exported = &mut exported[..KeyingMaterial::len(profile)];
        ssl.export_keying_material(exported, "EXTRACTOR-dtls_srtp", None).ok()?;
        KeyingMaterial::new(profile, exported)
    }

    /// False when nothing came of it.
    fn read(&mut self) -> bool {
        let before = self.events.len();
        self.fuse.pass();
        forget_errors();
        let mut buffer = [0; PACKET_MAX];
        loop {
            match self.stream.ssl_read(&mut buffer) {
                Ok(0) => break,
                Ok(len) => self.events.push_back(DtlsEvent::Data(buffer[..len].to_vec())),
                Err(error) if error.code() == ErrorCode::ZERO_RETURN => {
                    self.end(CloseReason::PeerClosed);
                    break;
                }
                Err(error) if is_waiting(error.code()) => break,
                Err(_) => {
                    self.end(CloseReason::PeerClosed);
                    break;
                }
            }
        }
        self.send_written();
        self.events.len() > before
    }

    fn send_written(&mut self) {
        let written = self.stream.get_mut().take();
        self.outbound.extend(records(&written).map(|record| record.bytes.to_vec()));
    }

    fn failure(&self) -> CloseReason {
        if self.mismatch.load(Ordering::Relaxed) { CloseReason::FingerprintMismatch } else { CloseReason::DtlsFailed }
    }

    fn end(&mut self, reason: CloseReason) {
        if self.state != State::Closed {
            self.state = State::Closed;
            self.events.push_back(DtlsEvent::Closed(reason));
        }
    }
}

/// OpenSSL's error queue belongs to the thread: what one connection left there would end the next.
fn forget_errors() {
    let _ = ErrorStack::get();
}

fn is_waiting(code: ErrorCode) -> bool {
    code == ErrorCode::WANT_READ || code == ErrorCode::WANT_WRITE
}

/// Only the leaf counts: SDP names exactly one certificate and no authority.
fn leaf_matches(chain: &mut X509StoreContextRef, expected: &[u8; 32]) -> bool {
    if chain.error_depth() > 0 {
        return true;
    }
    chain.current_cert().is_some_and(|leaf| digest_matches(leaf, expected))
}

fn digest_matches(certificate: &X509Ref, expected: &[u8; 32]) -> bool {
    certificate.digest(MessageDigest::sha256()).is_ok_and(|digest| digest.len() == 32 && memcmp::eq(&digest, expected))
}

fn profile_of(id: SrtpProfileId) -> Option<Profile> {
    match id {
        SrtpProfileId::SRTP_AEAD_AES_128_GCM => Some(Profile::AeadAes128Gcm),
        SrtpProfileId::SRTP_AEAD_AES_256_GCM => Some(Profile::AeadAes256Gcm),
        SrtpProfileId::SRTP_AES128_CM_SHA1_80 => Some(Profile::Aes128CmSha1_80),
        _ => None,
    }
}

// Fits every path that a browser uses: the size that libwebrtc itself takes.
const MTU: usize = 1_200;
// A client that has sent a hello and not finished by then is gone.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(30);
// No SCTP packet is longer; what is would come in two pieces and fail its checksum.
const PACKET_MAX: usize = 4_096;

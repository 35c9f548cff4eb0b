//! One str0m connection on a socket: what publishers and full subscribers share.

use std::sync::Arc;
use std::time::Instant;

use netio::Datagram;
use str0m::config::{CryptoProvider, DtlsCert};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

use super::endpoint::Endpoint;

/// What all str0m connections show in their handshakes. One is enough, and spares each join the making of a key.
pub(crate) struct Identity {
    provider: Arc<CryptoProvider>,
    certificate: DtlsCert,
}

impl Identity {
    pub(crate) fn new() -> Result<Self, String> {
        let provider = Arc::new(str0m::crypto::from_feature_flags());
        let certificate = provider.dtls_provider.generate_certificate().ok_or("no certificate could be made")?;
        Ok(Self { provider, certificate })
    }
}

/// The connection.
pub(crate) struct Peer {
    rtc: Rtc,
    endpoint: Endpoint,
    timeout: Instant,
    connected: bool,
    described: bool,
    /// Candidates that came before the description.
    early: Vec<Candidate>,
}

impl Peer {
    pub(crate) fn new(
        now: Instant,
        config: RtcConfig,
        endpoint: Endpoint,
        identity: &Identity,
    ) -> Result<Self, String> {
        let config =
            config.set_crypto_provider(Arc::clone(&identity.provider)).set_dtls_cert(identity.certificate.clone());
        let mut rtc = config.build(now);
        let candidate = Candidate::host(endpoint.local(), "udp").map_err(|error| error.to_string())?;
        rtc.add_local_candidate(candidate);
        Ok(Self { rtc, endpoint, timeout: now, connected: false, described: false, early: Vec::new() })
    }

    /// Every change needs `poll_event` until there is none.
    pub(crate) fn rtc(&mut self) -> &mut Rtc {
        &mut self.rtc
    }

    // ---- in

    /// The server's description is known.
    pub(crate) fn handle_remote_described(&mut self) {
        self.described = true;
        for candidate in self.early.drain(..) {
            self.rtc.add_remote_candidate(candidate);
        }
    }

    /// One that was in no description.
    pub(crate) fn handle_candidate(&mut self, candidate: &str) {
        let Ok(candidate) = Candidate::from_sdp_string(candidate) else { return };
        if self.described {
            self.rtc.add_remote_candidate(candidate);
        } else {
            self.early.push(candidate);
        }
    }

    pub(crate) fn handle_datagram(&mut self, now: Instant, datagram: &Datagram<'_>) -> Result<(), String> {
        // What is no datagram of WebRTC's is not str0m's.
        let Ok(receive) = Receive::new(Protocol::Udp, datagram.remote, self.endpoint.local(), datagram.bytes) else {
            return Ok(());
        };
        self.rtc.handle_input(Input::Receive(now, receive)).map_err(|error| error.to_string())
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<(), String> {
        self.rtc.handle_input(Input::Timeout(now)).map_err(|error| error.to_string())
    }

    // ---- out

    /// Sends what is to be sent; `None` when nothing is left to do for now.
    pub(crate) fn poll_event(&mut self) -> Result<Option<Event>, String> {
        loop {
            match self.rtc.poll_output().map_err(|error| error.to_string())? {
                Output::Transmit(transmit) => self.endpoint.send(&transmit.contents, transmit.destination),
                Output::Timeout(timeout) => {
                    self.timeout = timeout;
                    return Ok(None);
                }
                Output::Event(event) => {
                    self.connected |= matches!(event, Event::Connected);
                    return Ok(Some(event));
                }
            }
        }
    }

    pub(crate) fn poll_timeout(&self) -> Instant {
        self.timeout
    }

    // ---- getters

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connected
    }

    /// Says goodbye.
    pub(crate) fn close(&mut self) {
        // It is of no use any more, whatever comes of it.
        let _ = self.rtc.close();
        while let Ok(Some(_)) = self.poll_event() {}
    }
}

//! The ICE agent of a test client: one path at a time, checked, and nominated where it controls.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use wire::stun::{Class, Message, TransactionId};

use super::ServerParameters;
use crate::Path;
use crate::ice::credentials::{Credentials, Nonces};

pub(super) struct Checks {
    nonces: Nonces,
    password: String,
    local: Credentials,
    server: Option<Credentials>,
    path: Path,
    controlling: bool,
    writable: bool,
    outstanding: VecDeque<TransactionId>,
    next: Option<Instant>,
    outbound: VecDeque<(Path, Vec<u8>)>,
    pub(super) answer: bool,
}

impl Checks {
    pub(super) fn new(path: Path, controlling: bool, seed: u64) -> Self {
        let mut nonces = Nonces::new(seed);
        let ufrag = format!("c{:08x}", u32::from_be_bytes(nonces.draw()));
        let password = format!("p{:024x}", u128::from(u64::from_be_bytes(nonces.draw())));
        Self {
            local: Credentials::new(ufrag, &password),
            password,
            nonces,
            server: None,
            path,
            controlling,
            writable: false,
            outstanding: VecDeque::new(),
            next: None,
            outbound: VecDeque::new(),
            answer: true,
        }
    }

    pub(super) fn set_server(&mut self, now: Instant, server: &ServerParameters) {
        self.server = Some(Credentials::new(server.ufrag.clone(), &server.password));
        self.next = Some(now);
        self.handle_timeout(now);
    }

    pub(super) fn migrate(&mut self, now: Instant, path: Path) {
        self.path = path;
        self.writable = false;
        self.next = Some(now);
        self.handle_timeout(now);
    }

    pub(super) fn stop(&mut self) {
        self.next = None;
    }

    /// True when the message was ours.
    pub(super) fn handle_stun(&mut self, now: Instant, path: Path, datagram: &[u8]) -> bool {
        let Ok(message) = Message::parse(datagram) else {
            return false;
        };
        match message.class() {
            Class::Request => self.answer(now, path, &message),
            Class::Success => self.take_response(now, path, &message),
            Class::Indication | Class::Error => false,
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.next.is_some_and(|at| at <= now) {
            self.check(now);
        }
    }

    pub(super) fn poll_datagram(&mut self) -> Option<(Path, Vec<u8>)> {
        self.outbound.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    pub(super) fn ufrag(&self) -> &str {
        &self.local.ufrag
    }

    pub(super) fn password(&self) -> &str {
        &self.password
    }

    pub(super) fn path(&self) -> Path {
        self.path
    }

    pub(super) fn is_writable(&self) -> bool {
        self.writable
    }

    fn check(&mut self, now: Instant) {
        let Some(server) = &self.server else { return };
        let transaction = TransactionId(self.nonces.draw());
        let username = format!("{}:{}", server.ufrag, self.local.ufrag);
        let request = server.write(Class::Request, transaction, |writer| {
            writer.username(&username).priority(PRIORITY);
            if self.controlling {
                writer.ice_controlling(TIE_BREAKER).use_candidate();
            } else {
                writer.ice_controlled(TIE_BREAKER);
            }
        });
        self.outbound.extend(request.map(|request| (self.path, request)));
        self.outstanding.push_back(transaction);
        if self.outstanding.len() > OUTSTANDING {
            self.outstanding.pop_front();
        }
        self.next = Some(now + if self.writable { STABLE_INTERVAL } else { CHECK_INTERVAL });
    }

    fn answer(&mut self, now: Instant, path: Path, request: &Message<'_>) -> bool {
        let ours = request.username().is_some_and(|name| name.split(':').next() == Some(self.local.ufrag.as_str()));
        if !ours || !self.local.verify(request) {
            return false;
        }
        if self.answer {
            let response = self.local.write(Class::Success, request.transaction_id(), |writer| {
                writer.xor_mapped_address(path.remote);
            });
            self.outbound.extend(response.map(|response| (path, response)));
            if !self.controlling {
                self.follow(now, path, request.use_candidate());
            }
        }
        true
    }

    /// Whoever controls takes nothing else before it has nominated a path; a check of ours in return (RFC 8445 section 7.3.1.4) lets
    /// it do so at once.
    fn follow(&mut self, now: Instant, path: Path, nominated: bool) {
        if nominated {
            self.path = path;
            self.set_writable(now);
        } else if !self.writable && path == self.path {
            self.check(now);
        }
    }

    fn take_response(&mut self, now: Instant, path: Path, response: &Message<'_>) -> bool {
        let transaction = response.transaction_id();
        let verified = self.server.as_ref().is_some_and(|server| server.verify(response));
        if !verified || !self.outstanding.contains(&transaction) {
            return false;
        }
        self.outstanding.retain(|other| *other != transaction);
        if path == self.path && self.controlling {
            self.set_writable(now);
        }
        true
    }

    fn set_writable(&mut self, now: Instant) {
        if !self.writable {
            self.writable = true;
            self.next = Some(now + STABLE_INTERVAL);
        }
    }
}

// libwebrtc's.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);
const STABLE_INTERVAL: Duration = Duration::from_millis(2_500);
const TIE_BREAKER: u64 = 1;
const PRIORITY: u32 = 1_853_824_767;
const OUTSTANDING: usize = 64;

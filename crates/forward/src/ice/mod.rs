//! ICE-lite (RFC 8445 section 2.5): answers checks, keeps the table of paths, watches consent (RFC 7675).
//!
//! Beyond lite it sends one check of its own per path, because a client that knows its password could otherwise aim
//! media at somebody else's address. In: `handle_*`. Out: `poll_*`.

pub(crate) mod credentials;
#[cfg(test)]
mod nomination_tests;
mod path;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use wire::stun::{Class, Message, Method, TransactionId};

use self::credentials::{Credentials, Nonces};
use self::path::{Check, PathTable};
use crate::Path;
use crate::transport::{StunOutcome, StunRejection};

/// What happened; polled with `Agent::poll_event`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IceEvent {
    Selected(Path),
    Forgotten(Path),
    Retired(String),
}

/// The lite agent of one transport.
pub(crate) struct Agent {
    local: Credentials,
    /// Valid beside `local` until a check with the new ones has verified.
    previous: Option<Credentials>,
    remote: Option<Credentials>,
    nonces: Nonces,
    tie_breaker: u64,
    /// Counts restarts.
    generation: u32,
    paths: PathTable,
    last_verified: Option<Instant>,
    outbound: VecDeque<(Path, Vec<u8>)>,
    events: VecDeque<IceEvent>,
}

impl Agent {
    pub(crate) fn new(ufrag: String, password: &str, seed: u64) -> Self {
        let mut nonces = Nonces::new(seed);
        Self {
            local: Credentials::new(ufrag, password),
            previous: None,
            remote: None,
            tie_breaker: u64::from_be_bytes(nonces.draw()),
            nonces,
            generation: 0,
            paths: PathTable::default(),
            last_verified: None,
            outbound: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    // ---- commands

    /// The same again, as each answer of the client says it, changes nothing: a check that is on its way stays good.
    pub(crate) fn set_remote(&mut self, now: Instant, ufrag: String, password: &str) {
        if self.remote.as_ref().is_some_and(|remote| remote.are(&ufrag, password)) {
            return;
        }
        self.remote = Some(Credentials::new(ufrag, password));
        self.paths.iter_mut().for_each(|state| state.check = None);
        let unproven: Vec<Path> = self.paths.iter().filter(|state| !state.validated).map(|state| state.path).collect();
        for path in unproven {
            self.check(now, path);
        }
    }

    pub(crate) fn restart(&mut self, ufrag: String, password: &str) {
        self.generation += 1;
        let replaced = std::mem::replace(&mut self.local, Credentials::new(ufrag, password));
        if let Some(older) = self.previous.replace(replaced) {
            self.events.push_back(IceEvent::Retired(older.ufrag));
        }
    }

    // ---- in

    pub(crate) fn handle_stun(&mut self, now: Instant, path: Path, datagram: &[u8]) -> StunOutcome {
        let Ok(message) = Message::parse(datagram) else {
            return StunOutcome::Rejected(StunRejection::Malformed);
        };
        if message.method() != Method::BINDING || message.fingerprint_ok() == Some(false) {
            return StunOutcome::Rejected(StunRejection::Malformed);
        }
        match message.class() {
            Class::Request => self.handle_request(now, path, &message, datagram.len()),
            Class::Success => self.handle_response(now, path, &message),
            // A keep-alive: it proves nothing, and nothing is to do.
            Class::Indication if self.paths.get(path).is_some() => StunOutcome::Ignored,
            // Our checks are answered with an error: the path stays unproven.
            Class::Indication | Class::Error => StunOutcome::Rejected(StunRejection::UnknownTransaction),
        }
    }

    /// Anything else that came over a path; more may go back over one that is not proven yet.
    #[inline]
    pub(crate) fn note_received(&mut self, path: Path, len: usize) {
        if let Some(state) = self.paths.get(path).filter(|state| !state.validated) {
            state.note_received(len);
        }
    }

    /// The connection that carried this path is closed.
    pub(crate) fn handle_path_closed(&mut self, now: Instant, path: Path) {
        self.events.extend(self.paths.remove(now, path).map(IceEvent::Selected));
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let due = |check: &Check| check.retry <= now && check.attempts < CHECK_ATTEMPTS;
        let due: Vec<Path> =
            self.paths.iter().filter(|state| state.check.as_ref().is_some_and(due)).map(|state| state.path).collect();
        for path in due {
            self.check(now, path);
        }
    }

    // ---- out

    /// The next message that may be sent now.
    pub(crate) fn poll_datagram(&mut self) -> Option<(Path, Vec<u8>)> {
        while let Some((path, message)) = self.outbound.pop_front() {
            if self.charge(path, message.len()) {
                return Some((path, message));
            }
        }
        None
    }

    pub(crate) fn poll_event(&mut self) -> Option<IceEvent> {
        self.events.pop_front()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let checks = self.paths.iter().filter_map(|state| state.check.as_ref());
        let retries = checks.filter(|check| check.attempts < CHECK_ATTEMPTS).map(|check| check.retry);
        retries.chain(self.last_verified.map(|at| at + CONSENT)).min()
    }

    // ---- getters

    pub(crate) fn consent_expired(&self, now: Instant) -> bool {
        self.last_verified.is_some_and(|at| at + CONSENT <= now)
    }

    pub(crate) fn selected(&self) -> Option<Path> {
        self.paths.selected()
    }

    pub(crate) fn knows(&self, path: Path) -> bool {
        self.paths.iter().any(|state| state.path == path)
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = Path> + '_ {
        self.paths.iter().map(|state| state.path)
    }

    pub(crate) fn ufrags(&self) -> impl Iterator<Item = &str> + '_ {
        std::iter::once(&self.local).chain(&self.previous).map(|credentials| credentials.ufrag.as_str())
    }

    /// Whether media may begin on the path that is selected. One that was asked in vain for a while has to do as it is: its client
    /// leaves checks unanswered.
    pub(crate) fn may_begin(&mut self) -> bool {
        let selected = self.paths.selected().and_then(|path| self.paths.get(path));
        let in_vain = |check: &Check| check.attempts > PATIENT_ATTEMPTS;
        selected.is_some_and(|state| state.validated || state.check.as_ref().is_some_and(in_vain))
    }

    /// Whether `len` bytes may go over this path now; if so, they count as sent.
    pub(crate) fn charge(&mut self, path: Path, len: usize) -> bool {
        self.paths.get(path).is_some_and(|state| state.charge(len, 0))
    }

    /// The same for media, which never ends: it leaves room for a check, or the path would never be proven.
    #[inline]
    pub(crate) fn charge_media(&mut self, path: Path, len: usize) -> bool {
        self.paths.get(path).is_some_and(|state| state.charge(len, CHECK_BYTES))
    }

    // ---- details

    fn handle_request(&mut self, now: Instant, path: Path, request: &Message<'_>, len: usize) -> StunOutcome {
        let ufrag = request.username().and_then(|name| name.split_once(':')).map(|(local, _)| local);
        let renewed = ufrag == Some(self.local.ufrag.as_str());
        let credentials = if renewed { Some(&self.local) } else { self.previous.as_ref() };
        let Some(credentials) = credentials.filter(|own| ufrag == Some(own.ufrag.as_str())) else {
            return StunOutcome::Rejected(StunRejection::WrongUsername);
        };
        if !credentials.verify(request) {
            return StunOutcome::Rejected(StunRejection::BadIntegrity);
        }
        let response = respond(credentials, path, request);
        let new_path = self.touch(now, path, len);
        self.push(path, response);
        if request.unknown_required().next().is_some() {
            return StunOutcome::Verified { new_path };
        }
        if renewed && let Some(retired) = self.previous.take() {
            self.events.push_back(IceEvent::Retired(retired.ufrag));
        }
        if let Some(state) = self.paths.get(path) {
            state.priority = request.priority().unwrap_or(0);
            if renewed {
                state.generation = self.generation;
            }
        }
        if request.use_candidate() {
            self.paths.nominate(now, path);
        }
        // Without one, too: libwebrtc's first checks carry no nomination, Firefox's last ones neither.
        self.events.extend(self.paths.reconsider(now, path).map(IceEvent::Selected));
        self.check_unless_proven(now, path);
        StunOutcome::Verified { new_path }
    }

    fn handle_response(&mut self, now: Instant, path: Path, response: &Message<'_>) -> StunOutcome {
        let transaction = response.transaction_id();
        let asked = |check: &Check| check.transaction == transaction;
        let waiting = self.paths.get(path).filter(|state| state.check.as_ref().is_some_and(asked));
        let (Some(state), Some(remote)) = (waiting, &self.remote) else {
            return StunOutcome::Rejected(StunRejection::UnknownTransaction);
        };
        if !remote.verify(response) {
            return StunOutcome::Rejected(StunRejection::BadIntegrity);
        }
        state.check = None;
        state.validated = true;
        state.last_verified = now;
        self.last_verified = Some(now);
        self.events.extend(self.paths.reconsider(now, path).map(IceEvent::Selected));
        StunOutcome::Verified { new_path: false }
    }

    /// A verified request came over this path. True when it is a new one.
    fn touch(&mut self, now: Instant, path: Path, len: usize) -> bool {
        let new_path = self.paths.get(path).is_none();
        if new_path {
            self.events.extend(self.paths.add(now, path).map(IceEvent::Forgotten));
        }
        if let Some(state) = self.paths.get(path) {
            state.last_verified = now;
            state.note_received(len);
        }
        self.last_verified = Some(now);
        new_path
    }

    fn check_unless_proven(&mut self, now: Instant, path: Path) {
        let Some(state) = self.paths.get(path).filter(|state| !state.validated) else {
            return;
        };
        // The client is there: an exhausted check starts over, a fresh one is not repeated at once.
        if state.check.as_ref().is_none_or(|check| check.retry <= now || check.attempts >= CHECK_ATTEMPTS) {
            self.check(now, path);
        }
    }

    /// Sends our own check, or repeats it with a doubled pause.
    fn check(&mut self, now: Instant, path: Path) {
        let (Some(remote), Some(state)) = (&self.remote, self.paths.get(path)) else {
            return;
        };
        let check = state.check.get_or_insert_with(|| Check {
            transaction: TransactionId(self.nonces.draw()),
            retry: now,
            pause: FIRST_PAUSE / 2,
            attempts: 0,
        });
        check.attempts = if check.attempts >= CHECK_ATTEMPTS { 1 } else { check.attempts + 1 };
        check.pause = if check.attempts == 1 { FIRST_PAUSE } else { check.pause * 2 };
        check.retry = now + check.pause;
        let transaction = check.transaction;
        let username = format!("{}:{}", remote.ufrag, self.local.ufrag);
        let request = remote.write(Class::Request, transaction, |writer| {
            writer.username(&username).priority(HOST_PRIORITY).ice_controlled(self.tie_breaker);
        });
        self.push(path, request);
    }

    fn push(&mut self, path: Path, message: Option<Vec<u8>>) {
        if self.outbound.len() < OUTBOUND_MAX {
            self.outbound.extend(message.map(|message| (path, message)));
        }
    }
}

/// The answer to a verified request: where it came from, or what was not understood.
fn respond(credentials: &Credentials, path: Path, request: &Message<'_>) -> Option<Vec<u8>> {
    let unknown: Vec<u16> = request.unknown_required().take(UNKNOWN_MAX).collect();
    if !unknown.is_empty() {
        return credentials.write(Class::Error, request.transaction_id(), |writer| {
            writer.error_code(420, "Unknown Attribute").unknown_attributes(&unknown);
        });
    }
    credentials.write(Class::Success, request.transaction_id(), |writer| {
        writer.xor_mapped_address(path.remote);
    })
}

// RFC 7675 section 5.1.
const CONSENT: Duration = Duration::from_secs(30);
// 50, 100, ... 3200 ms: about 6 s in all; the client's next check starts it over.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const CHECK_ATTEMPTS: u8 = 7;
// Of those: about 750 ms.
const PATIENT_ATTEMPTS: u8 = 4;
// With ufrags of usual length.
const CHECK_BYTES: usize = 160;
// A host candidate's, RFC 8445 section 5.1.2.1 with the highest local preference.
const HOST_PRIORITY: u32 = (126 << 24) | (65_535 << 8) | 255;
// One batch of checks of a client with many candidates.
const OUTBOUND_MAX: usize = 32;
// Enough to tell; more only make the response longer.
const UNKNOWN_MAX: usize = 8;

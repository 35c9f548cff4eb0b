//! STUN of clients: Binding and everything that is answered without a password; the rest goes to the driver.

use wire::stun::{Class, Message, Method};

use crate::bucket::Nanos;
use crate::counters::Dropped;
use crate::exchange::{Asked, CLIENT_WAITING_MAX, Exchange, State};
use crate::reply::{Answer, Challenge, To, UNKNOWN_ATTRIBUTE};
use crate::request::{self, Credentials, Parties};
use crate::table::Client;
use crate::{ClientAddress, Outputs, PasswordAlgorithm, Relay, RelayEvent};
use slots::Index;

impl Relay {
    /// A message that begins like STUN.
    pub(crate) fn stun(&mut self, now: Nanos, client: &ClientAddress, message: &[u8], out: &mut impl Outputs) {
        let Ok(message) = Message::parse(message) else {
            self.malformed(client, out);
            return;
        };
        if message.fingerprint_ok() == Some(false) {
            self.counters.drop(Dropped::Fingerprint);
            return;
        }
        match (message.class(), message.method()) {
            (Class::Indication, Method::SEND) => self.send(now, client, &message, out),
            (Class::Indication, Method::BINDING) => self.counters.keepalives += 1,
            (Class::Request, _) if message.len() > REQUEST_MAX => self.counters.drop(Dropped::Oversize),
            (Class::Request, Method::BINDING) => self.binding(now, client, &message, out),
            (Class::Request, Method::ALLOCATE | Method::REFRESH | Method::CREATE_PERMISSION | Method::CHANNEL_BIND) => {
                self.request(now, client, &message, out);
                self.gauge();
            }
            _ => self.counters.drop(Dropped::Method),
        }
    }

    /// What arrives is no TURN.
    pub(crate) fn no_turn(&mut self, client: &ClientAddress, out: &mut impl Outputs) {
        self.counters.drop(Dropped::Protocol);
        close(client, out);
    }

    /// What arrives is broken: on a connection whatever follows would be, too.
    pub(crate) fn malformed(&mut self, client: &ClientAddress, out: &mut impl Outputs) {
        self.counters.drop(Dropped::Malformed);
        close(client, out);
    }

    fn binding(&mut self, now: Nanos, client: &ClientAddress, message: &Message<'_>, out: &mut impl Outputs) {
        if !self.admit_answer(now, client) {
            return;
        }
        let unknown = request::unknown_attributes(message);
        let answer = if unknown.is_empty() {
            self.counters.bindings += 1;
            Answer::mapped(to(message), crate::acl::canonical(client.remote))
        } else {
            self.counters.bad_requests += 1;
            Answer::error(to(message), UNKNOWN_ATTRIBUTE, &unknown, None)
        };
        send(out, client, answer.bytes());
    }

    /// A request that needs credentials.
    fn request(&mut self, now: Nanos, client: &ClientAddress, message: &Message<'_>, out: &mut impl Outputs) {
        let known = self.table.find(client);
        if known.is_some_and(|at| self.repeat(at, message, out)) {
            return;
        }
        if !request::is_signed(message) {
            self.challenge(now, client, message, out);
            return;
        }
        let Some(credentials) = Credentials::read(message) else {
            self.refuse(now, client, message, BAD_REQUEST, out);
            return;
        };
        if !self.nonces.verify(credentials.nonce, client, now / SECOND) {
            self.refuse(now, client, message, STALE_NONCE, out);
            return;
        }
        // After the nonce: it says that the client has seen our offer.
        let Some(algorithm) = Credentials::password_algorithm(message) else {
            self.refuse(now, client, message, BAD_REQUEST, out);
            return;
        };
        self.ask(now, client, message, &credentials, algorithm, out);
    }

    /// Whether the client has sent this request before. Then the answer is what it was, if there is one yet.
    fn repeat(&mut self, at: Index, message: &Message<'_>, out: &mut impl Outputs) -> bool {
        let Some(client) = self.table.client(at) else {
            return false;
        };
        let transaction = message.transaction_id();
        let Some(exchange) = client.exchanges.iter().find(|exchange| exchange.transaction == transaction) else {
            return false;
        };
        if let State::Answered(bytes) = &exchange.state {
            send(out, &client.address, bytes);
        }
        self.counters.retransmissions += 1;
        true
    }

    /// 401 to whoever shows no credentials, unless that is worth more than what it cost.
    fn challenge(&mut self, now: Nanos, client: &ClientAddress, message: &Message<'_>, out: &mut impl Outputs) {
        let needed = match message.method() {
            Method::ALLOCATE => message.find(wire::stun::attribute::REQUESTED_TRANSPORT).is_some(),
            _ => message.attributes().next().is_some(),
        };
        if needed {
            self.refuse(now, client, message, UNAUTHORIZED, out);
        } else {
            self.counters.drop(Dropped::Bare);
        }
    }

    /// An answer that nobody remembers.
    fn refuse(&mut self, now: Nanos, client: &ClientAddress, message: &Message<'_>, code: u16, out: &mut impl Outputs) {
        if !self.admit_answer(now, client) {
            return;
        }
        let count = match code {
            UNAUTHORIZED => &mut self.counters.challenges,
            STALE_NONCE => &mut self.counters.stale_nonces,
            _ => &mut self.counters.bad_requests,
        };
        *count += 1;
        let nonce = (code != BAD_REQUEST).then(|| self.nonces.mint(client, now / SECOND));
        let challenge = nonce.map(|nonce| Challenge { realm: &self.configuration.realm, nonce });
        let answer = Answer::error(to(message), code, &[], challenge.as_ref());
        send(out, client, answer.bytes());
    }

    /// The driver decides.
    fn ask(
        &mut self,
        now: Nanos,
        client: &ClientAddress,
        message: &Message<'_>,
        credentials: &Credentials<'_>,
        algorithm: PasswordAlgorithm,
        out: &mut impl Outputs,
    ) {
        let known = self.table.find(client);
        let waiting = known.and_then(|at| self.table.client(at)).map_or(0, Client::waiting);
        if self.ledger.is_full() || waiting >= CLIENT_WAITING_MAX {
            self.counters.drop(Dropped::Overloaded);
            return;
        }
        let Some(charged) = self.admit_request(now, client, known) else {
            return;
        };
        let at = self.table.client_at(client);
        let Some(entry) = self.table.client_mut(at) else {
            return;
        };
        let request = self.ledger.wait(now, at, entry.id);
        let fingerprint = message.fingerprint_ok().is_some();
        let asked = Asked { method: message.method(), sha256: credentials.sha256, fingerprint, charged };
        let transaction = message.transaction_id();
        entry.exchanges.push(Exchange { transaction, request, state: State::Waiting(asked) });
        let allocation = entry.allocation.as_ref().map(|allocation| allocation.id);
        let parties = Parties { request, client: entry.id, address: client, allocation };
        self.counters.requests += 1;
        out.event(RelayEvent::Request(Box::new(credentials.request(message, algorithm, &parties, &self.acl))));
    }

    /// Whether one more request may go to the driver, and then whether it was paid for as a stranger's.
    fn admit_request(&mut self, now: Nanos, client: &ClientAddress, known: Option<Index>) -> Option<bool> {
        let allocation = known.and_then(|at| self.table.allocation_mut(at));
        let Some(allocation) = allocation else {
            return self.admit_stranger(now, client).then_some(true);
        };
        let admitted = allocation.admit_request(now);
        if !admitted {
            self.counters.drop(Dropped::RateRequests);
        }
        admitted.then_some(false)
    }

    /// Whether somebody without credentials gets an answer. On a connection always: it goes to nobody but who asked, and a
    /// client there would wait for it without asking again.
    fn admit_answer(&mut self, now: Nanos, client: &ClientAddress) -> bool {
        client.transport.is_stream() || self.admit_stranger(now, client)
    }

    fn admit_stranger(&mut self, now: Nanos, client: &ClientAddress) -> bool {
        let admitted = self.limiter.admit(now, client.remote.ip());
        if !admitted {
            self.counters.drop(Dropped::Limited);
        }
        admitted
    }
}

fn to(message: &Message<'_>) -> To {
    let fingerprint = message.fingerprint_ok().is_some();
    To { method: message.method(), transaction: message.transaction_id(), fingerprint }
}

pub(crate) fn send(out: &mut impl Outputs, client: &ClientAddress, message: &[u8]) {
    if message.is_empty() {
        return;
    }
    // The slice may be shorter than asked for when there is nowhere to write to.
    for (to, from) in out.to_client(client, message.len()).iter_mut().zip(message) {
        *to = *from;
    }
}

fn close(client: &ClientAddress, out: &mut impl Outputs) {
    if client.transport.is_stream() {
        out.close_connection(client.connection);
    }
}

pub(crate) const SECOND: Nanos = 1_000_000_000;
pub(crate) const BAD_REQUEST: u16 = 400;
pub(crate) const UNAUTHORIZED: u16 = 401;
pub(crate) const STALE_NONCE: u16 = 438;
/// Names, realm and nonce of full length and a hundred peers fit. What waits for the driver is bounded by it.
const REQUEST_MAX: usize = 3_072;

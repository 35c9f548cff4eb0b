//! One allocation as its client drives it (RFC 8656): allocate, bind the one channel, refresh, let go. Bytes in, bytes out.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use wire::stun::attribute::{
    CHANNEL_NUMBER, LIFETIME, NONCE, REALM, REQUESTED_TRANSPORT, XOR_PEER_ADDRESS, XOR_RELAYED_ADDRESS,
};
use wire::stun::{Class, Message, Method, TransactionId, Writer};

use super::account::{Account, Challenge};
use crate::Failure;

/// A request of the life of an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Allocate,
    Bind,
    Refresh,
    Release,
}

/// An allocation's client.
pub(crate) struct Session {
    account: Account,
    channel: u16,
    peer: SocketAddr,
    challenge: Option<Challenge>,
    relayed: Option<SocketAddr>,
    todo: VecDeque<Step>,
    pending: Option<Pending>,
    /// Requests so far; with `seed` it makes their transaction ids.
    requests: u32,
    seed: u64,
    challenges: u8,
}

struct Pending {
    step: Step,
    transaction: TransactionId,
    bytes: Vec<u8>,
    due: Instant,
    sent: u32,
}

impl Session {
    /// One that wants nothing yet. `seed` tells it from all others of the process.
    pub(crate) fn new(account: Account, channel: u16, peer: SocketAddr, seed: u64) -> Self {
        Self {
            account,
            channel,
            peer,
            challenge: None,
            relayed: None,
            todo: VecDeque::new(),
            pending: None,
            requests: 0,
            seed,
            challenges: 0,
        }
    }

    /// Does these next, one after the other.
    pub(crate) fn handle_wish(&mut self, steps: &[Step]) {
        self.todo.extend(steps);
        self.challenges = 0;
    }

    /// One message of the server. What answers nothing that we asked is ignored.
    pub(crate) fn handle_message(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let Ok(message) = Message::parse(bytes) else { return Ok(()) };
        let Some(pending) = self.pending.take_if(|pending| pending.transaction == message.transaction_id()) else {
            return Ok(());
        };
        match message.class() {
            Class::Success => self.handle_success(pending.step, &message),
            _ => self.handle_error(pending.step, &message),
        }
    }

    /// What to send now, if anything: the next request, or the one that was not answered in time once more.
    pub(crate) fn poll_message(&mut self, now: Instant) -> Result<Option<&[u8]>, Failure> {
        if self.pending.is_none() {
            let Some(step) = self.todo.front().copied() else { return Ok(None) };
            self.pending = Some(self.request(step, now));
        }
        let Some(pending) = self.pending.as_mut().filter(|pending| pending.due <= now) else { return Ok(None) };
        if pending.sent == MAX_SENDS {
            return Err(Failure::Silent { request: pending.step });
        }
        pending.sent += 1;
        pending.due = now + RETRANSMIT_AFTER * pending.sent;
        Ok(Some(&pending.bytes))
    }

    /// Whether everything that was wished for is done.
    pub(crate) fn is_settled(&self) -> bool {
        self.todo.is_empty()
    }

    /// The relayed address, once allocated.
    pub(crate) fn relayed(&self) -> Option<SocketAddr> {
        self.relayed
    }

    fn handle_success(&mut self, step: Step, message: &Message<'_>) -> Result<(), Failure> {
        self.todo.pop_front();
        match step {
            Step::Allocate => {
                let relayed = message.xor_address(XOR_RELAYED_ADDRESS).ok_or(Failure::NoRelayed)?;
                self.relayed = Some(relayed);
            }
            Step::Release => self.relayed = None,
            Step::Bind | Step::Refresh => {}
        }
        Ok(())
    }

    fn handle_error(&mut self, step: Step, message: &Message<'_>) -> Result<(), Failure> {
        let (code, reason) = message.error_code().unwrap_or((0, "no error code"));
        let challenge = message.realm().zip(message.nonce());
        if let (401 | 438, Some((realm, nonce)), ..MAX_CHALLENGES) = (code, challenge, self.challenges) {
            self.challenges += 1;
            self.challenge = Some(self.account.challenge(realm, nonce)?);
            return Ok(());
        }
        Err(Failure::Refused { request: step, code, reason: reason.to_owned() })
    }

    fn request(&mut self, step: Step, now: Instant) -> Pending {
        self.requests += 1;
        let transaction = self.transaction();
        let mut bytes = vec![0; MAX_REQUEST_BYTES];
        let mut writer = Writer::new(&mut bytes, Class::Request, step.method(), transaction);
        match step {
            Step::Allocate => {
                writer.attribute(REQUESTED_TRANSPORT, &[UDP, 0, 0, 0]).attribute(LIFETIME, &LIFETIME_S.to_be_bytes());
            }
            Step::Bind => {
                let [high, low] = self.channel.to_be_bytes();
                writer.attribute(CHANNEL_NUMBER, &[high, low, 0, 0]).xor_address(XOR_PEER_ADDRESS, self.peer);
            }
            Step::Refresh => {
                writer.attribute(LIFETIME, &LIFETIME_S.to_be_bytes());
            }
            Step::Release => {
                writer.attribute(LIFETIME, &0u32.to_be_bytes());
            }
        }
        if let Some(challenge) = &self.challenge {
            writer
                .username(&self.account.username)
                .attribute(REALM, challenge.realm.as_bytes())
                .attribute(NONCE, &challenge.nonce)
                .integrity(|signed| challenge.mac(signed));
        }
        let len = writer.finish().unwrap_or(0);
        bytes.truncate(len);
        Pending { step, transaction, bytes, due: now, sent: 0 }
    }

    fn transaction(&self) -> TransactionId {
        let mut id = [0; 12];
        id[..8].copy_from_slice(&self.seed.to_be_bytes());
        id[8..].copy_from_slice(&self.requests.to_be_bytes());
        TransactionId(id)
    }
}

impl Step {
    fn method(self) -> Method {
        match self {
            Self::Allocate => Method::ALLOCATE,
            Self::Bind => Method::CHANNEL_BIND,
            Self::Refresh | Self::Release => Method::REFRESH,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Allocate => "Allocate",
            Self::Bind => "ChannelBind",
            Self::Refresh => "Refresh",
            Self::Release => "Refresh to 0",
        })
    }
}

/// REQUESTED-TRANSPORT's number for UDP.
const UDP: u8 = 17;
/// Longer than any measurement.
const LIFETIME_S: u32 = 3_600;
/// User, realm, nonce and the rest; RFC 8489 allows each of the three more, which no server of the bench uses.
const MAX_REQUEST_BYTES: usize = 1_024;
/// Loopback answers within a millisecond unless the server is busy with its other clients.
const RETRANSMIT_AFTER: Duration = Duration::from_millis(250);
const MAX_SENDS: u32 = 7;
/// One for the first request, and one for a nonce that went stale meanwhile.
const MAX_CHALLENGES: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: ([u8; 4], u16) = ([10, 78, 0, 1], 5_000);
    const RELAYED: ([u8; 4], u16) = ([10, 77, 0, 1], 49_152);

    fn session() -> Session {
        let account = Account { username: "bench".into(), password: "secret".into() };
        let mut session = Session::new(account, 0x4001, PEER.into(), 7);
        session.handle_wish(&[Step::Allocate, Step::Bind]);
        session
    }

    fn asked(session: &mut Session, now: Instant) -> Vec<u8> {
        session.poll_message(now).expect("not given up").expect("something to ask").to_vec()
    }

    fn answer(request: &[u8], class: Class, write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let message = Message::parse(request).expect("well-formed");
        let mut bytes = vec![0; 256];
        let mut writer = Writer::new(&mut bytes, class, message.method(), message.transaction_id());
        write(&mut writer);
        let len = writer.finish().expect("fits");
        bytes.truncate(len);
        bytes
    }

    fn challenge(request: &[u8], code: u16, nonce: &[u8]) -> Vec<u8> {
        answer(request, Class::Error, |writer| {
            writer.error_code(code, "").attribute(REALM, b"bench").attribute(NONCE, nonce);
        })
    }

    fn yes(request: &[u8]) -> Vec<u8> {
        answer(request, Class::Success, |writer| {
            writer.xor_address(XOR_RELAYED_ADDRESS, RELAYED.into());
        })
    }

    #[test]
    fn it_allocates_with_credentials_and_then_binds_its_channel() {
        let (mut session, now) = (session(), Instant::now());
        let first = asked(&mut session, now);
        assert!(Message::parse(&first).is_ok_and(|message| message.integrity_input().is_none()));
        assert_eq!(session.poll_message(now).expect("waits"), None);

        session.handle_message(&challenge(&first, 401, b"nonce")).expect("a challenge");
        let second = asked(&mut session, now);
        let message = Message::parse(&second).expect("well-formed");
        assert_eq!(
            (message.username(), message.realm(), message.nonce()),
            (Some("bench"), Some("bench"), Some(&b"nonce"[..]))
        );
        let input = message.integrity_input().expect("signed");
        let key =
            Account { username: "bench".into(), password: "secret".into() }.challenge("bench", b"").expect("a key");
        assert_eq!(key.mac(&[&input.header, input.attributes].concat()), input.mac);

        session.handle_message(&yes(&second)).expect("agreed");
        assert_eq!(session.relayed(), Some(RELAYED.into()));
        let third = asked(&mut session, now);
        let message = Message::parse(&third).expect("well-formed");
        assert_eq!(message.method(), Method::CHANNEL_BIND);
        assert_eq!(message.find(CHANNEL_NUMBER), Some(&[0x40, 1, 0, 0][..]));
        assert_eq!(message.xor_address(XOR_PEER_ADDRESS), Some(PEER.into()));
        session.handle_message(&yes(&third)).expect("agreed");
        assert!(session.is_settled());
    }

    #[test]
    fn a_stale_nonce_is_replaced_but_not_for_ever() {
        let (mut session, now) = (session(), Instant::now());
        let first = asked(&mut session, now);
        session.handle_message(&challenge(&first, 401, b"one")).expect("a challenge");
        let second = asked(&mut session, now);
        session.handle_message(&challenge(&second, 438, b"two")).expect("a nonce");
        let third = asked(&mut session, now);
        assert_eq!(Message::parse(&third).expect("well-formed").nonce(), Some(&b"two"[..]));
        let refused = session.handle_message(&challenge(&third, 438, b"three"));
        assert!(matches!(refused, Err(Failure::Refused { code: 438, .. })), "{refused:?}");
    }

    #[test]
    fn a_refusal_is_an_error_and_answers_to_others_are_none() {
        let (mut session, now) = (session(), Instant::now());
        let request = asked(&mut session, now);
        let mut other = request.clone();
        other[19] ^= 1;
        session.handle_message(&challenge(&other, 486, b"")).expect("not ours");
        session.handle_message(b"junk").expect("not ours");
        let refused = session.handle_message(&answer(&request, Class::Error, |writer| {
            writer.error_code(486, "Quota");
        }));
        let Err(failure) = refused else { panic!("a refusal") };
        assert_eq!(failure.to_string(), "the server refused Allocate: 486 Quota");
    }

    #[test]
    fn what_is_not_answered_is_repeated_and_given_up_in_the_end() {
        let (mut session, mut now) = (session(), Instant::now());
        let first = asked(&mut session, now);
        for _ in 1..MAX_SENDS {
            now += RETRANSMIT_AFTER * MAX_SENDS;
            assert_eq!(asked(&mut session, now), first);
            assert_eq!(session.poll_message(now).expect("waits"), None);
        }
        let silent = session.poll_message(now + RETRANSMIT_AFTER * MAX_SENDS).map(|_| ());
        assert!(matches!(silent, Err(Failure::Silent { request: Step::Allocate })), "{silent:?}");
    }

    #[test]
    fn letting_go_is_a_refresh_to_zero() {
        let (mut session, now) = (session(), Instant::now());
        for _ in 0..2 {
            let request = asked(&mut session, now);
            session.handle_message(&yes(&request)).expect("agreed");
        }
        session.handle_wish(&[Step::Release]);
        let request = asked(&mut session, now);
        let message = Message::parse(&request).expect("well-formed");
        assert_eq!((message.method(), message.find(LIFETIME)), (Method::REFRESH, Some(&[0; 4][..])));
        session.handle_message(&yes(&request)).expect("agreed");
        assert_eq!(session.relayed(), None);
    }
}

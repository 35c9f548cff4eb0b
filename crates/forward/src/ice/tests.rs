//! What the agent answers, what it drops in silence, and what of it changes anything.

use std::time::{Duration, Instant};

use wire::stun::{Class, Message, Method, TransactionId, Writer, attribute};

use super::credentials::Credentials;
use super::*;

const PASSWORD: &str = "the password of the server";

fn agent() -> Agent {
    Agent::new("serv".to_owned(), PASSWORD, 1)
}

fn path(nth: u8) -> Path {
    Path::udp(
        "192.0.2.1:7882".parse().unwrap(),
        format!("[2001:db8::{nth}]:{}", 5_000 + u16::from(nth)).parse().unwrap(),
    )
}

fn server() -> Credentials {
    Credentials::new("serv".to_owned(), PASSWORD)
}

fn check(credentials: &Credentials, username: &str, attributes: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let request = credentials.write(Class::Request, TransactionId([9; 12]), |writer| {
        writer.username(username).priority(1).ice_controlling(5);
        attributes(writer);
    });
    request.unwrap()
}

fn answers(agent: &mut Agent) -> Vec<(Path, Vec<u8>)> {
    std::iter::from_fn(|| agent.poll_datagram()).collect()
}

#[test]
fn a_good_check_is_answered_with_the_clients_address() {
    let mut agent = agent();
    let outcome = agent.handle_stun(Instant::now(), path(1), &check(&server(), "serv:clie", |_| ()));
    assert_eq!(outcome, StunOutcome::Verified { new_path: true });
    let [(to, answer)] = answers(&mut agent).try_into().unwrap();
    let response = Message::parse(&answer).unwrap();
    assert_eq!((to, response.class(), response.transaction_id()), (path(1), Class::Success, TransactionId([9; 12])));
    assert_eq!(response.xor_mapped_address(), Some(path(1).remote));
    assert!(server().verify(&response) && response.fingerprint_ok() == Some(true));
    assert_eq!(agent.selected(), Some(path(1)));
    let again = agent.handle_stun(Instant::now(), path(1), &check(&server(), "serv:clie", |_| ()));
    assert_eq!(again, StunOutcome::Verified { new_path: false });
}

#[test]
fn bad_checks_are_dropped_in_silence_and_change_nothing() {
    let mut agent = agent();
    let forged = Credentials::new("serv".to_owned(), "a guess");
    let mut bare = [0; 200];
    let mut writer = Writer::new(&mut bare, Class::Request, Method::BINDING, TransactionId([1; 12]));
    let len = writer.username("serv:clie").fingerprint().finish().unwrap();
    let mut flipped = check(&server(), "serv:clie", |_| ());
    flipped[30] ^= 1;
    let cases: [(&[u8], StunRejection); 7] = [
        (&check(&forged, "serv:clie", |_| ()), StunRejection::BadIntegrity),
        (&bare[..len], StunRejection::BadIntegrity),
        (&check(&server(), "other:clie", |_| ()), StunRejection::WrongUsername),
        (&check(&server(), "serv", |_| ()), StunRejection::WrongUsername),
        (&flipped, StunRejection::Malformed),
        (b"", StunRejection::Malformed),
        (&[0; 20], StunRejection::Malformed),
    ];
    for (datagram, reason) in cases {
        assert_eq!(agent.handle_stun(Instant::now(), path(1), datagram), StunOutcome::Rejected(reason));
    }
    assert!(answers(&mut agent).is_empty());
    assert_eq!((agent.selected(), agent.paths().count(), agent.poll_timeout()), (None, 0, None));
}

#[test]
fn truncated_checks_are_dropped() {
    let mut agent = agent();
    let good = check(&server(), "serv:clie", |writer| {
        writer.use_candidate();
    });
    for len in 0..good.len() {
        assert!(matches!(agent.handle_stun(Instant::now(), path(1), &good[..len]), StunOutcome::Rejected(_)));
    }
    assert!(answers(&mut agent).is_empty());
}

#[test]
fn an_attribute_that_must_be_understood_gets_error_420() {
    let mut agent = agent();
    let request = check(&server(), "serv:clie", |writer| {
        writer.use_candidate().attribute(0x7ABC, b"?");
    });
    agent.handle_stun(Instant::now(), path(1), &request);
    let [(_, answer)] = answers(&mut agent).try_into().unwrap();
    let response = Message::parse(&answer).unwrap();
    assert_eq!(response.error_code().map(|(code, _)| code), Some(420));
    assert_eq!(response.find(attribute::UNKNOWN_ATTRIBUTES), Some(&[0x7A, 0xBC][..]));
    assert!(server().verify(&response));
    assert_eq!(agent.selected(), None, "and does nothing else");
}

#[test]
fn libwebrtcs_own_attributes_are_skipped() {
    let mut agent = agent();
    let request = check(&server(), "serv:clie", |writer| {
        for kind in [0xC057, 0xC070, 0xC071] {
            writer.attribute(kind, &[0; 216]);
        }
    });
    assert_eq!(agent.handle_stun(Instant::now(), path(1), &request), StunOutcome::Verified { new_path: true });
}

#[test]
fn a_lite_agent_is_always_controlled() {
    let mut agent = agent();
    let request = server().write(Class::Request, TransactionId([2; 12]), |writer| {
        writer.username("serv:clie").ice_controlled(u64::MAX);
    });
    agent.handle_stun(Instant::now(), path(1), &request.unwrap());
    let [(_, answer)] = answers(&mut agent).try_into().unwrap();
    assert_eq!(Message::parse(&answer).unwrap().class(), Class::Success);
}

#[test]
fn our_own_check_is_repeated_until_it_is_answered() {
    let (mut agent, mut now) = (agent(), Instant::now());
    agent.set_remote(now, "clie".to_owned(), "the client's");
    agent.handle_stun(now, path(1), &check(&server(), "serv:clie", |_| ()));
    let own = |message: &(Path, Vec<u8>)| Message::parse(&message.1).unwrap().class() == Class::Request;
    let [ours] = answers(&mut agent).into_iter().filter(own).collect::<Vec<_>>().try_into().unwrap();
    let request = Message::parse(&ours.1).unwrap();
    let client = Credentials::new("clie".to_owned(), "the client's");
    assert_eq!((request.username(), request.ice_controlled().is_some()), (Some("clie:serv"), true));
    assert!(client.verify(&request));
    for pause in [50, 100, 200] {
        now += Duration::from_millis(pause);
        assert_eq!(agent.poll_timeout(), Some(now));
        agent.handle_timeout(now);
        // Three times what one check weighed is spent before long.
        agent.note_received(path(1), 100);
        assert_eq!(answers(&mut agent), std::slice::from_ref(&ours));
    }
    let response = client.write(Class::Success, request.transaction_id(), |_| ()).unwrap();
    let elsewhere = agent.handle_stun(now, path(2), &response);
    assert_eq!(elsewhere, StunOutcome::Rejected(StunRejection::UnknownTransaction));
    let forged = server().write(Class::Success, request.transaction_id(), |_| ()).unwrap();
    assert_eq!(agent.handle_stun(now, path(1), &forged), StunOutcome::Rejected(StunRejection::BadIntegrity));
    assert!(!agent.charge(path(1), 10_000));
    assert_eq!(agent.handle_stun(now, path(1), &response), StunOutcome::Verified { new_path: false });
    assert!(agent.charge(path(1), 10_000));
    assert_eq!(agent.poll_timeout(), Some(now + CONSENT));
}

#[test]
fn the_same_description_again_leaves_a_check_good() {
    let (mut agent, now) = (agent(), Instant::now());
    agent.set_remote(now, "clie".to_owned(), "the client's");
    agent.handle_stun(now, path(1), &check(&server(), "serv:clie", |_| ()));
    let (_, ours) = answers(&mut agent).pop().unwrap();
    agent.set_remote(now, "clie".to_owned(), "the client's");
    assert_eq!(answers(&mut agent), []);
    let client = Credentials::new("clie".to_owned(), "the client's");
    let response = client.write(Class::Success, Message::parse(&ours).unwrap().transaction_id(), |_| ()).unwrap();
    assert_eq!(agent.handle_stun(now, path(1), &response), StunOutcome::Verified { new_path: false });
}

#[test]
fn media_leaves_room_for_a_check() {
    let (mut agent, mut now) = (agent(), Instant::now());
    agent.set_remote(now, "clie".to_owned(), "the client's");
    agent.handle_stun(now, path(1), &check(&server(), "serv:clie", |_| ()));
    assert_eq!(answers(&mut agent).len(), 2);
    for _ in 0..3 {
        agent.note_received(path(1), 60);
        while agent.charge_media(path(1), 10) {}
        now = agent.poll_timeout().unwrap();
        agent.handle_timeout(now);
        assert_eq!(answers(&mut agent).len(), 1);
    }
}

#[test]
fn an_unanswered_check_ends_after_some_seconds_and_starts_over_with_the_clients_next() {
    let (mut agent, start) = (agent(), Instant::now());
    agent.set_remote(start, "clie".to_owned(), "the client's");
    agent.handle_stun(start, path(1), &check(&server(), "serv:clie", |_| ()));
    let mut now = start;
    while let Some(next) = agent.poll_timeout().filter(|next| *next < start + CONSENT) {
        now = next;
        agent.handle_timeout(now);
    }
    assert!(now > start + Duration::from_secs(2) && now < start + Duration::from_secs(10));
    answers(&mut agent);
    agent.handle_stun(now, path(1), &check(&server(), "serv:clie", |_| ()));
    assert!(agent.poll_timeout().is_some_and(|next| next < now + Duration::from_secs(1)));
}

#[test]
fn transaction_ids_differ_between_seeds_and_draws() {
    let mut first = Nonces::new(1);
    let mut second = Nonces::new(2);
    let drawn: [[u8; 12]; 4] = [first.draw(), first.draw(), second.draw(), second.draw()];
    for (at, nonce) in drawn.iter().enumerate() {
        assert!(!drawn[..at].contains(nonce));
    }
}

#[test]
fn an_indication_proves_nothing() {
    let mut agent = agent();
    let now = Instant::now();
    agent.handle_stun(now, path(1), &check(&server(), "serv:clie", |_| ()));
    let due = agent.poll_timeout();
    let mut buf = [0; 100];
    let len = Writer::new(&mut buf, Class::Indication, Method::BINDING, TransactionId([3; 12])).finish().unwrap();
    let outcome = agent.handle_stun(now + Duration::from_secs(10), path(1), &buf[..len]);
    assert_eq!(outcome, StunOutcome::Ignored);
    assert_eq!(agent.poll_timeout(), due);
}

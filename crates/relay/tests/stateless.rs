//! What is answered without a password, and what is not answered at all: rows H-01 to H-17 of the list of hostile input.

mod common;

use std::time::Duration;

use common::{Mac, REALM, World, answer_of, client, configuration, message, nonce_of, request, tcp, udp};
use relay::{ClientTransport, Configuration};
use wire::stun::{Class, Message, Method, attribute};

const STRANGER: &str = "10.9.0.1:5000";

/// An Allocate request that asks for UDP.
fn allocate(transaction: u64) -> common::Ask {
    request(Method::ALLOCATE, transaction).transport(17)
}

// ---- silence

#[test]
fn short_odd_and_contradictory_messages_are_dropped_in_silence() {
    let mut world = World::new();
    let good = allocate(1).unsigned();
    let mut messages: Vec<Vec<u8>> = vec![vec![], vec![0], good[..19].to_vec(), vec![0x80; 60], vec![0x20; 60]];
    for (at, value) in [(3, 7), (3, 12), (2, 1), (4, 0), (0, 0x40), (0, 0xc0), (23, 5), (23, 0xff)] {
        let mut bent = good.clone();
        bent[at] = value;
        messages.push(bent);
    }
    messages.push([&good[..], b"junk"].concat());
    let count = messages.len() as u64;
    for message in messages {
        assert_eq!(world.answer(&udp(STRANGER), &message), None, "{message:02x?}");
    }
    assert_eq!(world.dropped(), count);
    assert_eq!(world.out.events, []);
}

#[test]
fn responses_indications_and_unknown_methods_are_dropped_in_silence() {
    let mut world = World::new();
    let methods = [Method::BINDING, Method::ALLOCATE, Method::REFRESH, Method::DATA, Method(0x0ff), Method(0x00a)];
    for class in [Class::Request, Class::Indication, Class::Success, Class::Error] {
        for method in methods {
            if class == Class::Request && method.0 < 5 || class == Class::Indication && method == Method::BINDING {
                continue;
            }
            assert_eq!(world.answer(&udp(STRANGER), &message(class, method, 1).transport(17).unsigned()), None);
        }
    }
    assert_eq!(world.counter("turn.dropped_method"), 20);
}

#[test]
fn a_keepalive_is_no_drop() {
    let mut world = World::new();
    assert_eq!(world.answer(&udp(STRANGER), &message(Class::Indication, Method::BINDING, 1).unsigned()), None);
    assert_eq!((world.counter("turn.keepalives"), world.dropped()), (1, 0));
}

#[test]
fn a_wrong_fingerprint_is_dropped_in_silence() {
    let mut world = World::new();
    for method in [Method::BINDING, Method::ALLOCATE] {
        let mut bytes = request(method, 1).transport(17).fingerprint().unsigned();
        *bytes.last_mut().unwrap() ^= 1;
        assert_eq!(world.answer(&udp(STRANGER), &bytes), None);
    }
    assert_eq!(world.counter("turn.dropped_fingerprint"), 2);
}

#[test]
fn a_fingerprint_that_is_not_last_and_a_shortened_mac_are_dropped_in_silence() {
    let mut world = World::new();
    let nonce = world.nonce(&udp(STRANGER));
    let mut first = allocate(1).attribute(attribute::FINGERPRINT, &[0; 4]).signed(&nonce, Mac::Sha1);
    assert_eq!(world.answer(&udp(STRANGER), &first), None);
    first = allocate(1).write(|writer| _ = writer.attribute(attribute::MESSAGE_INTEGRITY, &[0; 10]));
    assert_eq!(world.answer(&udp(STRANGER), &first), None);
    assert_eq!((world.counter("turn.dropped_malformed"), world.out.events.len()), (2, 0));
}

#[test]
fn a_connection_with_something_else_than_turn_on_it_is_closed() {
    for noise in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x16, 3, 1, 0, 5], &[0x40, 0, 0, 9, 1], &[0x7f, 0xff, 0, 0], &[0; 40]]
    {
        let mut world = World::new();
        let client = tcp(5, STRANGER);
        assert_eq!(world.answer(&client, noise), None);
        assert_eq!(world.out.closed, [client.connection], "{noise:02x?}");
    }
}

#[test]
fn messages_of_60_kilobytes_are_not_looked_into() {
    let mut world = World::new();
    for method in [Method::BINDING, Method::ALLOCATE] {
        let mut large = request(method, 1).transport(17);
        for _ in 0..15_000 {
            large = large.attribute(0xc001, &[]);
        }
        assert_eq!(world.answer(&udp(STRANGER), &large.unsigned()), None);
    }
    assert_eq!(world.counter("turn.dropped_oversize"), 2);
}

// ---- Binding

#[test]
fn binding_tells_the_address_and_nothing_else() {
    let mut world = World::new();
    for (client, len) in [(udp(STRANGER), 32), (udp("[fd00:10::1]:5000"), 44), (tcp(3, "10.8.0.1:1"), 32)] {
        let bytes = world.answer(&client, &request(Method::BINDING, 1).unsigned()).unwrap();
        assert_eq!(bytes.len(), len, "at most 1.6 times the request over IPv4");
        let answer = Message::parse(&bytes).unwrap();
        assert_eq!(answer.xor_mapped_address(), Some(client.remote));
        assert_eq!(answer.attributes().count(), 1);
    }
    assert_eq!(world.counter("turn.bindings"), 3);
    assert_eq!(world.counter("turn.clients"), 0);
}

#[test]
fn an_address_that_came_mapped_is_told_plain() {
    let mut world = World::new();
    let bytes = world.answer(&udp("[::ffff:10.9.0.1]:5000"), &request(Method::BINDING, 1).unsigned()).unwrap();
    assert_eq!(Message::parse(&bytes).unwrap().xor_mapped_address(), Some(common::address(STRANGER)));
}

#[test]
fn answers_have_a_fingerprint_if_the_request_had_one() {
    let mut world = World::new();
    for method in [Method::BINDING, Method::ALLOCATE] {
        for fingerprint in [false, true] {
            let ask = request(method, 1).transport(17);
            let ask = if fingerprint { ask.fingerprint() } else { ask };
            let bytes = world.answer(&udp(STRANGER), &ask.unsigned()).unwrap();
            assert_eq!(Message::parse(&bytes).unwrap().fingerprint_ok(), fingerprint.then_some(true));
        }
    }
}

#[test]
fn what_must_be_understood_and_is_not_gets_420() {
    let mut world = World::new();
    let ask = request(Method::BINDING, 1).attribute(0x7001, b"x").attribute(0xc001, &[]).attribute(0x0003, &[0; 4]);
    let bytes = world.answer(&udp(STRANGER), &ask.unsigned()).unwrap();
    assert_eq!(answer_of(&bytes), (Class::Error, Some(420)));
    let answer = Message::parse(&bytes).unwrap();
    assert_eq!(answer.find(attribute::UNKNOWN_ATTRIBUTES), Some(&[0x70, 1, 0, 3][..]));
}

#[test]
fn three_hundred_optional_attributes_are_no_reason_not_to_answer() {
    let mut world = World::new();
    let mut ask = request(Method::BINDING, 1);
    for _ in 0..300 {
        ask = ask.attribute(0xc001, &[]);
    }
    let bytes = world.answer(&udp(STRANGER), &ask.unsigned()).unwrap();
    assert_eq!(answer_of(&bytes), (Class::Success, None));
}

// ---- 401

#[test]
fn who_shows_no_credentials_is_told_what_to_show() {
    let mut world = World::new();
    for method in [Method::ALLOCATE, Method::REFRESH, Method::CREATE_PERMISSION, Method::CHANNEL_BIND] {
        let bytes = world.answer(&udp(STRANGER), &request(method, 1).transport(17).unsigned()).unwrap();
        assert_eq!(answer_of(&bytes), (Class::Error, Some(401)));
        let answer = Message::parse(&bytes).unwrap();
        assert_eq!(answer.method(), method);
        assert_eq!(answer.realm(), Some(REALM));
        assert!(answer.nonce().unwrap().starts_with(b"obMatJos2wAAA"));
        assert_eq!(answer.find(attribute::PASSWORD_ALGORITHMS), Some(&[0, 2, 0, 0, 0, 1, 0, 0][..]));
        assert_eq!(answer.attributes().count(), 4, "an error code and what is needed to come back");
    }
    assert_eq!(world.counter("turn.challenges"), 4);
}

#[test]
fn the_shortest_requests_get_no_answer_that_would_be_longer() {
    let mut world = World::new();
    let client = udp(STRANGER);
    assert_eq!(world.answer(&client, &request(Method::ALLOCATE, 1).unsigned()), None);
    assert_eq!(
        world.answer(&client, &request(Method::ALLOCATE, 1).attribute(attribute::LIFETIME, &[0; 4]).unsigned()),
        None
    );
    for method in [Method::REFRESH, Method::CREATE_PERMISSION, Method::CHANNEL_BIND] {
        assert_eq!(world.answer(&client, &request(method, 1).unsigned()), None);
        assert_eq!(world.answer(&client, &request(method, 1).fingerprint().unsigned()), None);
    }
    assert_eq!(world.counter("turn.dropped_bare"), 8);
}

#[test]
fn strangers_leave_nothing_behind() {
    let mut world = World::with(Configuration { unauthenticated_per_s: u32::MAX, ..configuration() });
    let before = world.relay.bytes_per_allocation();
    for number in 0..50_000_u32 {
        let [_, b, c, d] = number.to_be_bytes();
        let stranger = udp(&format!("10.{b}.{c}.{d}:5000"));
        for ask in
            [allocate(1).unsigned(), request(Method::BINDING, 1).unsigned(), allocate(1).signed(b"forged", Mac::Sha1)]
        {
            world.receive(&stranger, &ask);
        }
        assert_eq!(world.out.to_client.len(), 3);
        world.out.clear();
    }
    assert_eq!(world.relay.bytes_per_allocation(), before);
    assert_eq!((world.counter("turn.clients"), world.relay.poll_timeout()), (0, None));
}

// ---- limits

#[test]
fn a_network_gets_so_many_answers_a_second_and_others_theirs() {
    let mut world = World::with(Configuration { unauthenticated_per_s: 10, ..configuration() });
    let asks =
        [request(Method::BINDING, 1).unsigned(), allocate(1).unsigned(), allocate(1).signed(b"forged", Mac::Sha1)];
    let flood = |world: &mut World, network: &str| {
        let from = |number: usize| udp(&format!("{network}.{}:5000", number % 250));
        (0..300).filter(|number| world.answer(&from(*number), &asks[number % 3]).is_some()).count()
    };
    assert_eq!(flood(&mut world, "10.1.1"), 10);
    assert_eq!(flood(&mut world, "10.1.2"), 10);
    assert_eq!(world.counter("turn.dropped_limited"), 580);
    world.advance(Duration::from_millis(500));
    assert_eq!(flood(&mut world, "10.1.1"), 5);
}

#[test]
fn who_has_a_connection_is_answered_however_many_there_are_in_its_network() {
    let mut world = World::with(Configuration { unauthenticated_per_s: 1, ..configuration() });
    for number in 0..100 {
        let client = tcp(number, &format!("10.1.1.{number}:5000"));
        assert_eq!(answer_of(&world.answer(&client, &allocate(1).unsigned()).unwrap()).1, Some(401));
        assert!(world.answer(&client, &request(Method::BINDING, 2).unsigned()).is_some());
    }
    let home = tcp(1, "10.1.1.1:5000");
    let nonce = world.nonce(&home);
    for transaction in 100..110 {
        world.receive(&home, &allocate(transaction).signed(&nonce, Mac::Sha1));
    }
    assert_eq!(world.counter("turn.requests"), 1, "guesses are limited");
}

#[test]
fn requests_that_the_driver_refuses_count_and_those_that_it_grants_do_not() {
    let mut world = World::with(Configuration { unauthenticated_per_s: 10, ..configuration() });
    let home = udp(STRANGER);
    for _ in 0..20 {
        let allocation = world.allocate(&home, &[common::RELAYED]);
        world.command(relay::RelayCommand::RemoveAllocation { allocation });
        world.advance(Duration::from_millis(100));
    }
    world.advance(Duration::from_secs(2));
    let nonce = world.nonce(&home);
    for transaction in 100..200 {
        world.receive(&home, &allocate(transaction).signed(&nonce, Mac::Sha1));
        if let Some(request) = world.out.request_if_any() {
            world.command(relay::RelayCommand::Reply(relay::Reply {
                error: Some(401),
                key: None,
                ..common::success(&request)
            }));
        }
    }
    assert_eq!(world.counter("turn.dropped_limited"), 91, "the first nonce was the tenth");
    assert_eq!(world.counter("turn.requests"), 20 + 9);
}

// ---- 438 and 400

#[test]
fn forged_stolen_and_old_nonces_get_438_with_a_fresh_one() {
    let mut world = World::new();
    let home = udp(STRANGER);
    let nonce = world.nonce(&home);
    let forged = [&nonce[..nonce.len() - 1], b"."].concat();
    let elsewhere =
        [udp("10.9.0.1:5001"), udp("10.9.0.2:5000"), tcp(9, STRANGER), client(ClientTransport::Tls, 0, STRANGER)];
    let mut cases = vec![(home, forged), (home, b"".to_vec()), (home, vec![b'x'; 700])];
    cases.extend(elsewhere.map(|client| (client, nonce.clone())));
    for (transaction, (client, nonce)) in (10..).zip(cases) {
        let bytes = world.answer(&client, &allocate(1).signed(&nonce, Mac::Sha1)).unwrap();
        assert_eq!(answer_of(&bytes), (Class::Error, Some(438)), "{client:?}");
        assert_eq!(world.out.events, []);
        world.receive(&client, &allocate(transaction).signed(&nonce_of(&bytes), Mac::Sha1));
        assert!(world.out.request().is_some(), "the fresh nonce is good");
    }
    world.advance(Duration::from_secs(601));
    let bytes = world.answer(&home, &allocate(3).signed(&nonce, Mac::Sha1)).unwrap();
    assert_eq!(answer_of(&bytes), (Class::Error, Some(438)));
    assert_eq!(world.counter("turn.stale_nonces"), 8);
}

#[test]
fn a_signature_without_a_name_a_realm_or_a_nonce_gets_400() {
    let mut world = World::new();
    let home = udp(STRANGER);
    let nonce = world.nonce(&home);
    let parts: [(u16, &[u8]); 3] =
        [(attribute::USERNAME, b"alice"), (attribute::REALM, REALM.as_bytes()), (attribute::NONCE, &nonce)];
    for missing in 0..3 {
        let bytes = allocate(1).write(|writer| {
            for (at, (kind, value)) in parts.iter().enumerate() {
                if at != missing {
                    writer.attribute(*kind, value);
                }
            }
            writer.integrity(|_| [1; 20]);
        });
        let answer = world.answer(&home, &bytes).unwrap();
        assert_eq!(answer_of(&answer), (Class::Error, Some(400)));
        assert_eq!(Message::parse(&answer).unwrap().attributes().count(), 1, "nothing to come back with");
    }
    for name in [&[b'a'; 509][..], &[0xff, 0xfe]] {
        let bytes = allocate(1).write(|writer| {
            writer.attribute(attribute::USERNAME, name).attribute(attribute::REALM, REALM.as_bytes());
            writer.attribute(attribute::NONCE, &nonce).integrity(|_| [1; 20]);
        });
        assert_eq!(answer_of(&world.answer(&home, &bytes).unwrap()), (Class::Error, Some(400)));
    }
    assert_eq!(world.counter("turn.bad_requests"), 5);
    assert_eq!(world.out.events, []);
}

#[test]
fn an_offer_that_was_changed_on_the_way_gets_400() {
    let mut world = World::new();
    let home = udp(STRANGER);
    let nonce = world.nonce(&home);
    let cases: [[Option<&[u8]>; 2]; 9] = [
        [Some(OFFER), None],
        [None, Some(&[0, 2, 0, 0])],
        [Some(&[0, 1, 0, 0]), Some(&[0, 1, 0, 0])],
        [Some(&[0, 1, 0, 0, 0, 2, 0, 0]), Some(&[0, 1, 0, 0])],
        [Some(&[]), Some(&[0, 1, 0, 0])],
        [Some(OFFER), Some(&[0, 3, 0, 0])],
        [Some(OFFER), Some(&[])],
        [Some(OFFER), Some(&[0, 2, 0, 4, 1, 2, 3, 4])],
        [Some(OFFER), Some(&[0, 2])],
    ];
    for [offered, chosen] in cases {
        let mut ask = allocate(1);
        for (kind, value) in [(attribute::PASSWORD_ALGORITHMS, offered), (attribute::PASSWORD_ALGORITHM, chosen)] {
            if let Some(value) = value {
                ask = ask.attribute(kind, value);
            }
        }
        let answer = world.answer(&home, &ask.signed(&nonce, Mac::Sha256)).unwrap();
        assert_eq!(answer_of(&answer), (Class::Error, Some(400)), "{offered:?} {chosen:?}");
    }
    assert_eq!(world.out.events, []);
}

/// PASSWORD-ALGORITHMS of the challenge.
const OFFER: &[u8] = &[0, 2, 0, 0, 0, 1, 0, 0];

//! What the driver gets, once, and what becomes of its answers: rows H-15 to H-25 as far as they are decided here.

mod common;

use std::time::Duration;

use common::{HOME, KEY, Mac, RELAYED, RELAYED_V6, World, address, answer_of, request, success, tcp, udp, verifies};
use relay::{Family, PasswordAlgorithm, RelayCommand, RelayEvent, Reply, Request};
use wire::stun::{Class, Message, Method, attribute};

fn allocate(transaction: u64) -> common::Ask {
    request(Method::ALLOCATE, transaction).transport(17)
}

/// Sends a good request; gives the driver `reply`; what the client gets.
fn replied(world: &mut World, ask: common::Ask, mac: Mac, reply: impl FnOnce(&Request) -> Reply) -> Vec<u8> {
    let home = udp(HOME);
    let nonce = world.nonce(&home);
    world.receive(&home, &ask.signed(&nonce, mac));
    let request = world.out.request().expect("a request");
    world.command(RelayCommand::Reply(reply(&request)));
    world.out.payload_to_client().expect("an answer")
}

// ---- what the driver gets

#[test]
fn a_request_is_handed_over_with_everything_it_asks_for() {
    let mut world = World::new();
    let ask = allocate(1)
        .attribute(attribute::LIFETIME, &777_u32.to_be_bytes())
        .attribute(attribute::REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0])
        .attribute(attribute::ADDITIONAL_ADDRESS_FAMILY, &[0x55, 0, 0, 0])
        .attribute(attribute::EVEN_PORT, &[0x80])
        .attribute(attribute::RESERVATION_TOKEN, b"8 bytes!")
        .attribute(attribute::DONT_FRAGMENT, &[]);
    let request = world.ask(&udp(HOME), ask);
    assert_eq!((request.address, request.method), (udp(HOME), Method::ALLOCATE.0));
    assert_eq!((request.username.as_deref(), request.userhash), (Some("alice"), None));
    assert_eq!((request.realm.as_str(), request.allocation), (common::REALM, None));
    assert_eq!((request.sha256, request.password_algorithm), (false, PasswordAlgorithm::Md5));
    assert!(verifies(false, &request.signed, &request.mac));
    assert_eq!((request.requested_transport, request.lifetime_s), (Some(17), Some(777)));
    assert_eq!((request.requested_family, request.additional_family), (Some(2), Some(0x55)));
    assert_eq!((request.even_port, request.reservation_token), (Some(true), Some(*b"8 bytes!")));
    assert_eq!((request.dont_fragment, request.channel, &request.peers[..]), (true, None, &[][..]));
    assert_eq!((request.malformed, &request.unknown_attributes[..]), (false, &[][..]));
}

#[test]
fn a_userhash_and_sha256_are_handed_over() {
    let mut world = World::new();
    let home = udp(HOME);
    let nonce = world.nonce(&home);
    let ask = allocate(1)
        .userhash()
        .attribute(attribute::PASSWORD_ALGORITHMS, &[0, 2, 0, 0, 0, 1, 0, 0])
        .attribute(attribute::PASSWORD_ALGORITHM, &[0, 2, 0, 0]);
    world.receive(&home, &ask.signed(&nonce, Mac::Sha256));
    let request = world.out.request().unwrap();
    assert_eq!((request.username, request.userhash), (None, Some([0x5a; 32])));
    assert_eq!((request.sha256, request.password_algorithm), (true, PasswordAlgorithm::Sha256));
    assert!(verifies(true, &request.signed, &request.mac));
}

#[test]
fn of_two_signatures_sha256_counts() {
    let mut world = World::new();
    let home = udp(HOME);
    let nonce = world.nonce(&home);
    world.receive(&home, &allocate(1).signed(&nonce, Mac::Both));
    let request = world.out.request().unwrap();
    assert!(request.sha256);
    assert!(verifies(true, &request.signed, &request.mac));
}

#[test]
fn a_name_and_a_hash_of_one_are_one_sender_and_the_name_counts() {
    let mut world = World::new();
    let request = world.ask(&udp(HOME), allocate(1).attribute(attribute::USERHASH, &[1; 32]));
    assert_eq!((request.username.as_deref(), request.userhash), (Some("alice"), None));
}

#[test]
fn what_stands_behind_the_signature_does_not_count() {
    let mut world = World::new();
    world.allocate(&udp(HOME), &[RELAYED]);
    let ask = request(Method::REFRESH, 50)
        .behind(attribute::LIFETIME, &[0; 4])
        .behind(attribute::XOR_PEER_ADDRESS, &[0, 1, 0, 0, 1, 2, 3, 4])
        .behind(0x7001, &[]);
    let request = world.ask(&udp(HOME), ask);
    assert_eq!((request.lifetime_s, &request.peers[..], &request.unknown_attributes[..]), (None, &[][..], &[][..]));
    assert!(verifies(false, &request.signed, &request.mac));
}

#[test]
fn of_attributes_that_come_twice_the_first_counts_and_peers_all_count() {
    let mut world = World::new();
    let ask = request(Method::CREATE_PERMISSION, 1)
        .attribute(attribute::LIFETIME, &1_u32.to_be_bytes())
        .attribute(attribute::LIFETIME, &2_u32.to_be_bytes())
        .peer("10.0.0.1:1")
        .peer("10.0.0.2:2")
        .peer("10.0.0.1:1");
    let request = world.ask(&udp(HOME), ask);
    assert_eq!(request.lifetime_s, Some(1));
    let peers: Vec<_> = request.peers.iter().map(|(peer, _)| peer.to_string()).collect();
    assert_eq!(peers, ["10.0.0.1:1", "10.0.0.2:2", "10.0.0.1:1"]);
    let ask = common::request(Method::CHANNEL_BIND, 2).peer("10.0.0.1:1").peer("10.0.0.2:2");
    assert_eq!(world.ask(&udp(HOME), ask).peers, [(address("10.0.0.1:1"), true)]);
}

#[test]
fn values_of_another_length_are_malformed() {
    let mut world = World::new();
    let kinds = [
        (attribute::REQUESTED_TRANSPORT, 4),
        (attribute::LIFETIME, 4),
        (attribute::REQUESTED_ADDRESS_FAMILY, 4),
        (attribute::ADDITIONAL_ADDRESS_FAMILY, 4),
        (attribute::EVEN_PORT, 1),
        (attribute::RESERVATION_TOKEN, 8),
        (attribute::DONT_FRAGMENT, 0),
        (attribute::CHANNEL_NUMBER, 4),
        (attribute::XOR_PEER_ADDRESS, 8),
    ];
    let mut transaction = 0;
    for (kind, right) in kinds {
        for len in [0, 1, 3, 4, 5, 8, 20] {
            transaction += 1;
            let mut value = vec![0; len];
            if let Some(family) = value.get_mut(1) {
                *family = 1;
            }
            let ask = request(Method::CHANNEL_BIND, transaction).attribute(kind, &value);
            let request = world.ask(&udp(HOME), ask);
            assert_eq!(request.malformed, len != right, "{kind:04x} of {len}");
            world.command(RelayCommand::Reply(Reply { error: Some(401), key: None, ..success(&request) }));
        }
    }
}

#[test]
fn more_peers_than_any_honest_client_names_are_malformed() {
    let mut world = World::new();
    for (count, malformed) in [(100, false), (101, true), (160, true)] {
        let mut ask = request(Method::CREATE_PERMISSION, count);
        for number in 0..count {
            ask = ask.peer(&format!("10.0.1.{number}:9"));
        }
        let request = world.ask(&udp(HOME), ask);
        assert_eq!(request.malformed, malformed);
        assert_eq!(request.peers.len(), if malformed { 0 } else { 100 });
    }
}

#[test]
fn unknown_attributes_are_listed_and_the_list_is_bounded() {
    let mut world = World::new();
    let mut ask = allocate(1);
    for kind in 0x7000..0x7100 {
        ask = ask.attribute(kind, &[]);
    }
    let unknown = world.ask(&udp(HOME), ask).unknown_attributes;
    assert_eq!(unknown, (0x7000..0x7010).collect::<Vec<u16>>());
}

#[test]
fn every_peer_is_judged() {
    let mut world = World::new();
    // Address, whether it may have a permission, whether a channel.
    let cases = [
        ("10.0.0.9:4000", true, true),
        ("[::ffff:10.0.0.9]:4000", true, true),
        ("192.168.0.1:7882", true, true),
        ("192.168.0.1:7884", true, false),
        ("192.168.0.1:50001", false, false),
        ("10.0.0.1:443", false, false),
        ("10.0.0.1:444", true, true),
        ("10.0.0.2:0", true, false),
        ("127.0.0.1:80", false, false),
        ("[::1]:80", false, false),
        ("[::ffff:127.0.0.1]:80", false, false),
        ("169.254.169.254:80", false, false),
        ("192.168.0.2:80", false, false),
        ("8.8.8.8:53", false, false),
        ("[fd00:10::5]:5", true, true),
        ("[fd00::1]:7882", true, true),
        ("[fd00::1]:80", true, false),
        ("[fd00::2]:80", false, false),
    ];
    for (number, (peer, permission, channel)) in cases.into_iter().enumerate() {
        for (method, want) in [(Method::CREATE_PERMISSION, permission), (Method::CHANNEL_BIND, channel)] {
            let ask = request(method, 2 * number as u64 + u64::from(method == Method::CHANNEL_BIND)).peer(peer);
            let request = world.ask(&udp(HOME), ask);
            let plain = std::net::SocketAddr::new(address(peer).ip().to_canonical(), address(peer).port());
            assert_eq!(request.peers, [(plain, want)], "{method:?}");
            world.command(RelayCommand::Reply(Reply { error: Some(401), key: None, ..success(&request) }));
        }
    }
}

// ---- answers

#[test]
fn a_granted_allocation_is_told_with_all_its_addresses_and_signed_as_it_was_asked_for() {
    for mac in [Mac::Sha1, Mac::Sha256] {
        let mut world = World::new();
        let bytes = replied(&mut world, allocate(1).fingerprint(), mac, |request| Reply {
            lifetime_s: Some(600),
            relayed: vec![address(RELAYED), address(RELAYED_V6)],
            reservation_token: Some(b"12345678".to_vec()),
            ..success(request)
        });
        assert_eq!(answer_of(&bytes), (Class::Success, None));
        let answer = Message::parse(&bytes).unwrap();
        let relayed: Vec<_> = answer.xor_addresses(attribute::XOR_RELAYED_ADDRESS).map(Result::unwrap).collect();
        assert_eq!(relayed, [address(RELAYED), address(RELAYED_V6)]);
        assert_eq!(answer.xor_mapped_address(), Some(address(HOME)));
        assert_eq!(answer.find(attribute::LIFETIME), Some(&600_u32.to_be_bytes()[..]));
        assert_eq!(answer.find(attribute::RESERVATION_TOKEN), Some(&b"12345678"[..]));
        assert_eq!(answer.fingerprint_ok(), Some(true));
        let sha256 = mac == Mac::Sha256;
        let input = if sha256 { answer.integrity_sha256_input() } else { answer.integrity_input() }.unwrap();
        assert!(verifies(sha256, &[&input.header[..], input.attributes].concat(), input.mac));
        assert_eq!(answer.integrity_input().is_some(), !sha256);
    }
}

#[test]
fn a_family_that_could_not_be_had_is_told_beside_the_other() {
    let mut world = World::new();
    let bytes = replied(&mut world, allocate(1), Mac::Sha1, |request| Reply {
        relayed: vec![address(RELAYED)],
        address_error: Some((Family::V6, 440)),
        ..success(request)
    });
    assert_eq!(Message::parse(&bytes).unwrap().find(attribute::ADDRESS_ERROR_CODE), Some(&[2, 0, 4, 40][..]));
}

#[test]
fn refusals_of_known_senders_are_signed_and_have_no_nonce() {
    for code in [300, 400, 403, 437, 441, 442, 443, 486, 508, 699] {
        let mut world = World::new();
        let bytes =
            replied(&mut world, allocate(1), Mac::Sha256, |request| Reply { error: Some(code), ..success(request) });
        assert_eq!(answer_of(&bytes), (Class::Error, Some(code)));
        let answer = Message::parse(&bytes).unwrap();
        assert!(answer.integrity_sha256_input().is_some());
        assert_eq!(answer.attributes().count(), 1);
    }
}

#[test]
fn a_code_that_does_not_exist_is_told_as_500() {
    for code in [0, 299, 700, u16::MAX] {
        let mut world = World::new();
        let bytes =
            replied(&mut world, allocate(1), Mac::Sha1, |request| Reply { error: Some(code), ..success(request) });
        assert_eq!(answer_of(&bytes), (Class::Error, Some(500)));
    }
}

#[test]
fn unknown_attributes_are_told_with_420() {
    let mut world = World::new();
    let bytes = replied(&mut world, allocate(1).attribute(0x7001, &[]), Mac::Sha1, |request| Reply {
        error: Some(420),
        unknown_attributes: request.unknown_attributes.clone(),
        ..success(request)
    });
    assert_eq!(answer_of(&bytes), (Class::Error, Some(420)));
    assert_eq!(Message::parse(&bytes).unwrap().find(attribute::UNKNOWN_ATTRIBUTES), Some(&[0x70, 1][..]));
}

#[test]
fn a_refusal_for_credentials_looks_like_the_first_challenge() {
    for code in [401, 438] {
        let mut world = World::new();
        let bytes = replied(&mut world, allocate(1), Mac::Sha1, |request| Reply {
            error: Some(code),
            key: None,
            ..success(request)
        });
        assert_eq!(answer_of(&bytes), (Class::Error, Some(code)));
        let answer = Message::parse(&bytes).unwrap();
        assert_eq!(answer.realm(), Some(common::REALM));
        assert!(answer.nonce().is_some() && answer.find(attribute::PASSWORD_ALGORITHMS).is_some());
        assert!(answer.integrity_input().is_none());
        world.receive(&udp(HOME), &allocate(2).signed(answer.nonce().unwrap(), Mac::Sha1));
        assert!(world.out.request().is_some());
    }
}

#[test]
fn an_answer_longer_than_any_is_not_sent() {
    let mut world = World::new();
    let home = udp(HOME);
    let request = world.ask(&home, allocate(1));
    world.command(RelayCommand::Reply(Reply { reservation_token: Some(vec![0; 5_000]), ..success(&request) }));
    assert_eq!(world.out.payload_to_client(), None);
}

// ---- once

#[test]
fn a_request_that_is_sent_again_is_asked_once_and_answered_alike() {
    let mut world = World::new();
    let home = udp(HOME);
    let nonce = world.nonce(&home);
    let bytes = allocate(1).signed(&nonce, Mac::Sha1);
    world.receive(&home, &bytes);
    let request = world.out.request().unwrap();
    for _ in 0..3 {
        assert_eq!(world.answer(&home, &bytes), None, "the driver thinks");
    }
    assert_eq!(world.out.events, []);
    world.command(RelayCommand::Reply(Reply { lifetime_s: Some(600), ..success(&request) }));
    let answer = world.out.payload_to_client().unwrap();
    for _ in 0..3 {
        world.advance(Duration::from_secs(13));
        assert_eq!(world.answer(&home, &bytes).as_ref(), Some(&answer));
    }
    assert_eq!(world.out.events, []);
    assert_eq!(world.counter("turn.retransmissions"), 6);
    world.advance(Duration::from_secs(2));
    world.receive(&home, &bytes);
    assert!(world.out.request().is_some(), "40 s later nobody remembers");
}

#[test]
fn an_answer_is_told_once_whatever_the_driver_says_later() {
    let mut world = World::new();
    let request = world.ask(&udp(HOME), allocate(1));
    world.command(RelayCommand::Reply(success(&request)));
    world.out.clear();
    world.command(RelayCommand::Reply(Reply { error: Some(400), ..success(&request) }));
    assert_eq!(world.out.payload_to_client(), None);
}

#[test]
fn the_same_transaction_of_another_client_is_another_request() {
    let mut world = World::new();
    let first = world.ask(&udp(HOME), allocate(1));
    let second = world.ask(&udp("10.9.0.1:5001"), allocate(1));
    assert_ne!((first.request, first.client), (second.request, second.client));
}

#[test]
fn the_end_of_an_allocation_is_told_again_after_it() {
    let mut world = World::new();
    let home = udp(HOME);
    let allocation = world.allocate(&home, &[RELAYED]);
    let nonce = world.nonce(&home);
    let bytes = request(Method::REFRESH, 50).attribute(attribute::LIFETIME, &[0; 4]).signed(&nonce, Mac::Sha1);
    world.receive(&home, &bytes);
    let request = world.out.request().unwrap();
    assert_eq!(request.allocation, Some(allocation));
    world.command(RelayCommand::RemoveAllocation { allocation });
    world.command(RelayCommand::Reply(Reply { lifetime_s: Some(0), ..success(&request) }));
    let answer = world.out.payload_to_client().unwrap();
    assert_eq!(world.answer(&home, &bytes), Some(answer));
    assert_eq!(world.counter("turn.allocations"), 0);
    world.advance(Duration::from_secs(41));
    assert_eq!((world.counter("turn.clients"), world.counter("turn.remembered_bytes")), (0, 0));
    assert_eq!(world.relay.poll_timeout(), None);
}

#[test]
fn a_client_keeps_its_id_and_nobody_else_gets_it() {
    let mut world = World::new();
    let home = udp(HOME);
    let first = world.ask(&home, allocate(1));
    let second = world.ask(&home, allocate(2));
    assert_eq!(first.client, second.client);
    for request in [first.clone(), second] {
        world.command(RelayCommand::Reply(Reply { error: Some(401), key: None, ..success(&request) }));
    }
    assert_eq!(world.counter("turn.clients"), 0, "nothing is left of who had no credentials");
    let third = world.ask(&home, allocate(3));
    assert_ne!(first.client, third.client);
}

#[test]
fn what_waits_and_what_is_remembered_of_one_client_is_bounded() {
    let mut world = World::new();
    let home = udp(HOME);
    let nonce = world.nonce(&home);
    let asks: Vec<Vec<u8>> = (0..60).map(|number| allocate(number).signed(&nonce, Mac::Sha1)).collect();
    for ask in &asks {
        world.receive(&home, ask);
    }
    assert_eq!(world.out.events.len(), 32);
    assert_eq!(world.counter("turn.dropped_overloaded"), 28);
    let events = std::mem::take(&mut world.out.events);
    for event in events {
        let RelayEvent::Request(request) = event else { panic!("{event:?}") };
        world.command(RelayCommand::Reply(success(&request)));
    }
    world.out.clear();
    let remembered = asks[..32].iter().filter(|ask| world.answer(&home, ask).is_some()).count();
    assert_eq!(remembered, 8);
}

#[test]
fn what_waits_in_all_is_bounded_and_given_up_in_time() {
    let mut world = World::with(relay::Configuration { unauthenticated_per_s: u32::MAX, ..common::configuration() });
    for number in 0..5_000_u32 {
        let client = udp(&format!("10.9.{}.{}:5000", number / 250, number % 250));
        let nonce = world.nonce(&client);
        world.receive(&client, &allocate(1).signed(&nonce, Mac::Sha1));
    }
    assert_eq!((world.out.events.len(), world.counter("turn.requests_waiting")), (4096, 4096));
    assert_eq!(world.counter("turn.dropped_overloaded"), 904);
    world.advance(Duration::from_secs(41));
    assert_eq!((world.counter("turn.requests_waiting"), world.counter("turn.unanswered")), (0, 4096));
    assert_eq!((world.counter("turn.clients"), world.relay.poll_timeout()), (0, None));
}

#[test]
fn an_allocation_for_a_client_that_was_given_up_is_told_to_be_nobodys() {
    let mut world = World::new();
    let request = world.ask(&udp(HOME), allocate(1));
    world.advance(Duration::from_secs(41));
    world.command(RelayCommand::InstallAllocation(relay::InstallAllocation {
        allocation: relay::AllocationId(1),
        client: request.client,
        relayed: vec![address(RELAYED)],
        limits: common::LIMITS,
        dont_fragment: false,
    }));
    assert_eq!(world.out.events, [RelayEvent::ClientGone { client: request.client }]);
    assert_eq!(world.counter("turn.allocations"), 0);
}

#[test]
fn answers_that_are_remembered_take_four_mebibytes_at_most() {
    let mut world = World::with(relay::Configuration { unauthenticated_per_s: u32::MAX, ..common::configuration() });
    for number in 0..40_000_u32 {
        let client = udp(&format!("10.{}.{}.{}:5000", number >> 16, (number >> 8) & 255, number & 255));
        let request = world.ask(&client, allocate(1));
        world.command(RelayCommand::Reply(Reply { error: Some(486), ..success(&request) }));
        world.out.clear();
        assert!(world.counter("turn.remembered_bytes") <= 4 << 20);
    }
    assert!(world.counter("turn.clients") > 10_000);
    world.advance(Duration::from_secs(41));
    assert_eq!((world.counter("turn.clients"), world.counter("turn.remembered_bytes")), (0, 0));
}

#[test]
fn a_client_with_an_allocation_may_ask_300_times_a_second() {
    let mut world = World::new();
    let home = udp(HOME);
    world.allocate(&home, &[RELAYED]);
    let nonce = world.nonce(&home);
    for number in 0..1_000 {
        world.receive(&home, &request(Method::REFRESH, 1_000 + number).signed(&nonce, Mac::Sha1));
        if let Some(request) = world.out.request_if_any() {
            world.command(RelayCommand::Reply(success(&request)));
        }
    }
    assert_eq!((world.counter("turn.requests"), world.counter("turn.dropped_rate_requests")), (301, 700));
}

// ---- connections

#[test]
fn a_connection_that_ends_takes_everything_with_it_and_the_driver_is_told() {
    let mut world = World::new();
    let client = tcp(7, HOME);
    let allocation = world.allocate(&client, &[RELAYED]);
    assert_eq!(world.out.kept, [client.connection]);
    assert_eq!(world.permit(allocation, "10.0.0.9"), None);
    assert_eq!(world.permit(allocation, "192.168.0.1"), None);
    let waiting = world.ask(&client, request(Method::REFRESH, 60));
    world.relay.handle_connection_closed(world.now, client.connection, &mut world.out);
    assert_eq!(world.out.events, [RelayEvent::ClientGone { client: waiting.client }]);
    assert!(world.out.sockets.is_empty() && world.out.routes.is_empty());
    for gauge in ["allocations", "clients", "permissions", "sockets", "requests_waiting", "remembered_bytes"] {
        assert_eq!(world.counter(&format!("turn.{gauge}")), 0, "{gauge}");
    }
    world.out.clear();
    world.command(RelayCommand::Reply(success(&waiting)));
    world.command(RelayCommand::RemoveAllocation { allocation });
    world.relay.handle_connection_closed(world.now, client.connection, &mut world.out);
    assert_eq!((world.out.events.len(), world.out.to_client.len()), (0, 0));
}

#[test]
fn a_connection_that_nobody_knows_ends_without_a_word() {
    let mut world = World::new();
    world.relay.handle_connection_closed(world.now, relay::ConnectionId(9), &mut world.out);
    assert_eq!(world.out.events, []);
}

#[test]
fn a_key_of_any_length_signs() {
    assert_eq!(KEY.len(), 16);
    let mut world = World::new();
    let request = world.ask(&udp(HOME), allocate(1));
    world.command(RelayCommand::Reply(Reply { key: Some(Vec::new()), ..success(&request) }));
    assert!(world.out.payload_to_client().is_some());
}

//! Handshakes with an OpenSSL client over a link with 20 ms of round trip in virtual time.

use std::time::{Duration, Instant};

use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{SslContext, SslMethod};

use super::Certificate;
use super::certificate::{context, parse_fingerprint, self_signed};
use super::endpoint::{DtlsEvent, Endpoint, Role};
use super::record::{HANDSHAKE, records};
use crate::srtp::{KeyingMaterial, Profile, SrtpInbound, SrtpOutbound};
use crate::transport::CloseReason;

/// What a link does to the n-th datagram of one side: how many milliseconds after its arrival time it comes, how often.
type Fault = fn(from: Role, nth: usize) -> &'static [u64];

const CLEAN: Fault = |_, _| &[0];

struct Pair {
    start: Instant,
    now: Instant,
    server: Endpoint,
    client: Endpoint,
    in_flight: Vec<(Instant, Role, Vec<u8>)>,
    sent: [usize; 2],
    sizes: Vec<usize>,
    fault: Fault,
    rewrite: fn(Vec<u8>) -> Vec<Vec<u8>>,
    server_end: Outcome,
    client_end: Outcome,
}

#[derive(Default)]
struct Outcome {
    keys: Option<KeyingMaterial>,
    connected_at: Option<Instant>,
    closed: Option<CloseReason>,
    data: Vec<Vec<u8>>,
}

struct Identity {
    context: SslContext,
    digest: [u8; 32],
}

fn identity(key: &PKey<Private>) -> Identity {
    let certificate = self_signed(key).unwrap();
    let digest = certificate.digest(MessageDigest::sha256()).unwrap();
    Identity {
        context: context(SslMethod::dtls_client(), Some((&certificate, key))).unwrap(),
        digest: digest.as_ref().try_into().unwrap(),
    }
}

fn ecdsa() -> Identity {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    identity(&PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap())
}

fn rsa() -> Identity {
    identity(&PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap())
}

impl Pair {
    fn new(client: &Identity) -> Self {
        Self::with(client, client.digest, &Profile::ALL, &Profile::ALL)
    }

    fn with(client: &Identity, expected: [u8; 32], server_profiles: &[Profile], client_profiles: &[Profile]) -> Self {
        let now = Instant::now();
        let certificate = Certificate::generate().unwrap();
        let server_digest = parse_fingerprint(certificate.fingerprint()).unwrap();
        Self {
            start: now,
            now,
            server: Endpoint::new(now, Role::Server, certificate.context(), server_profiles, expected).unwrap(),
            client: Endpoint::new(now, Role::Client, &client.context, client_profiles, server_digest).unwrap(),
            in_flight: Vec::new(),
            sent: [0; 2],
            sizes: Vec::new(),
            fault: CLEAN,
            rewrite: |datagram| vec![datagram],
            server_end: Outcome::default(),
            client_end: Outcome::default(),
        }
    }

    fn run(&mut self, for_ms: u64) {
        let end = self.now + Duration::from_millis(for_ms);
        while self.now < end {
            self.collect();
            let due = self.in_flight.iter().map(|(at, ..)| *at);
            let timers = [self.server.poll_timeout(), self.client.poll_timeout()];
            let Some(next) = due.chain(timers.into_iter().flatten()).min() else { break };
            self.now = next.max(self.now).min(end);
            self.deliver();
            self.server.handle_timeout(self.now);
            self.client.handle_timeout(self.now);
        }
        self.collect();
    }

    fn collect(&mut self) {
        for role in [Role::Server, Role::Client] {
            let (endpoint, outcome) = match role {
                Role::Server => (&mut self.server, &mut self.server_end),
                Role::Client => (&mut self.client, &mut self.client_end),
            };
            while let Some(event) = endpoint.poll_event() {
                match event {
                    DtlsEvent::Connected(keys) => {
                        outcome.keys = Some(keys);
                        outcome.connected_at = Some(self.now);
                    }
                    DtlsEvent::Data(packet) => outcome.data.push(packet),
                    DtlsEvent::Closed(reason) => outcome.closed = Some(reason),
                }
            }
            while let Some(datagram) = endpoint.poll_datagram() {
                for datagram in (self.rewrite)(datagram) {
                    let nth = &mut self.sent[role as usize];
                    self.sizes.push(datagram.len());
                    for delay in (self.fault)(role, *nth) {
                        let at = self.now + Duration::from_millis(ONE_WAY + delay);
                        self.in_flight.push((at, role, datagram.clone()));
                    }
                    *nth += 1;
                }
            }
        }
    }

    fn deliver(&mut self) {
        self.in_flight.sort_by_key(|(at, ..)| *at);
        while self.in_flight.first().is_some_and(|(at, ..)| *at <= self.now) {
            let (_, from, datagram) = self.in_flight.remove(0);
            match from {
                Role::Server => self.client.handle_datagram(self.now, &datagram),
                Role::Client => self.server.handle_datagram(self.now, &datagram),
            };
        }
    }

    fn profile(&self) -> Option<Profile> {
        let (server, client) = (self.server_end.keys.as_ref()?, self.client_end.keys.as_ref()?);
        assert_eq!(server.profile(), client.profile());
        Some(server.profile())
    }

    /// Milliseconds until both sides were connected.
    fn took(&self) -> u128 {
        let both = self.server_end.connected_at.max(self.client_end.connected_at);
        assert!(self.profile().is_some(), "not connected: {:?} {:?}", self.server_end.closed, self.client_end.closed);
        both.unwrap().duration_since(self.start).as_millis()
    }
}

#[test]
fn ecdsa_and_rsa_clients_connect_in_two_round_trips() {
    for client in [ecdsa(), rsa()] {
        let mut pair = Pair::new(&client);
        pair.run(1_000);
        assert_eq!(pair.took(), 40);
        assert!(pair.sizes.iter().all(|size| *size <= 1_200), "{:?}", pair.sizes);
    }
}

#[test]
fn the_servers_profile_order_wins() {
    let client = ecdsa();
    let [first, second, third] = Profile::ALL;
    let orders = [
        [first, second, third],
        [first, third, second],
        [second, first, third],
        [second, third, first],
        [third, first, second],
        [third, second, first],
    ];
    for server in orders {
        for offered in orders {
            let mut pair = Pair::with(&client, client.digest, &server, &offered);
            pair.run(1_000);
            assert_eq!(pair.profile(), Some(server[0]), "client offered {offered:?}");
        }
    }
}

#[test]
fn the_best_common_profile_is_taken_and_none_is_a_failure() {
    let client = ecdsa();
    for only in Profile::ALL {
        let mut pair = Pair::with(&client, client.digest, &Profile::ALL, &[only]);
        pair.run(1_000);
        assert_eq!(pair.profile(), Some(only));
    }
    let mut pair = Pair::with(&client, client.digest, &[Profile::AeadAes128Gcm], &[Profile::Aes128CmSha1_80]);
    pair.run(1_000);
    assert_eq!(pair.server_end.closed, Some(CloseReason::DtlsFailed));
    assert!(pair.server_end.keys.is_none());
}

#[test]
fn both_sides_derive_the_same_keys() {
    let mut pair = Pair::new(&ecdsa());
    pair.run(1_000);
    let (server, client) = (pair.server_end.keys.unwrap(), pair.client_end.keys.unwrap());
    let mut packet = [0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 1, 2, 3].to_vec();
    packet.resize(15 + 16, 0);
    assert_eq!(SrtpOutbound::to_server(&client).unwrap().protect_rtp(&mut packet, 12, 3, 9, 1), 31);
    assert_eq!(SrtpInbound::from_client(&server).unwrap().unprotect_rtp(&mut packet, 12, 9, 1), Ok((1, 15)));
}

#[test]
fn a_client_with_another_certificate_is_refused() {
    let mut pair = Pair::with(&ecdsa(), [7; 32], &Profile::ALL, &Profile::ALL);
    pair.run(1_000);
    assert_eq!(pair.server_end.closed, Some(CloseReason::FingerprintMismatch));
    assert!(pair.server_end.keys.is_none());
    assert_eq!(pair.client_end.closed, Some(CloseReason::DtlsFailed), "the client is told by an alert");
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let nobody = Identity { context: context(SslMethod::dtls_client(), None).unwrap(), digest: [0; 32] };
    let mut pair = Pair::new(&nobody);
    pair.run(1_000);
    assert_eq!(pair.server_end.closed, Some(CloseReason::DtlsFailed));
    assert!(pair.server_end.keys.is_none());
}

#[test]
fn the_loss_of_any_flight_costs_at_most_200_ms() {
    let faults: [(&str, Fault); 4] = [
        ("client hello", |from, nth| if from == Role::Client && nth == 0 { &[] } else { &[0] }),
        ("server hello", |from, nth| if from == Role::Server && nth == 0 { &[] } else { &[0] }),
        ("client finished", |from, nth| if from == Role::Client && nth == 1 { &[] } else { &[0] }),
        ("server finished", |from, nth| if from == Role::Server && nth == 1 { &[] } else { &[0] }),
    ];
    for (lost, fault) in faults {
        let mut pair = Pair::new(&ecdsa());
        pair.fault = fault;
        pair.run(5_000);
        assert!(pair.took() <= 40 + 200, "{lost} lost: {} ms", pair.took());
    }
}

#[test]
fn half_of_all_datagrams_lost_still_connects() {
    let mut pair = Pair::new(&ecdsa());
    pair.fault = |_, nth| if nth % 2 == 0 { &[] } else { &[0] };
    pair.run(10_000);
    assert!(pair.took() <= 1_000, "{} ms", pair.took());
}

/// OpenSSL repeats a flight after a second of real time, whatever our clock says.
#[test]
fn a_machine_that_stalls_while_any_flight_is_in_the_air_costs_no_handshake() {
    let faults: [(&str, u128, Fault); 3] = [
        ("nothing lost", 40, CLEAN),
        ("flights torn apart", 44, |_, nth| if nth % 2 == 0 { &[0] } else { &[2] }),
        ("a third lost", 1_000, |_, nth| if nth % 3 == 0 { &[] } else { &[0] }),
    ];
    let mut stalled = Vec::new();
    for client in [ecdsa(), rsa()] {
        for (name, limit, fault) in faults {
            for at in [5, 11, 15, 21, 25, 31, 35, 60, 130, 140, 150] {
                let mut pair = Pair::new(&client);
                pair.rewrite = fragment_hello;
                pair.fault = fault;
                pair.run(at);
                stalled.push((format!("{name}, stalled at {at} ms"), limit, pair));
            }
        }
    }
    std::thread::sleep(Duration::from_millis(1_100));
    for (name, limit, mut pair) in stalled {
        pair.run(5_000);
        assert!(pair.profile().is_some(), "{name}: {:?} {:?}", pair.server_end.closed, pair.client_end.closed);
        assert!(pair.took() <= limit, "{name}: {} ms", pair.took());
    }
}

#[test]
fn repeated_datagrams_change_nothing() {
    let mut pair = Pair::new(&ecdsa());
    pair.fault = |_, _| &[0, 0, 5, 31, 70];
    pair.run(5_000);
    assert_eq!(pair.took(), 40);
    assert!(pair.sent[0] < 12 && pair.sent[1] < 12, "an endless exchange: {:?}", pair.sent);
}

/// Splits a `ClientHello` into two handshake fragments, as Chromium's post-quantum hello comes.
fn fragment_hello(datagram: Vec<u8>) -> Vec<Vec<u8>> {
    let is_hello =
        records(&datagram).next().is_some_and(|record| record.content == HANDSHAKE && record.message_seq() == Some(0));
    if !is_hello || datagram[13] != 1 {
        return vec![datagram];
    }
    let (header, message, body) = (&datagram[..11], &datagram[13..19], &datagram[25..]);
    let cut = body.len() / 2;
    [(0, &body[..cut]), (cut, &body[cut..])]
        .map(|(offset, part)| {
            let mut fragment = header.to_vec();
            // A record number that the client itself will not use.
            fragment[10] = if offset == 0 { 0 } else { 60 };
            fragment.extend_from_slice(&(part.len() as u16 + 12).to_be_bytes());
            fragment.extend_from_slice(message);
            fragment.extend_from_slice(&(offset as u32).to_be_bytes()[1..]);
            fragment.extend_from_slice(&(part.len() as u32).to_be_bytes()[1..]);
            fragment.extend_from_slice(part);
            fragment
        })
        .to_vec()
}

#[test]
fn a_hello_in_two_datagrams_is_put_together() {
    let faults: [(u128, Fault); 4] = [
        (40, CLEAN),
        // Swapped.
        (43, |from, nth| if from == Role::Client && nth == 0 { &[3] } else { &[0] }),
        // One fragment lost: the client repeats both.
        (40 + 100, |from, nth| if from == Role::Client && nth == 0 { &[] } else { &[0] }),
        (40 + 100, |from, nth| if from == Role::Client && nth == 1 { &[] } else { &[0] }),
    ];
    for (expected, fault) in faults {
        let mut pair = Pair::new(&ecdsa());
        pair.rewrite = fragment_hello;
        pair.fault = fault;
        pair.run(5_000);
        assert_eq!(pair.took(), expected);
    }
}

#[test]
fn data_sent_right_after_the_handshake_arrives() {
    let mut pair = Pair::new(&ecdsa());
    pair.run(1_000);
    assert!(pair.client.send(b"to the server") && pair.server.send(b"to the client"));
    pair.run(100);
    assert_eq!(
        (pair.server_end.data, pair.client_end.data),
        (vec![b"to the server".to_vec()], vec![b"to the client".to_vec()])
    );
}

#[test]
fn data_that_overtakes_the_end_of_the_handshake_is_not_lost() {
    let mut pair = Pair::new(&ecdsa());
    // The client's last flight comes late, after data that the client sent once it was connected by its first copy.
    pair.fault = |from, nth| if from == Role::Server && nth == 1 { &[0, 40] } else { &[0] };
    pair.run(41);
    assert!(pair.client.send(b"early"));
    pair.run(200);
    assert_eq!(pair.server_end.data, [b"early"]);
}

#[test]
fn forged_records_of_the_right_epoch_are_dropped() {
    let mut pair = Pair::new(&ecdsa());
    pair.run(1_000);
    assert!(pair.client.send(b"genuine"));
    let genuine = pair.client.poll_datagram().unwrap();
    for at in 13..genuine.len() {
        let mut forged = genuine.clone();
        forged[at] ^= 1;
        assert!(!pair.server.handle_datagram(pair.now, &forged));
    }
    let mut alert = genuine.clone();
    alert[0] = 21;
    assert!(!pair.server.handle_datagram(pair.now, &alert));
    assert!(pair.server.handle_datagram(pair.now, &genuine));
    assert!(!pair.server.handle_datagram(pair.now, &genuine), "a replayed record");
    pair.run(100);
    assert_eq!(pair.server_end.closed, None);
    assert_eq!(pair.server_end.data, [b"genuine"]);
}

#[test]
fn a_failed_handshake_does_not_disturb_another_connection() {
    let mut good = Pair::new(&ecdsa());
    good.run(1_000);
    let mut bad = Pair::with(&ecdsa(), [7; 32], &Profile::ALL, &Profile::ALL);
    bad.run(1_000);
    assert!(good.client.send(b"still here"));
    good.run(100);
    assert_eq!(good.server_end.data, [b"still here"]);
}

#[test]
fn closing_tells_the_other_side() {
    let mut pair = Pair::new(&ecdsa());
    pair.run(1_000);
    pair.client.close();
    pair.run(100);
    assert_eq!(pair.server_end.closed, Some(CloseReason::PeerClosed));
    assert_eq!(pair.client_end.closed, None);
}

#[test]
fn a_handshake_that_never_ends_is_given_up() {
    let mut pair = Pair::new(&ecdsa());
    pair.fault = |from, nth| if from == Role::Client && nth > 0 { &[] } else { &[0] };
    pair.run(60_000);
    assert_eq!(pair.server_end.closed, Some(CloseReason::DtlsFailed));
    assert!(pair.sent[0] < 40, "{}", pair.sent[0]);
}

#[test]
fn truncated_and_random_datagrams_never_end_a_handshake() {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut pair = Pair::new(&ecdsa());
    let hello = pair.client.poll_datagram().unwrap();
    for len in 0..hello.len() {
        assert!(!pair.server.handle_datagram(pair.now, &hello[..len]));
    }
    for _ in 0..2_000 {
        let mut junk: Vec<u8> = (0..next() % 200).map(|_| next() as u8).collect();
        // An alert in the clear can end a handshake: the protocol says so. Everything else is dropped.
        if junk.first().is_some_and(|content| *content == 21) {
            junk[0] = 22;
        }
        pair.server.handle_datagram(pair.now, &junk);
    }
    pair.run(5_000);
    assert!(pair.took() <= 240);
    for _ in 0..2_000 {
        let junk: Vec<u8> = [20, 21, 22, 23][next() as usize % 4..][..1]
            .iter()
            .copied()
            .chain((0..next() % 200).map(|_| next() as u8))
            .collect();
        pair.server.handle_datagram(pair.now, &junk);
    }
    pair.run(100);
    assert_eq!(pair.server_end.closed, None);
}

const ONE_WAY: u64 = 10;

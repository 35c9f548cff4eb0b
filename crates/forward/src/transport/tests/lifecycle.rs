//! From the first check to the end of a transport.

use super::*;
use crate::testing::ClientCertificate;

#[test]
fn a_client_is_connected_after_three_round_trips() {
    for certificate in [ClientCertificate::Ecdsa, ClientCertificate::Rsa] {
        let mut pair = Pair::with(|config| config.certificate = certificate);
        pair.introduce();
        pair.connect();
        pair.run(1_000);
        assert_eq!(pair.connected_after_ms(), Some(50), "{:?}", pair.server_events);
        let connected = TransportEvent::Connected { path: mirror(client_path(1)), profile: Profile::AeadAes128Gcm };
        assert!(pair.server_got(&connected));
        assert!(pair.client.is_connected());
    }
}

#[test]
fn a_hello_before_the_clients_sdp_is_held() {
    let mut pair = Pair::new();
    pair.connect();
    pair.run(300);
    assert!(!pair.server_connected());
    pair.introduce();
    pair.run(100);
    assert!(pair.connected_after_ms().is_some_and(|ms| ms <= 300 + 60), "{:?}", pair.connected_after_ms());
}

#[test]
fn what_is_held_is_bounded() {
    let mut pair = Pair::new();
    pair.connect();
    pair.run(50);
    let queued =
        (0..1_000).filter(|_| pair.server.queue_session_datagram(mirror(client_path(1)), &[22; 1_200])).count();
    assert!(queued <= 16, "{queued}");
    assert!(!pair.server.queue_session_datagram(mirror(client_path(1)), &[22; 9_000]));
}

#[test]
fn dtls_over_an_unknown_path_is_not_held() {
    let mut pair = Pair::new();
    pair.introduce();
    assert!(!pair.server.queue_session_datagram(mirror(client_path(1)), &[22; 100]));
}

#[test]
fn a_wrong_or_missing_certificate_ends_the_transport_before_keys_exist() {
    let mut pair = Pair::new();
    let remote = Remote { fingerprint: format!("sha-256 {}", ["00"; 32].join(":")), ..pair.client.remote() };
    pair.server.set_remote(pair.now, remote).unwrap();
    pair.connect();
    pair.run(1_000);
    assert_eq!(pair.closed(), Some(CloseReason::FingerprintMismatch));
    assert_has_no_keys(&mut pair);

    let mut pair = Pair::with(|config| config.certificate = ClientCertificate::Missing);
    pair.introduce();
    pair.connect();
    pair.run(1_000);
    assert_eq!(pair.closed(), Some(CloseReason::DtlsFailed));
    assert_has_no_keys(&mut pair);
}

fn assert_has_no_keys(pair: &mut Pair) {
    assert!(!pair.server_connected());
    assert!(pair.server.srtp_outbound().is_none());
    assert!(!pair.server.send_data(pair.now, "x", b"y"));
}

#[test]
fn a_third_of_all_datagrams_lost_still_connects() {
    for phase in 0..3 {
        let mut pair = Pair::new();
        pair.deliver = Box::new(move |_, nth, _| nth % 3 != phase);
        pair.introduce();
        pair.connect();
        pair.run(3_000);
        assert!(pair.connected_after_ms().is_some_and(|ms| ms <= 1_000), "{:?}", pair.connected_after_ms());
    }
}

#[test]
fn a_client_that_says_goodbye_closes_the_transport() {
    let mut pair = Pair::connected();
    pair.client.close();
    pair.run(100);
    assert_eq!(pair.closed(), Some(CloseReason::PeerClosed));
    assert!(pair.server.srtp_outbound().is_none());
    assert_eq!(pair.server.poll_timeout(), None);
}

#[test]
fn our_goodbye_reaches_the_client_and_is_not_an_event() {
    let mut pair = Pair::connected();
    pair.server.close(pair.now);
    pair.run(100);
    assert!(pair.client_events.contains(&TransportEvent::Closed(CloseReason::PeerClosed)));
    assert_eq!(pair.closed(), None);
}

#[test]
fn a_silent_client_loses_consent_after_30_s() {
    let mut pair = Pair::connected();
    pair.run(120_000);
    assert_eq!(pair.closed(), None, "checks every 2.5 s keep consent");
    pair.deliver = Box::new(|from, _, _| from == From::Server);
    pair.run(26_000);
    assert_eq!(pair.closed(), None);
    pair.run(5_000);
    assert_eq!(pair.closed(), Some(CloseReason::ConsentExpired));
    assert!(!pair.send_media(1, 100));
}

#[test]
fn a_changed_fingerprint_closes_a_connected_transport() {
    let mut pair = Pair::connected();
    pair.introduce();
    pair.run(100);
    assert_eq!(pair.closed(), None, "the same description again changes nothing");
    let remote = Remote { fingerprint: format!("sha-256 {}", ["5A"; 32].join(":")), ..pair.client.remote() };
    pair.server.set_remote(pair.now, remote).unwrap();
    pair.run(100);
    assert_eq!(pair.closed(), Some(CloseReason::FingerprintMismatch));
}

#[test]
fn a_sha_1_fingerprint_is_refused() {
    let mut pair = Pair::new();
    let remote = Remote { fingerprint: "sha-1 AA:BB".to_owned(), ..pair.client.remote() };
    assert_eq!(pair.server.set_remote(pair.now, remote), Err(Refusal::BadFingerprint));
}

#[test]
fn ice_restart_keeps_the_old_credentials_until_the_new_ones_are_used() {
    let mut pair = Pair::connected();
    pair.server.restart_ice(pair.now, "second".to_owned(), "another password entirely");
    assert_eq!(pair.server.ufrags().collect::<Vec<_>>(), ["second", "server"]);
    pair.run(10_000);
    assert_eq!(pair.closed(), None);
    assert_eq!(pair.server.ufrags().count(), 2, "the client still uses the old ones");
    pair.parameters.ufrag = "second".to_owned();
    pair.parameters.password = "another password entirely".to_owned();
    pair.connect();
    pair.run(1_000);
    assert!(pair.server_got(&TransportEvent::UfragRetired("server".to_owned())));
    assert_eq!(pair.server.ufrags().collect::<Vec<_>>(), ["second"]);
    assert!(pair.send_media(1, 100));
}

#[test]
fn random_datagrams_change_nothing() {
    let mut pair = Pair::connected();
    let mut random = 1_u64;
    for _ in 0..20_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let len = (random >> 33) as usize % 300 + 1;
        let mut junk: Vec<u8> = (0..len).map(|at| (random >> (at % 48)) as u8 ^ (at as u8).wrapping_mul(31)).collect();
        pair.receive(mirror(client_path(1)), &mut junk);
        pair.server.handle_background(pair.now, 8);
    }
    pair.run(1_000);
    assert_eq!(pair.closed(), None);
    assert!(pair.send_media(1, 100));
    pair.run(100);
    assert_eq!(pair.client_rtp.len(), 1);
}

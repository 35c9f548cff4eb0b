use std::io::Write;

use openssl::ssl::{HandshakeError, SslConnector, SslMethod, SslVerifyMode, SslVersion};
use relay::ClientTransport;
use rustls::ProtocolVersion;
use rustls::version::{TLS12, TLS13};

use super::certificates::Authority;
use super::tls_client::{TlsClient, configure, tls_server};
use super::*;

#[test]
fn both_versions_and_every_kind_of_key_work_and_the_chain_is_verified() {
    let authority = Authority::new();
    for certified in [authority.certify_sec1(), authority.certify_pkcs8(), authority.certify_pkcs1(2048)] {
        let (mut server, address) = tls_server(&certified);
        for (version, expected) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
            let mut client = TlsClient::new(address, &authority, &[version], &[]);
            client.shake_hands(&mut server);
            assert_eq!(client.tls.protocol_version(), Some(expected));
            client.meet(&mut server);
        }
    }
}

#[test]
fn clients_by_openssl_work() {
    let authority = Authority::new();
    let (mut server, address) = tls_server(&authority.certify_sec1());
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        let mut builder = SslConnector::builder(SslMethod::tls()).expect("a client");
        builder.set_verify(SslVerifyMode::NONE);
        builder
            .set_min_proto_version(Some(version))
            .and(builder.set_max_proto_version(Some(version)))
            .expect("version");
        builder.set_alpn_protos(b"\x08http/1.1").expect("a protocol");
        let client = Client::new(address);
        let mut step = builder.build().connect("turn.test", client.stream);
        let mut stream = loop {
            match step {
                Ok(stream) => break stream,
                Err(HandshakeError::WouldBlock(waiting)) => {
                    server.turn();
                    step = waiting.handshake();
                }
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(stream.ssl().version2(), Some(version));
        stream.write_all(&stun(16)).expect("room");
        let (from, message) = server.next_message();
        assert_eq!((from.transport, &message), (ClientTransport::Tls, &stun(16)));
        server.send(from.connection, &media(3));
        let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
        server.until(|_| {
            all.extend_from_slice(stream.ssl_read(&mut buffer).map_or(&[], |count| &buffer[..count]));
            (all.len() == 1204).then_some(())
        });
        assert_eq!(numbers(&all), [3]);
    }
}

#[test]
fn a_client_may_ask_for_turn_or_for_anything_else() {
    let authority = Authority::new();
    let (mut server, address) = tls_server(&authority.certify_sec1());
    for offered in [&[&b"h2"[..], b"stun.turn"][..], &[b"h2", b"http/1.1"], &[]] {
        let mut client = TlsClient::new(address, &authority, &[&TLS12, &TLS13], offered);
        let expected = offered.iter().copied().find(|protocol| *protocol == b"stun.turn");
        client.shake_hands(&mut server);
        assert_eq!(client.tls.alpn_protocol(), expected);
        client.meet(&mut server);
    }
}

#[test]
fn a_request_right_behind_the_handshake_is_read_without_anything_more_to_wake_for() {
    let authority = Authority::new();
    let (mut server, address) = tls_server(&authority.certify_sec1());
    for version in [&TLS12, &TLS13] {
        let mut client = TlsClient::new(address, &authority, &[version], &[]);
        // rustls sends this in one write with its last message of the handshake.
        client.tls.writer().write_all(&[stun(4), media(1)].concat()).expect("room");
        let mut hold = Vec::new();
        server.until(|server| {
            client.pump();
            hold.append(&mut server.received);
            (hold.len() == 2).then_some(())
        });
        assert_eq!((&hold[0].1, &hold[1].1), (&stun(4), &media(1)));
    }
}

#[test]
fn a_new_certificate_is_for_new_connections_and_a_bad_one_for_none() {
    let (authority, next) = (Authority::new(), Authority::new());
    let (mut server, address) = tls_server(&authority.certify_sec1());
    let mut before = TlsClient::new(address, &authority, &[&TLS13], &[]);
    before.meet(&mut server);
    configure(&mut server, &next.certify_pkcs8());
    TlsClient::new(address, &next, &[&TLS13], &[]).meet(&mut server);
    before.meet(&mut server);
    let (good, other) = (authority.certify_sec1(), authority.certify_sec1());
    for (chain, key) in [(&good.chain[..], &other.key[..]), (b"no PEM", &good.key), (&good.chain, b"no PEM")] {
        let failed = server.streams.configure(&server.poller, &[any_port(true)], Some((chain, key)), 1_000);
        assert_eq!(failed.len(), 1, "the certificate does not belong to the key, or is none");
    }
    TlsClient::new(address, &next, &[&TLS12], &[]).meet(&mut server);
    before.meet(&mut server);
    assert_eq!(server.streams.configure(&server.poller, &[any_port(true)], None, 1_000).len(), 1);
    assert_eq!(server.streams.addresses(), [], "TLS without a certificate is not listened for");
    before.meet(&mut server);
}

#[test]
fn a_handshake_that_stops_half_way_is_closed_at_the_deadline() {
    let authority = Authority::new();
    let (mut server, address) = tls_server(&authority.certify_sec1());
    let mut silent = server.connect(address);
    let mut hello = Vec::new();
    TlsClient::new(address, &authority, &[&TLS13], &[]).tls.write_tls(&mut hello).expect("a hello");
    let mut half = server.connect(address);
    half.write(&hello[..hello.len() / 2]);
    let mut whole = server.connect(address);
    whole.write(&hello);
    assert_eq!(whole.read_exactly(&mut server, 1)[0], 22);
    server.until(|server| (server.counter("turn.stream_handshakes") == 0).then_some(()));
    server.ahead = Duration::from_secs(9);
    server.turn();
    assert_eq!(server.counter("turn.stream_closed_late"), 0);
    server.ahead = Duration::from_secs(11);
    for client in [&mut silent, &mut half, &mut whole] {
        client.read_to_end(&mut server);
    }
    assert_eq!(server.counter("turn.stream_closed_late"), 3);
}

#[test]
fn what_is_no_tls_or_too_long_for_a_handshake_is_closed() {
    let authority = Authority::new();
    let (mut server, address) = tls_server(&authority.certify_sec1());
    // A hello of 60 kB, in records of 16 kB.
    let record = |first: &[u8]| [&[22, 3, 1, 0x3e, 0x80][..], first, &vec![0; 16_000 - first.len()]].concat();
    let long_hello = [record(&[1, 0, 0xea, 0x60, 3, 3]), record(&[])].concat();
    for (count, bytes) in [b"GET / HTTP/1.1\r\n\r\n", &[0; 100][..], &stun(0), &long_hello].iter().enumerate() {
        let mut client = server.connect(address);
        client.write(bytes);
        client.read_to_end(&mut server);
        assert_eq!(server.counter("turn.stream_closed_tls"), count as u64 + 1, "{:?}", server.counters());
    }
    let mut http = TlsClient::new(address, &authority, &[&TLS13], &[]);
    http.write(b"GET / HTTP/1.1\r\n\r\n");
    http.wait_for_end(&mut server);
    assert_eq!(server.counter("turn.stream_closed_not_turn"), 1);
    assert_eq!(server.received, []);
}

#[test]
fn closing_says_so_within_tls_and_a_client_that_says_so_is_closed() {
    let authority = Authority::new();
    let (mut server, address) = tls_server(&authority.certify_sec1());
    let mut client = TlsClient::new(address, &authority, &[&TLS13], &[]);
    let connection = client.meet(&mut server);
    server.send(connection, &media(9));
    server.streams.close(connection);
    client.wait_for_end(&mut server);
    assert_eq!(numbers(&client.take()), [9]);
    assert!(client.tls.process_new_packets().expect("TLS").peer_has_closed());
    let mut leaves = TlsClient::new(address, &authority, &[&TLS12], &[]);
    let connection = leaves.meet(&mut server);
    server.closed.clear();
    leaves.tls.send_close_notify();
    leaves.wait_for_end(&mut server);
    assert_eq!(server.closed, [connection]);
}

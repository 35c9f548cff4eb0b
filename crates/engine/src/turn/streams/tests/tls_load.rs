use rustls::version::{TLS12, TLS13};

use super::certificates::Authority;
use super::tls_client::{TlsClient, tls_server};
use super::*;

#[test]
fn ten_flows_of_a_thousand_packets_a_second_lose_nothing() {
    let authority = Authority::new();
    let (mut server, address) = tls_server(&authority.certify_sec1());
    let mut flows: Vec<_> = (0..10)
        .map(|flow| {
            let mut client = TlsClient::new(address, &authority, &[if flow % 2 == 0 { &TLS12 } else { &TLS13 }], &[]);
            let connection = client.meet(&mut server);
            (client, connection, Vec::new(), Vec::new())
        })
        .collect();
    for number in 0..1_000 {
        for (client, connection, down, _) in &mut flows {
            server.send(*connection, &media(number));
            client.write(&media(number));
            down.extend(client.take());
        }
        server.turn();
    }
    for (client, connection, down, up) in &mut flows {
        down.extend(client.read_exactly(&mut server, 1_204_000 - down.len()));
        server.until(|server| (server.counter("turn.stream_received") == 10 * 1_001).then_some(()));
        up.extend(
            server.received.iter().filter(|(from, _)| from.connection == *connection).flat_map(|(_, bytes)| bytes),
        );
        assert_eq!(numbers(down), (0..1_000).collect::<Vec<_>>());
        assert_eq!(numbers(up), (0..1_000).collect::<Vec<_>>());
    }
    assert_eq!(server.counter("turn.stream_dropped"), 0);
}

#[test]
fn every_message_is_a_record_of_its_own() {
    let authority = Authority::new();
    let (mut server, address) = tls_server(&authority.certify_sec1());
    let mut client = TlsClient::new(address, &authority, &[&TLS13], &[]);
    let connection = client.meet(&mut server);
    for number in 0..10 {
        server.send(connection, &media(number));
    }
    let len = 5 + 1_204 + 17; // header, content, type and tag
    let bytes = client.socket.read_exactly(&mut server, 10 * len);
    for record in bytes.chunks(len) {
        assert_eq!(usize::from(u16::from_be_bytes([record[3], record[4]])), len - 5);
    }
}

#[test]
fn two_hundred_slow_handshakes_do_not_stop_who_is_connected() {
    let authority = Authority::new();
    let (mut server, address) = tls_server(&authority.certify_pkcs1(4096));
    let mut connected = TlsClient::new(address, &authority, &[&TLS13], &[]);
    let connection = connected.meet(&mut server);
    let mut crowd: Vec<_> = (0..200).map(|_| TlsClient::new(address, &authority, &[&TLS13], &[])).collect();
    for client in &mut crowd {
        client.pump();
    }
    server.until(|server| (server.counter("turn.stream_handshakes") > 100).then_some(()));
    // A signature takes more than a turn's share: there is one of them in a turn at most.
    let mut turns = 0;
    while server.counter("turn.stream_handshakes") > 20 {
        connected.write(&media(turns));
        server.send(connection, &media(turns));
        // 201 sockets may be ready, 16 at a time.
        for _ in 0..14 {
            server.turn();
        }
        connected.pump();
        assert_eq!(server.received.pop().expect("a message").1, media(turns));
        assert_eq!(numbers(&connected.take()), [turns]);
        turns += 1;
    }
    assert!(turns > 3, "{turns}: the crowd was served before the one who was there");
    for client in &mut crowd {
        client.shake_hands(&mut server);
    }
    assert_eq!(server.counter("turn.connections"), 201);
}

#[test]
fn a_slow_reader_over_tls_gets_whole_messages() {
    let authority = Authority::new();
    let (mut server, address) = tls_server(&authority.certify_sec1());
    let mut client = TlsClient::new(address, &authority, &[&TLS13], &[]);
    let connection = client.meet(&mut server);
    let mut sent = 0;
    while server.counter("turn.stream_dropped") < 100 {
        for _ in 0..50 {
            server.send(connection, &media(sent));
            sent += 1;
        }
        server.turn();
        assert!(sent < 100_000, "nothing bounds the queue");
    }
    let arrive = sent as usize - server.counter("turn.stream_dropped") as usize;
    let arrived = numbers(&client.read_exactly(&mut server, arrive * 1204));
    assert!(arrived.len() == arrive && arrived.is_sorted());
}

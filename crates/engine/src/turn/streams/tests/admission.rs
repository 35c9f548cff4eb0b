use relay::ClientTransport;

use super::*;

#[test]
fn a_message_comes_with_its_clients_address_and_the_answer_goes_back() {
    let (mut server, address) = Server::plain();
    let mut client = server.connect(address);
    let messages = [stun(8), media(1), stun(0)];
    for piece in messages.concat().chunks(7) {
        client.write(piece);
        server.turn();
    }
    for expected in messages {
        let (from, message) = server.next_message();
        assert_eq!((from.transport, from.local, from.remote), (ClientTransport::Tcp, address, client.address()));
        assert_ne!(from.connection, ConnectionId(0));
        assert_eq!(message, expected);
        server.send(from.connection, &message);
        assert_eq!(client.read_exactly(&mut server, expected.len()), expected);
    }
}

#[test]
fn an_address_has_no_more_connections_than_it_may_and_gets_places_back() {
    let (mut server, address) = Server::plain();
    server.streams.configure(&server.poller, &[any_port(false)], None, 2);
    let (first, _) = server.meet(address);
    let (_second, _) = server.meet(address);
    assert_eq!(Client::new(address).read_to_end(&mut server), []);
    assert_eq!(server.counter("turn.stream_refused_address"), 1);
    drop(first);
    server.until(|server| (server.counter("turn.connections") == 1).then_some(()));
    server.meet(address);
    assert_eq!(server.counter("turn.stream_refused_address"), 1);
}

#[test]
fn when_all_places_are_taken_the_oldest_that_is_not_authenticated_goes() {
    let (mut server, address) = Server::plain();
    server.streams.max_connections = 3;
    let (_kept, kept) = server.meet(address);
    server.streams.keep(kept);
    let (mut oldest, id) = server.meet(address);
    let (_younger, younger) = server.meet(address);
    let (_newest, newest) = server.meet(address);
    assert_eq!(oldest.read_to_end(&mut server), []);
    assert_eq!((&server.closed[..], server.counter("turn.stream_closed_evicted")), (&[id][..], 1));
    server.streams.keep(younger);
    server.streams.keep(newest);
    assert_eq!(Client::new(address).read_to_end(&mut server), []);
    assert_eq!((server.counter("turn.stream_refused_total"), server.counter("turn.connections")), (1, 3));
}

#[test]
fn who_is_not_authenticated_within_ten_seconds_is_closed() {
    let (mut server, address) = Server::plain();
    let (mut silent, silent_id) = server.meet(address);
    let (_kept, kept_id) = server.meet(address);
    server.streams.keep(kept_id);
    server.ahead = Duration::from_secs(8);
    for _ in 0..3 {
        server.turn();
    }
    assert_eq!((server.counter("turn.connections"), silent.read()), (2, (vec![], false)));
    let deadline = server.streams.poll_timeout().expect("a deadline");
    assert!(deadline > server.now() && deadline < server.now() + Duration::from_secs(2));
    server.ahead = Duration::from_secs(10);
    assert_eq!(silent.read_to_end(&mut server), []);
    assert_eq!((&server.closed[..], server.counter("turn.stream_closed_late")), (&[silent_id][..], 1));
    server.ahead = Duration::from_secs(3_600);
    server.turn();
    assert_eq!((server.counter("turn.connections"), server.streams.poll_timeout()), (1, None));
}

#[test]
fn what_is_not_turn_is_closed_at_once_and_nothing_of_it_is_told() {
    let (mut server, address) = Server::plain();
    let tls_hello = [22, 3, 1, 1, 0, 1, 0, 0, 252];
    let promises_much = &stun(65_532)[..8];
    let mut noise = stun(0);
    noise[4] = 0;
    let hostile =
        [b"GET / HTTP/1.1\r\nHost: turn\r\n\r\n", &tls_hello[..], &[0xff; 64], &media(1), promises_much, &noise];
    for (count, bytes) in hostile.iter().enumerate() {
        let mut client = server.connect(address);
        client.write(bytes);
        assert_eq!(client.read_to_end(&mut server), [], "{bytes:?}");
        assert_eq!(server.counter("turn.stream_closed_not_turn"), count as u64 + 1);
    }
    assert_eq!((server.received.len(), server.closed.len()), (0, hostile.len()));
}

#[test]
fn who_is_authenticated_may_send_the_longest_of_messages() {
    let (mut server, address) = Server::plain();
    let (mut client, connection) = server.meet(address);
    server.streams.keep(connection);
    let long = stun(65_532);
    for piece in long.chunks(8_192) {
        client.write(piece);
        server.turn();
    }
    assert_eq!(server.next_message().1, long);
    let held = server.held_bytes();
    assert!(held <= 8 << 10, "{held} bytes are held for nothing");
}

#[test]
fn closing_writes_the_last_answer_and_tells_the_relay_once() {
    let (mut server, address) = Server::plain();
    let (mut client, connection) = server.meet(address);
    server.send(connection, &media(1));
    server.streams.close(connection);
    server.streams.close(connection);
    assert_eq!(server.streams.poll_closed(), Some(connection));
    assert_eq!(server.streams.poll_closed(), None);
    assert_eq!(numbers(&client.read_to_end(&mut server)), [1]);
    server.send(connection, &media(2));
    assert_eq!((server.counter("turn.stream_dropped"), server.counter("turn.connections")), (1, 0));
}

#[test]
fn the_relay_is_told_of_a_client_that_left() {
    let (mut server, address) = Server::plain();
    let (client, connection) = server.meet(address);
    let (other, other_connection) = server.meet(address);
    drop(client);
    server.until(|server| (server.closed == [connection]).then_some(()));
    drop(other);
    server.until(|server| (server.closed == [connection, other_connection]).then_some(()));
    assert_eq!(server.counter("turn.stream_closed"), 2);
}

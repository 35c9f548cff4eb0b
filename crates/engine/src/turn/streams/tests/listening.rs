use super::*;

#[test]
fn listeners_open_and_close_by_difference_and_connections_go_on() {
    let (mut server, address) = Server::plain();
    let (mut client, connection) = server.meet(address);
    let other = StreamListen { address: "127.0.0.2:0".parse().expect("an address"), tls: false };
    assert_eq!(server.streams.configure(&server.poller, &[any_port(false), other], None, 1_000), []);
    let addresses = server.streams.addresses();
    assert_eq!((addresses.len(), addresses[0].address), (2, address));
    assert_ne!(addresses[1].address.port(), 0);
    assert_eq!(server.streams.configure(&server.poller, &[other], None, 1_000), []);
    assert_eq!(server.streams.addresses(), addresses[1..]);
    assert!(TcpStream::connect(address).is_err(), "nobody listens there");
    server.send(connection, &media(1));
    assert_eq!(numbers(&client.read_exactly(&mut server, 1204)), [1]);
    server.meet(addresses[1].address);
}

#[test]
fn a_listener_that_cannot_be_is_told_and_the_others_are_open() {
    let (server, taken) = Server::plain();
    let mut second = Server::new();
    let taken = StreamListen { address: taken, tls: false };
    let failed = second.streams.configure(&second.poller, &[taken, any_port(true), any_port(false)], None, 1_000);
    assert_eq!(failed.iter().map(|(listen, _)| *listen).collect::<Vec<_>>(), [taken, any_port(true)]);
    assert!(failed[0].1.contains("in use") && failed[1].1.contains("certificate"), "{failed:?}");
    assert_eq!(second.streams.addresses().len(), 1);
    drop(server);
    let failed = second.streams.configure(&second.poller, &[taken], None, 1_000);
    assert_eq!((failed, second.streams.addresses()), (vec![], vec![taken]));
}

#[test]
fn tokens_below_and_the_last_belong_to_others() {
    assert!(!Streams::owns(0) && !Streams::owns((1 << 40) - 1) && !Streams::owns(u64::MAX));
    assert!(Streams::owns(1 << 40) && Streams::owns(1 << 62) && Streams::owns(u64::MAX - 1));
}

#[test]
fn listeners_rest_when_descriptors_run_out_and_go_on_afterwards() {
    let (mut server, address) = Server::plain();
    let now = server.now();
    server.streams.listeners.rest(now, &server.poller);
    let mut client = Client::new(address);
    client.write(&stun(0));
    for _ in 0..5 {
        server.turn();
    }
    assert_eq!(server.counter("turn.stream_accepted"), 0);
    server.ahead = Duration::from_millis(100);
    assert_eq!(server.next_message().0.remote, client.address());
}

use super::super::token;
use super::*;

#[test]
fn a_full_queue_drops_whole_messages_and_nobody_else_waits() {
    let (mut server, address) = Server::plain();
    let (mut slow, slow_id) = server.meet(address);
    let (mut quick, quick_id) = server.meet(address);
    let (mut sent, mut got) = (0, Vec::new());
    // The kernels of both ends take some megabytes before the queue fills.
    while server.counter("turn.stream_dropped") < 100 {
        for _ in 0..50 {
            server.send(slow_id, &media(sent));
            sent += 1;
        }
        let number = sent / 50;
        server.send(quick_id, &media(number));
        server.turn();
        got.extend(quick.read_exactly(&mut server, 1204));
        assert!(sent < 100_000, "nothing bounds the queue");
    }
    assert_eq!(numbers(&got), (1..=sent / 50).collect::<Vec<_>>());
    let dropped = server.counter("turn.stream_dropped") as usize;
    let arrived = numbers(&slow.read_exactly(&mut server, (sent as usize - dropped) * 1204));
    assert_eq!(arrived.len(), sent as usize - dropped);
    assert!(arrived.is_sorted() && arrived[..100] == (0..100).collect::<Vec<_>>());
    server.send(slow_id, &media(sent));
    assert_eq!(numbers(&slow.read_exactly(&mut server, 1204)), [sent], "it goes on afterwards");
    for _ in 0..3 {
        server.turn();
    }
    let held = server.held_bytes();
    assert!(held <= 2 * (6 << 10), "{held} bytes are held for nothing");
}

#[test]
fn a_connection_that_takes_nothing_for_half_a_minute_is_closed() {
    let (mut server, address) = Server::plain();
    let (_stuck, stuck_id) = server.meet(address);
    let (mut slow, slow_id) = server.meet(address);
    server.streams.keep(stuck_id);
    server.streams.keep(slow_id);
    fill(&mut server, stuck_id);
    fill(&mut server, slow_id);
    for seconds in 1..=29 {
        server.ahead = Duration::from_secs(seconds);
        server.turn();
        if seconds == 15 {
            let moves = |server: &Server| server.streams.open[&token(slow_id)].stalled_since.is_none();
            server.until(|server| (!slow.read().0.is_empty() && moves(server)).then_some(()));
        }
    }
    assert_eq!(server.counter("turn.stream_closed_stalled"), 0);
    server.ahead = Duration::from_secs(32);
    server.until(|server| (server.closed == [stuck_id]).then_some(()));
    assert_eq!((server.counter("turn.stream_closed_stalled"), server.counter("turn.connections")), (1, 1));
}

#[test]
fn a_message_for_nobody_goes_nowhere() {
    let (mut server, _) = Server::plain();
    assert_eq!(server.streams.reserve(ConnectionId(77), 65_556).len(), 65_556);
    assert_eq!(server.streams.reserve(ConnectionId(0), 4).len(), 4);
    server.turn();
    assert_eq!((server.counter("turn.stream_dropped"), server.counter("turn.stream_sent")), (2, 0));
}

/// Until messages are dropped.
fn fill(server: &mut Server, connection: ConnectionId) {
    let dropped = server.counter("turn.stream_dropped");
    while server.counter("turn.stream_dropped") == dropped {
        for number in 0..50 {
            server.send(connection, &media(number));
        }
        server.turn();
    }
}

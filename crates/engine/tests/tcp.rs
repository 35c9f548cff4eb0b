//! Clients on TCP that read nothing, or send as fast as they can: each bears it alone. Real sockets, one shard.

mod common;

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use common::{Client, Link, connect, consume, counter, framed, publish, start, until};
use engine::Engine;
use forward::{Event, PathProtocol};

#[test]
fn a_client_that_does_not_read_loses_whole_frames_and_nobody_else_does() {
    let engine = start(Some(0));
    let mut publisher = Client::open(&engine, 0, PathProtocol::Udp);
    let mut lazy = Client::open(&engine, 1, PathProtocol::Tcp);
    let mut other = Client::open(&engine, 2, PathProtocol::Udp);
    connect(&engine, &mut [&mut publisher, &mut lazy, &mut other]);
    publish(&engine, 0);
    consume(&engine, 1);
    consume(&engine, 2);

    let packets = 3_000;
    for index in 0..packets {
        publisher.send_rtp(index, 1_000);
        publisher.turn();
        other.turn();
        thread::sleep(Duration::from_micros(300));
    }
    until("the other has everything", || {
        other.turn();
        other.received + 20 >= packets
    });
    // Counters are posted once a second.
    thread::sleep(Duration::from_millis(1_200));
    assert!(counter(&engine, "tcp.dropped") > 500);
    let (dropped, before) = (counter(&engine, "tcp.dropped"), lazy.received);
    // `turn` fails on anything but whole frames that decrypt.
    until("the lazy one has what was kept", || {
        lazy.turn();
        lazy.received - before + dropped + 20 >= packets
    });
    assert!(lazy.received > 100);
    publisher.send_rtp(packets, 1_000);
    until("it is in the call again", || {
        lazy.turn();
        lazy.last == packets as u16
    });
}

#[test]
fn a_client_that_sends_as_fast_as_it_can_leaves_the_others_their_turn() {
    let engine = start(Some(0));
    let mut publisher = Client::open(&engine, 0, PathProtocol::Tcp);
    let mut subscriber = Client::open(&engine, 1, PathProtocol::Tcp);
    let mut greedy = Client::open(&engine, 2, PathProtocol::Tcp);
    connect(&engine, &mut [&mut publisher, &mut subscriber, &mut greedy]);
    publish(&engine, 0);
    consume(&engine, 1);

    let Link::Tcp { stream, .. } = &greedy.link else { panic!("a TCP client") };
    let mut flood = stream.try_clone().expect("a descriptor");
    flood.set_nonblocking(false).expect("it is a socket");
    // RTP of nobody's, DTLS of no session, checks of no use.
    let frames: Vec<u8> = [0x80_u8, 22, 0].iter().flat_map(|first| framed(&[*first; 500])).collect();
    let burst = frames.repeat(100);
    let flooding = thread::spawn(move || {
        let until = Instant::now() + Duration::from_secs(2);
        let mut written = 0;
        while Instant::now() < until {
            flood.write_all(&burst).expect("the engine reads on");
            written += burst.len();
        }
        written
    });
    let (mut took, mut index) = (Vec::new(), 0);
    while !flooding.is_finished() {
        publisher.send_rtp(index, 200);
        let sent = Instant::now();
        while subscriber.last != index as u16 && sent.elapsed() < Duration::from_secs(1) {
            subscriber.turn();
        }
        // The first may be sent before the consumer exists.
        if index > 20 {
            took.push(sent.elapsed());
        }
        publisher.turn();
        index += 1;
        thread::sleep(Duration::from_millis(5));
    }
    let written = flooding.join().expect("it ends");
    took.sort_unstable();
    // Nine of ten: on a busy machine the flood takes the processor from everybody now and then.
    let most = took[took.len() * 9 / 10];
    println!("{most:?} beside {} MB/s", written / 2_000_000);
    assert!(took.len() > 30 && most < Duration::from_millis(100), "{took:?}");
}

#[test]
fn a_client_moves_to_udp_and_a_connection_that_closes_takes_its_path_along() {
    let engine = start(Some(0));
    let mut publisher = Client::open(&engine, 0, PathProtocol::Udp);
    let mut mobile = Client::open(&engine, 1, PathProtocol::Tcp);
    connect(&engine, &mut [&mut publisher, &mut mobile]);
    publish(&engine, 0);
    consume(&engine, 1);
    let over_tcp = mobile.migrate(&engine, PathProtocol::Udp);
    assert_eq!(path_change(&engine, &mut mobile), PathProtocol::Udp);
    drop(over_tcp);
    until("the connection is forgotten", || counter(&engine, "tcp.open") == 0);
    let mut index = 0;
    until("media goes on", || {
        publisher.send_rtp(index, 100);
        index += 1;
        mobile.turn();
        mobile.received > 10
    });
    // UDP is not nominated any more, but it was a moment ago: who nominates every pair would look like this.
    let _over_udp = mobile.migrate(&engine, PathProtocol::Tcp);
    assert_eq!(path_change(&engine, &mut mobile), PathProtocol::Tcp);
}

/// Where the client's media goes next.
fn path_change(engine: &Engine, client: &mut Client) -> PathProtocol {
    let mut changed = None;
    until("the path changes", || {
        client.turn();
        changed = engine.drain(64).into_iter().find_map(|event| match event {
            Event::PathChanged { protocol, .. } => Some(protocol),
            _ => None,
        });
        changed.is_some()
    });
    changed.expect("it is there")
}

//! The engine as its driver sees it, on real sockets. What a client sees is tested through the Python binding.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use forward::srtp::Profile;
use forward::{Command, Event, OpenTransport, PauseData, TransportId};
use relay::ClientTransport;
use wire::stun::{Class, Method, TransactionId, Writer};

use crate::{Engine, EngineConfig, StartError, TurnCommand, TurnConfiguration, TurnListen};

fn config(shards: usize) -> EngineConfig {
    EngineConfig {
        shards,
        udp_port: 0,
        tcp_port: None,
        bind: vec![Ipv4Addr::LOCALHOST.into()],
        seed: 1,
        srtp_profiles: Profile::ALL.to_vec(),
    }
}

fn start(shards: usize) -> Engine {
    Engine::start(&config(shards)).expect("loopback can be bound")
}

fn open(id: u64, shard: u32) -> Command {
    let (ufrag, password) = (format!("ufrag{id}"), "0123456789012345678901".to_owned());
    Command::OpenTransport(OpenTransport { transport: TransportId(id), shard, ufrag, password })
}

fn pause(id: u64) -> Command {
    Command::PauseData(PauseData { transport: TransportId(id), paused: true })
}

/// Drains until `count` events came.
fn events(engine: &Engine, count: usize) -> Vec<Event> {
    let (mut all, deadline) = (Vec::new(), Instant::now() + Duration::from_secs(5));
    while all.len() < count && Instant::now() < deadline {
        all.extend(engine.drain(100));
        std::thread::sleep(Duration::from_millis(1));
    }
    all
}

fn counter(engine: &Engine, shard: usize, name: &str) -> u64 {
    let stats = engine.snapshot();
    stats[shard].counters.iter().find(|(other, _)| *other == name).map_or(0, |(_, value)| *value)
}

#[test]
fn a_senseless_configuration_is_told_in_a_sentence() {
    let broken = |change: fn(&mut EngineConfig)| {
        let mut config = config(1);
        change(&mut config);
        Engine::start(&config).map(drop).expect_err("a senseless configuration").to_string()
    };
    assert_eq!(broken(|it| it.shards = 0), "shards must be between 1 and 256");
    assert_eq!(broken(|it| (it.udp_port, it.shards) = (65_535, 2)), "udp_port + shards must stay below 65536");
    assert_eq!(broken(|it| it.bind.clear()), "bind needs at least one address");
    assert_eq!(broken(|it| it.bind.push(it.bind[0])), "bind names an address twice");
    assert_eq!(broken(|it| it.srtp_profiles.clear()), "srtp_profiles needs at least one profile");
    let elsewhere = broken(|it| it.bind = vec![IpAddr::from([192, 0, 2, 1])]);
    assert_eq!(elsewhere, "192.0.2.1 is no address of this machine: bind must name local addresses");
}

#[test]
fn a_taken_port_is_named() {
    let other = UdpSocket::bind("127.0.0.1:0").expect("loopback can be bound");
    let port = other.local_addr().expect("bound").port();
    let Err(error) = Engine::start(&EngineConfig { udp_port: port, ..config(1) }) else { panic!("bound a taken port") };
    assert!(matches!(error, StartError::Bind { .. }));
    assert!(error.to_string().starts_with(&format!("UDP port {port} on 127.0.0.1 is taken")), "{error}");
}

#[test]
fn each_shard_has_a_port_of_its_own() {
    let engine = start(3);
    let mut ports: Vec<_> = (0..3).map(|shard| engine.addresses(shard).expect("a shard")[0].port()).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!((ports.len(), engine.addresses(3)), (3, None));
}

#[test]
fn a_command_for_nobody_comes_back_as_an_event() {
    let engine = start(1);
    engine.submit([pause(7), open(1, 5)]);
    let refused = |command, id, reason| Event::Refused { command, id, reason };
    let expected = [refused("PauseData", 7, "unknown_transport"), refused("OpenTransport", 1, "unknown_shard")];
    assert_eq!(events(&engine, 2), expected);
}

#[test]
fn a_shard_that_panics_is_an_event_and_the_others_go_on() {
    let engine = start(2);
    engine.crash(1);
    let expected = Event::ShardFailed { shard: 1, reason: "asked to crash".to_owned() };
    assert_eq!(events(&engine, 1), [expected]);
    engine.submit([open(1, 0), open(2, 1)]);
    let refused = Event::Refused { command: "OpenTransport", id: 2, reason: "shard_failed" };
    assert_eq!(events(&engine, 1), [refused]);
    assert!(engine.close(Duration::from_secs(5)));
}

#[test]
fn closing_ends_the_threads_long_before_the_deadline() {
    let engine = start(2);
    engine.submit((1..20).map(|id| open(id, (id % 2) as u32)));
    let start = Instant::now();
    assert!(engine.close(Duration::from_secs(10)));
    assert!(engine.close(Duration::from_secs(10)), "closing twice is harmless");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn numbers_are_posted_every_second() {
    let engine = start(1);
    let client = UdpSocket::bind("127.0.0.1:0").expect("loopback can be bound");
    for _ in 0..10 {
        client.send_to(&[255; 20], engine.addresses(0).expect("a shard")[0]).expect("sent");
    }
    let deadline = Instant::now() + Duration::from_secs(5);
    while counter(&engine, 0, "shard.turns") < 2 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(counter(&engine, 0, "udp.receive_calls") >= 1);
    assert!(counter(&engine, 0, "udp.receive_buffer_bytes") > 0);
}

fn configure(listen: &[(&str, ClientTransport)]) -> TurnCommand {
    let listen = listen.iter().map(|(address, transport)| TurnListen {
        address: address.parse().expect("an address"),
        transport: *transport,
    });
    TurnCommand::Configure(Box::new(TurnConfiguration {
        listen: listen.collect(),
        certificate: None,
        connections_per_address: 10,
        coalesce: Duration::from_millis(1),
        relay: relay::Configuration { unauthenticated_per_s: 1000, ..relay::Configuration::default() },
    }))
}

/// A Binding request that anybody may send.
fn binding() -> Vec<u8> {
    let mut request = [0; 64];
    let transaction = TransactionId(*b"twelve bytes");
    let len = Writer::new(&mut request, Class::Request, Method::BINDING, transaction).fingerprint().finish();
    request[..len.expect("it fits")].to_vec()
}

/// Whether a TURN listener there answers.
fn answers(server: SocketAddr) -> bool {
    let client = UdpSocket::bind("127.0.0.1:0").expect("loopback can be bound");
    client.set_read_timeout(Some(Duration::from_secs(5))).expect("an option of every socket");
    client.send_to(&binding(), server).expect("sent");
    client.recv(&mut [0; 1500]).is_ok()
}

#[test]
fn a_port_of_turn_can_move_to_another_address_in_one_configuration() {
    let engine = start(2);
    engine.submit_turn(vec![configure(&[("127.0.0.1:0", ClientTransport::Udp)])]).expect("a thread");
    let first = engine.turn_addresses()[0].address;
    assert!(answers(first));
    for (address, there) in [("0.0.0.0", first), ("127.0.0.1", first), ("0.0.0.0", first)] {
        let moved = format!("{address}:{}", first.port());
        engine.submit_turn(vec![configure(&[(&moved, ClientTransport::Udp)])]).expect("a thread");
        assert_eq!(engine.drain_turn(10), [], "it was free");
        assert!(answers(there));
    }
    engine.submit_turn(vec![configure(&[])]).expect("a thread");
    assert_eq!(engine.turn_addresses(), []);
    UdpSocket::bind(("127.0.0.1", first.port())).expect("nobody has it any more");
}

#[test]
fn turns_thread_that_panics_is_an_event_and_nobody_waits_for_it() {
    let engine = start(1);
    engine.submit_turn(vec![configure(&[("127.0.0.1:0", ClientTransport::Udp)])]).expect("a thread");
    engine.crash(u32::MAX as usize);
    let expected = Event::ShardFailed { shard: u32::MAX, reason: "asked to crash".to_owned() };
    assert_eq!(events(&engine, 1), [expected]);
    let start = Instant::now();
    engine.submit_turn(vec![configure(&[("127.0.0.1:0", ClientTransport::Udp)])]).expect("nothing to start");
    assert!(engine.close(Duration::from_secs(5)));
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn turn_ends_with_the_engine_and_is_not_begun_after() {
    let engine = start(1);
    engine.submit_turn(vec![configure(&[("127.0.0.1:0", ClientTransport::Tcp)])]).expect("a thread");
    let server = engine.turn_addresses()[0].address;
    let mut client = TcpStream::connect(server).expect("it listens");
    assert!(engine.close(Duration::from_secs(5)));
    client.set_read_timeout(Some(Duration::from_secs(5))).expect("an option of every socket");
    assert!(!matches!(client.read(&mut [0; 1]), Ok(1..)), "it is closed");
    TcpStream::connect(server).expect_err("nobody listens");

    let never_used = start(1);
    assert!(never_used.close(Duration::from_secs(5)));
    never_used.submit_turn(vec![configure(&[("127.0.0.1:0", ClientTransport::Tcp)])]).expect("nothing to start");
    assert_eq!(never_used.turn_addresses(), []);
}

/// The coalescer's own numbers are tested beside it; here it is about a thread that is idle.
#[test]
fn who_comes_alone_is_answered_at_once() {
    let engine = start(1);
    engine.submit_turn(vec![configure(&[("127.0.0.1:0", ClientTransport::Udp)])]).expect("a thread");
    let server = engine.turn_addresses()[0].address;
    let client = UdpSocket::bind("127.0.0.1:0").expect("loopback can be bound");
    client.set_read_timeout(Some(Duration::from_secs(5))).expect("an option of every socket");
    let mut took = Vec::new();
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(2));
        let start = Instant::now();
        client.send_to(&binding(), server).expect("sent");
        client.recv(&mut [0; 1500]).expect("an answer");
        took.push(start.elapsed());
    }
    took.sort_unstable();
    assert!(took[50] < Duration::from_micros(800), "half of them wait for {:?} or more", took[50]);
}

//! The floor against the generator, over loopback: the generator's allocations, every packet both ways, none twice.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Relay, Strategy};
use crate::turn::{Account, Direction, Load, PrepareRequest, RunReport, RunRequest, Transport};

/// A relay on a thread of its own, until dropped.
struct Running {
    address: SocketAddr,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(strategy: Strategy) -> Self {
        let host = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut relay = Relay::bind(host, strategy, Duration::ZERO).expect("a free port");
        let (address, end) = (relay.address().expect("bound"), Arc::new(AtomicBool::new(false)));
        let asked = Arc::clone(&end);
        let thread = thread::spawn(move || {
            while !asked.load(Ordering::Relaxed) {
                relay.turn(Some(Duration::from_millis(20))).expect("the relay moves on");
            }
        });
        Self { address, end, thread: Some(thread) }
    }

    /// A generator with its allocations. Every address in 127.0.0.0/8 is local.
    fn prepare(&self, count: usize) -> Load {
        Load::prepare(&PrepareRequest {
            server: self.address,
            transport: Transport::Udp,
            count,
            clients: Ipv4Addr::new(127, 76, 0, 0),
            peers: Ipv4Addr::new(127, 78, 0, 0),
            peer: None,
            account: Account { username: "bench".into(), password: "secret".into() },
            gro: false,
        })
        .expect("every allocation is made")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

/// A tenth of a second at a rate that a debug build on a busy machine keeps.
fn run(load: &mut Load, directions: &[Direction], train: usize) -> RunReport {
    load.run(&RunRequest {
        directions: directions.to_vec(),
        train,
        payload: 120,
        rate_pps: 4_000.0,
        warm_up_s: 0.02,
        seconds: 0.1,
        pid: std::process::id(),
        cores: [0, 1],
    })
    .expect("the run ends")
}

fn every_packet_arrives(strategy: Strategy) {
    let relay = Running::start(strategy);
    let mut load = relay.prepare(7);
    for directions in [&[Direction::ToPeers][..], &[Direction::ToClients], &[Direction::ToPeers, Direction::ToClients]]
    {
        for train in [1, 4, 16] {
            let report = run(&mut load, directions, train);
            assert!(
                report.sent > 0 && report.arrived <= report.received,
                "{strategy:?} {directions:?} {train}: {report:?}"
            );
            assert_eq!(report.received, report.sent, "{strategy:?} {directions:?} {train}");
            assert_eq!((report.strays, report.socket_drops, report.held_back), (0, 0, 0));
            assert_eq!(report.latency_us.len(), 4);
            assert!(report.latency_us.is_sorted() && report.latency_us[0] > 0.0, "{report:?}");
        }
    }
    load.release().expect("the relay agrees");
}

#[test]
fn one_system_call_a_packet_relays_every_packet_once() {
    every_packet_arrives(Strategy::Plain);
}

#[test]
fn joined_messages_relay_every_packet_once() {
    every_packet_arrives(Strategy::Joined);
}

#[test]
fn a_flood_reaches_every_flow_and_counts_only_what_the_window_saw() {
    let relay = Running::start(Strategy::Joined);
    let mut load = relay.prepare(20);
    let request = RunRequest {
        directions: vec![Direction::ToPeers],
        train: 16,
        payload: 1_200,
        rate_pps: 0.0,
        warm_up_s: 0.05,
        seconds: 0.2,
        pid: std::process::id(),
        cores: [0, 1],
    };
    let report = load.run(&request).expect("the run ends");
    assert!(report.flow_min > 0 && report.flow_max >= report.flow_min, "{report:?}");
    assert!(report.arrived <= report.received && report.received <= report.sent, "{report:?}");
    assert_eq!((report.strays, report.socket_drops), (0, 0), "{report:?}");
    assert!(report.latency_us.is_empty(), "a flood measures a queue");
    assert!(report.spent.server_s > 0.0 && report.spent.wall_s >= 0.2, "{report:?}");
}

#[test]
fn a_server_that_takes_no_connections_is_an_error() {
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let request = PrepareRequest {
        server: nobody.local_addr().expect("bound"),
        transport: Transport::Tcp,
        count: 1,
        clients: Ipv4Addr::new(127, 76, 0, 0),
        peers: Ipv4Addr::new(127, 78, 0, 0),
        peer: None,
        account: Account { username: String::new(), password: String::new() },
        gro: false,
    };
    assert!(Load::prepare(&request).is_err());
}

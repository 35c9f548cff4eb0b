//! A thousand clients that shake hands at once cost a running call nothing: real sockets, one shard, real handshakes.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use engine::{Engine, EngineConfig};
use forward::srtp::Profile;
use forward::testing::{ClientConfig, ClientInbound, ClientTransport, ServerParameters};
use forward::{
    AddConsumer, AddProducer, Command, ConsumerId, EncodingParameters, Event, Kind, OpenTransport, Path, ProducerId,
    SetRemote, TransportId,
};

const CLIENTS: u64 = 1_000;
/// Of what the call's packets spend in the server; the histogram has a bound at 4,096 us.
const P99: Duration = Duration::from_millis(5);
/// A machine that does something else meanwhile spoils a measurement or two, not five.
const ATTEMPTS: usize = 5;

#[test]
fn a_thousand_handshakes_at_once_leave_the_forwarding_latency_of_a_call_alone() {
    let mut measured = Vec::new();
    for _ in 0..ATTEMPTS {
        let storm = storm();
        println!("{storm:?}");
        assert_eq!(storm.connected, CLIENTS, "every one of them connects");
        assert!(storm.packets > 300, "{storm:?}");
        if storm.within_p99 {
            return;
        }
        // Who waits for the processor is late, whatever it does.
        if storm.waited < storm.took.mul_f64(BUSY) {
            measured.push(storm);
        }
    }
    assert!(measured.is_empty(), "p99 is above {P99:?}: {measured:?}");
    eprintln!("not measured: something else had the processors all the time");
}

#[derive(Debug)]
#[allow(dead_code, reason = "read by its Debug")]
struct Storm {
    connected: u64,
    took: Duration,
    /// For a processor, by the shard's thread.
    waited: Duration,
    /// Of the call, while handshakes ran.
    packets: u64,
    within_p99: bool,
    /// Cumulative, by upper bound in microseconds.
    latency: Vec<(Option<u64>, u64)>,
}

fn storm() -> Storm {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = EngineConfig {
        shards: 1,
        udp_port: 0,
        tcp_port: None,
        bind: vec![loopback.ip()],
        seed: 1,
        srtp_profiles: vec![Profile::AeadAes128Gcm],
    };
    let engine = Engine::start(&config).expect("the engine starts");
    let server = engine.addresses(0).expect("one shard")[0];
    let mut call: Vec<Client> = (0..2).map(|id| Client::open(&engine, server, id)).collect();
    connect_call(&engine, &mut call);
    let before = settled_latency(&engine);
    let (over, at_once) = (AtomicBool::new(false), Barrier::new(2));
    let waited_before = shard_waited();
    let (connected, took) = thread::scope(|scope| {
        let attackers = scope.spawn(|| {
            let mut crowd: Vec<Client> = (2..2 + CLIENTS).map(|id| Client::open(&engine, server, id)).collect();
            at_once.wait();
            for client in &mut crowd {
                client.connect(engine.fingerprint());
            }
            while !over.load(Ordering::Relaxed) {
                crowd.iter_mut().for_each(Client::turn);
                // The processor is the server's: this test is not about who gets it.
                thread::sleep(Duration::from_millis(1));
            }
        });
        let driver = scope.spawn(|| count_connected(&engine, &over));
        at_once.wait();
        publish_until(&over, &mut call);
        attackers.join().expect("the attack goes on");
        driver.join().expect("events are taken")
    });
    let waited = shard_waited().saturating_sub(waited_before);
    let latency: Vec<_> =
        settled_latency(&engine).into_iter().zip(before).map(|((bound, now), (_, then))| (bound, now - then)).collect();
    let packets = latency.last().map_or(0, |(_, count)| *count);
    let p99_us = P99.as_micros() as u64;
    let quick = latency.iter().filter(|(bound, _)| bound.is_some_and(|us| us <= p99_us)).map(|(_, count)| *count).max();
    let within_p99 = quick.unwrap_or(0) * 100 >= packets * 99;
    Storm { connected, took, waited, packets, within_p99, latency }
}

/// Takes events until all have connected.
fn count_connected(engine: &Engine, over: &AtomicBool) -> (u64, Duration) {
    let (started, mut connected) = (Instant::now(), 0);
    while connected < CLIENTS && started.elapsed() < PATIENCE {
        let is_connected = |event: &&Event| matches!(event, Event::TransportConnected { .. });
        connected += engine.drain(4_096).iter().filter(is_connected).count() as u64;
        thread::sleep(Duration::from_millis(1));
    }
    over.store(true, Ordering::Relaxed);
    (connected, started.elapsed())
}

/// How long the shard's thread could have run and did not (the second field of schedstat).
fn shard_waited() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let shard = tasks
        .filter_map(Result::ok)
        .map(|task| task.path())
        .find(|task| std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "shard-0"));
    let stat = shard.and_then(|task| std::fs::read_to_string(task.join("schedstat")).ok()).unwrap_or_default();
    Duration::from_nanos(stat.split_whitespace().nth(1).and_then(|ns| ns.parse().ok()).unwrap_or(0))
}

/// The histogram once the shard has posted it again.
fn settled_latency(engine: &Engine) -> Vec<(Option<u64>, u64)> {
    thread::sleep(Duration::from_millis(1_200));
    engine.snapshot()[0].forward_latency.cumulative().collect()
}

fn connect_call(engine: &Engine, call: &mut [Client]) {
    let fingerprint = engine.fingerprint().to_owned();
    for client in call.iter_mut() {
        client.connect(&fingerprint);
    }
    let started = Instant::now();
    let mut connected = 0;
    while connected < 2 || !call.iter().all(|client| client.transport.is_connected()) {
        assert!(started.elapsed() < Duration::from_secs(10), "the call connects");
        call.iter_mut().for_each(Client::turn);
        connected += engine.drain(64).iter().filter(|event| matches!(event, Event::TransportConnected { .. })).count();
        thread::sleep(Duration::from_millis(1));
    }
    engine.submit([
        Command::AddProducer(AddProducer {
            producer: ProducerId(1),
            transport: TransportId(0),
            kind: Kind::Audio,
            mid: "0".to_owned(),
            mime_type: "audio/opus".to_owned(),
            clock_rate: 48_000,
            payload_type: 111,
            rtx_payload_type: None,
            encodings: vec![EncodingParameters { ssrc: Some(SSRC), ..EncodingParameters::default() }],
            nack: false,
            transport_cc: false,
            remb: false,
            red_payload_type: None,
        }),
        Command::AddConsumer(AddConsumer {
            consumer: ConsumerId(1),
            producer: ProducerId(1),
            transport: TransportId(1),
            mid: "0".to_owned(),
            ssrc: 2,
            rtx_ssrc: None,
            payload_type: 111,
            rtx_payload_type: None,
            cname: "call".to_owned(),
            paused: false,
            encoding: 0,
            red_payload_type: None,
            playout_delay: None,
        }),
    ]);
}

/// A packet every millisecond, which makes enough of them to tell what one in a hundred waits. All arrive.
fn publish_until(over: &AtomicBool, call: &mut [Client]) {
    let mut sent = 0;
    let mut due = Instant::now();
    while !over.load(Ordering::Relaxed) {
        call[0].send_rtp(sent);
        sent += 1;
        due += Duration::from_millis(1);
        call.iter_mut().for_each(Client::turn);
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let patience = Instant::now() + Duration::from_secs(2);
    while call[1].received < sent && Instant::now() < patience {
        call[1].turn();
    }
    // What was sent before the shard took the command to forward is not forwarded.
    assert!(call[1].received + 20 >= sent, "{} of {sent} arrive", call[1].received);
}

struct Client {
    socket: UdpSocket,
    transport: ClientTransport,
    ufrag: String,
    received: u64,
}

impl Client {
    fn open(engine: &Engine, server: SocketAddr, id: u64) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        socket.set_nonblocking(true).expect("it is a socket");
        let path = Path::udp(socket.local_addr().expect("it is bound"), server);
        let config = ClientConfig {
            srtp_profiles: vec![Profile::AeadAes128Gcm],
            data: false,
            ..ClientConfig::new(path, id + 1)
        };
        let transport = ClientTransport::new(Instant::now(), config);
        let (remote, ufrag) = (transport.remote(), format!("server{id}"));
        engine.submit([
            Command::OpenTransport(OpenTransport {
                transport: TransportId(id),
                shard: 0,
                ufrag: ufrag.clone(),
                password: PASSWORD.to_owned(),
            }),
            Command::SetRemote(SetRemote {
                transport: TransportId(id),
                ufrag: remote.ufrag,
                password: remote.password,
                fingerprint: remote.fingerprint,
                sctp_port: remote.sctp_port,
                extensions: Vec::new(),
            }),
        ]);
        Self { socket, transport, ufrag, received: 0 }
    }

    fn connect(&mut self, fingerprint: &str) {
        let server = ServerParameters {
            ufrag: self.ufrag.clone(),
            password: PASSWORD.to_owned(),
            fingerprint: fingerprint.to_owned(),
        };
        self.transport.connect(Instant::now(), &server);
        self.flush();
    }

    /// Reads what came and answers it.
    fn turn(&mut self) {
        let mut buf = [0; 2_048];
        while let Ok((len, remote)) = self.socket.recv_from(&mut buf) {
            let path = Path::udp(self.transport.path().local, remote);
            let inbound = self.transport.handle_datagram(Instant::now(), path, &mut buf[..len]);
            self.received += u64::from(matches!(inbound, ClientInbound::Rtp(_)));
        }
        self.flush();
    }

    fn flush(&mut self) {
        let (now, mut buf) = (Instant::now(), [0; 2_048]);
        if self.transport.poll_timeout().is_some_and(|due| due <= now) {
            self.transport.handle_timeout(now);
        }
        while let Some((path, len)) = self.transport.poll_datagram(now, &mut buf) {
            let _ = self.socket.send_to(&buf[..len], path.remote);
        }
        while self.transport.poll_event(now).is_some() {}
    }

    fn send_rtp(&mut self, index: u64) {
        let mut packet = [0; 200];
        packet[..2].copy_from_slice(&[0x80, 111]);
        packet[2..4].copy_from_slice(&(index as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&(index as u32 * 48).to_be_bytes());
        packet[8..12].copy_from_slice(&SSRC.to_be_bytes());
        let len = self.transport.srtp_outbound().expect("connected").protect_rtp(&mut packet, 12, 100, SSRC, index);
        self.socket.send_to(&packet[..len], self.transport.path().remote).expect("loopback takes it");
    }
}

const SSRC: u32 = 7;
/// Share of the time: with the clients' two threads on two processors it waits little.
const BUSY: f64 = 0.05;
/// Making a thousand certificates and shaking as many hands takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "password-of-the-server";

//! Clients on TCP that read nothing, or send as fast as they can: each bears it alone. Real sockets, one shard.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use engine::{Engine, EngineConfig};
use forward::srtp::Profile;
use forward::testing::{ClientConfig, ClientInbound, ClientTransport, ServerParameters};
use forward::{
    AddConsumer, AddProducer, Command, ConsumerId, EncodingParameters, Event, Kind, OpenTransport, Path, PathProtocol,
    ProducerId, SetRemote, TransportId,
};

#[test]
fn a_client_that_does_not_read_loses_whole_frames_and_nobody_else_does() {
    let engine = start();
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
    let engine = start();
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
    let engine = start();
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

fn start() -> Engine {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = EngineConfig {
        shards: 1,
        udp_port: 0,
        tcp_port: Some(0),
        bind: vec![loopback.ip()],
        seed: 1,
        srtp_profiles: vec![Profile::AeadAes128Gcm],
    };
    Engine::start(&config).expect("the engine starts")
}

fn connect(engine: &Engine, clients: &mut [&mut Client]) {
    for client in clients.iter_mut() {
        client.connect(engine.fingerprint());
    }
    let mut protocols = Vec::new();
    until("everybody is connected", || {
        for client in clients.iter_mut() {
            client.turn();
        }
        for event in engine.drain(64) {
            if let Event::TransportConnected { transport, protocol, .. } = event {
                protocols.push((transport.0, protocol));
            }
        }
        protocols.len() == clients.len() && clients.iter().all(|client| client.transport.is_connected())
    });
    protocols.sort_by_key(|(transport, _)| *transport);
    let expected: Vec<_> =
        clients.iter().enumerate().map(|(id, client)| (id as u64, client.transport.path().protocol)).collect();
    assert_eq!(protocols, expected);
}

fn publish(engine: &Engine, transport: u64) {
    engine.submit([Command::AddProducer(AddProducer {
        producer: ProducerId(1),
        transport: TransportId(transport),
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
    })]);
}

fn consume(engine: &Engine, transport: u64) {
    engine.submit([Command::AddConsumer(AddConsumer {
        consumer: ConsumerId(transport),
        producer: ProducerId(1),
        transport: TransportId(transport),
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
    })]);
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        thread::sleep(Duration::from_millis(1));
    }
}

fn counter(engine: &Engine, name: &str) -> u64 {
    let stats = engine.snapshot();
    stats[0].counters.iter().find(|(other, _)| *other == name).map_or(0, |(_, value)| *value)
}

fn framed(datagram: &[u8]) -> Vec<u8> {
    [&(datagram.len() as u16).to_be_bytes()[..], datagram].concat()
}

enum Link {
    Udp(UdpSocket),
    Tcp { stream: TcpStream, inbound: Vec<u8> },
}

impl Link {
    fn open(engine: &Engine, protocol: PathProtocol) -> (Self, Path) {
        match protocol {
            PathProtocol::Udp | PathProtocol::Relay => {
                let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
                socket.set_nonblocking(true).expect("it is a socket");
                let path = Path::udp(socket.local_addr().expect("it is bound"), engine.addresses(0).expect("one")[0]);
                (Self::Udp(socket), path)
            }
            PathProtocol::Tcp => {
                let server = engine.tcp_addresses()[0];
                let stream = TcpStream::connect(server).expect("it listens");
                stream.set_nonblocking(true).expect("it is a socket");
                stream.set_nodelay(true).expect("it is a socket");
                let path = Path::tcp(stream.local_addr().expect("it is connected"), server);
                (Self::Tcp { stream, inbound: Vec::new() }, path)
            }
        }
    }

    fn send(&mut self, server: SocketAddr, datagram: &[u8]) {
        match self {
            Self::Udp(socket) => {
                let _ = socket.send_to(datagram, server);
            }
            Self::Tcp { stream, .. } => stream.write_all(&framed(datagram)).expect("the engine reads"),
        }
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        let mut buf = vec![0; 65_536];
        match self {
            Self::Udp(socket) => {
                let (len, _) = socket.recv_from(&mut buf).ok()?;
                buf.truncate(len);
                Some(buf)
            }
            Self::Tcp { stream, inbound } => {
                let whole = |inbound: &[u8]| {
                    let len = usize::from(u16::from_be_bytes(*inbound.first_chunk()?));
                    (inbound.len() >= 2 + len).then_some(2 + len)
                };
                if whole(inbound).is_none() {
                    let count = stream.read(&mut buf).ok()?;
                    assert!(count > 0, "the engine closed the connection");
                    inbound.extend_from_slice(&buf[..count]);
                }
                let end = whole(inbound)?;
                Some(inbound.drain(..end).skip(2).collect())
            }
        }
    }
}

struct Client {
    link: Link,
    transport: ClientTransport,
    ufrag: String,
    received: u64,
    /// Sequence number of the packet that came last.
    last: u16,
}

impl Client {
    fn open(engine: &Engine, id: u64, protocol: PathProtocol) -> Self {
        let (link, path) = Link::open(engine, protocol);
        let config = ClientConfig {
            srtp_profiles: vec![Profile::AeadAes128Gcm],
            data: false,
            ..ClientConfig::new(path, id + 1)
        };
        let transport = ClientTransport::new(Instant::now(), config);
        let (remote, ufrag) = (transport.remote(), format!("server{id}"));
        let (id, password) = (TransportId(id), PASSWORD.to_owned());
        engine.submit([
            Command::OpenTransport(OpenTransport { transport: id, shard: 0, ufrag: ufrag.clone(), password }),
            Command::SetRemote(SetRemote {
                transport: id,
                ufrag: remote.ufrag,
                password: remote.password,
                fingerprint: remote.fingerprint,
                sctp_port: remote.sctp_port,
                extensions: Vec::new(),
            }),
        ]);
        Self { link, transport, ufrag, received: 0, last: u16::MAX }
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

    /// Goes on over a new socket; gives the old one.
    fn migrate(&mut self, engine: &Engine, protocol: PathProtocol) -> Link {
        let (link, path) = Link::open(engine, protocol);
        self.transport.migrate(Instant::now(), path);
        let old = std::mem::replace(&mut self.link, link);
        self.flush();
        old
    }

    /// Reads what came and answers it.
    fn turn(&mut self) {
        let path = self.transport.path();
        while let Some(mut datagram) = self.link.receive() {
            if let ClientInbound::Rtp(_) = self.transport.handle_datagram(Instant::now(), path, &mut datagram) {
                self.received += 1;
                self.last = u16::from_be_bytes([datagram[20], datagram[21]]);
            }
        }
        self.flush();
    }

    fn flush(&mut self) {
        let (now, mut buf) = (Instant::now(), [0; 2_048]);
        if self.transport.poll_timeout().is_some_and(|due| due <= now) {
            self.transport.handle_timeout(now);
        }
        while let Some((path, len)) = self.transport.poll_datagram(now, &mut buf) {
            self.link.send(path.remote, &buf[..len]);
        }
        while self.transport.poll_event(now).is_some() {}
    }

    /// The packet's number is in its payload, too, where nobody rewrites it.
    fn send_rtp(&mut self, index: u64, payload_len: usize) {
        let mut packet = vec![0; 12 + payload_len + 16];
        packet[..2].copy_from_slice(&[0x80, 111]);
        packet[2..4].copy_from_slice(&(index as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&(index as u32 * 48).to_be_bytes());
        packet[8..12].copy_from_slice(&SSRC.to_be_bytes());
        packet[20..22].copy_from_slice(&(index as u16).to_be_bytes());
        let srtp = self.transport.srtp_outbound().expect("connected");
        let len = srtp.protect_rtp(&mut packet, 12, payload_len, SSRC, index);
        self.link.send(self.transport.path().remote, &packet[..len]);
    }
}

const SSRC: u32 = 7;
const PASSWORD: &str = "password-of-the-server";

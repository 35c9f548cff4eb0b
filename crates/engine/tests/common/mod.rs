//! An engine of one shard, and clients of it on real sockets.
#![allow(dead_code, unreachable_pub)] // Every test file takes what it needs.

use std::io::{self, Read, Write};
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

/// One shard on loopback; `tcp_port` 0 lets the kernel choose.
pub fn start(tcp_port: Option<u16>) -> Engine {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = EngineConfig {
        shards: 1,
        udp_port: 0,
        tcp_port,
        bind: vec![loopback.ip()],
        seed: 1,
        srtp_profiles: vec![Profile::AeadAes128Gcm],
    };
    Engine::start(&config).expect("the engine starts")
}

/// Each over the protocol of its path; they are the transports from 0 on.
pub fn connect(engine: &Engine, clients: &mut [&mut Client]) {
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

/// As producer 1, Opus.
pub fn publish(engine: &Engine, transport: u64) {
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

/// Producer 1.
pub fn consume(engine: &Engine, transport: u64) {
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

pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        thread::sleep(Duration::from_millis(1));
    }
}

pub fn counter(engine: &Engine, name: &str) -> u64 {
    let stats = engine.snapshot();
    stats[0].counters.iter().find(|(other, _)| *other == name).map_or(0, |(_, value)| *value)
}

pub fn framed(datagram: &[u8]) -> Vec<u8> {
    [&(datagram.len() as u16).to_be_bytes()[..], datagram].concat()
}

pub enum Link {
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

    /// What UDP does not take is lost.
    fn send(&mut self, server: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send_to(datagram, server).map(drop),
            Self::Tcp { stream, .. } => {
                stream.write_all(&framed(datagram)).expect("the engine reads");
                Ok(())
            }
        }
    }

    /// The length of the next datagram.
    fn receive(&mut self, buf: &mut [u8]) -> Option<usize> {
        match self {
            Self::Udp(socket) => socket.recv(buf).ok(),
            Self::Tcp { stream, inbound } => {
                let whole = |inbound: &[u8]| {
                    let len = usize::from(u16::from_be_bytes(*inbound.first_chunk()?));
                    (inbound.len() >= 2 + len).then_some(2 + len)
                };
                if whole(inbound).is_none() {
                    let count = stream.read(buf).ok()?;
                    assert!(count > 0, "the engine closed the connection");
                    inbound.extend_from_slice(&buf[..count]);
                }
                let end = whole(inbound)?;
                buf[..end - 2].copy_from_slice(&inbound[2..end]);
                inbound.drain(..end);
                Some(end - 2)
            }
        }
    }
}

/// One that offers GCM-128 and no data.
pub struct Client {
    pub link: Link,
    pub transport: ClientTransport,
    ufrag: String,
    /// RTP packets.
    pub received: u64,
    /// Number of the packet that came last.
    pub last: u16,
}

impl Client {
    pub fn open(engine: &Engine, id: u64, protocol: PathProtocol) -> Self {
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

    pub fn connect(&mut self, fingerprint: &str) {
        let server = ServerParameters {
            ufrag: self.ufrag.clone(),
            password: PASSWORD.to_owned(),
            fingerprint: fingerprint.to_owned(),
        };
        self.transport.connect(Instant::now(), &server);
        self.flush();
    }

    /// Goes on over a new socket; gives the old one.
    pub fn migrate(&mut self, engine: &Engine, protocol: PathProtocol) -> Link {
        let (link, path) = Link::open(engine, protocol);
        self.transport.migrate(Instant::now(), path);
        let old = std::mem::replace(&mut self.link, link);
        self.flush();
        old
    }

    /// Reads what came and answers it.
    pub fn turn(&mut self) {
        let (path, mut buf) = (self.transport.path(), [0; 2_048]);
        while let Some(len) = self.link.receive(&mut buf) {
            if let ClientInbound::Rtp(_) = self.transport.handle_datagram(Instant::now(), path, &mut buf[..len]) {
                self.received += 1;
                self.last = u16::from_be_bytes([buf[20], buf[21]]);
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
            // It is repeated.
            let _ = self.link.send(path.remote, &buf[..len]);
        }
        while self.transport.poll_event(now).is_some() {}
    }

    /// The packet's number is in its payload, too, where nobody rewrites it.
    pub fn send_rtp(&mut self, index: u64, payload_len: usize) {
        let mut packet = vec![0; 12 + payload_len + 16];
        packet[..2].copy_from_slice(&[0x80, 111]);
        packet[2..4].copy_from_slice(&(index as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&(index as u32 * 48).to_be_bytes());
        packet[8..12].copy_from_slice(&SSRC.to_be_bytes());
        packet[20..22].copy_from_slice(&(index as u16).to_be_bytes());
        let srtp = self.transport.srtp_outbound().expect("connected");
        let len = srtp.protect_rtp(&mut packet, 12, payload_len, SSRC, index);
        self.link.send(self.transport.path().remote, &packet[..len]).expect("loopback takes it");
    }
}

const SSRC: u32 = 7;
const PASSWORD: &str = "password-of-the-server";

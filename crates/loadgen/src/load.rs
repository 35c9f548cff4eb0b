//! One publisher and many sinks, each a real ICE and DTLS client on a socket of its own, on one thread.
//!
//! Sinks read every datagram (GRO off) and count RTP by its header; STUN and DTLS go to the transport. The thread never sleeps:
//! on loopback the sender pays for waking a receiver, which no sender to a network does.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use forward::Path;
use forward::testing::{ClientCertificate, ClientConfig, ClientTransport, ServerParameters};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use quinn_udp::{Transmit, UdpSocketState};
use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::media::Stream;

/// ICE credentials of one end and, of a client, its certificate's fingerprint.
#[derive(Serialize, Deserialize)]
pub(crate) struct Credentials {
    /// ICE user fragment.
    pub(crate) ufrag: String,
    /// ICE password.
    pub(crate) password: String,
    /// "sha-256 AA:BB:..."; empty for the server, which has one for all.
    #[serde(default)]
    pub(crate) fingerprint: String,
}

/// What the publisher sends.
#[derive(Deserialize)]
pub(crate) struct RunRequest {
    /// Packets that leave together, as one GSO send.
    pub(crate) burst: usize,
    /// Packets per second.
    pub(crate) rate_pps: f64,
    /// Length of the run.
    pub(crate) seconds: f64,
    /// SRTP packet size, tag included, in bytes.
    pub(crate) datagram_bytes: usize,
}

/// What came of it.
#[derive(Serialize)]
pub(crate) struct RunReport {
    /// By the publisher.
    pub(crate) sent: u64,
    /// By all sinks together.
    pub(crate) received: u64,
    /// Share of the run that this process had something to do.
    pub(crate) busy: f64,
}

struct Client {
    socket: UdpSocket,
    transport: ClientTransport,
}

/// The clients; number 0 publishes.
pub(crate) struct Load {
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    stream: Stream,
    frame: Vec<u8>,
    received: u64,
    /// Time spent on reading, not on looking whether there is something to read.
    worked: Duration,
    next_timers: Instant,
}

impl Load {
    /// Sockets and credentials for `count` clients of the server on this loopback port.
    pub(crate) fn prepare(port: u16, count: usize) -> Result<Self, Failure> {
        let (poll, now) = (Poll::new()?, Instant::now());
        let remote = SocketAddr::from(([127, 0, 0, 1], port));
        let mut clients = Vec::with_capacity(count);
        for index in 0..count {
            let mut socket = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
            socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
            poll.registry().register(&mut socket, Token(index), Interest::READABLE)?;
            let path = Path::udp(socket.local_addr()?, remote);
            let config = ClientConfig {
                certificate: ClientCertificate::Ecdsa,
                data: false,
                ..ClientConfig::new(path, index as u64 + 1)
            };
            clients.push(Client { socket, transport: ClientTransport::new(now, config) });
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(1024),
            clients,
            stream: Stream::new(),
            frame: Vec::new(),
            received: 0,
            worked: Duration::ZERO,
            next_timers: now,
        })
    }

    /// What each client's SDP would say.
    pub(crate) fn credentials(&self) -> Vec<Credentials> {
        self.clients
            .iter()
            .map(|client| {
                let remote = client.transport.remote();
                Credentials { ufrag: remote.ufrag, password: remote.password, fingerprint: remote.fingerprint }
            })
            .collect()
    }

    /// Connects every client with the credentials that the server minted for it.
    pub(crate) fn connect(&mut self, fingerprint: &str, servers: &[Credentials]) -> Result<(), Failure> {
        let started = Instant::now();
        for (client, server) in self.clients.iter_mut().zip(servers) {
            let parameters = ServerParameters {
                ufrag: server.ufrag.clone(),
                password: server.password.clone(),
                fingerprint: fingerprint.to_owned(),
            };
            client.transport.connect(started, &parameters);
            client.flush(started);
        }
        while started.elapsed() < CONNECT_TIMEOUT {
            if self.clients.iter().all(|client| client.transport.is_connected()) {
                return Ok(());
            }
            self.turn()?;
        }
        let connected = self.clients.iter().filter(|client| client.transport.is_connected()).count();
        Err(Failure::NotConnected { connected, all: self.clients.len(), seconds: CONNECT_TIMEOUT.as_secs() })
    }

    /// Where the sinks listen.
    pub(crate) fn sinks(&self) -> Result<Vec<SocketAddr>, Failure> {
        self.clients[1..].iter().map(|client| Ok(client.socket.local_addr()?)).collect()
    }

    /// Publishes for a while and counts what arrives, up to a moment after the last packet.
    pub(crate) fn run(&mut self, request: &RunRequest) -> Result<RunReport, Failure> {
        let state = UdpSocketState::new((&self.clients[0].socket).into())?;
        let interval = Duration::from_secs_f64(request.burst as f64 / request.rate_pps);
        (self.received, self.worked) = (0, Duration::ZERO);
        let started = Instant::now();
        let (mut due, mut sent) = (started, 0);
        while due.duration_since(started).as_secs_f64() < request.seconds {
            while Instant::now() < due {
                self.turn()?;
            }
            self.send_frame(&state, request, sent == 0)?;
            sent += request.burst as u64;
            due += interval;
        }
        let busy = self.worked.as_secs_f64() / started.elapsed().as_secs_f64();
        self.drain(SETTLE.as_secs_f64())?;
        Ok(RunReport { sent, received: self.received, busy })
    }

    /// Reads what arrives for so long.
    pub(crate) fn drain(&mut self, seconds: f64) -> Result<(), Failure> {
        let until = Instant::now() + Duration::from_secs_f64(seconds);
        while Instant::now() < until {
            self.turn()?;
        }
        Ok(())
    }

    fn send_frame(&mut self, state: &UdpSocketState, request: &RunRequest, key: bool) -> Result<(), Failure> {
        let publisher = &mut self.clients[0];
        let srtp = publisher.transport.srtp_outbound().ok_or(Failure::NotPrepared)?;
        self.stream.write_frame(&mut self.frame, srtp, request.burst, request.datagram_bytes, key);
        let transmit = Transmit {
            destination: publisher.transport.path().remote,
            ecn: None,
            contents: &self.frame,
            segment_size: (request.burst > 1).then_some(request.datagram_bytes),
            src_ip: None,
        };
        Ok(state.try_send((&publisher.socket).into(), &transmit)?)
    }

    /// Reads what has arrived, without waiting.
    fn turn(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        if now >= self.next_timers {
            self.next_timers = now + TIMER_INTERVAL;
            for client in &mut self.clients {
                client.transport.handle_timeout(now);
                client.flush(now);
            }
        }
        self.poll.poll(&mut self.events, Some(Duration::ZERO))?;
        for event in &self.events {
            self.received += self.clients[event.token().0].read(now);
        }
        if !self.events.is_empty() {
            self.worked += now.elapsed();
        }
        Ok(())
    }
}

impl Client {
    /// Reads until the socket is empty; gives the number of RTP packets.
    fn read(&mut self, now: Instant) -> u64 {
        let mut buffer = [0u8; 2048];
        let mut packets = 0;
        while let Ok((len, from)) = self.socket.recv_from(&mut buffer) {
            let datagram = &mut buffer[..len];
            match datagram {
                [128..=191, second, ..] if !(192..=223).contains(second) => packets += 1,
                [128..=191, ..] => {} // RTCP
                _ => {
                    let path = Path::udp(self.transport.path().local, from);
                    self.transport.handle_datagram(now, path, datagram);
                    self.flush(now);
                }
            }
        }
        packets
    }

    fn flush(&mut self, now: Instant) {
        let mut buffer = [0u8; 2048];
        while let Some((path, len)) = self.transport.poll_datagram(now, &mut buffer) {
            // A full socket buffer loses the datagram; ICE and DTLS repeat it.
            let _ = self.socket.send_to(&buffer[..len], path.remote);
        }
        while self.transport.poll_event(now).is_some() {}
    }
}

const RECEIVE_BUFFER_BYTES: usize = 4 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Handshakes repeat after 50 ms at the earliest.
const TIMER_INTERVAL: Duration = Duration::from_millis(20);
/// Longer than the engine ever holds a packet.
const SETTLE: Duration = Duration::from_millis(200);

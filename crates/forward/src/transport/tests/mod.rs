//! A transport and a client over an emulated network in virtual time: 20 ms of round trip, faults as asked for.

mod data;
mod lifecycle;
mod media;
mod paths;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::srtp::Profile;
use crate::testing::{ClientConfig, ClientInbound, ClientTransport, ServerParameters};

/// Direction of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Client,
    Server,
}

/// Whether the network delivers the n-th datagram of a direction.
type Deliver = Box<dyn FnMut(From, usize, &[u8]) -> bool>;

struct Pair {
    now: Instant,
    start: Instant,
    server: Transport,
    client: ClientTransport,
    parameters: ServerParameters,
    deliver: Deliver,
    in_flight: Vec<(Instant, From, Path, Vec<u8>)>,
    sent: [usize; 2],
    /// Bytes that crossed each path of the server: from the client, to the client.
    traffic: Vec<(Path, usize, usize)>,
    server_events: Vec<(Duration, TransportEvent)>,
    client_events: Vec<TransportEvent>,
    client_rtp: Vec<InboundRtp>,
    server_drops: Vec<Drop>,
}

impl Pair {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(configure: impl FnOnce(&mut ClientConfig)) -> Self {
        let now = Instant::now();
        let certificate = Arc::new(Certificate::generate().unwrap());
        let parameters = ServerParameters {
            ufrag: "server".to_owned(),
            password: "a password of the server".to_owned(),
            fingerprint: certificate.fingerprint().to_owned(),
        };
        let mut config = ClientConfig::new(client_path(1), 7);
        configure(&mut config);
        let server = Transport::new(
            now,
            TransportConfig {
                ufrag: parameters.ufrag.clone(),
                password: parameters.password.clone(),
                certificate,
                srtp_profiles: Arc::from(Profile::ALL),
            },
            42,
        );
        Self {
            now,
            start: now,
            server,
            client: ClientTransport::new(now, config),
            parameters,
            deliver: Box::new(|_, _, _| true),
            in_flight: Vec::new(),
            sent: [0; 2],
            traffic: Vec::new(),
            server_events: Vec::new(),
            client_events: Vec::new(),
            client_rtp: Vec::new(),
            server_drops: Vec::new(),
        }
    }

    /// Both know each other and are connected.
    fn connected() -> Self {
        let mut pair = Self::new();
        pair.introduce();
        pair.connect();
        pair.run(200);
        assert!(pair.server_connected(), "{:?}", pair.server_events);
        pair
    }

    /// The server learns what the client's SDP says.
    fn introduce(&mut self) {
        let remote = self.client.remote();
        self.server.set_remote(self.now, remote).unwrap();
    }

    fn connect(&mut self) {
        self.client.connect(self.now, &self.parameters.clone());
    }

    fn run(&mut self, for_ms: u64) {
        let end = self.now + Duration::from_millis(for_ms);
        loop {
            self.collect();
            let due = self.in_flight.iter().map(|(at, ..)| *at).min();
            let timers = [due, self.server.poll_timeout(), self.client.poll_timeout()];
            let next = timers.into_iter().flatten().min().unwrap_or(end).max(self.now);
            self.now = next.min(end);
            if next >= end {
                break;
            }
            self.deliver();
            self.server.handle_timeout(self.now);
            self.client.handle_timeout(self.now);
        }
    }

    fn collect(&mut self) {
        let mut buf = [0; 1_500];
        while self.server.handle_background(self.now, 4) {}
        while let Some((path, len)) = self.server.poll_datagram(self.now, &mut buf) {
            self.send(From::Server, path, &buf[..len]);
        }
        while let Some((path, len)) = self.client.poll_datagram(self.now, &mut buf) {
            self.send(From::Client, mirror(path), &buf[..len]);
        }
        while let Some(event) = self.server.poll_event(self.now) {
            self.server_events.push((self.now - self.start, event));
        }
        while let Some(event) = self.client.poll_event(self.now) {
            self.client_events.push(event);
        }
    }

    /// `path` as the server sees it.
    fn send(&mut self, from: From, path: Path, datagram: &[u8]) {
        assert!(datagram.len() <= 1_200, "{from:?} sent {} bytes", datagram.len());
        let at = self.traffic.iter().position(|(known, ..)| *known == path).unwrap_or_else(|| {
            self.traffic.push((path, 0, 0));
            self.traffic.len() - 1
        });
        match from {
            From::Client => self.traffic[at].1 += datagram.len(),
            From::Server => self.traffic[at].2 += datagram.len(),
        }
        let nth = self.sent[from as usize];
        self.sent[from as usize] += 1;
        if (self.deliver)(from, nth, datagram) {
            self.in_flight.push((self.now + ONE_WAY, from, path, datagram.to_vec()));
        }
    }

    fn deliver(&mut self) {
        let (due, later): (Vec<_>, Vec<_>) = self.in_flight.drain(..).partition(|(at, ..)| *at <= self.now);
        self.in_flight = later;
        for (_, from, path, mut datagram) in due {
            match from {
                From::Client => self.receive(path, &mut datagram),
                From::Server => {
                    if let ClientInbound::Rtp(packet) =
                        self.client.handle_datagram(self.now, mirror(path), &mut datagram)
                    {
                        self.client_rtp.push(packet);
                    }
                }
            }
        }
    }

    fn receive(&mut self, path: Path, datagram: &mut [u8]) {
        match datagram[0] {
            0..=3 => {
                self.server.handle_stun(self.now, path, datagram);
            }
            20..=63 => {
                self.server.queue_session_datagram(path, datagram);
            }
            _ => {
                let result = self.server.unprotect_rtp(self.now, path, datagram);
                self.server_drops.extend(result.err());
            }
        }
    }

    fn server_connected(&self) -> bool {
        self.server_events.iter().any(|(_, event)| matches!(event, TransportEvent::Connected { .. }))
    }

    fn connected_after_ms(&self) -> Option<u128> {
        let connected = |(at, event): &(Duration, TransportEvent)| {
            matches!(event, TransportEvent::Connected { .. }).then_some(at.as_millis())
        };
        self.server_events.iter().find_map(connected)
    }

    fn closed(&self) -> Option<CloseReason> {
        self.server_events.iter().find_map(|(_, event)| match event {
            TransportEvent::Closed(reason) => Some(*reason),
            _ => None,
        })
    }

    fn server_got(&self, event: &TransportEvent) -> bool {
        self.server_events.iter().any(|(_, other)| other == event)
    }

    /// Sends one RTP packet of media to the client, if the transport lets it.
    fn send_media(&mut self, index: u64, len: usize) -> bool {
        let mut packet = rtp(index as u16, len);
        let Some(outbound) = self.server.srtp_outbound() else { return false };
        packet.resize(len + outbound.tag_len(), 0);
        let total = outbound.protect_rtp(&mut packet, 12, len - 12, SSRC, index);
        let Some(path) = self.server.may_send(total) else { return false };
        self.send(From::Server, path, &packet[..total]);
        true
    }
}

fn rtp(seq: u16, len: usize) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend_from_slice(&seq.to_be_bytes());
    packet.extend_from_slice(&[0; 4]);
    packet.extend_from_slice(&SSRC.to_be_bytes());
    packet.resize(len, 0xAB);
    packet
}

/// The n-th address of the client, as the client sees the path.
fn client_path(nth: u8) -> Path {
    Path::udp(format!("198.51.100.{nth}:5000").parse().unwrap(), "192.0.2.1:7882".parse().unwrap())
}

fn mirror(path: Path) -> Path {
    Path { local: path.remote, remote: path.local, ..path }
}

const ONE_WAY: Duration = Duration::from_millis(10);
const SSRC: u32 = 77;

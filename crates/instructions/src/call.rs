//! One publisher and its consumers around a forwarder, in virtual time. Handshakes are real; afterwards nobody answers: what is
//! counted is the way of media, with the timers that run beside it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forward::dtls::Certificate;
use forward::srtp::Profile;
use forward::testing::{ClientConfig, ClientTransport, ServerParameters};
use forward::{
    AddConsumer, Command, ConsumerId, DatagramSink, Forwarder, ForwarderConfig, OpenTransport, Path, SetRemote,
    TransportId,
};

use crate::packets::{Burst, EXTENSIONS, Media};

/// Forwarder, clients, clock. Client 0 publishes.
pub(crate) struct Call<M> {
    now: Instant,
    forwarder: Forwarder,
    clients: Vec<ClientTransport>,
    fingerprint: String,
    media: M,
}

impl<M: Media> Call<M> {
    /// Everybody is connected and subscribed.
    pub(crate) fn connect(consumers: usize, media: M) -> Self {
        let now = Instant::now();
        let certificate = Arc::new(Certificate::generate().expect("OpenSSL makes certificates"));
        let fingerprint = certificate.fingerprint().to_owned();
        let config = ForwarderConfig { srtp_profiles: Profile::ALL.into(), certificate };
        let forwarder = Forwarder::new(config, now, Duration::from_secs(1_800_000_000), 1);
        let mut call = Self { now, forwarder, clients: Vec::new(), fingerprint, media };
        for at in 0..=consumers {
            call.open(at);
        }
        call.shake_hands();
        let producer = call.media.producer();
        let consume = |at| consumer(at, producer.payload_type);
        call.forwarder.handle_command(now, Command::AddProducer(producer.clone()));
        for at in 1..=consumers {
            call.forwarder.handle_command(now, Command::AddConsumer(consume(at)));
        }
        call
    }

    /// Forwards some bursts for warming up, then the counted ones. Gives how many packets these became.
    pub(crate) fn run(mut self) -> u64 {
        let mut warm_up = self.bursts(WARM_UP_BURSTS);
        self.forward(&mut warm_up);
        let mut bursts = self.bursts(BURSTS);
        let received: usize = bursts.iter().map(Vec::len).sum();
        let before = self.forwarder.counters().rtp_out;
        self.counted(&mut bursts);
        let sent = self.forwarder.counters().rtp_out - before;
        assert_eq!(sent, (received * (self.clients.len() - 1)) as u64, "not everybody got everything");
        sent
    }

    #[inline(never)]
    fn counted(&mut self, bursts: &mut [Burst]) {
        self.forward(bursts);
    }

    /// As a shard does it: all that arrived, timers, then everything that is due.
    fn forward(&mut self, bursts: &mut [Burst]) {
        let (publisher, mut room) = (server_path(0), Room(vec![0; 2_048]));
        for burst in bursts {
            self.now += M::INTERVAL;
            for datagram in burst {
                self.forwarder.handle_datagram(self.now, self.now, publisher, datagram);
            }
            if self.forwarder.poll_timeout().is_some_and(|at| at <= self.now) {
                self.forwarder.handle_timeout(self.now);
            }
            self.forwarder.flush(self.now, &mut room);
            while self.forwarder.poll_event().is_some() {}
        }
    }

    fn bursts(&mut self, count: usize) -> Vec<Burst> {
        let srtp = self.clients[0].srtp_outbound().expect("a connected publisher");
        (0..count).map(|_| self.media.next_burst(srtp)).collect()
    }

    fn open(&mut self, at: usize) {
        let mut client = ClientTransport::new(self.now, ClientConfig::new(client_path(at), at as u64));
        let (transport, remote) = (TransportId(at as u64), client.remote());
        let (ufrag, password) = (format!("server{at}"), format!("password-of-server-{at}"));
        self.forwarder.handle_command(
            self.now,
            Command::OpenTransport(OpenTransport {
                transport,
                shard: 0,
                ufrag: ufrag.clone(),
                password: password.clone(),
            }),
        );
        self.forwarder.handle_command(
            self.now,
            Command::SetRemote(SetRemote {
                transport,
                ufrag: remote.ufrag,
                password: remote.password,
                fingerprint: remote.fingerprint,
                sctp_port: None,
                extensions: EXTENSIONS.iter().map(|(id, uri)| (uri.as_str().to_owned(), *id)).collect(),
            }),
        );
        client.connect(self.now, &ServerParameters { ufrag, password, fingerprint: self.fingerprint.clone() });
        self.clients.push(client);
    }

    fn shake_hands(&mut self) {
        for _ in 0..HANDSHAKE_STEPS {
            self.exchange();
            if self.forwarder.counters().transports_connected == self.clients.len() as u64 {
                return;
            }
            self.now += HANDSHAKE_STEP;
            self.forwarder.handle_timeout(self.now);
            for client in &mut self.clients {
                client.handle_timeout(self.now);
            }
        }
        panic!("the clients do not connect");
    }

    /// Carries what there is, once in each direction.
    fn exchange(&mut self) {
        let mut buf = [0; 2_048];
        for (at, client) in self.clients.iter_mut().enumerate() {
            while let Some((_, len)) = client.poll_datagram(self.now, &mut buf) {
                self.forwarder.handle_datagram(self.now, self.now, server_path(at), &mut buf[..len]);
            }
        }
        while self.forwarder.handle_background(self.now, 1) {}
        let mut mail = Mail::default();
        self.forwarder.flush(self.now, &mut mail);
        for (path, mut datagram) in mail.sent {
            let at = usize::from(path.remote.port() - CLIENT_PORTS);
            self.clients[at].handle_datagram(self.now, client_path(at), &mut datagram);
        }
        while self.forwarder.poll_event().is_some() {}
        for client in &mut self.clients {
            while client.poll_event(self.now).is_some() {}
        }
    }
}

/// One room for all datagrams, as the send queue has one for many.
struct Room(Vec<u8>);

impl DatagramSink for Room {
    fn reserve(&mut self, _: Path, max_len: usize) -> &mut [u8] {
        &mut self.0[..max_len]
    }

    fn commit(&mut self, _: usize) {}
}

/// Keeps what is sent.
#[derive(Default)]
struct Mail {
    reserved: Option<(Path, Vec<u8>)>,
    sent: Vec<(Path, Vec<u8>)>,
}

impl DatagramSink for Mail {
    fn reserve(&mut self, path: Path, max_len: usize) -> &mut [u8] {
        &mut self.reserved.insert((path, vec![0; max_len])).1
    }

    fn commit(&mut self, len: usize) {
        let (path, mut datagram) = self.reserved.take().expect("room was reserved before");
        datagram.truncate(len);
        self.sent.push((path, datagram));
    }
}

fn consumer(at: usize, payload_type: u8) -> AddConsumer {
    AddConsumer {
        consumer: ConsumerId(at as u64),
        producer: forward::ProducerId(1),
        transport: TransportId(at as u64),
        mid: "0".to_owned(),
        ssrc: 10_000 + at as u32,
        rtx_ssrc: None,
        payload_type,
        rtx_payload_type: None,
        cname: "publisher".to_owned(),
        paused: false,
        encoding: 0,
        red_payload_type: None,
        playout_delay: None,
    }
}

fn server_path(at: usize) -> Path {
    Path::udp(server_address(), client_address(at))
}

fn client_path(at: usize) -> Path {
    Path::udp(client_address(at), server_address())
}

fn server_address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 7_882))
}

fn client_address(at: usize) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 1], CLIENT_PORTS + at as u16))
}

const CLIENT_PORTS: u16 = 5_000;
/// Two seconds of video: reports and feedback are in their right proportion.
const BURSTS: usize = 64;
const WARM_UP_BURSTS: usize = 16;
const HANDSHAKE_STEP: Duration = Duration::from_millis(20);
const HANDSHAKE_STEPS: usize = 200;

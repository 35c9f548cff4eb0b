//! The forwarders, their clients and the clock that they share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forward::dtls::Certificate;
use forward::srtp::Profile;
use forward::testing::{ServerParameters, Shards};
use forward::{
    AddConsumer, AddProducer, Command, ConfigureConsumer, ConsumerId, Counters, DatagramSink, EncodingParameters,
    Event, ForwarderConfig, Kind, OpenTransport, Path, ProducerId, SetRemote, TransportId,
};
use netem::LinkConfig;
use wire::ext::{ExtensionMap, Uri};

use super::client::Client;

pub struct World {
    pub now: Instant,
    pub shards: Shards,
    pub clients: Vec<Client>,
    pub events: Vec<(Instant, Event)>,
    pub fingerprint: String,
    seed: u64,
    next_ssrc: u32,
}

/// What a test publishes; `None` where the default will do.
#[allow(clippy::struct_excessive_bools)] // Flags of a negotiation.
pub struct Publish {
    pub kind: Kind,
    pub mime_type: &'static str,
    pub mid: &'static str,
    pub rids: &'static [&'static str],
    pub nack: bool,
    pub transport_cc: bool,
    pub remb: bool,
    /// Under payload type 63.
    pub red: bool,
}

impl Default for Publish {
    /// VP8 in one stream, fed back by transport-cc.
    fn default() -> Self {
        Self {
            kind: Kind::Video,
            mime_type: "video/VP8",
            mid: "v",
            rids: &[],
            nack: true,
            transport_cc: true,
            remb: false,
            red: false,
        }
    }
}

/// What a test subscribes to.
#[derive(Clone, Copy)]
pub struct Consume {
    pub encoding: u8,
    pub paused: bool,
    pub rtx: bool,
    /// Under payload type 102.
    pub red: bool,
    pub playout_delay: Option<(u16, u16)>,
}

impl Default for Consume {
    fn default() -> Self {
        Self { encoding: 2, paused: false, rtx: true, red: false, playout_delay: None }
    }
}

pub const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl World {
    /// Forwarders without clients. The wall clock stands at 1,000,000 s when it starts.
    pub fn new(seed: u64) -> Self {
        let start = Instant::now();
        let certificate = Arc::new(Certificate::generate().expect("OpenSSL makes certificates"));
        let fingerprint = certificate.fingerprint().to_owned();
        let config = ForwarderConfig { srtp_profiles: Profile::ALL.into(), certificate };
        Self {
            now: start,
            shards: Shards::new(shards(), &config, start, UNIX_AT_START, seed),
            clients: Vec::new(),
            events: Vec::new(),
            fingerprint,
            seed,
            next_ssrc: 500_000,
        }
    }

    // ---- clients

    /// A client with the usual extensions, connected over perfect links.
    pub fn add_client(&mut self) -> usize {
        self.add_client_with(usual_extensions())
    }

    pub fn add_client_with(&mut self, extensions: ExtensionMap) -> usize {
        let at = self.open_client(extensions);
        self.run_until(|world| world.clients[at].transport.is_connected(), ms(5_000));
        // The client is done one flight before the server.
        self.run_for(ms(1));
        at
    }

    /// A client whose handshake has not begun to travel.
    pub fn open_client(&mut self, extensions: ExtensionMap) -> usize {
        let at = self.clients.len();
        let local = SocketAddr::from(([10, 0, 1, at as u8], 5_000));
        let client = Client::new(self.now, local, server_address(), extensions, self.seed + 100 * at as u64);
        let transport = TransportId(at as u64);
        let (ufrag, password) = (format!("server{at}"), format!("password-of-server-{at}"));
        self.command(Command::OpenTransport(OpenTransport {
            transport,
            shard: 0,
            ufrag: ufrag.clone(),
            password: password.clone(),
        }));
        self.clients.push(client);
        self.renegotiate(at);
        let server = ServerParameters { ufrag, password, fingerprint: self.fingerprint.clone() };
        self.clients[at].transport.connect(self.now, &server);
        at
    }

    /// Says (again) what the client's SDP says.
    pub fn renegotiate(&mut self, at: usize) {
        let client = &self.clients[at];
        let remote = client.transport.remote();
        let extensions = client.extensions.iter().map(|(id, uri)| (uri.as_str().to_owned(), id)).collect();
        self.command(Command::SetRemote(SetRemote {
            transport: TransportId(at as u64),
            ufrag: remote.ufrag,
            password: remote.password,
            fingerprint: remote.fingerprint,
            sctp_port: remote.sctp_port,
            extensions,
        }));
    }

    pub fn set_links(&mut self, client: usize, up: LinkConfig, down: LinkConfig) {
        self.clients[client].up.set_config(up);
        self.clients[client].down.set_config(down);
    }

    // ---- commands

    pub fn command(&mut self, command: Command) {
        self.shards.handle_command(self.now, command);
        self.settle();
    }

    /// Adds a producer; payload type 96, RTX 97.
    pub fn publish(&mut self, client: usize, producer: u64, what: &Publish) {
        let encodings = if what.rids.is_empty() {
            vec![EncodingParameters::default()]
        } else {
            what.rids
                .iter()
                .map(|rid| EncodingParameters { rid: Some((*rid).to_owned()), ..Default::default() })
                .collect()
        };
        self.command(Command::AddProducer(AddProducer {
            producer: ProducerId(producer),
            transport: TransportId(client as u64),
            kind: what.kind,
            mid: what.mid.to_owned(),
            mime_type: what.mime_type.to_owned(),
            clock_rate: if what.kind == Kind::Audio { 48_000 } else { 90_000 },
            payload_type: if what.kind == Kind::Audio { 111 } else { 96 },
            rtx_payload_type: (what.kind == Kind::Video).then_some(97),
            encodings,
            nack: what.nack,
            transport_cc: what.transport_cc,
            remb: what.remb,
            red_payload_type: what.red.then_some(63),
        }));
    }

    /// Adds a consumer; payload type 100, RTX 101. Gives its SSRC; that of its RTX stream is one more.
    pub fn consume(&mut self, client: usize, producer: u64, consumer: u64, how: Consume) -> u32 {
        let ssrc = self.next_ssrc;
        self.next_ssrc += 2;
        self.command(Command::AddConsumer(AddConsumer {
            consumer: ConsumerId(consumer),
            producer: ProducerId(producer),
            transport: TransportId(client as u64),
            mid: format!("m{consumer}"),
            ssrc,
            rtx_ssrc: how.rtx.then_some(ssrc + 1),
            payload_type: 100,
            rtx_payload_type: how.rtx.then_some(101),
            cname: "publisher".to_owned(),
            paused: how.paused,
            encoding: how.encoding,
            red_payload_type: how.red.then_some(102),
            playout_delay: how.playout_delay,
        }));
        ssrc
    }

    pub fn configure(&mut self, consumer: u64, paused: bool, encoding: u8) {
        self.command(Command::ConfigureConsumer(ConfigureConsumer {
            consumer: ConsumerId(consumer),
            paused,
            encoding,
        }));
    }

    // ---- time

    /// Lets time pass.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.settle();
        while let Some(next) = self.next_event().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.settle();
        }
        self.now = end;
        self.settle();
    }

    /// Lets time pass until something is so.
    pub fn run_until(&mut self, mut condition: impl FnMut(&Self) -> bool, at_most: Duration) {
        let end = self.now + at_most;
        while !condition(self) {
            assert!(self.now < end, "it did not happen within {at_most:?}");
            self.run_for(ms(1));
        }
    }

    fn next_event(&mut self) -> Option<Instant> {
        let clients = self
            .clients
            .iter()
            .flat_map(|client| [client.transport.poll_timeout(), client.up.poll_timeout(), client.down.poll_timeout()]);
        self.shards.poll_timeout().into_iter().chain(clients.flatten()).min()
    }

    /// Moves everything that can move at this instant.
    fn settle(&mut self) {
        let now = self.now;
        // Links without delay make one more round per flight; 50 rounds are more than any handshake has flights.
        for _ in 0..50 {
            let mut moved = false;
            for (at, client) in self.clients.iter_mut().enumerate() {
                let path = Path { local: client.path.remote, remote: client.path.local, ..client.path };
                while let Some(mut datagram) = client.up.receive(now) {
                    self.shards.handle_datagram(now, TransportId(at as u64), path, &mut datagram);
                    moved = true;
                }
            }
            let mut sink = Sink::default();
            self.shards.handle_timeout(now);
            self.shards.handle_background(now);
            self.shards.flush(now, &mut sink);
            while let Some(event) = self.shards.poll_event() {
                self.events.push((now, event));
            }
            for (path, datagram) in sink.sent {
                moved = true;
                if let Some(client) = self.clients.iter_mut().find(|client| client.path.local == path.remote) {
                    client.down.send(now, &datagram);
                }
            }
            for client in &mut self.clients {
                moved |= settle_client(client, now);
            }
            if !moved {
                return;
            }
        }
    }

    /// A datagram from any address.
    pub fn inject(&mut self, from: SocketAddr, datagram: &mut [u8]) {
        let path = Path::udp(server_address(), from);
        let client = self.clients.iter().position(|client| client.path.local == from).unwrap_or(0);
        self.shards.handle_datagram(self.now, TransportId(client as u64), path, datagram);
        self.settle();
    }

    // ---- getters

    /// Of all shards together.
    pub fn counters(&self) -> Counters {
        self.shards.counters()
    }

    /// The encodings that a consumer was told to be on, one after another.
    pub fn layers_of(&self, consumer: u64) -> Vec<Option<u8>> {
        self.events
            .iter()
            .filter_map(|(_, event)| match event {
                Event::ConsumerLayerChanged { consumer: id, encoding } if id.0 == consumer => Some(*encoding),
                _ => None,
            })
            .collect()
    }
}

fn settle_client(client: &mut Client, now: Instant) -> bool {
    let mut moved = false;
    while let Some(datagram) = client.down.receive(now) {
        client.handle_datagram(now, datagram);
        moved = true;
    }
    if client.transport.poll_timeout().is_some_and(|due| due <= now) {
        client.transport.handle_timeout(now);
    }
    while client.transport.poll_event(now).is_some() {}
    let mut buf = [0; 2_048];
    while let Some((_, len)) = client.transport.poll_datagram(now, &mut buf) {
        client.up.send(now, &buf[..len]);
        moved = true;
    }
    moved
}

/// An address that nobody has.
pub fn stranger() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 9))
}

/// Extensions with the ids that browsers like to choose.
pub fn usual_extensions() -> ExtensionMap {
    [
        (1, Uri::Mid),
        (2, Uri::Rid),
        (3, Uri::RepairedRid),
        (4, Uri::TransportCc),
        (5, Uri::AbsSendTime),
        (6, Uri::AudioLevel),
        (7, Uri::DependencyDescriptor),
        (8, Uri::VideoOrientation),
        (9, Uri::PlayoutDelay),
        (10, Uri::AbsCaptureTime),
    ]
    .into_iter()
    .collect()
}

/// One, but several where this is compiled into `tests/piped`.
fn shards() -> u32 {
    if env!("CARGO_CRATE_NAME") == "piped" { 3 } else { 1 }
}

fn server_address() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 7_882))
}

/// Collects datagrams.
#[derive(Default)]
struct Sink {
    sent: Vec<(Path, Vec<u8>)>,
    room: Vec<u8>,
    path: Option<Path>,
}

impl DatagramSink for Sink {
    fn reserve(&mut self, path: Path, max_len: usize) -> &mut [u8] {
        self.path = Some(path);
        self.room = vec![0xAA; max_len];
        &mut self.room
    }

    fn commit(&mut self, len: usize) {
        let path = self.path.take().expect("reserved");
        self.sent.push((path, self.room[..len].to_vec()));
    }
}

pub const UNIX_AT_START: Duration = Duration::from_secs(1_000_000);

//! A forwarder with two clients in virtual time, for the targets that need more than a parser: client 0 publishes audio and
//! simulcast video, client 1 receives both. Ids, mids and payload types are those of the captured packets.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use forward::dtls::Certificate;
use forward::srtp::Profile;
use forward::testing::{ClientConfig, ClientInbound, ClientTransport, ServerParameters};
use forward::{
    AddConsumer, AddProducer, Command, ConsumerId, DatagramSink, EncodingParameters, Forwarder, ForwarderConfig, Kind,
    OpenDataChannel, OpenTransport, Path, ProducerId, SetRemote, TransportId,
};
use wire::ext::Uri;
use wire::rtp;
use wire::seq::Extender;
use wire::stun::attribute::USERNAME;
use wire::stun::{Message, Writer};

use crate::outcome::Outcome;

/// Forwarder, clients, clock.
pub struct World {
    now: Instant,
    forwarder: Forwarder,
    clients: [ClientTransport; 2],
    fingerprint: String,
    /// What each publisher SSRC has sent, for its SRTP index.
    sent: HashMap<u32, Extender>,
    client_ufrag: String,
    forwarded: usize,
}

impl World {
    /// Both transports are open and know their clients; nothing has been sent.
    pub fn new() -> Self {
        let now = start();
        let certificate = certificate();
        let fingerprint = certificate.fingerprint().to_owned();
        let config = ForwarderConfig { srtp_profiles: Profile::ALL.into(), certificate };
        let clients = [0, 1].map(|at| ClientTransport::new(now, ClientConfig::new(client_path(at), u64::from(at))));
        let forwarder = Forwarder::new(config, now, Duration::from_secs(1_800_000_000), 1);
        let client_ufrag = clients[0].remote().ufrag;
        let sent = HashMap::new();
        let mut world = Self { now, forwarder, clients, fingerprint, sent, client_ufrag, forwarded: 0 };
        for at in 0..2 {
            world.open(at);
        }
        world
    }

    /// As `new`, then connected by DTLS, publishing and subscribed.
    pub fn connected() -> Self {
        let mut world = Self::new();
        world.connect();
        world.publish(AUDIO, Kind::Audio, "7", "audio/opus", 48_000, &[]);
        world.publish(VIDEO, Kind::Video, "8", "video/VP8", 90_000, &["q", "h", "f"]);
        world.exchange();
        world
    }

    /// Both clients check their paths and shake hands.
    pub fn connect(&mut self) {
        for at in 0..2 {
            let server = ServerParameters {
                ufrag: ufrag(at),
                password: PASSWORD.to_owned(),
                fingerprint: self.fingerprint.clone(),
            };
            self.clients[at].connect(self.now, &server);
        }
        for _ in 0..200 {
            if self.clients.iter().all(ClientTransport::is_connected) {
                break;
            }
            self.advance(Duration::from_millis(20));
        }
        assert!(self.clients.iter().all(ClientTransport::is_connected), "clients connect in four seconds");
        self.exchange();
    }

    /// Any datagram from the address of a client, or of nobody (2).
    pub fn receive(&mut self, from: u8, datagram: &[u8]) {
        let path = server_path(from);
        self.forwarder.handle_datagram(self.now, self.now, path, &mut datagram.to_vec());
    }

    /// A STUN message with its attributes as they are, but for the transport's ufrag and a valid integrity and fingerprint.
    pub fn receive_signed(&mut self, from: u8, message: &Message<'_>) {
        let mut buf = vec![0; 8_192];
        let mut writer = Writer::new(&mut buf, message.class(), message.method(), message.transaction_id());
        for attribute in message.attributes() {
            if attribute.kind == USERNAME {
                writer.username(&format!("{}:{}", ufrag(0), self.client_ufrag));
            } else {
                writer.attribute(attribute.kind, attribute.value);
            }
        }
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, PASSWORD.as_bytes());
        writer.integrity(|covered| hmac::sign(&key, covered).as_ref().try_into().expect("SHA-1 has 20 bytes"));
        if let Some(len) = writer.fingerprint().finish() {
            self.receive(from, &buf[..len]);
        }
    }

    /// RTP that client 0 encrypts; what cannot be encrypted goes as it is.
    pub fn receive_rtp(&mut self, packet: &[u8]) {
        let mut datagram = packet.to_vec();
        if let (Ok(header), Some(srtp)) = (rtp::parse_header(packet), self.clients[0].srtp_outbound()) {
            let extender = self.sent.entry(header.ssrc.0).or_default();
            // The forwarder starts a stream in its first cycle, the extender in its second.
            if let Some(index) = extender.extend(header.seq.0).checked_sub(1 << 16) {
                datagram.resize(packet.len() + srtp.tag_len(), 0);
                let payload_len = packet.len() - header.header_len;
                let len = srtp.protect_rtp(&mut datagram, header.header_len, payload_len, header.ssrc.0, index);
                datagram.truncate(len);
            }
        }
        self.receive(0, &datagram);
    }

    /// RTCP that a client encrypts.
    pub fn receive_rtcp(&mut self, from: u8, packet: &[u8]) {
        let mut datagram = packet.to_vec();
        datagram.resize(packet.len() + RTCP_TRAILER_MAX, 0);
        if let Some(srtp) = self.clients[usize::from(from)].srtp_outbound() {
            let len = srtp.protect_rtcp(&mut datagram, packet.len());
            datagram.truncate(len);
        }
        self.receive(from, &datagram);
    }

    /// A message on a data channel of a client.
    pub fn receive_data(&mut self, from: u8, payload: &[u8]) {
        self.clients[usize::from(from)].send_data(self.now, LABEL, payload);
        self.exchange();
    }

    /// Lets time pass in steps of at most 100 ms.
    pub fn advance(&mut self, mut time: Duration) {
        while !time.is_zero() {
            let step = time.min(Duration::from_millis(100));
            self.now += step;
            time -= step;
            self.forwarder.handle_timeout(self.now);
            for client in &mut self.clients {
                client.handle_timeout(self.now);
            }
            self.exchange();
        }
    }

    /// Carries datagrams both ways until nobody has more to say. Media that reaches a client must decrypt.
    pub fn exchange(&mut self) {
        for _ in 0..EXCHANGES_MAX {
            let mut quiet = true;
            let mut buf = [0; 2_048];
            for at in 0..2 {
                while let Some((_, len)) = self.clients[usize::from(at)].poll_datagram(self.now, &mut buf) {
                    self.receive(at, &buf[..len]);
                    quiet = false;
                }
            }
            while self.forwarder.handle_background(self.now, 4) {}
            let mut sink = Sink::default();
            self.forwarder.flush(self.now, &mut sink);
            for (path, datagram) in sink.sent {
                self.deliver(path, datagram);
                quiet = false;
            }
            while self.forwarder.poll_event().is_some() {}
            for client in &mut self.clients {
                while client.poll_event(self.now).is_some() {}
            }
            if quiet {
                return;
            }
        }
    }

    /// Media packets that reached a client and decrypted.
    pub fn forwarded(&self) -> usize {
        self.forwarded
    }

    /// What the forwarder counted, as far as it differs between inputs.
    pub fn note(&self, outcome: &mut Outcome) {
        self.forwarder.counters().visit(|name, count| {
            // Byte counts vary with the random certificates.
            if !name.ends_with("bytes") {
                outcome.size(count.min(1 << 4) as usize);
            }
        });
    }

    fn deliver(&mut self, path: Path, mut datagram: Vec<u8>) {
        assert!(!datagram.is_empty() && datagram.len() <= DATAGRAM_MAX, "{} bytes", datagram.len());
        let Some(at) = (0..2_u8).find(|at| server_path(*at) == path) else { return };
        let is_media = datagram[0] >= 128;
        let inbound = self.clients[usize::from(at)].handle_datagram(self.now, client_path(at), &mut datagram);
        self.forwarded += usize::from(matches!(inbound, ClientInbound::Rtp(_)));
        if is_media {
            assert!(
                !matches!(inbound, ClientInbound::Dropped(_)),
                "a client cannot read what it was sent: {inbound:?}"
            );
        }
    }

    fn open(&mut self, at: u8) {
        let transport = TransportId(u64::from(at));
        let remote = self.clients[usize::from(at)].remote();
        let extensions = EXTENSIONS.iter().map(|(id, uri)| (uri.as_str().to_owned(), *id)).collect();
        self.command(Command::OpenTransport(OpenTransport {
            transport,
            shard: 0,
            ufrag: ufrag(usize::from(at)),
            password: PASSWORD.to_owned(),
        }));
        self.command(Command::SetRemote(SetRemote {
            transport,
            ufrag: remote.ufrag,
            password: remote.password,
            fingerprint: remote.fingerprint,
            sctp_port: remote.sctp_port,
            extensions,
        }));
        self.command(Command::OpenDataChannel(OpenDataChannel {
            transport,
            label: LABEL.to_owned(),
            ordered: true,
            max_retransmits: None,
            stream: None,
        }));
    }

    fn publish(&mut self, id: u64, kind: Kind, mid: &str, mime_type: &str, clock_rate: u32, rids: &[&str]) {
        let video = kind == Kind::Video;
        let with_rid = |rid: &&str| EncodingParameters { rid: Some((*rid).to_owned()), ..Default::default() };
        let encodings = if video { rids.iter().map(with_rid).collect() } else { vec![EncodingParameters::default()] };
        let payload_type = if video { 96 } else { 111 };
        self.command(Command::AddProducer(AddProducer {
            producer: ProducerId(id),
            transport: TransportId(0),
            kind,
            mid: mid.to_owned(),
            mime_type: mime_type.to_owned(),
            clock_rate,
            payload_type,
            rtx_payload_type: video.then_some(97),
            encodings,
            nack: video,
            transport_cc: true,
            remb: false,
            red_payload_type: (!video).then_some(63),
        }));
        self.command(Command::AddConsumer(AddConsumer {
            consumer: ConsumerId(id),
            producer: ProducerId(id),
            transport: TransportId(1),
            mid: mid.to_owned(),
            ssrc: 1_000 * id as u32,
            rtx_ssrc: video.then_some(1_000 * id as u32 + 1),
            payload_type,
            rtx_payload_type: video.then_some(97),
            cname: "publisher".to_owned(),
            paused: false,
            encoding: 2,
            red_payload_type: None,
            playout_delay: Some((0, 10)),
        }));
    }

    fn command(&mut self, command: Command) {
        self.forwarder.handle_command(self.now, command);
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Default)]
pub(crate) struct Sink {
    reserved: Option<(Path, Vec<u8>)>,
    pub(crate) sent: Vec<(Path, Vec<u8>)>,
}

impl DatagramSink for Sink {
    fn reserve(&mut self, path: Path, max_len: usize) -> &mut [u8] {
        &mut self.reserved.insert((path, vec![0; max_len])).1
    }

    fn commit(&mut self, len: usize) {
        let (path, mut datagram) = self.reserved.take().expect("room was reserved before");
        assert!(len <= datagram.len(), "no more is committed than was reserved");
        datagram.truncate(len);
        self.sent.push((path, datagram));
    }
}

pub(crate) fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}

/// One for all worlds: making it costs more than most inputs.
pub(crate) fn certificate() -> Arc<Certificate> {
    static CERTIFICATE: OnceLock<Arc<Certificate>> = OnceLock::new();
    Arc::clone(CERTIFICATE.get_or_init(|| Arc::new(Certificate::generate().expect("OpenSSL makes certificates"))))
}

fn server_address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 7_882))
}

fn client_address(at: u8) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, at], 5_000))
}

fn client_path(at: u8) -> Path {
    Path::udp(client_address(at), server_address())
}

fn server_path(at: u8) -> Path {
    Path::udp(server_address(), client_address(at))
}

fn ufrag(at: usize) -> String {
    format!("server{at}")
}

/// ICE password of both transports.
const PASSWORD: &str = "password-of-the-server";
const LABEL: &str = "_reliable";
const AUDIO: u64 = 1;
const VIDEO: u64 = 2;
/// The ids that livekit-client negotiates.
const EXTENSIONS: [(u8, Uri); 9] = [
    (1, Uri::AudioLevel),
    (2, Uri::AbsSendTime),
    (3, Uri::TransportCc),
    (4, Uri::Mid),
    (5, Uri::PlayoutDelay),
    (10, Uri::Rid),
    (11, Uri::RepairedRid),
    (12, Uri::DependencyDescriptor),
    (13, Uri::VideoOrientation),
];
/// SRTCP index and the longest tag.
const RTCP_TRAILER_MAX: usize = 4 + 16;
/// No datagram of ours needs fragments over any usual link; received media may be up to this long.
const DATAGRAM_MAX: usize = 2_048;
/// A conversation that lasts longer than this in no time at all is a loop; the world stops listening then.
const EXCHANGES_MAX: usize = 50;

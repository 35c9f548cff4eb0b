//! A forwarder and its clients under any sequence of commands, media, feedback, data, migrations, silence and ends, in virtual
//! time. What should be there is kept beside it, and compared after every step.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use forward::srtp::Profile;
use forward::testing::{ClientConfig, ClientInbound, ClientTransport, ServerParameters, Shards};
use forward::{
    AddConsumer, AddProducer, CloseTransport, Command, ConfigureConsumer, ConsumerId, EncodingParameters, Event,
    ForwarderConfig, Kind, OpenDataChannel, OpenTransport, Path, PauseData, ProducerId, RemoveConsumer, RemoveProducer,
    RequestKeyframe, RestartIce, SendData, SetRemote, TransportId,
};
use wire::ext::{Uri, Writer};
use wire::rtcp;
use wire::rtp::{FIXED_HEADER_LEN, FixedHeader, write_fixed_header};
use wire::{PayloadType, RtpTimestamp, SeqNo, Ssrc};

use crate::outcome::Outcome;
use crate::world::{Sink, certificate, start};

/// Everything, and what should be.
pub struct Operations {
    now: Instant,
    forwarder: Shards,
    fingerprint: String,
    clients: BTreeMap<u64, Client>,
    producers: BTreeMap<u64, Producer>,
    consumers: BTreeMap<u64, Consumer>,
    /// Ids, SSRCs and ports: never used twice.
    next: u64,
    forwarded: usize,
}

struct Client {
    transport: ClientTransport,
    ufrag: String,
    restarts: u32,
    /// Whether it has said goodbye.
    closed: bool,
}

struct Producer {
    client: u64,
    video: bool,
    /// Of each encoding: the next index.
    encodings: Vec<u64>,
}

struct Consumer {
    client: u64,
    producer: u64,
    ssrc: u32,
}

impl Operations {
    /// Nobody is there. With several shards, what one client sends another gets through a pipe.
    pub fn new(shards: u32) -> Self {
        let (now, certificate) = (start(), certificate());
        let fingerprint = certificate.fingerprint().to_owned();
        let config = ForwarderConfig { srtp_profiles: Profile::ALL.into(), certificate };
        let forwarder = Shards::new(shards, &config, now, Duration::from_secs(1_800_000_000), 1);
        let (clients, producers, consumers) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { now, forwarder, fingerprint, clients, producers, consumers, next: 1, forwarded: 0 }
    }

    /// Does one thing; `what` says which, `a` and `b` to whom and how.
    pub fn step(&mut self, what: u8, a: u8, b: u8) {
        let (client, producer, consumer) = (nth(&self.clients, a), nth(&self.producers, a), nth(&self.consumers, a));
        match what % 24 {
            0 | 1 => self.open(),
            2 => client.into_iter().for_each(|id| self.close(id)),
            3 => client.into_iter().for_each(|id| self.goodbye(id)),
            4 | 5 => client.into_iter().for_each(|id| self.publish(id, b)),
            6 => producer.into_iter().for_each(|id| self.unpublish(id)),
            7 | 8 => client.into_iter().zip(nth(&self.producers, b)).for_each(|(id, from)| self.consume(id, from, b)),
            9 => consumer.into_iter().for_each(|id| self.unconsume(id)),
            10 => consumer.into_iter().for_each(|id| self.configure(id, b)),
            11..=14 => producer.into_iter().for_each(|id| self.film(id, b)),
            15 => consumer.into_iter().for_each(|id| self.complain(id, b)),
            16 => producer.into_iter().for_each(|id| {
                self.command(Command::RequestKeyframe(RequestKeyframe { producer: ProducerId(id) }));
            }),
            17 => client.into_iter().for_each(|id| self.restart_ice(id)),
            18 => client.into_iter().for_each(|id| self.migrate(id)),
            19 => client.into_iter().for_each(|id| self.talk(id, b)),
            20 => self.nonsense(a, b),
            21 => self.advance(Duration::from_millis(u64::from(a))),
            22 => self.advance(Duration::from_secs(u64::from(a % 40))),
            _ => client.into_iter().for_each(|id| self.noise(id, b)),
        }
        self.exchange();
        self.check();
    }

    /// Everybody goes; nothing may be left.
    pub fn finish(mut self, outcome: &mut Outcome) {
        self.forwarder.counters().visit(|name, count| {
            if !name.ends_with("bytes") {
                outcome.size(count.min(1 << 4) as usize);
            }
        });
        let ids: Vec<u64> = self.clients.keys().copied().collect();
        for id in ids {
            self.close(id);
        }
        self.exchange();
        self.check();
        self.advance(Duration::from_millis(200));
        assert_eq!(self.forwarder.poll_timeout(), None, "no timer is left");
    }

    /// Media packets that have reached a client and decrypted.
    pub fn forwarded(&self) -> usize {
        self.forwarded
    }

    // ---- steps

    fn open(&mut self) {
        if self.clients.len() >= CLIENTS_MAX {
            return;
        }
        let id = self.draw();
        let transport = ClientTransport::new(self.now, ClientConfig::new(path_of(id), id));
        let ufrag = format!("server{id}");
        self.command(Command::OpenTransport(OpenTransport {
            transport: TransportId(id),
            shard: 0,
            ufrag: ufrag.clone(),
            password: PASSWORD.to_owned(),
        }));
        self.clients.insert(id, Client { transport, ufrag, restarts: 0, closed: false });
        self.command(Command::OpenDataChannel(OpenDataChannel {
            transport: TransportId(id),
            label: LABEL.to_owned(),
            ordered: true,
            max_retransmits: None,
            stream: None,
        }));
        self.introduce(id);
        self.advance(Duration::from_millis(20));
    }

    /// What an offer and its answer tell both sides.
    fn introduce(&mut self, id: u64) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let remote = client.transport.remote();
        let server = ServerParameters {
            ufrag: client.ufrag.clone(),
            password: PASSWORD.to_owned(),
            fingerprint: self.fingerprint.clone(),
        };
        client.transport.connect(self.now, &server);
        self.command(Command::SetRemote(SetRemote {
            transport: TransportId(id),
            ufrag: remote.ufrag,
            password: remote.password,
            fingerprint: remote.fingerprint,
            sctp_port: remote.sctp_port,
            extensions: EXTENSIONS.iter().map(|(id, uri)| (uri.as_str().to_owned(), *id)).collect(),
        }));
    }

    fn close(&mut self, id: u64) {
        self.command(Command::CloseTransport(CloseTransport { transport: TransportId(id) }));
        self.forget(id);
    }

    fn goodbye(&mut self, id: u64) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.transport.close();
            client.closed = true;
        }
    }

    fn publish(&mut self, client: u64, how: u8) {
        if self.producers.len() >= PRODUCERS_MAX {
            return;
        }
        let (id, video) = (self.draw(), how & 1 == 0);
        let count = if video { 1 + usize::from(how >> 1) % 3 } else { 1 };
        let rids = (0..count).map(|at| (count > 1).then(|| RIDS[at].to_owned()));
        self.command(Command::AddProducer(AddProducer {
            producer: ProducerId(id),
            transport: TransportId(client),
            kind: if video { Kind::Video } else { Kind::Audio },
            mid: id.to_string(),
            mime_type: if video { "video/VP8" } else { "audio/opus" }.to_owned(),
            clock_rate: if video { 90_000 } else { 48_000 },
            payload_type: if video { 96 } else { 111 },
            rtx_payload_type: video.then_some(97),
            encodings: rids.map(|rid| EncodingParameters { rid, ..Default::default() }).collect(),
            nack: video,
            transport_cc: how & 8 == 0,
            remb: how & 8 != 0,
            red_payload_type: (!video && how & 4 == 0).then_some(63),
        }));
        let first = if how & 16 == 0 { 65_500 } else { 1_000 };
        self.producers.insert(id, Producer { client, video, encodings: vec![first; count] });
    }

    fn unpublish(&mut self, id: u64) {
        self.command(Command::RemoveProducer(RemoveProducer { producer: ProducerId(id) }));
        self.producers.remove(&id);
        self.consumers.retain(|_, consumer| consumer.producer != id);
    }

    fn consume(&mut self, client: u64, producer: u64, how: u8) {
        if self.consumers.len() >= CONSUMERS_MAX {
            return;
        }
        let (id, ssrc) = (self.draw(), self.draw() as u32 * 2);
        let rtx = self.producers.get(&producer).is_some_and(|producer| producer.video) && how & 4 == 0;
        self.command(Command::AddConsumer(AddConsumer {
            consumer: ConsumerId(id),
            producer: ProducerId(producer),
            transport: TransportId(client),
            mid: id.to_string(),
            ssrc,
            rtx_ssrc: rtx.then_some(ssrc + 1),
            payload_type: 100,
            rtx_payload_type: rtx.then_some(101),
            cname: "c".to_owned(),
            paused: how & 8 != 0,
            encoding: how & 3,
            red_payload_type: (how & 16 == 0).then_some(102),
            playout_delay: (how & 32 != 0).then_some((0, 10)),
        }));
        self.consumers.insert(id, Consumer { client, producer, ssrc });
    }

    fn unconsume(&mut self, id: u64) {
        self.command(Command::RemoveConsumer(RemoveConsumer { consumer: ConsumerId(id) }));
        self.consumers.remove(&id);
    }

    fn configure(&mut self, id: u64, how: u8) {
        let (consumer, paused) = (ConsumerId(id), how & 4 != 0);
        self.command(Command::ConfigureConsumer(ConfigureConsumer { consumer, paused, encoding: how & 3 }));
    }

    /// A few packets of one encoding: a keyframe or not, with a gap or not, numbered on from the last.
    fn film(&mut self, id: u64, how: u8) {
        let Some(producer) = self.producers.get_mut(&id) else { return };
        let at = usize::from(how) % producer.encodings.len();
        let Some(client) = self.clients.get_mut(&producer.client) else { return };
        let path = Path::udp(client.transport.path().remote, client.transport.path().local);
        let Some(srtp) = client.transport.srtp_outbound() else { return };
        producer.encodings[at] += u64::from(how >> 6);
        let ssrc = id as u32 * 16 + at as u32;
        let rid = (producer.encodings.len() > 1).then(|| RIDS[at]);
        for number in 0..=(how >> 2 & 3) {
            let index = producer.encodings[at];
            producer.encodings[at] += 1;
            let keyframe = how & 32 == 0 && number == 0;
            let mut packet = vec![0; 400];
            let header = write_header(&mut packet, ssrc, index, &id.to_string(), rid, producer.video);
            let payload = payload(producer.video, number == 0, keyframe, index);
            packet[header..header + payload.len()].copy_from_slice(&payload);
            let len = srtp.protect_rtp(&mut packet, header, payload.len(), ssrc, index);
            self.forwarder.handle_datagram(self.now, TransportId(owner_of(path.remote)), path, &mut packet[..len]);
        }
    }

    /// Feedback about what a consumer sends: keyframe requests, NACKs, reports.
    fn complain(&mut self, id: u64, how: u8) {
        let Some(consumer) = self.consumers.get(&id) else { return };
        let Some(client) = self.clients.get_mut(&consumer.client) else { return };
        let path = Path::udp(client.transport.path().remote, client.transport.path().local);
        let (mut buf, media, sender) = (vec![0; 1_400], Ssrc(consumer.ssrc), Ssrc(1));
        let lost: Vec<u16> = (0..100).map(|back| u16::from(how).wrapping_mul(257).wrapping_sub(back)).collect();
        let len = match how % 4 {
            0 => rtcp::write_pli(&mut buf, sender, media),
            1 => rtcp::write_fir(&mut buf, sender, &[(media, how)]),
            2 => rtcp::write_nack(&mut buf, sender, media, &lost),
            _ => rtcp::write_bye(&mut buf, &[media]),
        };
        let (Some(srtp), Some(len)) = (client.transport.srtp_outbound(), len) else { return };
        let len = srtp.protect_rtcp(&mut buf, len);
        self.forwarder.handle_datagram(self.now, TransportId(owner_of(path.remote)), path, &mut buf[..len]);
    }

    fn restart_ice(&mut self, id: u64) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        client.restarts += 1;
        client.ufrag = format!("server{id}r{}", client.restarts);
        let (ufrag, password) = (client.ufrag.clone(), PASSWORD.to_owned());
        self.command(Command::RestartIce(RestartIce { transport: TransportId(id), ufrag, password }));
        self.introduce(id);
    }

    fn migrate(&mut self, id: u64) {
        if let Some(client) = self.clients.get_mut(&id) {
            let mut path = client.transport.path();
            path.local.set_port(path.local.port() + 1);
            client.transport.migrate(self.now, path);
        }
    }

    /// Data in both directions, and pauses.
    fn talk(&mut self, id: u64, how: u8) {
        let payload = vec![how; usize::from(how) * 40];
        match how % 4 {
            0 | 1 => {
                if let Some(client) = self.clients.get_mut(&id) {
                    client.transport.send_data(self.now, LABEL, &payload);
                }
            }
            2 => {
                let transports = self.clients.keys().map(|id| TransportId(*id)).collect();
                self.command(Command::SendData(SendData { transports, label: LABEL.to_owned(), payload }));
            }
            _ => self.command(Command::PauseData(PauseData { transport: TransportId(id), paused: how & 4 != 0 })),
        }
    }

    /// Commands about what is not there, or not any more.
    fn nonsense(&mut self, a: u8, b: u8) {
        let id = u64::from(a);
        if self.clients.contains_key(&id) || self.producers.contains_key(&id) || self.consumers.contains_key(&id) {
            return;
        }
        self.command(match b % 5 {
            0 => Command::CloseTransport(CloseTransport { transport: TransportId(id) }),
            1 => Command::RemoveProducer(RemoveProducer { producer: ProducerId(id) }),
            2 => Command::RemoveConsumer(RemoveConsumer { consumer: ConsumerId(id) }),
            3 => Command::PauseData(PauseData { transport: TransportId(id), paused: true }),
            _ => Command::RequestKeyframe(RequestKeyframe { producer: ProducerId(id) }),
        });
    }

    /// Something short of any protocol from a client's address.
    fn noise(&mut self, id: u64, first: u8) {
        let Some(client) = self.clients.get(&id) else { return };
        let path = Path::udp(client.transport.path().remote, client.transport.path().local);
        let mut datagram: Vec<u8> = (0..40_u8).map(|at| first.wrapping_mul(at.wrapping_add(1))).collect();
        datagram[0] = first;
        self.forwarder.handle_datagram(self.now, TransportId(owner_of(path.remote)), path, &mut datagram);
    }

    // ---- the world around

    fn advance(&mut self, time: Duration) {
        let (began, end) = (self.now, self.now + time);
        let mut turns = 0;
        loop {
            let clients = self.clients.values().filter_map(|client| client.transport.poll_timeout());
            let Some(due) = self.forwarder.poll_timeout().into_iter().chain(clients).min() else { break };
            if due > end {
                break;
            }
            self.now = self.now.max(due);
            for client in self.clients.values_mut() {
                client.transport.handle_timeout(self.now);
            }
            self.forwarder.handle_timeout(self.now);
            self.exchange();
            turns += 1;
            // Each timer of each client may run every few milliseconds, but no more.
            let most = 100 + 20 * CLIENTS_MAX as u128 * (self.now - began).as_millis();
            assert!(turns <= most, "timers run {turns} times in {:?}", self.now - began);
        }
        self.now = end;
        self.exchange();
    }

    /// Carries datagrams both ways until nobody has more to say, and takes the events.
    fn exchange(&mut self) {
        for _ in 0..EXCHANGES_MAX {
            let mut quiet = true;
            let mut buf = [0; 2_048];
            for client in self.clients.values_mut() {
                while let Some((path, len)) = client.transport.poll_datagram(self.now, &mut buf) {
                    let path = Path::udp(path.remote, path.local);
                    self.forwarder.handle_datagram(self.now, TransportId(owner_of(path.remote)), path, &mut buf[..len]);
                    quiet = false;
                }
                while client.transport.poll_event(self.now).is_some() {}
            }
            self.forwarder.handle_background(self.now);
            let mut sink = Sink::default();
            self.forwarder.flush(self.now, &mut sink);
            assert!(sink.sent.len() < DATAGRAMS_MAX, "{} datagrams at once", sink.sent.len());
            for (path, datagram) in sink.sent {
                self.deliver(path, datagram);
                quiet = false;
            }
            self.take_events();
            if quiet {
                return;
            }
        }
        panic!("they talk without end");
    }

    fn deliver(&mut self, path: Path, mut datagram: Vec<u8>) {
        let Some(client) = self.clients.get_mut(&owner_of(path.remote)) else { return };
        let is_media = datagram[0] >= 128;
        let path = Path::udp(path.remote, path.local);
        let inbound = client.transport.handle_datagram(self.now, path, &mut datagram);
        self.forwarded += usize::from(matches!(inbound, ClientInbound::Rtp(_)));
        if is_media && !client.closed {
            assert!(
                !matches!(inbound, ClientInbound::Dropped(_)),
                "a client cannot read what it was sent: {inbound:?}"
            );
        }
    }

    fn take_events(&mut self) {
        let mut count = 0;
        while let Some(event) = self.forwarder.poll_event() {
            count += 1;
            assert!(count < EVENTS_MAX, "events without end");
            if let Event::TransportClosed { transport, .. } = event {
                self.forget(transport.0);
            }
        }
    }

    /// A transport is gone, with all that was on it and all that came from it.
    fn forget(&mut self, id: u64) {
        self.clients.remove(&id);
        let gone: Vec<u64> = self.producers.iter().filter(|(_, it)| it.client == id).map(|(id, _)| *id).collect();
        self.producers.retain(|_, producer| producer.client != id);
        self.consumers.retain(|_, consumer| consumer.client != id && !gone.contains(&consumer.producer));
    }

    fn check(&self) {
        let counters = self.forwarder.counters();
        let held = (counters.transports, counters.producers, counters.consumers);
        let expected = (self.clients.len() as u64, self.producers.len() as u64, self.consumers.len() as u64);
        assert_eq!(held, expected, "(transports, producers, consumers)");
        assert_eq!(counters.pipes_in, counters.pipes_out, "each has two ends");
        assert!(counters.timers <= counters.transports, "one timer for each transport at most");
        assert_eq!(counters.closed_internal_error, 0);
    }

    fn command(&mut self, command: Command) {
        self.forwarder.handle_command(self.now, command);
    }

    fn draw(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// One of those there are, by number and not by id: a shorter input then still means the same.
fn nth<T>(map: &BTreeMap<u64, T>, number: u8) -> Option<u64> {
    map.keys().nth(usize::from(number) % map.len().max(1)).copied()
}

fn write_header(packet: &mut [u8], ssrc: u32, index: u64, mid: &str, rid: Option<&str>, video: bool) -> usize {
    let header = FixedHeader {
        payload_type: PayloadType(if video { 96 } else { 111 }),
        marker: true,
        has_extension: true,
        seq: SeqNo(index as u16),
        timestamp: RtpTimestamp(index as u32 * 960),
        ssrc: Ssrc(ssrc),
    };
    write_fixed_header(packet, &header);
    let mut writer = Writer::new(&mut packet[FIXED_HEADER_LEN..], false);
    writer.push(MID, mid.as_bytes());
    writer.push(TWCC, &(index as u16).to_be_bytes());
    if let Some(rid) = rid {
        writer.push(RID, rid.as_bytes());
    }
    FIXED_HEADER_LEN + writer.finish()
}

/// VP8 with a picture id, or something that could be Opus.
fn payload(video: bool, first: bool, keyframe: bool, index: u64) -> Vec<u8> {
    if !video {
        return vec![7; 60];
    }
    let [high, low] = (index as u16 & 0x7fff).to_be_bytes();
    let mut payload = vec![0x80 | u8::from(first) << 4, 0x80, 0x80 | high, low, u8::from(!keyframe)];
    payload.extend([0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00]);
    payload.resize(200, 3);
    payload
}

/// The server's end is first in what the client calls its path.
fn path_of(id: u64) -> Path {
    Path::udp(
        SocketAddr::from(([198, 51, (id >> 8) as u8, id as u8], 5_000)),
        SocketAddr::from(([192, 0, 2, 1], 7_882)),
    )
}

/// Whose address it is, on any port.
fn owner_of(address: SocketAddr) -> u64 {
    match address {
        SocketAddr::V4(address) => {
            let [_, _, high, low] = address.ip().octets();
            u64::from(high) << 8 | u64::from(low)
        }
        SocketAddr::V6(_) => 0,
    }
}

const CLIENTS_MAX: usize = 4;
const PRODUCERS_MAX: usize = 6;
const CONSUMERS_MAX: usize = 12;
const PASSWORD: &str = "password-of-the-server";
const LABEL: &str = "_reliable";
const RIDS: [&str; 3] = ["q", "h", "f"];
const MID: u8 = 4;
const RID: u8 = 10;
const TWCC: u8 = 3;
const EXTENSIONS: [(u8, Uri); 3] = [(TWCC, Uri::TransportCc), (MID, Uri::Mid), (RID, Uri::Rid)];
const EXCHANGES_MAX: usize = 200;
const EVENTS_MAX: usize = 500;
const DATAGRAMS_MAX: usize = 2_000;

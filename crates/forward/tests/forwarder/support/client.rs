//! A client: its transport, its links, what it received, and how it writes RTP.

use std::net::SocketAddr;
use std::time::Instant;

use forward::Path;
use forward::testing::{ClientConfig, ClientInbound, ClientTransport};
use netem::Link;
use wire::ext::{ExtensionMap, Uri, Writer};
use wire::rtp::{FixedHeader, RtpPacket, write_fixed_header};
use wire::{PayloadType, RtpTimestamp, SeqNo, Ssrc};

pub struct Client {
    pub transport: ClientTransport,
    pub path: Path,
    pub up: Link,
    pub down: Link,
    pub extensions: ExtensionMap,
    pub received: Vec<Received>,
    pub rtcp: Vec<(Instant, Vec<u8>)>,
    /// SRTP packets that did not decrypt.
    pub undecryptable: usize,
    /// Stamped on every packet when set.
    pub twcc_seq: Option<u16>,
    /// Every media datagram as it came, while somebody wants them.
    pub raw: Option<Vec<Vec<u8>>>,
    /// Drops datagrams on their way down for which this says so.
    pub drop_down: Option<Filter>,
}

/// Says of a packet whether it is lost.
pub type Filter = Box<dyn FnMut(&Received) -> bool>;

/// One decrypted RTP packet.
#[derive(Debug, Clone)]
pub struct Received {
    pub at: Instant,
    pub ssrc: u32,
    pub payload_type: u8,
    /// 48 bits.
    pub index: u64,
    pub timestamp: u32,
    pub marker: bool,
    pub padding_len: usize,
    pub payload: Vec<u8>,
    pub mid: Option<String>,
    pub has_rid: bool,
    pub twcc: Option<u16>,
    pub abs_send_time: Option<u32>,
    pub audio_level: Option<(u8, bool)>,
    pub descriptor: Option<Vec<u8>>,
    pub orientation: Option<Vec<u8>>,
    pub playout_delay: Option<Vec<u8>>,
    pub capture_time: Option<Vec<u8>>,
    pub is_two_byte: bool,
}

/// One RTP packet to send.
#[derive(Debug, Clone, Default)]
pub struct RtpSpec {
    pub payload_type: u8,
    pub ssrc: u32,
    /// 48 bits: the low 16 are the sequence number.
    pub index: u64,
    pub timestamp: u32,
    pub marker: bool,
    pub padding: u8,
    pub payload: Vec<u8>,
    pub mid: Option<String>,
    pub rid: Option<String>,
    pub repaired_rid: Option<String>,
    pub audio_level: Option<u8>,
    pub descriptor: Option<Vec<u8>>,
    pub orientation: Option<Vec<u8>>,
    pub playout_delay: Option<Vec<u8>>,
    pub capture_time: Option<Vec<u8>>,
}

impl Client {
    pub fn new(now: Instant, local: SocketAddr, server: SocketAddr, extensions: ExtensionMap, seed: u64) -> Self {
        let path = Path::udp(local, server);
        Self {
            transport: ClientTransport::new(now, ClientConfig::new(path, seed)),
            path,
            up: Link::new(netem::LinkConfig::default(), seed),
            down: Link::new(netem::LinkConfig::default(), seed + 1),
            extensions,
            received: Vec::new(),
            rtcp: Vec::new(),
            undecryptable: 0,
            twcc_seq: Some(0),
            raw: None,
            drop_down: None,
        }
    }

    /// Encrypts and sends a packet.
    pub fn send_rtp(&mut self, now: Instant, spec: &RtpSpec) {
        let datagram = self.encrypt(spec);
        self.up.send(now, &datagram);
    }

    /// The datagram of a packet.
    pub fn encrypt(&mut self, spec: &RtpSpec) -> Vec<u8> {
        let mut buf = vec![0; 2_000];
        let (header_len, len) = self.write(spec, &mut buf);
        let srtp = self.transport.srtp_outbound().expect("connected");
        let total = srtp.protect_rtp(&mut buf, header_len, len - header_len, spec.ssrc, spec.index);
        assert!(total > 0);
        buf.truncate(total);
        buf
    }

    fn write(&mut self, spec: &RtpSpec, buf: &mut [u8]) -> (usize, usize) {
        let text = |value: &Option<String>| value.as_ref().map(|value| value.as_bytes().to_vec());
        let twcc = self.twcc_seq.map(|seq| seq.to_be_bytes().to_vec());
        if let Some(seq) = &mut self.twcc_seq {
            *seq = seq.wrapping_add(1);
        }
        let values = [
            (Uri::TransportCc, twcc),
            (Uri::Mid, text(&spec.mid)),
            (Uri::Rid, text(&spec.rid)),
            (Uri::RepairedRid, text(&spec.repaired_rid)),
            (Uri::AudioLevel, spec.audio_level.map(|level| vec![level])),
            (Uri::DependencyDescriptor, spec.descriptor.clone()),
            (Uri::VideoOrientation, spec.orientation.clone()),
            (Uri::PlayoutDelay, spec.playout_delay.clone()),
            (Uri::AbsCaptureTime, spec.capture_time.clone()),
        ];
        let values: Vec<(u8, Vec<u8>)> =
            values.into_iter().filter_map(|(uri, value)| Some((self.extensions.id(uri)?, value?))).collect();
        let two_byte = values.iter().any(|(id, value)| *id > 14 || value.len() > 16);
        let mut writer = Writer::new(&mut buf[12..], two_byte);
        for (id, value) in &values {
            assert!(writer.push(*id, value));
        }
        let header_len = 12 + writer.finish();
        let header = FixedHeader {
            payload_type: PayloadType(spec.payload_type),
            marker: spec.marker,
            has_extension: header_len > 12,
            seq: SeqNo(spec.index as u16),
            timestamp: RtpTimestamp(spec.timestamp),
            ssrc: Ssrc(spec.ssrc),
        };
        write_fixed_header(buf, &header);
        let end = header_len + spec.payload.len();
        buf[header_len..end].copy_from_slice(&spec.payload);
        if spec.padding > 0 {
            buf[0] |= 0x20;
            buf[end + usize::from(spec.padding) - 1] = spec.padding;
        }
        (header_len, end + usize::from(spec.padding))
    }

    /// Encrypts and sends a compound of RTCP.
    pub fn send_rtcp(&mut self, now: Instant, write: impl FnOnce(&mut [u8]) -> Option<usize>) {
        let mut buf = vec![0; 1_500];
        let len = write(&mut buf).expect("fits");
        let total = self.transport.srtp_outbound().expect("connected").protect_rtcp(&mut buf, len);
        assert!(total > 0);
        self.up.send(now, &buf[..total]);
    }

    /// Takes a datagram from the server.
    pub fn handle_datagram(&mut self, now: Instant, mut datagram: Vec<u8>) {
        if let Some(raw) = self.raw.as_mut().filter(|_| wire::demux::classify(&datagram) == wire::demux::Protocol::Rtp)
        {
            raw.push(datagram.clone());
        }
        match self.transport.handle_datagram(now, self.path, &mut datagram) {
            ClientInbound::Rtp(inbound) => self.handle_rtp(now, inbound.index, &datagram[..inbound.len]),
            ClientInbound::Rtcp(len) => self.rtcp.push((now, datagram[..len].to_vec())),
            ClientInbound::Dropped(Some(_)) => self.undecryptable += 1,
            ClientInbound::Session | ClientInbound::Dropped(None) => {}
        }
    }

    fn handle_rtp(&mut self, at: Instant, index: u64, packet: &[u8]) {
        let packet = RtpPacket::parse(packet).expect("the server sends valid RTP");
        let parsed = packet.extension.map(|block| wire::ext::parse(&block, &self.extensions)).unwrap_or_default();
        let own = |value: Option<&[u8]>| value.map(<[u8]>::to_vec);
        let received = Received {
            at,
            ssrc: packet.ssrc.0,
            payload_type: packet.payload_type.0,
            index,
            timestamp: packet.timestamp.0,
            marker: packet.marker,
            padding_len: packet.padding_len,
            payload: packet.payload.to_vec(),
            mid: parsed.mid.map(str::to_owned),
            has_rid: parsed.rid.is_some() || parsed.repaired_rid.is_some(),
            twcc: parsed.twcc,
            abs_send_time: parsed.abs_send_time,
            audio_level: parsed.audio_level,
            descriptor: own(parsed.dependency_descriptor),
            orientation: own(parsed.video_orientation),
            playout_delay: own(parsed.playout_delay),
            capture_time: own(parsed.abs_capture_time),
            is_two_byte: packet.extension.is_some_and(|block| block.profile != wire::ext::ONE_BYTE_PROFILE),
        };
        if !self.drop_down.as_mut().is_some_and(|drop| drop(&received)) {
            self.received.push(received);
        }
    }

    /// Packets on one SSRC, in the order they arrived.
    pub fn on_ssrc(&self, ssrc: u32) -> Vec<&Received> {
        self.received.iter().filter(|packet| packet.ssrc == ssrc).collect()
    }

    /// Every RTCP packet received, as `visit` reads it.
    pub fn rtcp_packets<T>(&self, mut visit: impl FnMut(Instant, wire::rtcp::Rtcp<'_>) -> Option<T>) -> Vec<T> {
        let mut found = Vec::new();
        for (at, compound) in &self.rtcp {
            for packet in wire::rtcp::iter(compound) {
                found.extend(visit(*at, packet.expect("the server sends valid RTCP")));
            }
        }
        found
    }

    /// Times and media SSRCs of the PLIs received.
    pub fn plis(&self) -> Vec<(Instant, u32)> {
        self.rtcp_packets(|at, packet| match packet {
            wire::rtcp::Rtcp::Pli { media, .. } => Some((at, media.0)),
            _ => None,
        })
    }

    /// SSRC and sequence numbers of the NACKs received, one by one.
    pub fn nacks(&self) -> Vec<(u32, u16)> {
        let lists = self.rtcp_packets(|_, packet| match packet {
            wire::rtcp::Rtcp::Nack { media, lost, .. } => Some(lost.map(|seq| (media.0, seq)).collect::<Vec<_>>()),
            _ => None,
        });
        lists.into_iter().flatten().collect()
    }

    /// (Time, SSRC, NTP time, RTP timestamp, packets) of the sender reports received.
    pub fn sender_reports(&self) -> Vec<(Instant, u32, u64, u32, u32)> {
        self.rtcp_packets(|at, packet| match packet {
            wire::rtcp::Rtcp::SenderReport { ssrc, ntp, rtp_timestamp, packet_count, .. } => {
                Some((at, ssrc.0, ntp, rtp_timestamp.0, packet_count))
            }
            _ => None,
        })
    }
}

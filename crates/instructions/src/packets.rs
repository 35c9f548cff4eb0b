//! What the publisher sends: VP8 in frames of four packets, or Opus, with the extensions that browsers send.

use std::time::Duration;

use forward::srtp::SrtpOutbound;
use forward::{AddProducer, EncodingParameters, Kind, ProducerId, TransportId};
use wire::ext::{Uri, Writer};
use wire::rtp::{FixedHeader, write_fixed_header};
use wire::{PayloadType, RtpTimestamp, SeqNo, Ssrc};

/// Datagrams that arrive together.
pub(crate) type Burst = Vec<Vec<u8>>;

/// A stream, burst by burst.
pub(crate) trait Media {
    /// Time between two bursts.
    const INTERVAL: Duration;

    /// What it is to the forwarder.
    fn producer(&self) -> AddProducer;

    /// The next burst, encrypted.
    fn next_burst(&mut self, srtp: &mut SrtpOutbound) -> Burst;
}

/// 30 frames a second of four datagrams with 1,200 bytes each.
pub(crate) struct Video {
    frames: u16,
    stream: Stream,
}

/// 50 packets a second, as Opus makes them of 32 kbit/s.
pub(crate) struct Audio {
    packets: u32,
    stream: Stream,
}

impl Video {
    pub(crate) fn new() -> Self {
        Self { frames: 0, stream: Stream::new(Kind::Video, 96) }
    }
}

impl Media for Video {
    const INTERVAL: Duration = Duration::from_micros(33_333);

    fn producer(&self) -> AddProducer {
        self.stream.producer("video/VP8", 90_000)
    }

    fn next_burst(&mut self, srtp: &mut SrtpOutbound) -> Burst {
        let frame = self.frames;
        self.frames += 1;
        let [high, low] = frame.to_be_bytes();
        let mut payload = vec![0; VIDEO_DATAGRAM - self.stream.overhead(srtp)];
        let mut packet = |at| {
            // RFC 7741: a descriptor with 15-bit picture id, TL0PICIDX and layer, then the start of a frame.
            payload[..6].copy_from_slice(&[0x80 | u8::from(at == 0) << 4, 0xe0, 0x80 | high, low, low, 0x20]);
            payload[6] = u8::from(frame > 0);
            self.stream.next_packet(srtp, at + 1 == FRAME_PACKETS, u32::from(frame) * 3_000, &payload)
        };
        (0..FRAME_PACKETS).map(&mut packet).collect()
    }
}

impl Audio {
    pub(crate) fn new() -> Self {
        Self { packets: 0, stream: Stream::new(Kind::Audio, 111) }
    }
}

impl Media for Audio {
    const INTERVAL: Duration = Duration::from_millis(20);

    fn producer(&self) -> AddProducer {
        self.stream.producer("audio/opus", 48_000)
    }

    fn next_burst(&mut self, srtp: &mut SrtpOutbound) -> Burst {
        let timestamp = self.packets * 960;
        self.packets += 1;
        vec![self.stream.next_packet(srtp, false, timestamp, &[0x5a; 80])]
    }
}

struct Stream {
    kind: Kind,
    payload_type: u8,
    index: u64,
}

impl Stream {
    fn new(kind: Kind, payload_type: u8) -> Self {
        Self { kind, payload_type, index: 0 }
    }

    fn producer(&self, mime_type: &str, clock_rate: u32) -> AddProducer {
        AddProducer {
            producer: ProducerId(1),
            transport: TransportId(0),
            kind: self.kind,
            mid: "0".to_owned(),
            mime_type: mime_type.to_owned(),
            clock_rate,
            payload_type: self.payload_type,
            rtx_payload_type: None,
            encodings: vec![EncodingParameters { ssrc: Some(SSRC), ..EncodingParameters::default() }],
            nack: self.kind == Kind::Video,
            transport_cc: true,
            remb: false,
            red_payload_type: None,
        }
    }

    /// Bytes of a datagram that are not payload.
    fn overhead(&self, srtp: &SrtpOutbound) -> usize {
        self.write_header(&mut [0; HEADER_MAX], false, 0) + srtp.tag_len()
    }

    fn next_packet(&mut self, srtp: &mut SrtpOutbound, marker: bool, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        let mut datagram = vec![0; HEADER_MAX + payload.len() + srtp.tag_len()];
        let header_len = self.write_header(&mut datagram, marker, timestamp);
        datagram[header_len..header_len + payload.len()].copy_from_slice(payload);
        let len = srtp.protect_rtp(&mut datagram, header_len, payload.len(), SSRC, self.index);
        datagram.truncate(len);
        self.index += 1;
        datagram
    }

    fn write_header(&self, room: &mut [u8], marker: bool, timestamp: u32) -> usize {
        let header = FixedHeader {
            payload_type: PayloadType(self.payload_type),
            marker,
            has_extension: true,
            seq: SeqNo(self.index as u16),
            timestamp: RtpTimestamp(timestamp),
            ssrc: Ssrc(SSRC),
        };
        let at = write_fixed_header(room, &header).expect("room for a header");
        let mut writer = Writer::new(&mut room[at..], false);
        for (id, uri) in EXTENSIONS {
            let written = match uri {
                Uri::AudioLevel => self.kind == Kind::Video || writer.push(id, &[30]),
                Uri::AbsSendTime => writer.push(id, &[1, 2, 3]),
                Uri::TransportCc => writer.push(id, &header.seq.0.to_be_bytes()),
                _ => writer.push(id, b"0"),
            };
            assert!(written, "no room for {uri:?}");
        }
        at + writer.finish()
    }
}

/// What everybody negotiates.
pub(crate) const EXTENSIONS: [(u8, Uri); 4] =
    [(1, Uri::AudioLevel), (2, Uri::AbsSendTime), (3, Uri::TransportCc), (4, Uri::Mid)];

const SSRC: u32 = 1_111;
const VIDEO_DATAGRAM: usize = 1_200;
const FRAME_PACKETS: usize = 4;
/// The fixed header and four short extensions.
const HEADER_MAX: usize = 40;

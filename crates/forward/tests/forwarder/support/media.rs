//! Publishers: VP8 video in one to three encodings that answers NACKs and PLIs, and Opus-like audio.

use std::collections::HashMap;
use std::time::Duration;

use forward::Kind;
use wire::rtcp::{self, Rtcp};
use wire::{RtpTimestamp, Ssrc};

use super::client::RtpSpec;
use super::world::{Publish, World, ms};

/// A camera on one client.
pub struct Video {
    client: usize,
    mid: String,
    pub encodings: Vec<VideoEncoding>,
    config: VideoConfig,
    /// Its packets carry neither MID nor RID any more.
    pub is_acknowledged: bool,
    /// RTCP of the client that was dealt with.
    rtcp_seen: usize,
}

#[allow(clippy::struct_excessive_bools)] // Each on its own.
#[derive(Clone, Copy)]
pub struct VideoConfig {
    pub packets_per_frame: usize,
    pub payload_bytes: usize,
    /// Every second packet is a byte longer, as encoders cut pictures.
    pub uneven: bool,
    pub frame_interval: Duration,
    pub answers_nacks: bool,
    pub answers_plis: bool,
    /// Every second frame is of the highest temporal layer, which no other refers to.
    pub has_layers: bool,
    /// Starting points, to bring wraps near.
    pub first_index: u64,
    pub first_timestamp: u32,
    pub first_picture_id: u16,
}

impl Default for VideoConfig {
    fn default() -> Self {
        Self {
            packets_per_frame: 3,
            payload_bytes: 800,
            uneven: false,
            frame_interval: ms(33),
            answers_nacks: true,
            answers_plis: true,
            has_layers: false,
            first_index: 1_000,
            first_timestamp: 1_000_000,
            first_picture_id: 100,
        }
    }
}

pub struct VideoEncoding {
    rid: Option<String>,
    pub ssrc: u32,
    pub rtx_ssrc: u32,
    pub index: u64,
    rtx_index: u64,
    pub timestamp: u32,
    pub picture_id: u16,
    pub tl0: u8,
    pub wants_keyframe: bool,
    pub active: bool,
    pub frames: u32,
    pub keyframes: u32,
    history: HashMap<u16, RtpSpec>,
    sent_packets: u32,
}

pub const SIMULCAST: &[&str] = &["q", "h", "f"];

impl Video {
    /// Publishes a camera as producer `producer` with these rids (none: one encoding without rid).
    pub fn publish(world: &mut World, client: usize, producer: u64, rids: &'static [&'static str]) -> Self {
        Self::publish_with(world, client, producer, rids, VideoConfig::default())
    }

    pub fn publish_with(
        world: &mut World,
        client: usize,
        producer: u64,
        rids: &'static [&'static str],
        config: VideoConfig,
    ) -> Self {
        let mid: &'static str = ["v0", "v1", "v2", "v3"][producer as usize % 4];
        publish_vp8(world, client, producer, mid, rids);
        let count = rids.len().max(1);
        let encodings = (0..count).map(|at| VideoEncoding {
            rid: rids.get(at).map(|rid| (*rid).to_owned()),
            ssrc: 1_000 * (producer as u32 + 1) + 10 * at as u32,
            rtx_ssrc: 1_000 * (producer as u32 + 1) + 10 * at as u32 + 1,
            index: config.first_index + 7_000 * at as u64,
            rtx_index: 100,
            timestamp: config.first_timestamp.wrapping_add(1_234_567 * at as u32),
            picture_id: (config.first_picture_id + 3_000 * at as u16) & 0x7fff,
            tl0: 250_u8.wrapping_add(40 * at as u8),
            wants_keyframe: true,
            active: true,
            frames: 0,
            keyframes: 0,
            history: HashMap::new(),
            sent_packets: 0,
        });
        let encodings = encodings.collect();
        Self { client, mid: mid.to_owned(), encodings, config, is_acknowledged: false, rtcp_seen: 0 }
    }

    /// The same camera in the same section, as another producer.
    pub fn publish_again(&self, world: &mut World, producer: u64, rids: &'static [&'static str]) {
        let mid = ["v0", "v1", "v2", "v3"].into_iter().find(|mid| *mid == self.mid).expect("one of ours");
        publish_vp8(world, self.client, producer, mid, rids);
    }

    /// Films for a while.
    pub fn run(&mut self, world: &mut World, duration: Duration) {
        let end = world.now + duration;
        while world.now < end {
            self.send_frame(world);
            let next = world.now + self.config.frame_interval;
            while world.now < next {
                world.run_for(ms(3).min(next - world.now));
                self.answer(world);
            }
        }
    }

    /// One frame on every active encoding.
    pub fn send_frame(&mut self, world: &mut World) {
        self.answer(world);
        for at in 0..self.encodings.len() {
            let packets = self.next_frame(at);
            for packet in &packets {
                world.clients[self.client].send_rtp(world.now, packet);
            }
        }
    }

    /// The packets of an encoding's next frame, noted as sent. Time passes for inactive ones too.
    pub fn next_frame(&mut self, at: usize) -> Vec<RtpSpec> {
        let ticks = (self.config.frame_interval.as_micros() as u32 * 9).div_ceil(100);
        let config = self.config;
        let mid = Some(self.mid.clone()).filter(|_| !self.is_acknowledged);
        let is_acknowledged = self.is_acknowledged;
        let encoding = &mut self.encodings[at];
        encoding.timestamp = encoding.timestamp.wrapping_add(ticks);
        if !encoding.active {
            return Vec::new();
        }
        encoding.picture_id = (encoding.picture_id + 1) & 0x7fff;
        encoding.tl0 = encoding.tl0.wrapping_add(1);
        encoding.frames += 1;
        let keyframe = std::mem::take(&mut encoding.wants_keyframe);
        encoding.keyframes += u32::from(keyframe);
        let count = config.packets_per_frame;
        let mut packets = Vec::new();
        for number in 0..count {
            let mut payload = encoding.payload(at, number, keyframe, &config);
            payload.extend((config.uneven && number % 2 == 1).then_some(7));
            let spec = RtpSpec {
                payload_type: 96,
                ssrc: encoding.ssrc,
                index: encoding.index,
                timestamp: encoding.timestamp,
                marker: number + 1 == count,
                payload,
                mid: mid.clone(),
                rid: encoding.rid.clone().filter(|_| !is_acknowledged),
                ..RtpSpec::default()
            };
            encoding.history.insert(encoding.index as u16, spec.clone());
            encoding.index += 1;
            encoding.sent_packets += 1;
            packets.push(spec);
        }
        packets
    }

    /// A padding-only packet on the media stream.
    pub fn send_padding(&mut self, world: &mut World, at: usize) {
        let spec = self.next_padding(at);
        world.clients[self.client].send_rtp(world.now, &spec);
    }

    pub fn next_padding(&mut self, at: usize) -> RtpSpec {
        let encoding = &mut self.encodings[at];
        let spec = RtpSpec {
            payload_type: 96,
            ssrc: encoding.ssrc,
            index: encoding.index,
            timestamp: encoding.timestamp,
            padding: 200,
            mid: Some(self.mid.clone()),
            rid: encoding.rid.clone(),
            ..RtpSpec::default()
        };
        encoding.index += 1;
        spec
    }

    /// A sender report: `ntp` is the publisher's clock at this moment.
    pub fn send_report(&mut self, world: &mut World, at: usize, ntp: u64) {
        let encoding = &self.encodings[at];
        let (ssrc, timestamp, packets) = (Ssrc(encoding.ssrc), RtpTimestamp(encoding.timestamp), encoding.sent_packets);
        let now = world.now;
        world.clients[self.client]
            .send_rtcp(now, |buf| rtcp::write_sr(buf, ssrc, ntp, timestamp, packets, packets * 800, &[]));
    }

    /// Answers what the server asked for since the last call.
    pub fn answer(&mut self, world: &mut World) {
        let (mut wanted, mut lost) = (Vec::new(), Vec::new());
        let client = &mut world.clients[self.client];
        for (_, compound) in &client.rtcp[self.rtcp_seen..] {
            for packet in rtcp::iter(compound).flatten() {
                match packet {
                    Rtcp::Pli { media, .. } => wanted.push(media.0),
                    Rtcp::Nack { media, lost: seqs, .. } => lost.extend(seqs.map(|seq| (media.0, seq))),
                    _ => {}
                }
            }
        }
        self.rtcp_seen = client.rtcp.len();
        for encoding in &mut self.encodings {
            encoding.wants_keyframe |= self.config.answers_plis && wanted.contains(&encoding.ssrc);
            let media = encoding.ssrc;
            let seqs = lost.iter().filter(|(ssrc, _)| *ssrc == media && self.config.answers_nacks);
            for (_, seq) in seqs {
                if let Some(repair) = encoding.repair(*seq, &self.mid) {
                    client.send_rtp(world.now, &repair);
                }
            }
        }
    }
}

fn publish_vp8(world: &mut World, client: usize, producer: u64, mid: &'static str, rids: &'static [&'static str]) {
    let what = Publish { mid, rids, ..Publish::default() };
    world.publish(client, producer, &what);
}

impl VideoEncoding {
    /// VP8 with a 15-bit picture id, TL0PICIDX and TID; the body names encoding, frame and packet.
    fn payload(&self, at: usize, number: usize, keyframe: bool, config: &VideoConfig) -> Vec<u8> {
        let [high, low] = (0x8000 | self.picture_id).to_be_bytes();
        let start = if number == 0 { 0x10 } else { 0 };
        let is_upper = config.has_layers && !keyframe && self.frames.is_multiple_of(2);
        let (non_reference, tid) = if is_upper { (0x20, 2 << 6) } else { (0, 0) };
        let mut payload = vec![0x80 | non_reference | start, 0xE0, high, low, self.tl0, tid];
        payload.push(u8::from(!keyframe));
        payload.push(at as u8);
        payload.extend(self.frames.to_be_bytes());
        payload.push(number as u8);
        payload.resize(config.payload_bytes, 0x5A);
        payload
    }

    /// The packet again, on the RTX stream.
    pub fn repair(&mut self, seq: u16, mid: &str) -> Option<RtpSpec> {
        let mut spec = self.history.get(&seq)?.clone();
        spec.payload_type = 97;
        spec.ssrc = self.rtx_ssrc;
        spec.index = self.rtx_index;
        spec.mid = Some(mid.to_owned());
        spec.repaired_rid = spec.rid.take();
        spec.payload.splice(0..0, seq.to_be_bytes());
        self.rtx_index += 1;
        Some(spec)
    }
}

/// A microphone on one client: 20 ms packets.
pub struct Audio {
    client: usize,
    mid: String,
    pub ssrc: u32,
    pub index: u64,
    pub timestamp: u32,
    pub level: u8,
}

impl Audio {
    pub fn publish(world: &mut World, client: usize, producer: u64) -> Self {
        Self::publish_with(world, client, producer, false)
    }

    /// May send RED and is asked for what is lost all the same.
    pub fn publish_red(world: &mut World, client: usize, producer: u64) -> Self {
        Self::publish_with(world, client, producer, true)
    }

    fn publish_with(world: &mut World, client: usize, producer: u64, red: bool) -> Self {
        let mid: &'static str = ["a0", "a1", "a2", "a3"][producer as usize % 4];
        let kind = Kind::Audio;
        let what = Publish { kind, mime_type: "audio/opus", mid, nack: red, red, ..Publish::default() };
        world.publish(client, producer, &what);
        Self { client, mid: mid.to_owned(), ssrc: 70_000 + producer as u32, index: 500, timestamp: 77_777, level: 30 }
    }

    pub fn run(&mut self, world: &mut World, duration: Duration) {
        let end = world.now + duration;
        while world.now < end {
            self.send(world);
            world.run_for(ms(20));
            self.timestamp = self.timestamp.wrapping_add(960);
        }
    }

    /// Silence: time passes and nothing is sent, as with DTX and mute.
    pub fn pause(&mut self, world: &mut World, duration: Duration) {
        world.run_for(duration);
        self.timestamp = self.timestamp.wrapping_add(duration.as_millis() as u32 * 48);
    }

    pub fn send(&mut self, world: &mut World) {
        let spec = self.next();
        world.clients[self.client].send_rtp(world.now, &spec);
    }

    pub fn next(&mut self) -> RtpSpec {
        let spec = RtpSpec {
            payload_type: 111,
            ssrc: self.ssrc,
            index: self.index,
            timestamp: self.timestamp,
            payload: vec![self.index as u8; 80],
            mid: Some(self.mid.clone()),
            audio_level: Some(0x80 | self.level),
            ..RtpSpec::default()
        };
        self.index += 1;
        spec
    }

    /// The next packet as RED that repeats the `count` packets before it, which were 20 ms apart.
    pub fn next_red(&mut self, count: u64) -> RtpSpec {
        let mut spec = self.next();
        let newest = std::mem::take(&mut spec.payload);
        for back in (1..=count).rev() {
            let header = (960 * back as u32) << 10 | newest.len() as u32;
            spec.payload.push(0x80 | 0x6f);
            spec.payload.extend(&header.to_be_bytes()[1..]);
        }
        spec.payload.push(0x6f);
        for back in (0..=count).rev() {
            spec.payload.extend(vec![(spec.index - back) as u8; newest.len()]);
        }
        spec.payload_type = 63;
        spec
    }

    pub fn send_report(&mut self, world: &mut World, ntp: u64) {
        let (ssrc, timestamp) = (Ssrc(self.ssrc), RtpTimestamp(self.timestamp));
        let now = world.now;
        world.clients[self.client].send_rtcp(now, |buf| rtcp::write_sr(buf, ssrc, ntp, timestamp, 10, 800, &[]));
    }
}

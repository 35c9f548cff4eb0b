//! A subscriber's view of one stream: media and retransmissions put back together, and what is continuous about it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use wire::Ssrc;
use wire::codec::vp8;
use wire::rtcp;

use super::client::Received;
use super::world::{World, ms};

/// Puts one consumer's packets back together and asks for what is missing.
pub struct Receiver {
    pub client: usize,
    pub ssrc: u32,
    seen: usize,
    /// By 48-bit index.
    pub packets: BTreeMap<u64, Received>,
    pub from_rtx: usize,
    pub duplicates: usize,
    asked: BTreeMap<u64, Instant>,
    pub nacks_sent: usize,
    every: Duration,
}

/// What a packet's payload says about where it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    pub encoding: u8,
    pub frame: u32,
    pub packet: u8,
    pub keyframe: bool,
}

impl Receiver {
    pub fn new(client: usize, ssrc: u32) -> Self {
        Self {
            client,
            ssrc,
            seen: 0,
            packets: BTreeMap::new(),
            from_rtx: 0,
            duplicates: 0,
            asked: BTreeMap::new(),
            nacks_sent: 0,
            every: ms(60),
        }
    }

    /// Takes what arrived since the last call.
    pub fn take(&mut self, world: &World) {
        let client = &world.clients[self.client];
        let new = client.received[self.seen..].to_vec();
        self.seen = client.received.len();
        for packet in new {
            if packet.ssrc == self.ssrc {
                self.insert(packet.index, packet);
            } else if packet.ssrc == self.ssrc + 1 && packet.payload.len() > 2 {
                self.take_repair(packet);
            }
        }
    }

    fn take_repair(&mut self, mut packet: Received) {
        assert_eq!(packet.payload_type, 101);
        let seq = u16::from_be_bytes([packet.payload[0], packet.payload[1]]);
        packet.payload.drain(..2);
        let highest = *self.packets.keys().next_back().expect("RTX after media");
        let index = highest.wrapping_add_signed(i64::from(seq.wrapping_sub(highest as u16) as i16));
        self.from_rtx += 1;
        self.insert(index, packet);
    }

    fn insert(&mut self, index: u64, packet: Received) {
        self.asked.remove(&index);
        if self.packets.insert(index, packet).is_some() {
            self.duplicates += 1;
        }
    }

    /// Sends NACKs for what is missing, each at most every 60 ms.
    pub fn ask(&mut self, world: &mut World) {
        self.take(world);
        let (now, every) = (world.now, self.every);
        let mut due = Vec::new();
        for index in self.missing() {
            if self.asked.get(&index).is_none_or(|at| now >= *at + every) {
                self.asked.insert(index, now);
                due.push(index as u16);
            }
        }
        if !due.is_empty() {
            self.nacks_sent += due.len();
            let media = Ssrc(self.ssrc);
            world.clients[self.client].send_rtcp(now, |buf| rtcp::write_nack(buf, Ssrc(1), media, &due));
        }
    }

    /// Answers the newest sender report, as a client does every second.
    pub fn report(&mut self, world: &mut World, cumulative_lost: i32) {
        let client = &mut world.clients[self.client];
        let Some((at, _, ntp, ..)) = client.sender_reports().last().copied() else { return };
        let Some(highest) = client.on_ssrc(self.ssrc).last().map(|packet| packet.index) else { return };
        let block = rtcp::ReportBlock {
            ssrc: Ssrc(self.ssrc),
            highest_seq: highest as u32,
            cumulative_lost,
            last_sr: (ntp >> 16) as u32,
            delay_since_last_sr: (world.now.duration_since(at).as_micros() * 65_536 / 1_000_000) as u32,
            ..Default::default()
        };
        let now = world.now;
        client.send_rtcp(now, |buf| rtcp::write_rr(buf, Ssrc(1), &[block]));
    }

    /// Indices between the first and the last that have not arrived.
    pub fn missing(&self) -> Vec<u64> {
        let (Some((first, _)), Some((last, _))) = (self.packets.first_key_value(), self.packets.last_key_value())
        else {
            return Vec::new();
        };
        (*first..=*last).filter(|index| !self.packets.contains_key(index)).collect()
    }

    /// Where each packet came from, in sequence order.
    pub fn origins(&self) -> Vec<Origin> {
        self.packets.values().map(origin).collect()
    }

    /// Nothing missing, timestamps never back and constant within a frame, picture ids and TL0PICIDX one by one.
    pub fn assert_continuous_video(&self) {
        assert_eq!(self.missing(), Vec::<u64>::new(), "no gap");
        let packets: Vec<&Received> = self.packets.values().collect();
        for pair in packets.windows(2) {
            let (before, after) = (descriptor(pair[0]), descriptor(pair[1]));
            let frames = after.0.wrapping_sub(before.0) & 0x7fff;
            let same_frame = frames == 0;
            assert!(frames <= 1, "picture ids are consecutive: {before:?} {after:?}");
            assert_eq!(u16::from(after.1.wrapping_sub(before.1)), frames, "TL0PICIDX goes with them");
            let ticks = pair[1].timestamp.wrapping_sub(pair[0].timestamp) as i32;
            assert_eq!(same_frame, ticks == 0, "one timestamp per frame: {ticks}");
            assert!(ticks >= 0, "time runs forward: {ticks}");
        }
    }
}

pub fn origin(packet: &Received) -> Origin {
    let body = &packet.payload[6..];
    Origin {
        encoding: body[1],
        frame: u32::from_be_bytes([body[2], body[3], body[4], body[5]]),
        packet: body[6],
        keyframe: body[0] & 1 == 0,
    }
}

fn descriptor(packet: &Received) -> (u16, u8) {
    let read = vp8::parse(&packet.payload).expect("VP8");
    (read.picture_id.expect("a picture id").value(), read.tl0picidx.expect("TL0PICIDX"))
}

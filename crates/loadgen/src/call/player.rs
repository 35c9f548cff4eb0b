//! Plays one stream of a file in a loop, at its own pace: says when the next picture is due and gives its packets.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::continuity::{Continuity, Place};
use super::media::{Codec, Stream};

/// One packet as it is to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    /// The Dependency Descriptor, or nothing.
    pub(crate) extension: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

/// One stream of one publisher.
#[derive(Debug)]
pub(crate) struct Player {
    stream: Rc<Stream>,
    continuity: Continuity,
    clock_rate: u32,
    duration: u64,
    started: Instant,
    /// Where the loop began, in units of the clock rate since `started`.
    origin: u64,
    first_timestamp: u32,
    next: usize,
    keyframe_wanted: bool,
    last_jump: Option<Instant>,
}

impl Player {
    /// Starts at `started`; `seed` is where timestamps and counters begin. The streams of one camera share both.
    pub(crate) fn new(codec: &Codec, stream: &Rc<Stream>, started: Instant, seed: u32) -> Self {
        Self {
            stream: Rc::clone(stream),
            continuity: Continuity::new(&codec.name, seed),
            clock_rate: codec.clock_rate,
            duration: codec.duration.into(),
            started,
            origin: 0,
            first_timestamp: seed.wrapping_mul(7_919),
            next: 0,
            keyframe_wanted: false,
            last_jump: None,
        }
    }

    /// Somebody cannot decode: the next picture is the keyframe. One request in a quarter of a second is obeyed.
    pub(crate) fn handle_keyframe_request(&mut self, now: Instant) {
        let recent = self.last_jump.is_some_and(|last| now.saturating_duration_since(last) < KEYFRAME_INTERVAL);
        self.keyframe_wanted |= !recent;
    }

    /// When the next packet is due.
    pub(crate) fn poll_timeout(&self) -> Instant {
        self.time_of(self.origin + u64::from(self.stream.packets[self.next].timestamp))
    }

    /// The next packet, if it is due. What a stall made late is not sent in a burst, but later.
    pub(crate) fn poll_packet(&mut self, now: Instant) -> Option<Outgoing> {
        let due = self.poll_timeout();
        let late = now.checked_duration_since(due)?;
        if late > MAX_DELAY {
            self.started += late;
        }
        if self.keyframe_wanted && self.place() != Place::Inside {
            self.keyframe_wanted = false;
            self.last_jump = Some(now);
            self.origin += u64::from(self.stream.packets[self.next].timestamp);
            self.next = 0;
        }
        let place = self.place();
        let packet = &self.stream.packets[self.next];
        let (mut payload, mut extension) = (packet.payload.to_vec(), packet.extension.to_vec());
        self.continuity.rewrite(place, &mut payload, &mut extension);
        let timestamp = self.first_timestamp.wrapping_add((self.origin + u64::from(packet.timestamp)) as u32);
        let marker = packet.marker;
        self.advance();
        Some(Outgoing { timestamp, marker, extension, payload })
    }

    fn place(&self) -> Place {
        let packets = &self.stream.packets;
        match self.next.checked_sub(1) {
            None => Place::Start,
            Some(last) if packets[last].timestamp != packets[self.next].timestamp => Place::Picture,
            Some(_) => Place::Inside,
        }
    }

    fn advance(&mut self) {
        self.next += 1;
        if self.next == self.stream.packets.len() {
            self.next = 0;
            self.origin += self.duration;
        }
    }

    fn time_of(&self, units: u64) -> Instant {
        let (seconds, rest) = (units / u64::from(self.clock_rate), units % u64::from(self.clock_rate));
        self.started
            + Duration::from_secs(seconds)
            + Duration::from_nanos(rest * 1_000_000_000 / u64::from(self.clock_rate))
    }
}

/// libwebrtc's encoders make no more than four a second either.
const KEYFRAME_INTERVAL: Duration = Duration::from_millis(250);
const MAX_DELAY: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::media::Packet;

    const FRAME: u32 = 3_000;
    const MS: Duration = Duration::from_millis(1);

    /// Three pictures of two packets; payloads say picture and packet.
    fn player(started: Instant) -> Player {
        let packet = |picture: u8, last: bool| Packet {
            timestamp: u32::from(picture) * FRAME,
            marker: last,
            extension: [].into(),
            payload: [picture, u8::from(last)].into(),
        };
        let packets = (0..3).flat_map(|picture| [packet(picture, false), packet(picture, true)]).collect();
        let stream = Rc::new(Stream { rid: None, width: 320, height: 180, bps: 1, packets });
        let codec = Codec {
            name: "h264".to_owned(),
            clock_rate: 90_000,
            duration: 3 * FRAME,
            streams: vec![Rc::clone(&stream)],
        };
        Player::new(&codec, &stream, started, 0)
    }

    fn play(player: &mut Player, now: Instant) -> Vec<(u32, u8)> {
        std::iter::from_fn(|| player.poll_packet(now)).map(|packet| (packet.timestamp, packet.payload[0])).collect()
    }

    #[test]
    fn a_picture_leaves_when_it_is_due_and_as_a_whole() {
        let start = Instant::now();
        let mut player = player(start);
        assert_eq!(play(&mut player, start), [(0, 0), (0, 0)]);
        assert_eq!(player.poll_timeout(), start + Duration::from_nanos(33_333_333));
        assert_eq!(play(&mut player, start + MS * 33), []);
        assert_eq!(play(&mut player, start + MS * 34), [(FRAME, 1), (FRAME, 1)]);
    }

    #[test]
    fn timestamps_go_on_over_loops() {
        let start = Instant::now();
        let mut player = player(start);
        let packets: Vec<_> = (0..5).flat_map(|step| play(&mut player, start + MS * 34 * step)).collect();
        let pictures: Vec<_> = packets.chunks(2).map(|pair| pair[0]).collect();
        assert_eq!(pictures, [(0, 0), (FRAME, 1), (2 * FRAME, 2), (3 * FRAME, 0), (4 * FRAME, 1)]);
    }

    #[test]
    fn a_request_brings_the_keyframe_next_and_time_goes_on() {
        let start = Instant::now();
        let mut player = player(start);
        play(&mut player, start);
        play(&mut player, start + MS * 34);
        player.handle_keyframe_request(start + MS * 35);
        player.handle_keyframe_request(start + MS * 36);
        assert_eq!(play(&mut player, start + MS * 67), [(2 * FRAME, 0), (2 * FRAME, 0)]);
        assert_eq!(play(&mut player, start + MS * 100), [(3 * FRAME, 1), (3 * FRAME, 1)]);
        player.handle_keyframe_request(start + MS * 101);
        assert_eq!(play(&mut player, start + MS * 134), [(4 * FRAME, 2), (4 * FRAME, 2)]);
    }

    #[test]
    fn a_stall_does_not_end_in_a_burst() {
        let start = Instant::now();
        let mut player = player(start);
        assert_eq!(play(&mut player, start + MS * 5_000).len(), 2);
        assert!(player.poll_timeout() > start + MS * 5_000);
    }
}

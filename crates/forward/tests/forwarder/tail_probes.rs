//! Towards clients that lose packets, the ends of frames that receivers would go on without are repeated unasked.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use netem::{LinkConfig, Loss};
use wire::Ssrc;
use wire::rtcp;

use crate::support::{Consume, Received, Receiver, Video, VideoConfig, World, ms, origin};

const LAYERED: VideoConfig = VideoConfig {
    uneven: false,
    packets_per_frame: 6,
    payload_bytes: 800,
    frame_interval: ms(66),
    answers_nacks: true,
    answers_plis: true,
    has_layers: true,
    first_index: 1_000,
    first_timestamp: 1_000_000,
    first_picture_id: 100,
};

fn link(loss: Loss) -> LinkConfig {
    LinkConfig { loss, delay: ms(5), ..LinkConfig::default() }
}

struct Call {
    world: World,
    video: Video,
    receiver: Receiver,
    ssrc: u32,
    bob: usize,
    interval: Duration,
    /// Packets that were lost on the way to bob and reported.
    lost: usize,
}

impl Call {
    fn new(seed: u64, config: VideoConfig, consume: Consume) -> Self {
        let mut world = World::new(seed);
        let (alice, bob) = (world.add_client(), world.add_client());
        let video = Video::publish_with(&mut world, alice, 0, &[], config);
        let ssrc = world.consume(bob, 0, 0, consume);
        world.set_links(bob, link(Loss::None), link(Loss::None));
        let receiver = Receiver::new(bob, ssrc);
        let mut call = Self { world, video, receiver, ssrc, bob, interval: config.frame_interval, lost: 0 };
        call.run(15);
        call
    }

    /// So many frames; the client reports once a second what its link dropped.
    fn run(&mut self, frames: usize) {
        for frame in 0..frames {
            self.video.send_frame(&mut self.world);
            let next = self.world.now + self.interval;
            while self.world.now < next {
                self.world.run_for(ms(3));
                self.receiver.ask(&mut self.world);
            }
            if frame % 15 == 14 {
                self.lost = self.world.clients[self.bob].down.lost();
                self.receiver.report(&mut self.world, self.lost as i32);
            }
        }
    }

    fn lose(&mut self, loss: Loss) {
        self.world.set_links(self.bob, link(Loss::None), link(loss));
    }

    /// When the parts of each frame arrived, by frame.
    fn frames(&self) -> BTreeMap<u32, Vec<Instant>> {
        let mut frames: BTreeMap<u32, Vec<Instant>> = BTreeMap::new();
        for packet in self.receiver.packets.values() {
            frames.entry(origin(packet).frame).or_default().push(packet.at);
        }
        frames
    }

    /// Frames of the upper layer that were whole before anything of the next one arrived, in per mille.
    fn upper_in_time(&self, from: u32) -> usize {
        let frames = self.frames();
        let (mut all, mut in_time) = (0, 0);
        for (frame, parts) in frames.range(from..).filter(|(frame, _)| *frame % 2 == 0) {
            let Some(next) = frames.get(&(frame + 1)).and_then(|parts| parts.iter().min()) else { continue };
            all += 1;
            in_time += usize::from(parts.len() == LAYERED.packets_per_frame && parts.iter().all(|at| at < next));
        }
        in_time * 1_000 / all
    }
}

#[test]
fn at_5_percent_loss_frames_of_the_upper_layer_are_whole_before_the_next_one_comes() {
    let mut call = Call::new(71, LAYERED, Consume::default());
    call.lose(Loss::Random(0.05));
    // Two or three reports say so.
    call.run(60);
    let from = call.video.encodings[0].frames;
    call.run(900);
    let in_time = call.upper_in_time(from);
    assert!(in_time >= 970, "{in_time}");
    let counters = call.world.counters();
    assert!(counters.rtx_probes > 400, "{}", counters.rtx_probes);
    let media = counters.rtp_bytes_out - counters.rtx_bytes_out;
    assert!(counters.rtx_bytes_out * 100 < media * 15, "{} of {media}", counters.rtx_bytes_out);
}

#[test]
fn without_loss_nothing_is_repeated_unasked() {
    let mut call = Call::new(72, LAYERED, Consume::default());
    call.run(150);
    // Now and then one is lost: less than 1 %.
    call.lose(Loss::Random(0.002));
    call.run(150);
    assert_eq!(call.world.counters().rtx_probes, 0);
}

#[test]
fn probes_end_when_the_loss_does() {
    let mut call = Call::new(73, LAYERED, Consume::default());
    call.lose(Loss::Random(0.05));
    call.run(150);
    assert!(call.world.counters().rtx_probes > 50, "{}", call.world.counters().rtx_probes);
    call.lose(Loss::None);
    call.run(225);
    let before = call.world.counters().rtx_probes;
    call.run(75);
    assert_eq!(call.world.counters().rtx_probes, before);
}

#[test]
fn only_the_last_packet_of_a_frame_that_no_other_needs_is_repeated_and_once() {
    let mut call = Call::new(74, LAYERED, Consume::default());
    call.lose(Loss::Random(0.05));
    call.run(75);
    call.lose(Loss::None);
    call.run(3);
    let seen = call.world.clients[call.bob].on_ssrc(call.ssrc + 1).len();
    call.run(12);
    let repeats: Vec<Received> =
        call.world.clients[call.bob].on_ssrc(call.ssrc + 1).into_iter().skip(seen).cloned().collect();
    let mut frames: Vec<u32> = repeats.iter().map(origin_of_repeat).collect();
    assert!((5..=7).contains(&frames.len()), "one for every second frame: {frames:?}");
    assert!(frames.iter().all(|frame| frame % 2 == 0), "{frames:?}");
    assert!(repeats.iter().all(|packet| packet.marker));
    frames.dedup();
    assert_eq!(frames.len(), repeats.len());
}

#[test]
fn what_something_newer_follows_at_once_is_not_repeated() {
    // A frame every 9 ms: the next one tells the client what it misses.
    let config = VideoConfig { packets_per_frame: 2, frame_interval: ms(9), ..LAYERED };
    let mut call = Call::new(75, config, Consume::default());
    call.lose(Loss::Random(0.05));
    call.run(75);
    assert_eq!(call.world.counters().rtx_probes, 0);
}

#[test]
fn a_nack_for_what_was_just_repeated_unasked_is_not_answered_again() {
    let mut call = Call::new(76, LAYERED, Consume::default());
    call.lose(Loss::Random(0.05));
    call.run(75);
    call.lose(Loss::None);
    call.run(15);
    // The next probe leaves; the client asks for the same within a round trip of 10 ms.
    let before = call.world.counters().rtx_probes;
    while call.world.counters().rtx_probes == before {
        call.video.send_frame(&mut call.world);
        let mut waited = 0;
        while waited < 20 && call.world.counters().rtx_probes == before {
            call.world.run_for(ms(1));
            waited += 1;
        }
    }
    let counters = call.world.counters();
    let last = call.world.clients[call.bob].on_ssrc(call.ssrc).last().expect("media").index as u16;
    let now = call.world.now;
    let ssrc = Ssrc(call.ssrc);
    call.world.clients[call.bob].send_rtcp(now, |buf| rtcp::write_nack(buf, Ssrc(1), ssrc, &[last]));
    call.world.run_for(ms(8));
    let after = call.world.counters();
    assert_eq!((after.nack_in, after.rtx_repeated), (counters.nack_in + 1, counters.rtx_repeated + 1));
    assert_eq!(after.rtx_out, counters.rtx_out);
}

#[test]
fn probes_take_a_tenth_of_what_is_sent_and_leave_the_rest_to_who_asks() {
    // One packet a frame, and each could be probed: half of everything.
    let config = VideoConfig { packets_per_frame: 1, ..LAYERED };
    let mut call = Call::new(77, config, Consume::default());
    call.lose(Loss::Random(0.03));
    call.run(1_500);
    let counters = call.world.counters();
    let media = counters.rtp_bytes_out - counters.rtx_bytes_out;
    assert!(counters.rtx_probes > 100, "{}", counters.rtx_probes);
    assert!(counters.rtx_probes * 860 < media / 10 + 1_000, "{} of {media}", counters.rtx_probes);
    assert_eq!(counters.rtx_over_budget, 0);
}

#[test]
fn a_client_without_rtx_is_sent_nothing_unasked() {
    let mut call = Call::new(78, LAYERED, Consume { rtx: false, ..Consume::default() });
    call.lose(Loss::Random(0.05));
    call.run(150);
    assert_eq!(call.world.counters().rtx_probes, 0);
}

fn origin_of_repeat(packet: &Received) -> u32 {
    let mut packet = packet.clone();
    packet.payload.drain(..2);
    origin(&packet).frame
}

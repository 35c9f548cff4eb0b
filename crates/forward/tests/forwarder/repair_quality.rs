//! How much of what bad networks lose is repaired, in time to be of use and within the budget. Seeded: same numbers every time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use netem::{LinkConfig, Loss};

use crate::support::{Consume, Received, Receiver, Video, VideoConfig, World, ms};

/// On average five in a row, 2 % of all.
const BURSTS: Loss = Loss::GilbertElliott { good_to_bad: 0.0041, bad_to_good: 0.2, loss_good: 0.0, loss_bad: 1.0 };

/// 50 +- 20 ms there and back.
fn network(loss: Loss) -> LinkConfig {
    LinkConfig { loss, delay: ms(15), jitter: ms(20), ..LinkConfig::default() }
}

/// What came of half a minute of 1.2 Mbit/s.
#[derive(Debug)]
struct Outcome {
    lost: usize,
    repaired: usize,
    /// Of the frames sent, in per mille: whole within `PATIENCE` of their first packet.
    frames: usize,
    rtx_share: f64,
    keyframes: u32,
}

fn play(seed: u64, up: Loss, down: Loss, rtx: bool) -> Outcome {
    let mut world = World::new(seed);
    let (alice, bob) = (world.add_client(), world.add_client());
    let config = VideoConfig { packets_per_frame: 5, payload_bytes: 1_000, ..VideoConfig::default() };
    let mut video = Video::publish_with(&mut world, alice, 0, &[], config);
    let ssrc = world.consume(bob, 0, 0, Consume { rtx, ..Consume::default() });
    let mut receiver = Receiver::new(bob, ssrc);
    video.run(&mut world, ms(500));
    world.set_links(alice, network(up), network(Loss::None));
    world.set_links(bob, network(Loss::None), network(down));
    let before = dropped(&world);
    let (first, keyframes) = (video.encodings[0].frames, video.encodings[0].keyframes);
    for step in 0..900 {
        video.run(&mut world, ms(33));
        receiver.ask(&mut world);
        if step % 30 == 0 {
            receiver.report(&mut world, 0);
        }
    }
    let end = video.encodings[0].frames;
    world.set_links(alice, network(Loss::None), network(Loss::None));
    world.set_links(bob, network(Loss::None), network(Loss::None));
    for _ in 0..30 {
        video.run(&mut world, ms(33));
        receiver.ask(&mut world);
    }
    let lost = dropped(&world) - before;
    let missing = receiver.missing().len();
    let whole = whole_frames(&receiver.packets, config.packets_per_frame, first, end);
    let counters = world.counters();
    Outcome {
        lost,
        repaired: lost.saturating_sub(missing),
        frames: whole * 1_000 / (end - first) as usize,
        rtx_share: counters.rtx_bytes_out as f64 / (counters.rtp_bytes_out - counters.rtx_bytes_out) as f64,
        keyframes: video.encodings[0].keyframes - keyframes,
    }
}

/// Media and retransmissions that the links dropped in the direction of media.
fn dropped(world: &World) -> usize {
    world.clients[0].up.lost() + world.clients[1].down.lost()
}

fn whole_frames(packets: &BTreeMap<u64, Received>, per_frame: usize, first: u32, last: u32) -> usize {
    let mut frames: BTreeMap<u32, Vec<Instant>> = BTreeMap::new();
    for packet in packets.values() {
        frames.entry(crate::support::origin(packet).frame).or_default().push(packet.at);
    }
    let in_time = |times: &Vec<Instant>| {
        let (earliest, latest) = (times.iter().min(), times.iter().max());
        times.len() == per_frame
            && latest.zip(earliest).is_some_and(|(latest, earliest)| *latest <= *earliest + PATIENCE)
    };
    frames.range(first + 1..=last).filter(|(_, times)| in_time(times)).count()
}

/// What a receiver's jitter buffer grows to on such networks.
const PATIENCE: Duration = ms(400);

#[test]
fn what_bad_networks_lose_is_repaired_in_time_and_within_the_budget() {
    let random = Loss::Random(0.05);
    for (name, up, down) in [
        ("5 % up", random, Loss::None),
        ("5 % down", Loss::None, random),
        ("5 % both ways", random, random),
        ("bursts up", BURSTS, Loss::None),
        ("bursts down", Loss::None, BURSTS),
        ("bursts both ways", BURSTS, BURSTS),
    ] {
        for (seed, rtx) in [(51, true), (52, false)] {
            let outcome = play(seed, up, down, rtx);
            println!("{name}, rtx {rtx}: {outcome:?}");
            assert!(outcome.lost > 50, "{name}: {outcome:?}");
            assert!(outcome.repaired * 100 >= outcome.lost * 99, "{name}: {outcome:?}");
            assert!(outcome.frames >= 990, "{name}: {outcome:?}");
            assert!(outcome.rtx_share < 0.15, "{name}: {outcome:?}");
            assert_eq!(outcome.keyframes, 0, "{name}");
        }
    }
}

#[test]
fn what_was_lost_before_us_is_not_sent_twice_behind_us() {
    let outcome = play(53, Loss::Random(0.05), Loss::None, true);
    // Who misses it asks while it is on its way already.
    assert!(outcome.rtx_share < 0.005, "{outcome:?}");
    assert!(outcome.frames >= 990, "{outcome:?}");
}

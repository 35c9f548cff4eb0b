//! A consumer moves between simulcast encodings at keyframes, and what it gets looks like one stream.

use crate::support::{Consume, Receiver, SIMULCAST, Video, VideoConfig, World, ms};
use forward::{Command, Event, ProducerId, RemoveProducer};

fn call(seed: u64, encoding: u8) -> (World, Video, Receiver) {
    let mut world = World::new(seed);
    let (alice, bob) = (world.add_client(), world.add_client());
    let video = Video::publish(&mut world, alice, 0, SIMULCAST);
    let ssrc = world.consume(bob, 0, 0, Consume { encoding, ..Consume::default() });
    (world, video, Receiver::new(bob, ssrc))
}

fn runs(receiver: &Receiver) -> Vec<(u8, bool)> {
    let mut runs: Vec<(u8, bool)> = Vec::new();
    for origin in receiver.origins() {
        if runs.last().is_none_or(|(encoding, _)| *encoding != origin.encoding) {
            runs.push((origin.encoding, origin.keyframe && origin.packet == 0));
        }
    }
    runs
}

#[test]
fn every_switch_starts_at_a_keyframe_and_nothing_jumps() {
    let (mut world, mut video, mut receiver) = call(1, 0);
    video.run(&mut world, ms(500));
    for encoding in [2, 1, 2, 0, 2] {
        world.configure(0, false, encoding);
        video.run(&mut world, ms(700));
    }
    receiver.take(&world);
    receiver.assert_continuous_video();
    assert_eq!(runs(&receiver), [(0, true), (2, true), (1, true), (2, true), (0, true), (2, true)]);
    let told: Vec<_> = world.layers_of(0).into_iter().flatten().collect();
    assert_eq!(told, [0, 2, 1, 2, 0, 2]);
    assert_eq!(world.counters().layer_switches, 5);
}

#[test]
fn the_old_encoding_goes_on_until_the_new_ones_keyframe() {
    let mut world = World::new(2);
    let (alice, bob) = (world.add_client(), world.add_client());
    let config = VideoConfig { answers_plis: false, ..VideoConfig::default() };
    let mut video = Video::publish_with(&mut world, alice, 0, SIMULCAST, config);
    let ssrc = world.consume(bob, 0, 0, Consume { encoding: 0, ..Consume::default() });
    video.run(&mut world, ms(300));
    world.configure(0, false, 2);
    video.run(&mut world, ms(2_000));
    let mut receiver = Receiver::new(bob, ssrc);
    receiver.take(&world);
    assert_eq!(runs(&receiver), [(0, true)]);
    assert!(world.now - world.clients[bob].on_ssrc(ssrc).last().expect("media").at < ms(40));
    video.encodings[2].wants_keyframe = true;
    video.run(&mut world, ms(100));
    receiver.take(&world);
    receiver.assert_continuous_video();
    assert_eq!(runs(&receiver), [(0, true), (2, true)]);
}

#[test]
fn when_an_encoding_ends_its_consumers_fall_to_another_and_come_back() {
    let (mut world, mut video, mut receiver) = call(3, 2);
    video.run(&mut world, ms(1_000));
    video.encodings[2].active = false;
    video.run(&mut world, ms(2_500));
    receiver.take(&world);
    assert_eq!(receiver.origins().last().expect("media").encoding, 1);
    video.encodings[2].active = true;
    video.encodings[2].wants_keyframe = true;
    video.run(&mut world, ms(1_000));
    receiver.take(&world);
    receiver.assert_continuous_video();
    assert_eq!(receiver.origins().last().expect("media").encoding, 2);
    let lost: Vec<_> = world
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::EncodingLost { encoding, .. } => Some(("lost", *encoding)),
            Event::EncodingSeen { encoding, .. } => Some(("seen", *encoding)),
            _ => None,
        })
        .collect();
    assert_eq!(lost, [("seen", 0), ("seen", 1), ("seen", 2), ("lost", 2), ("seen", 2)]);
}

#[test]
fn the_best_encoding_below_the_cap_is_sent_else_the_lowest() {
    let (mut world, mut video, _) = call(4, 0);
    video.encodings[0].active = false;
    video.encodings[1].active = false;
    video.run(&mut world, ms(500));
    assert_eq!(world.layers_of(0), [Some(2)]);
    video.encodings[0].active = true;
    video.encodings[0].wants_keyframe = true;
    video.run(&mut world, ms(500));
    assert_eq!(world.layers_of(0), [Some(2), Some(0)]);
}

#[test]
fn late_packets_of_the_old_encoding_are_dropped_after_the_switch() {
    let (mut world, mut video, mut receiver) = call(5, 0);
    video.run(&mut world, ms(300));
    // A packet of the old encoding is held back until after the switch.
    let held = video.next_frame(0);
    world.configure(0, false, 2);
    video.run(&mut world, ms(500));
    receiver.take(&world);
    let (before, missing) = (receiver.packets.len(), receiver.missing().len());
    assert_eq!(missing, held.len(), "their places were left open: they were only late");
    let now = world.now;
    for packet in &held {
        world.clients[0].send_rtp(now, packet);
    }
    world.run_for(ms(20));
    receiver.take(&world);
    assert_eq!(receiver.packets.len(), before, "too late for the stream");
    receiver.ask(&mut world);
    world.run_for(ms(20));
    receiver.take(&world);
    assert_eq!(receiver.missing().len(), 0, "but who asks gets them");
    receiver.assert_continuous_video();
}

#[test]
fn a_keyframe_whose_packets_overtook_each_other_is_complete() {
    let (mut world, mut video, mut receiver) = call(6, 0);
    video.run(&mut world, ms(300));
    world.configure(0, false, 2);
    world.run_for(ms(5));
    video.answer(&mut world);
    assert!(video.encodings[2].wants_keyframe);
    let mut keyframe = video.next_frame(2);
    keyframe.rotate_left(1);
    let now = world.now;
    for packet in &keyframe {
        world.clients[0].send_rtp(now, packet);
    }
    world.run_for(ms(30));
    video.run(&mut world, ms(300));
    receiver.take(&world);
    receiver.assert_continuous_video();
    assert_eq!(runs(&receiver), [(0, true), (2, true)]);
    assert_eq!(video.encodings[2].keyframes, 2, "no second keyframe was needed");
}

#[test]
fn a_new_ssrc_for_the_same_rid_is_a_new_run() {
    let (mut world, mut video, mut receiver) = call(7, 2);
    video.run(&mut world, ms(500));
    let encoding = &mut video.encodings[2];
    encoding.ssrc += 5;
    encoding.index = 40_000;
    encoding.timestamp = encoding.timestamp.wrapping_add(0x9000_0000);
    video.run(&mut world, ms(1_000));
    receiver.take(&world);
    receiver.assert_continuous_video();
    let frames = receiver.origins().iter().filter(|origin| origin.packet == 0).count();
    assert!(frames > 40, "{frames}");
}

#[test]
fn a_straggler_of_the_old_ssrc_does_not_take_the_encoding_back() {
    let (mut world, mut video, mut receiver) = call(9, 0);
    video.run(&mut world, ms(1_000));
    let straggler = video.next_frame(0).pop().expect("a packet");
    video.encodings[0].ssrc += 5_000;
    video.encodings[0].wants_keyframe = true;
    video.run(&mut world, ms(99));
    let (plis, changes) = (world.clients[0].plis().len(), world.layers_of(0).len());
    let now = world.now;
    world.clients[0].send_rtp(now, &straggler);
    video.run(&mut world, ms(500));
    assert_eq!(world.clients[0].plis().len(), plis, "no keyframe was needed");
    assert_eq!(world.layers_of(0).len(), changes);
    receiver.take(&world);
    receiver.assert_continuous_video();
}

#[test]
fn a_producer_that_is_added_again_finds_the_streams_that_no_longer_say_their_names() {
    let (mut world, mut video, _) = call(10, 2);
    video.run(&mut world, ms(500));
    world.command(Command::RemoveProducer(RemoveProducer { producer: ProducerId(0) }));
    // The client was told that its packets arrived: it names its streams no more, and goes on.
    video.is_acknowledged = true;
    video.publish_again(&mut world, 4, SIMULCAST);
    let ssrc = world.consume(1, 4, 4, Consume::default());
    video.encodings.iter_mut().for_each(|encoding| encoding.wants_keyframe = true);
    video.run(&mut world, ms(1_000));
    let mut receiver = Receiver::new(1, ssrc);
    receiver.take(&world);
    receiver.assert_continuous_video();
    assert_eq!(world.layers_of(4).last(), Some(&Some(2)));
    assert!(receiver.origins().len() > 60, "{}", receiver.origins().len());
}

//! Packets of a picture that differ by a byte or two leave equally long, so that the kernel takes the picture in one message.

use std::collections::BTreeSet;

use super::nack_rtx::{clean, lossy};
use crate::support::{Consume, Receiver, Video, VideoConfig, World, ms};

const PACKETS: usize = 5;

fn uneven() -> VideoConfig {
    VideoConfig { packets_per_frame: PACKETS, uneven: true, ..VideoConfig::default() }
}

#[test]
fn pieces_of_a_picture_leave_equally_long_and_mean_what_they_meant() {
    let mut world = World::new(1);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut video = Video::publish_with(&mut world, alice, 0, &[], uneven());
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    video.run(&mut world, ms(200));
    world.clients[bob].raw = Some(Vec::new());
    video.run(&mut world, ms(300));
    world.run_for(ms(50));
    let raw = world.clients[bob].raw.take().expect("kept");
    let lens: Vec<Vec<usize>> = raw.chunks(PACKETS).map(|picture| picture.iter().map(Vec::len).collect()).collect();
    assert!(lens.len() > 5);
    for picture in &lens {
        let (last, others) = picture.split_last().expect("five packets");
        assert!(others.iter().all(|len| *len == others[0]) && *last <= others[0], "{picture:?}");
    }
    let mut receiver = Receiver::new(bob, ssrc);
    receiver.take(&world);
    receiver.assert_continuous_video();
    let shapes: Vec<(usize, usize)> = receiver
        .packets
        .values()
        .rev()
        .take(PACKETS)
        .map(|packet| (packet.payload.len(), packet.padding_len))
        .collect();
    let longest = shapes.iter().map(|(payload, _)| *payload).max().expect("a picture");
    assert_eq!(shapes, [(longest - 1, 0), (longest, 0), (longest - 1, 1), (longest, 0), (longest - 1, 1)]);
}

#[test]
fn a_repaired_piece_is_as_long_as_it_was_published() {
    let mut world = World::new(2);
    let (alice, bob) = (world.add_client(), world.add_client());
    world.set_links(bob, clean(), lossy(0.05));
    let mut video = Video::publish_with(&mut world, alice, 0, &[], uneven());
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    let mut receiver = Receiver::new(bob, ssrc);
    for round in 0..150 {
        if round == 130 {
            world.set_links(bob, clean(), clean());
        }
        video.run(&mut world, ms(20));
        receiver.ask(&mut world);
    }
    receiver.assert_continuous_video();
    assert!(world.counters().rtx_out > 10);
    let lens: BTreeSet<usize> = receiver.packets.values().map(|it| it.payload.len()).collect();
    assert_eq!(lens.len(), 2, "{lens:?}");
}

#[test]
fn it_is_known_how_many_wait_for_the_rest_of_a_picture() {
    let mut world = World::new(3);
    let alice = world.add_client();
    let mut video = Video::publish_with(&mut world, alice, 0, &[], uneven());
    for consumer in 0..3 {
        let viewer = world.add_client();
        world.consume(viewer, 0, consumer, Consume::default());
    }
    video.run(&mut world, ms(200));
    assert_eq!(world.shards.cut_short, 0, "whole pictures");
    let mut pieces = video.next_frame(0);
    let rest = pieces.split_off(2);
    for (pieces, cut_short) in [(pieces, 3), (rest, 3)] {
        for piece in &pieces {
            let now = world.now;
            world.clients[alice].send_rtp(now, piece);
        }
        world.run_for(ms(5));
        assert_eq!(world.shards.cut_short, cut_short);
    }
}

//! Silence of any kind (mute, pause by us, DTX) leaves no gap in sequence numbers, and time goes on as it did.

use crate::support::{Audio, Consume, Receiver, SIMULCAST, Video, World, ms};
use forward::Event;

#[test]
fn dtx_keeps_sequence_numbers_and_shows_in_timestamps() {
    let mut world = World::new(1);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut audio = Audio::publish(&mut world, alice, 0);
    let ssrc = world.consume(bob, 0, 0, Consume { encoding: 0, rtx: false, ..Consume::default() });
    audio.run(&mut world, ms(200));
    for _ in 0..3 {
        audio.pause(&mut world, ms(400));
        audio.run(&mut world, ms(100));
    }
    let packets = world.clients[bob].on_ssrc(ssrc);
    assert_eq!(packets.len(), 10 + 3 * 5);
    for pair in packets.windows(2) {
        assert_eq!(pair[1].index, pair[0].index + 1);
        let elapsed = (pair[1].at - pair[0].at).as_millis() as u32;
        assert_eq!(pair[1].timestamp.wrapping_sub(pair[0].timestamp), elapsed * 48);
    }
    assert!(!world.events.iter().any(|(_, event)| matches!(event, Event::EncodingLost { .. })));
}

#[test]
fn a_publisher_that_mutes_and_unmutes_goes_on_where_it_was() {
    let mut world = World::new(2);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut audio = Audio::publish(&mut world, alice, 0);
    let ssrc = world.consume(bob, 0, 0, Consume { encoding: 0, rtx: false, ..Consume::default() });
    audio.run(&mut world, ms(200));
    audio.pause(&mut world, ms(10_000));
    audio.run(&mut world, ms(200));
    let packets = world.clients[bob].on_ssrc(ssrc);
    assert_eq!(packets.len(), 20);
    assert!(packets.windows(2).all(|pair| pair[1].index == pair[0].index + 1));
    assert_eq!(world.layers_of(0), [Some(0), None, Some(0)]);
}

#[test]
fn a_muted_camera_goes_on_where_it_was() {
    let mut world = World::new(3);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, SIMULCAST);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    video.run(&mut world, ms(1_000));
    for encoding in &mut video.encodings {
        encoding.active = false;
    }
    video.run(&mut world, ms(5_000));
    for encoding in &mut video.encodings {
        encoding.active = true;
        encoding.wants_keyframe = true;
    }
    video.run(&mut world, ms(2_000));
    let mut receiver = Receiver::new(bob, ssrc);
    receiver.take(&world);
    receiver.assert_continuous_video();
    assert_eq!(receiver.origins().last().expect("media").encoding, 2);
    assert_eq!(world.layers_of(0).last(), Some(&Some(2)));
}

#[test]
fn a_paused_consumer_resumes_at_a_keyframe_without_a_gap() {
    let mut world = World::new(4);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, SIMULCAST);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    video.run(&mut world, ms(1_000));
    world.configure(0, true, 2);
    video.run(&mut world, ms(50));
    let before = world.clients[bob].on_ssrc(ssrc).len();
    video.run(&mut world, ms(3_000));
    assert_eq!(world.clients[bob].on_ssrc(ssrc).len(), before, "nothing while paused");
    world.configure(0, false, 2);
    video.run(&mut world, ms(500));
    let mut receiver = Receiver::new(bob, ssrc);
    receiver.take(&world);
    receiver.assert_continuous_video();
    let resumed = receiver.origins()[before];
    assert!(resumed.keyframe && resumed.packet == 0);
    assert_eq!(world.layers_of(0)[2..], [Some(2), None, Some(2)]);
    let (last, next) = (&world.clients[bob].on_ssrc(ssrc)[before - 1], &world.clients[bob].on_ssrc(ssrc)[before]);
    let (media_ms, wall_ms) =
        (next.timestamp.wrapping_sub(last.timestamp) / 90, (next.at - last.at).as_millis() as u32);
    assert!(media_ms.abs_diff(wall_ms) < 10, "the pause is in the timestamps: {media_ms} {wall_ms}");
}

#[test]
fn a_paused_microphone_resumes_with_the_next_packet() {
    let mut world = World::new(5);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut audio = Audio::publish(&mut world, alice, 0);
    let ssrc = world.consume(bob, 0, 0, Consume { encoding: 0, rtx: false, ..Consume::default() });
    audio.run(&mut world, ms(100));
    world.configure(0, true, 0);
    audio.run(&mut world, ms(1_000));
    world.configure(0, false, 0);
    audio.run(&mut world, ms(100));
    let packets = world.clients[bob].on_ssrc(ssrc);
    assert_eq!(packets.len(), 10);
    assert!(packets.windows(2).all(|pair| pair[1].index == pair[0].index + 1));
    assert_eq!(packets[5].timestamp.wrapping_sub(packets[4].timestamp), 51 * 960);
}

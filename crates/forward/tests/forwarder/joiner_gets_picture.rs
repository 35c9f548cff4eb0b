//! Who joins gets a picture at once: a keyframe from the ring if there is a fresh one, else a request that goes out now.

use netem::LinkConfig;

use crate::support::{Consume, Receiver, SIMULCAST, Video, World, ms};

#[test]
fn a_joiner_waits_for_one_round_trip_and_a_frame() {
    let mut world = World::new(1);
    let (alice, bob) = (world.add_client(), world.add_client());
    let link = LinkConfig { delay: ms(25), ..LinkConfig::default() };
    world.set_links(alice, link, link);
    let mut video = Video::publish(&mut world, alice, 0, SIMULCAST);
    video.run(&mut world, ms(3_000));
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    let joined = world.now;
    video.run(&mut world, ms(500));
    let mut receiver = Receiver::new(bob, ssrc);
    receiver.take(&world);
    receiver.assert_continuous_video();
    let first = world.clients[bob].on_ssrc(ssrc)[0];
    assert!(first.at - joined <= ms(50 + 33 + 5), "{:?}", first.at - joined);
    let origin = receiver.origins()[0];
    assert!(origin.keyframe && origin.packet == 0 && origin.encoding == 2);
}

#[test]
fn joiners_right_after_a_keyframe_take_it_from_the_ring() {
    let mut world = World::new(2);
    let alice = world.add_client();
    let clients: Vec<usize> = (0..5).map(|_| world.add_client()).collect();
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    video.run(&mut world, ms(2_000));
    video.encodings[0].wants_keyframe = true;
    video.run(&mut world, ms(165));
    let before = world.clients[alice].plis().len();
    for (at, client) in clients.iter().enumerate() {
        let ssrc = world.consume(*client, 0, at as u64, Consume::default());
        world.run_for(ms(1));
        let mut receiver = Receiver::new(*client, ssrc);
        receiver.take(&world);
        let origins = receiver.origins();
        assert!(origins[0].keyframe && origins[0].packet == 0);
        assert!(origins.len() >= 15, "and everything since: {}", origins.len());
    }
    video.run(&mut world, ms(300));
    assert_eq!(world.clients[alice].plis().len(), before, "nobody had to ask");
    for (at, client) in clients.iter().enumerate() {
        let mut receiver = Receiver::new(*client, 500_000 + 2 * at as u32);
        receiver.take(&world);
        receiver.assert_continuous_video();
    }
}

#[test]
fn a_crowd_of_joiners_shares_keyframes() {
    let mut world = World::new(3);
    let alice = world.add_client();
    let clients: Vec<usize> = (0..20).map(|_| world.add_client()).collect();
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    video.run(&mut world, ms(2_000));
    for (at, client) in clients.iter().enumerate() {
        world.consume(*client, 0, at as u64, Consume::default());
        video.run(&mut world, ms(33));
    }
    video.run(&mut world, ms(200));
    let plis = world.clients[alice].plis().len();
    assert!(plis <= 3, "{plis} in 700 ms");
    for (at, client) in clients.iter().enumerate() {
        assert!(!world.clients[*client].on_ssrc(500_000 + 2 * at as u32).is_empty());
    }
}

#[test]
fn who_subscribes_before_the_transport_is_up_starts_when_it_is() {
    let mut world = World::new(4);
    let alice = world.add_client();
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    video.run(&mut world, ms(2_000));
    let slow = LinkConfig { delay: ms(100), ..LinkConfig::default() };
    let bob = world.open_client(crate::support::usual_extensions());
    world.set_links(bob, slow, slow);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    assert_eq!(world.counters().keyframe_requests_out, 0, "no keyframe for nobody");
    video.run(&mut world, ms(2_000));
    let mut receiver = Receiver::new(bob, ssrc);
    receiver.take(&world);
    receiver.assert_continuous_video();
    assert!(receiver.origins()[0].keyframe);
}

#[test]
fn who_subscribes_before_the_publisher_sends_gets_the_first_frame() {
    let mut world = World::new(5);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, SIMULCAST);
    let ssrc = world.consume(bob, 0, 0, Consume { encoding: 0, ..Consume::default() });
    video.run(&mut world, ms(500));
    let mut receiver = Receiver::new(bob, ssrc);
    receiver.take(&world);
    receiver.assert_continuous_video();
    assert_eq!(receiver.origins()[0].frame, 1);
    assert_eq!(video.encodings[0].keyframes, 1);
}

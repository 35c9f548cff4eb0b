//! What only pipes have: they end with their producer, forget what comes late, and carry what is wanted and nothing else.

use forward::{Command, ConfigureConsumer, ConsumerId, ProducerId, RemoveProducer};
use wire::Ssrc;
use wire::rtcp;

use crate::support::{Audio, Consume, Receiver, SIMULCAST, Video, World, ms};

/// Alice on shard 0 is seen by bob on shard 1.
fn call(seed: u64, rids: &'static [&'static str]) -> (World, Video, Receiver) {
    let mut world = World::new(seed);
    let (alice, bob) = (world.add_client(), world.add_client());
    let video = Video::publish(&mut world, alice, 0, rids);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    (world, video, Receiver::new(bob, ssrc))
}

#[test]
fn only_what_somebody_there_wants_goes_through() {
    let (mut world, mut video, _) = call(1, SIMULCAST);
    video.run(&mut world, ms(1_000));
    let counters = world.counters();
    assert_eq!((counters.pipes_in, counters.pipes_out, counters.producers), (1, 1, 1));
    let through = counters.pipe_packets_in as f64 / counters.rtp_out as f64;
    assert!((1.0..1.2).contains(&through), "once, and one encoding of three: {through}");
    world.command(Command::ConfigureConsumer(ConfigureConsumer { consumer: ConsumerId(0), paused: true, encoding: 2 }));
    let before = world.counters().pipe_packets_out;
    video.run(&mut world, ms(1_000));
    assert_eq!(world.counters().pipe_packets_out, before, "nobody is left");
}

#[test]
fn two_consumers_of_a_shard_share_a_pipe_and_a_packet() {
    let (mut world, mut video, _) = call(2, &[]);
    let others: Vec<usize> = (0..3).map(|_| world.add_client()).collect();
    // The fifth client is on bob's shard.
    world.consume(others[2], 0, 1, Consume::default());
    video.run(&mut world, ms(500));
    let counters = world.counters();
    assert_eq!((counters.pipes_in, counters.pipe_packets_in), (1, counters.pipe_packets_out));
    assert!(counters.rtp_out > counters.pipe_packets_in * 19 / 10, "{counters:?}");
}

#[test]
fn what_is_under_way_when_the_producer_goes_is_dropped_and_counted() {
    let (mut world, mut video, _) = call(3, &[]);
    video.run(&mut world, ms(500));
    world.shards.held = Some(Vec::new());
    video.run(&mut world, ms(100));
    world.command(Command::RemoveProducer(RemoveProducer { producer: ProducerId(0) }));
    let now = world.now;
    world.shards.release(now);
    world.run_for(ms(10));
    let counters = world.counters();
    assert!(counters.drop_pipe_closed >= 10, "{}", counters.drop_pipe_closed);
    assert_eq!((counters.pipes_in, counters.pipes_out, counters.producers, counters.consumers), (0, 0, 0, 0));
}

#[test]
fn a_pipe_opened_again_knows_nothing_of_the_first() {
    let (mut world, mut video, receiver) = call(4, SIMULCAST);
    video.run(&mut world, ms(500));
    // The last consumer goes, another comes, and what was under way arrives in between.
    world.shards.held = Some(Vec::new());
    video.run(&mut world, ms(100));
    world.shards.close_pipe(ProducerId(0), 1);
    let ssrc = world.consume(receiver.client, 0, 1, Consume::default());
    let now = world.now;
    world.shards.release(now);
    video.run(&mut world, ms(1_000));
    let mut receiver = Receiver::new(receiver.client, ssrc);
    receiver.take(&world);
    receiver.assert_continuous_video();
    assert!(world.counters().drop_pipe_closed > 0);
}

#[test]
fn a_shard_that_was_not_heard_for_a_while_catches_up() {
    let (mut world, mut video, mut receiver) = call(5, &[]);
    video.run(&mut world, ms(500));
    world.shards.held = Some(Vec::new());
    video.run(&mut world, ms(300));
    let now = world.now;
    world.shards.release(now);
    video.run(&mut world, ms(500));
    receiver.take(&world);
    receiver.assert_continuous_video();
}

#[test]
fn a_shard_that_was_behind_goes_on_with_the_next_keyframe() {
    let (mut world, mut video, mut receiver) = call(9, SIMULCAST);
    video.run(&mut world, ms(500));
    world.shards.held = Some(Vec::new());
    // While it is behind, the encoding that bob sees ends and a lower one has to do.
    video.run(&mut world, ms(300));
    video.encodings[2].active = false;
    video.run(&mut world, ms(2_000));
    let lost: usize = world.shards.held.iter_mut().flatten().map(|(_, batch)| batch.shed()).sum();
    assert!(lost > 20, "{lost}");
    let now = world.now;
    world.shards.release(now);
    video.run(&mut world, ms(1_000));
    assert_eq!(world.layers_of(0).last(), Some(&Some(1)), "{:?}", world.layers_of(0));
    receiver.take(&world);
    let newest = receiver.origins().last().copied().expect("a picture");
    assert_eq!(newest.encoding, 1);
}

#[test]
fn a_keyframe_that_was_lost_on_the_way_is_asked_for_again() {
    let (mut world, mut video, receiver) = call(10, &[]);
    video.run(&mut world, ms(2_000));
    world.configure(0, true, 0);
    world.run_for(ms(30));
    world.configure(0, false, 0);
    world.shards.held = Some(Vec::new());
    video.run(&mut world, ms(100));
    let lost: usize = world.shards.held.iter_mut().flatten().map(|(_, batch)| batch.shed()).sum();
    assert!(lost > 10, "{lost}");
    let now = world.now;
    world.shards.release(now);
    let before = world.clients[receiver.client].on_ssrc(receiver.ssrc).len();
    video.run(&mut world, ms(600));
    assert!(world.clients[receiver.client].on_ssrc(receiver.ssrc).len() > before, "bob sees alice again");
}

#[test]
fn who_looked_away_for_a_moment_gets_a_new_keyframe_at_once() {
    let (mut world, mut video, mut receiver) = call(11, &[]);
    video.run(&mut world, ms(2_000));
    // A keyframe that bob has seen, and that a joiner could still start with.
    video.encodings[0].wants_keyframe = true;
    video.run(&mut world, ms(200));
    world.configure(0, true, 0);
    video.run(&mut world, ms(33));
    let asked = world.clients[0].plis().len();
    world.configure(0, false, 0);
    video.run(&mut world, ms(200));
    assert_eq!(world.clients[0].plis().len(), asked + 1);
    receiver.take(&world);
    receiver.assert_continuous_video();
}

#[test]
fn a_joiner_never_starts_with_a_keyframe_that_went_through_before_a_pause() {
    let (mut world, mut video, _) = call(12, &[]);
    // The fifth client is on bob's shard.
    let carol = (0..3).map(|_| world.add_client()).last().expect("three of them");
    video.run(&mut world, ms(2_000));
    video.encodings[0].wants_keyframe = true;
    video.run(&mut world, ms(100));
    // Bob, the only one on his shard, looks away, and what is sent then does not go there.
    world.configure(0, true, 0);
    video.run(&mut world, ms(200));
    let asked = world.clients[0].plis().len();
    let ssrc = world.consume(carol, 0, 1, Consume::default());
    video.run(&mut world, ms(200));
    let mut carol = Receiver::new(carol, ssrc);
    carol.take(&world);
    assert!(carol.origins()[0].keyframe);
    carol.assert_continuous_video();
    assert_eq!(world.clients[0].plis().len(), asked + 1);
}

#[test]
fn an_older_keyframe_for_a_joiner_does_not_turn_back_the_time_of_who_switches() {
    for apart in [ms(0), ms(25)] {
        let (mut world, mut video, mut bob) = call(13, SIMULCAST);
        // The fifth client is on bob's shard.
        let carol = (0..3).map(|_| world.add_client()).last().expect("three of them");
        world.configure(0, false, 0);
        video.run(&mut world, ms(3_000));
        bob.take(&world);
        bob.packets.clear();
        video.encodings[2].wants_keyframe = true;
        video.run(&mut world, ms(200));
        world.shards.held = Some(Vec::new());
        let ssrc = world.consume(carol, 0, 1, Consume::default());
        world.run_for(apart);
        world.configure(0, false, 2);
        world.run_for(ms(25));
        let now = world.now;
        world.shards.release(now);
        video.run(&mut world, ms(500));
        bob.take(&world);
        bob.assert_continuous_video();
        assert_eq!(bob.origins().last().map(|origin| origin.encoding), Some(2), "bob has switched");
        assert!(!world.clients[carol].on_ssrc(ssrc).is_empty(), "carol sees alice");
    }
}

#[test]
fn a_flood_of_keyframe_requests_ends_at_its_own_shard() {
    let (mut world, mut video, receiver) = call(6, &[]);
    video.run(&mut world, ms(2_000));
    let (demands, plis) = (world.counters().pipe_demands, world.clients[0].plis().len());
    for _ in 0..15 {
        for _ in 0..33 {
            let now = world.now;
            world.clients[receiver.client].send_rtcp(now, |buf| rtcp::write_pli(buf, Ssrc(1), Ssrc(receiver.ssrc)));
            world.run_for(ms(1));
        }
        video.run(&mut world, ms(33));
    }
    let asked = world.counters().pipe_demands - demands;
    assert!(asked <= 60, "{asked} for 495 requests in a second");
    assert!(world.clients[0].plis().len() - plis <= 3);
}

#[test]
fn joiners_on_every_shard_share_a_keyframe() {
    let mut world = World::new(7);
    let alice = world.add_client();
    let clients: Vec<usize> = (0..9).map(|_| world.add_client()).collect();
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    video.run(&mut world, ms(2_000));
    let before = world.clients[alice].plis().len();
    for (at, client) in clients.iter().enumerate() {
        world.consume(*client, 0, at as u64, Consume::default());
    }
    video.run(&mut world, ms(200));
    assert_eq!(world.clients[alice].plis().len(), before + 1);
    for (at, client) in clients.iter().enumerate() {
        assert!(!world.clients[*client].on_ssrc(500_000 + 2 * at as u32).is_empty(), "{at}");
    }
}

#[test]
fn the_first_packets_of_a_publisher_are_heard_elsewhere_too() {
    let mut world = World::new(8);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut audio = Audio::publish(&mut world, alice, 0);
    let ssrc = world.consume(bob, 0, 0, Consume { encoding: 0, rtx: false, ..Consume::default() });
    audio.run(&mut world, ms(500));
    assert_eq!(world.clients[bob].on_ssrc(ssrc).len() as u64, world.counters().rtp_in);
}

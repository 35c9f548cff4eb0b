//! Keyframe requests of many subscribers become few to the publisher, and none is forgotten.

use forward::{Command, ProducerId, RequestKeyframe};
use wire::Ssrc;
use wire::rtcp;

use crate::support::{Consume, SIMULCAST, Video, VideoConfig, World, ms};

fn pli(world: &mut World, client: usize, ssrc: u32) {
    let now = world.now;
    world.clients[client].send_rtcp(now, |buf| rtcp::write_pli(buf, Ssrc(1), Ssrc(ssrc)));
    world.run_for(ms(1));
}

#[test]
fn ten_subscribers_that_lost_their_picture_cost_one_request() {
    let mut world = World::new(1);
    let alice = world.add_client();
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    let subscribers: Vec<(usize, u32)> = (0..10)
        .map(|at| {
            let client = world.add_client();
            (client, world.consume(client, 0, at, Consume::default()))
        })
        .collect();
    video.run(&mut world, ms(2_000));
    let before = world.clients[alice].plis().len();
    for (client, ssrc) in subscribers {
        pli(&mut world, client, ssrc);
    }
    video.run(&mut world, ms(400));
    assert_eq!(world.clients[alice].plis().len(), before + 1);
    assert_eq!(world.counters().keyframe_requests_in, 10);
}

#[test]
fn a_client_that_asks_all_the_time_gets_two_a_second_and_soon_fewer() {
    let mut world = World::new(2);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    video.run(&mut world, ms(2_000));
    let before = world.clients[alice].plis().len();
    for _ in 0..100 {
        pli(&mut world, bob, ssrc);
        video.run(&mut world, ms(33));
    }
    let sent = world.clients[alice].plis().len() - before;
    assert!((5..=8).contains(&sent), "{sent}");
    for _ in 0..1_000 {
        pli(&mut world, bob, ssrc);
        video.run(&mut world, ms(33));
    }
    let sent = world.clients[alice].plis().len() - before - sent;
    assert!((14..=18).contains(&sent), "{sent} in 34 s");
    assert!(world.counters().keyframe_requests_held > 900);
}

#[test]
fn fir_is_a_keyframe_request_like_any_other() {
    let mut world = World::new(3);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    video.run(&mut world, ms(2_000));
    let (before, keyframes) = (world.clients[alice].plis().len(), video.encodings[0].keyframes);
    let now = world.now;
    world.clients[bob].send_rtcp(now, |buf| rtcp::write_fir(buf, Ssrc(1), &[(Ssrc(ssrc), 1)]));
    video.run(&mut world, ms(200));
    assert_eq!(world.clients[alice].plis().len(), before + 1);
    assert_eq!(video.encodings[0].keyframes, keyframes + 1);
}

#[test]
fn a_lost_request_is_repeated_while_somebody_waits() {
    let mut world = World::new(4);
    let (alice, bob) = (world.add_client(), world.add_client());
    let config = VideoConfig { answers_plis: false, ..VideoConfig::default() };
    let mut video = Video::publish_with(&mut world, alice, 0, &[], config);
    video.run(&mut world, ms(2_000));
    world.consume(bob, 0, 0, Consume::default());
    let asked_at = world.now;
    video.run(&mut world, ms(1_600));
    let plis = world.clients[alice].plis();
    assert_eq!(plis.len(), 4);
    assert!(plis[0].0 - asked_at < ms(5));
    assert!(plis.windows(2).all(|pair| pair[1].0 - pair[0].0 >= ms(500)));
    video.encodings[0].wants_keyframe = true;
    video.run(&mut world, ms(2_000));
    assert_eq!(world.clients[alice].plis().len(), 4, "satisfied");
}

#[test]
fn a_request_names_the_encoding_that_is_sent() {
    let mut world = World::new(5);
    let (alice, bob, carol) = (world.add_client(), world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, SIMULCAST);
    let low = world.consume(bob, 0, 0, Consume { encoding: 0, ..Consume::default() });
    world.consume(carol, 0, 1, Consume { encoding: 2, ..Consume::default() });
    video.run(&mut world, ms(2_000));
    let before = world.clients[alice].plis().len();
    pli(&mut world, bob, low);
    video.run(&mut world, ms(200));
    let plis = world.clients[alice].plis();
    assert_eq!(plis[before..].iter().map(|(_, ssrc)| *ssrc).collect::<Vec<_>>(), [video.encodings[0].ssrc]);
}

#[test]
fn the_command_asks_on_every_encoding_that_lives() {
    let mut world = World::new(6);
    let alice = world.add_client();
    let mut video = Video::publish(&mut world, alice, 0, SIMULCAST);
    video.encodings[1].active = false;
    video.run(&mut world, ms(2_000));
    world.command(Command::RequestKeyframe(RequestKeyframe { producer: ProducerId(0) }));
    video.run(&mut world, ms(100));
    let asked: Vec<u32> = world.clients[alice].plis().iter().map(|(_, ssrc)| *ssrc).collect();
    assert_eq!(asked, [video.encodings[0].ssrc, video.encodings[2].ssrc]);
}

#[test]
fn two_hundred_joiners_and_floods_of_requests_cost_two_keyframes_a_second() {
    let mut world = World::new(7);
    let alice = world.add_client();
    // 3 Mbit/s: half a second of it is more than a joiner can catch up on.
    let config = VideoConfig { packets_per_frame: 12, payload_bytes: 1_000, ..VideoConfig::default() };
    let mut video = Video::publish_with(&mut world, alice, 0, &[], config);
    video.run(&mut world, ms(1_000));
    let hosts: Vec<usize> = (0..10).map(|_| world.add_client()).collect();
    let (before, start) = (world.clients[alice].plis().len(), world.now);
    let mut joined: Vec<(usize, u32, std::time::Instant)> = Vec::new();
    for step in 0..120_usize {
        for joiner in 0..if step < 100 { 2 } else { 0 } {
            let client = hosts[(step + joiner) % hosts.len()];
            let ssrc = world.consume(client, 0, joined.len() as u64, Consume::default());
            joined.push((client, ssrc, world.now));
        }
        // A tenth of those who are there ask, over and over, as decoders that lost everything would.
        for (client, ssrc, _) in joined.iter().skip(step % 10).step_by(10).copied() {
            let now = world.now;
            world.clients[client].send_rtcp(now, |buf| rtcp::write_pli(buf, Ssrc(1), Ssrc(ssrc)));
        }
        video.run(&mut world, ms(33));
    }
    let plis: Vec<_> = world.clients[alice].plis()[before..].iter().map(|(at, _)| *at - start).collect();
    let busiest = plis.iter().map(|from| plis.iter().filter(|at| **at >= *from && **at < *from + ms(1_000)).count());
    assert!(busiest.max() <= Some(2), "{plis:?}");
    assert!(world.counters().keyframe_requests_in > 1_000);
    // Contained, not denied: everybody has a picture within a second.
    for (client, ssrc, joined_at) in joined {
        let packets = world.clients[client].on_ssrc(ssrc);
        let first = packets.first().expect("a picture");
        assert!(first.at <= joined_at + ms(1_000), "{:?}", first.at - joined_at);
        assert!(crate::support::origin(first).keyframe);
    }
}

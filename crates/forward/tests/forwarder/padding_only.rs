//! Padding-only packets are counted and acknowledged, never forwarded, and leave no gap.

use crate::support::{Consume, Receiver, RtpSpec, Video, World, ms};

#[test]
fn padding_between_frames_leaves_no_gap() {
    let mut world = World::new(1);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    for round in 0..100 {
        video.run(&mut world, ms(33));
        for _ in 0..round % 4 {
            video.send_padding(&mut world, 0);
        }
    }
    world.run_for(ms(300));
    let mut receiver = Receiver::new(bob, ssrc);
    receiver.take(&world);
    receiver.assert_continuous_video();
    assert_eq!(receiver.packets.len(), 300);
    assert_eq!(world.counters().padding_in, 150);
    assert_eq!(world.counters().nack_out, 0, "padding is not missing");
}

#[test]
fn padding_that_was_overtaken_fills_the_place_it_left() {
    let mut world = World::new(2);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    video.run(&mut world, ms(100));
    let padding = video.next_padding(0);
    video.send_frame(&mut world);
    world.run_for(ms(2));
    let now = world.now;
    world.clients[alice].send_rtp(now, &padding);
    world.run_for(ms(20));
    let mut receiver = Receiver::new(bob, ssrc);
    receiver.take(&world);
    assert_eq!(receiver.missing(), Vec::<u64>::new());
    let filler = receiver.packets.values().find(|packet| packet.payload.is_empty()).expect("a filler");
    assert_eq!(filler.padding_len, 1);
}

#[test]
fn probes_on_unknown_streams_are_acknowledged_and_go_nowhere() {
    let mut world = World::new(3);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    world.consume(bob, 0, 0, Consume::default());
    video.run(&mut world, ms(100));
    let before = world.clients[bob].received.len();
    let first = world.clients[alice].twcc_seq.expect("stamped");
    let now = world.now;
    for index in 0..5 {
        let probe = RtpSpec { payload_type: 97, ssrc: 0, index: 9_000 + index, padding: 255, ..RtpSpec::default() };
        world.clients[alice].send_rtp(now, &probe);
    }
    world.run_for(ms(200));
    assert_eq!(world.clients[bob].received.len(), before);
    let acknowledged = world.clients[alice].rtcp_packets(|_, packet| match packet {
        wire::rtcp::Rtcp::TransportFeedback(feedback) => {
            Some(feedback.iter().filter(|(seq, at)| at.is_some() && seq.wrapping_sub(first) < 5).count())
        }
        _ => None,
    });
    assert_eq!(acknowledged.iter().sum::<usize>(), 5);
}

#[test]
fn probes_on_the_rtx_stream_are_counted() {
    let mut world = World::new(4);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, crate::support::SIMULCAST);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    video.run(&mut world, ms(200));
    let now = world.now;
    for index in 0..5 {
        let probe = RtpSpec {
            payload_type: 97,
            ssrc: video.encodings[2].rtx_ssrc,
            index,
            padding: 255,
            mid: Some("v0".to_owned()),
            repaired_rid: Some("f".to_owned()),
            ..RtpSpec::default()
        };
        world.clients[alice].send_rtp(now, &probe);
    }
    video.run(&mut world, ms(200));
    let mut receiver = Receiver::new(bob, ssrc);
    receiver.take(&world);
    receiver.assert_continuous_video();
    assert_eq!(world.counters().padding_in, 5);
}

#[test]
fn padding_keeps_no_encoding_alive() {
    let mut world = World::new(5);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, crate::support::SIMULCAST);
    world.consume(bob, 0, 0, Consume::default());
    video.run(&mut world, ms(1_000));
    assert_eq!(world.layers_of(0).last(), Some(&Some(2)));
    // The encoder gives up its best layer; its stream and its RTX stream go on as probes.
    video.encodings[2].active = false;
    let last = video.encodings[2].index - 1;
    for _ in 0..100 {
        video.run(&mut world, ms(33));
        video.send_padding(&mut world, 2);
        let probe = video.encodings[2].repair(last as u16, "v0").expect("a packet");
        let now = world.now;
        world.clients[alice].send_rtp(now, &probe);
    }
    assert_eq!(world.layers_of(0).last(), Some(&Some(1)), "it fell to the next");
}

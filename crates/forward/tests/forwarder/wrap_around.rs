//! Every counter wraps while media flows: sequence numbers and roll-over counters of both sides, timestamps, VP8 numbers, TWCC.

use crate::support::{Audio, Consume, Publish, Receiver, RtpSpec, SIMULCAST, Video, VideoConfig, World, ms};

#[test]
fn inbound_counters_wrap_in_the_middle_of_a_call() {
    let mut world = World::new(1);
    let (alice, bob) = (world.add_client(), world.add_client());
    world.clients[alice].twcc_seq = Some(65_400);
    let config = VideoConfig {
        first_index: 65_500,
        first_timestamp: u32::MAX - 90_000,
        first_picture_id: 32_750,
        ..VideoConfig::default()
    };
    let mut video = Video::publish_with(&mut world, alice, 0, &[], config);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    video.run(&mut world, ms(4_000));
    assert!(video.encodings[0].index > 65_536 && video.encodings[0].timestamp < 1 << 31);
    let mut receiver = Receiver::new(bob, ssrc);
    receiver.take(&world);
    receiver.assert_continuous_video();
    assert_eq!(receiver.packets.len() as u32, video.encodings[0].frames * 3);
    assert_eq!((world.counters().nack_out, world.counters().drop_authentication), (0, 0));
}

#[test]
fn switching_over_the_wraps_stays_continuous() {
    let mut world = World::new(2);
    let (alice, bob) = (world.add_client(), world.add_client());
    let config = VideoConfig {
        first_index: 65_500,
        first_timestamp: u32::MAX - 90_000,
        first_picture_id: 32_750,
        ..VideoConfig::default()
    };
    let mut video = Video::publish_with(&mut world, alice, 0, SIMULCAST, config);
    let ssrc = world.consume(bob, 0, 0, Consume { encoding: 0, ..Consume::default() });
    for encoding in [1, 0, 2, 0, 1, 2] {
        video.run(&mut world, ms(500));
        world.configure(0, false, encoding);
    }
    video.run(&mut world, ms(500));
    let mut receiver = Receiver::new(bob, ssrc);
    receiver.take(&world);
    receiver.assert_continuous_video();
}

/// 80,000 packets wrap the outbound sequence number (so the client's roll-over counter), the transport-wide number and
/// TL0PICIDX of a consumer whose random starting point is unknown, with losses and repairs on both sides of the wrap.
#[test]
fn outbound_counters_wrap_with_losses_and_repairs() {
    let mut world = World::new(3);
    let (alice, bob) = (world.add_client(), world.add_client());
    let config = VideoConfig { packets_per_frame: 40, payload_bytes: 60, ..VideoConfig::default() };
    let mut video = Video::publish_with(&mut world, alice, 0, &[], config);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    let mut count = 0_u32;
    world.clients[bob].drop_down = Some(Box::new(move |packet| {
        count += 1;
        packet.ssrc == ssrc && count.is_multiple_of(251)
    }));
    let mut receiver = Receiver::new(bob, ssrc);
    for _ in 0..2_000 {
        video.run(&mut world, ms(33));
        receiver.ask(&mut world);
    }
    world.run_for(ms(100));
    receiver.ask(&mut world);
    world.run_for(ms(100));
    receiver.take(&world);
    assert_eq!(receiver.packets.len(), 80_000);
    assert_eq!(receiver.missing(), Vec::<u64>::new());
    assert!(receiver.packets.last_key_value().expect("media").0 >> 16 >= 1);
    assert!(receiver.from_rtx > 200);
    assert_eq!(world.clients[bob].undecryptable, 0);
    let twcc: Vec<u16> = world.clients[bob].received.iter().filter_map(|packet| packet.twcc).collect();
    let steps = twcc.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
    // Dropped packets are not recorded here.
    assert!(steps.into_iter().all(|step| (1..=3).contains(&step)));
}

#[test]
fn feedback_survives_the_wrap_of_the_transport_wide_number() {
    let mut world = World::new(4);
    let alice = world.add_client();
    world.clients[alice].twcc_seq = Some(65_500);
    let mut audio = Audio::publish(&mut world, alice, 0);
    audio.run(&mut world, ms(2_000));
    world.run_for(ms(200));
    let lists = world.clients[alice].rtcp_packets(|_, packet| match packet {
        wire::rtcp::Rtcp::TransportFeedback(feedback) => Some(feedback.iter().collect::<Vec<_>>()),
        _ => None,
    });
    let all: Vec<(u16, Option<i64>)> = lists.into_iter().flatten().collect();
    assert_eq!(all.len(), 100);
    assert!(
        all.iter()
            .enumerate()
            .all(|(at, (seq, arrival))| *seq == 65_500_u16.wrapping_add(at as u16) && arrival.is_some())
    );
}

#[test]
fn seven_bit_picture_ids_wrap_at_seven_bits() {
    let mut world = World::new(5);
    let (alice, bob) = (world.add_client(), world.add_client());
    world.publish(alice, 0, &Publish { rids: &["q", "h"], ..Publish::default() });
    let ssrc = world.consume(bob, 0, 0, Consume { encoding: 0, ..Consume::default() });
    let mut wide = Vec::new();
    for frame in 0..300_u32 {
        if frame == 60 {
            world.configure(0, false, 1);
        }
        for (encoding, rid) in ["q", "h"].into_iter().enumerate() {
            let id = (frame + 100 + 50 * encoding as u32) as u8 & 0x7f;
            let keyframe = frame % 50 == 0 || frame == 63;
            let now = world.now;
            world.clients[alice].send_rtp(
                now,
                &RtpSpec {
                    payload_type: 96,
                    ssrc: 10 + encoding as u32,
                    index: 100 + u64::from(frame),
                    timestamp: frame * 3_000,
                    marker: true,
                    payload: vec![0x90, 0x80, id, u8::from(!keyframe), encoding as u8],
                    mid: Some("v".to_owned()),
                    rid: Some(rid.to_owned()),
                    ..RtpSpec::default()
                },
            );
        }
        world.run_for(ms(33));
    }
    for packet in world.clients[bob].on_ssrc(ssrc) {
        assert_eq!(packet.payload[2] & 0x80, 0, "still seven bits");
        wide.push(packet.payload[2]);
    }
    // The frame of the switch comes from both.
    assert_eq!(wide.len(), 301);
    assert!(wide.windows(2).all(|pair| pair[1] == (pair[0] + 1) & 0x7f));
}

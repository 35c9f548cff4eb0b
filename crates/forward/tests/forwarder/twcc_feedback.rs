//! Transport-wide feedback towards publishers, REMB where it was not negotiated, and the numbers we stamp ourselves.

use netem::{LinkConfig, Loss};
use wire::Ssrc;
use wire::ext::Uri;
use wire::rtcp::{self, Rtcp};
use wire::twcc;

use crate::support::{Audio, Consume, Publish, RtpSpec, SIMULCAST, Video, World, ms, usual_extensions};

#[test]
fn every_packet_is_reported_once_with_its_arrival_or_as_lost() {
    let mut world = World::new(1);
    let alice = world.add_client();
    let up = LinkConfig { loss: Loss::Random(0.1), delay: ms(20), ..LinkConfig::default() };
    world.set_links(alice, up, LinkConfig::default());
    let mut video = Video::publish(&mut world, alice, 0, SIMULCAST);
    video.run(&mut world, ms(3_000));
    world.set_links(alice, LinkConfig::default(), LinkConfig::default());
    video.run(&mut world, ms(300));
    let mut received = std::collections::BTreeMap::new();
    let mut times = Vec::new();
    let lists = world.clients[alice].rtcp_packets(|at, packet| match packet {
        Rtcp::TransportFeedback(feedback) => {
            times.push(at);
            let reference = feedback.reference_us();
            Some(feedback.iter().map(|(seq, at)| (seq, at.map(|at| at + reference))).collect::<Vec<_>>())
        }
        _ => None,
    });
    for (seq, arrival) in lists.into_iter().flatten() {
        let entry = received.entry(seq).or_insert(arrival);
        *entry = entry.or(arrival);
    }
    let sent = world.clients[alice].twcc_seq.expect("stamped");
    let lost = received.values().filter(|arrival| arrival.is_none()).count();
    assert!(received.len() + 40 > usize::from(sent), "{} of {sent}", received.len());
    assert!((40..140).contains(&lost), "{lost} of {sent}");
    let arrivals: Vec<i64> = received.values().flatten().copied().collect();
    assert!(arrivals.is_sorted());
    assert!(times.windows(2).all(|pair| (40..=110).contains(&(pair[1] - pair[0]).as_millis())), "50 to 100 ms");
}

#[test]
fn without_transport_cc_the_publisher_gets_a_generous_remb() {
    let mut world = World::new(2);
    let mut extensions = wire::ext::ExtensionMap::new();
    extensions.set(1, Uri::Mid);
    let alice = world.add_client_with(extensions);
    world.clients[alice].twcc_seq = None;
    world.publish(alice, 0, &Publish { transport_cc: false, remb: true, ..Publish::default() });
    for index in 0..200 {
        let spec = RtpSpec {
            payload_type: 96,
            ssrc: 5,
            index: 100 + index,
            timestamp: index as u32 * 3_000,
            payload: vec![0x10; 500],
            mid: Some("v".to_owned()),
            ..RtpSpec::default()
        };
        let now = world.now;
        world.clients[alice].send_rtp(now, &spec);
        world.run_for(ms(33));
    }
    let rates = world.clients[alice].rtcp_packets(|_, packet| match packet {
        Rtcp::Remb { bitrate, mut ssrcs, .. } => {
            assert_eq!(ssrcs.next(), Some(Ssrc(5)));
            Some(bitrate)
        }
        _ => None,
    });
    assert!(rates.len() >= 5 && rates.is_sorted() && rates[0] >= 2_500_000, "{rates:?}");
    assert_eq!(world.counters().twcc_out, 0);
}

#[test]
fn we_stamp_one_sequence_over_audio_video_and_rtx() {
    let mut world = World::new(3);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    let mut audio = Audio::publish(&mut world, alice, 1);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    world.consume(bob, 1, 1, Consume { encoding: 0, rtx: false, ..Consume::default() });
    for _ in 0..10 {
        video.send_frame(&mut world);
        audio.run(&mut world, ms(40));
    }
    let seq = world.clients[bob].on_ssrc(ssrc)[5].index as u16;
    let now = world.now;
    world.clients[bob].send_rtcp(now, |buf| rtcp::write_nack(buf, Ssrc(1), Ssrc(ssrc), &[seq]));
    world.run_for(ms(10));
    let received = &world.clients[bob].received;
    assert_eq!(received.last().expect("media").ssrc, ssrc + 1);
    let seqs: Vec<u16> = received.iter().filter_map(|packet| packet.twcc).collect();
    assert_eq!(seqs, (0..received.len() as u16).collect::<Vec<_>>());
    assert!(received.iter().all(|packet| packet.abs_send_time.is_some() && !packet.has_rid));
    assert!(
        received
            .iter()
            .all(|packet| packet.mid.as_deref() == Some(if packet.payload.len() == 80 { "m1" } else { "m0" }))
    );
}

#[test]
fn feedback_of_subscribers_is_matched_with_what_was_sent() {
    let mut world = World::new(4);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    world.consume(bob, 0, 0, Consume::default());
    video.run(&mut world, ms(500));
    let now = world.now;
    let packets = [(0, Some(0)), (1, Some(250)), (4, Some(500))];
    world.clients[bob]
        .send_rtcp(now, |buf| Some(twcc::write(buf, Ssrc(1), Ssrc(2), wire::TwccSeq(0), 100, 0, &packets).0));
    world.run_for(ms(1));
    assert_eq!((world.counters().twcc_in, world.counters().twcc_reported_lost), (1, 2));
}

#[test]
fn extensions_pass_through_with_the_subscribers_ids() {
    let mut world = World::new(5);
    let alice = world.add_client();
    let mut other = wire::ext::ExtensionMap::new();
    for (id, uri) in
        [(14, Uri::Mid), (3, Uri::DependencyDescriptor), (5, Uri::PlayoutDelay), (9, Uri::VideoOrientation)]
    {
        other.set(id, uri);
    }
    other.set(11, Uri::AbsCaptureTime);
    let bob = world.add_client_with(other);
    let carol = world.add_client_with(usual_extensions());
    world.publish(alice, 0, &Publish { mime_type: "video/AV1", ..Publish::default() });
    let ssrcs = [world.consume(bob, 0, 0, Consume::default()), world.consume(carol, 0, 1, Consume::default())];
    let mut long = vec![0x80, 0, 1, 0x80];
    long.resize(40, 0x33);
    for (index, descriptor) in [long.clone(), vec![0x40, 0, 2]].into_iter().enumerate() {
        let now = world.now;
        world.clients[alice].send_rtp(
            now,
            &RtpSpec {
                payload_type: 96,
                ssrc: 5,
                index: 100 + index as u64,
                payload: vec![0x10; 100],
                mid: Some("v".to_owned()),
                descriptor: Some(descriptor),
                orientation: Some(vec![1]),
                playout_delay: Some(vec![0, 0, 10]),
                capture_time: Some(vec![7; 16]),
                ..RtpSpec::default()
            },
        );
        world.run_for(ms(10));
    }
    for (client, ssrc) in [(bob, ssrcs[0]), (carol, ssrcs[1])] {
        let packets = world.clients[client].on_ssrc(ssrc);
        assert_eq!(packets.len(), 2);
        assert_eq!(packets[0].descriptor.as_deref(), Some(&long[..]));
        assert!(packets[0].is_two_byte && !packets[1].is_two_byte);
        for packet in packets {
            assert_eq!(packet.orientation.as_deref(), Some(&[1][..]));
            assert_eq!(packet.playout_delay.as_deref(), Some(&[0, 0, 10][..]));
            assert_eq!(packet.capture_time.as_deref(), Some(&[7; 16][..]));
            assert!(packet.mid.is_some());
        }
    }
    assert!(world.clients[bob].received.iter().all(|packet| packet.twcc.is_none()));
}

#[test]
fn audio_levels_pass_through_and_are_told_in_windows() {
    let mut world = World::new(6);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut audio = Audio::publish(&mut world, alice, 0);
    world.consume(bob, 0, 0, Consume { encoding: 0, rtx: false, ..Consume::default() });
    for level in [40, 30, 50] {
        audio.level = level;
        audio.send(&mut world);
        world.run_for(ms(20));
    }
    world.run_for(ms(100));
    let heard: Vec<_> = world.clients[bob].received.iter().map(|packet| packet.audio_level).collect();
    assert_eq!(heard, [Some((40, true)), Some((30, true)), Some((50, true))]);
    let levels: Vec<_> = world
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            forward::Event::AudioLevels { levels } => Some(levels.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(levels, [vec![(forward::ProducerId(0), 30)]]);
}

#[test]
fn feedback_about_nothing_costs_little() {
    let mut world = World::new(9);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    world.consume(bob, 0, 0, Consume::default());
    video.run(&mut world, ms(500));
    // 40 bytes that speak of 65,535 packets, and that 36 times.
    let mut feedback = vec![0xaf, 205, 0, 9, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0xff, 0xff, 0, 0, 1, 0];
    for run in [0x1fff_u16; 8].into_iter().chain([7]) {
        feedback.extend(run.to_be_bytes());
    }
    feedback.extend([0, 2]);
    let now = world.now;
    world.clients[bob].send_rtcp(now, |buf| {
        for packet in buf.chunks_exact_mut(40).take(36) {
            packet.copy_from_slice(&feedback);
        }
        Some(36 * 40)
    });
    world.run_for(ms(1));
    let counters = world.counters();
    assert_eq!((counters.twcc_in, counters.twcc_reported_lost, counters.drop_malformed), (0, 0, 1));
}

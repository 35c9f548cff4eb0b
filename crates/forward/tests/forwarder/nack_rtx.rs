//! Lost packets are asked for on the way in and repeated on the way out.

use crate::support::{Consume, Publish, Receiver, RtpSpec, Video, VideoConfig, World, ms};
use netem::{LinkConfig, Loss};

pub(super) fn lossy(loss: f64) -> LinkConfig {
    LinkConfig { loss: Loss::Random(loss), delay: ms(20), ..LinkConfig::default() }
}

pub(super) fn clean() -> LinkConfig {
    LinkConfig { delay: ms(20), ..LinkConfig::default() }
}

#[test]
fn what_is_lost_towards_us_is_asked_for_and_arrives_on_the_rtx_stream() {
    let mut world = World::new(1);
    let (alice, bob) = (world.add_client(), world.add_client());
    world.set_links(alice, lossy(0.05), clean());
    let mut video = Video::publish(&mut world, alice, 0, crate::support::SIMULCAST);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    video.run(&mut world, ms(5_000));
    world.set_links(alice, clean(), clean());
    video.run(&mut world, ms(1_000));
    let mut receiver = Receiver::new(bob, ssrc);
    receiver.take(&world);
    receiver.assert_continuous_video();
    let counters = world.counters();
    assert!(counters.nack_out > 30, "{}", counters.nack_out);
    assert!(counters.rtx_in > 20, "{}", counters.rtx_in);
    assert!(counters.nack_recovered > 20, "{}", counters.nack_recovered);
    assert_eq!(counters.rtx_out, 0);
}

#[test]
fn what_is_lost_on_the_way_out_is_repeated_on_the_rtx_stream() {
    let mut world = World::new(2);
    let (alice, bob) = (world.add_client(), world.add_client());
    world.set_links(bob, clean(), lossy(0.05));
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    let mut receiver = Receiver::new(bob, ssrc);
    for _ in 0..250 {
        video.run(&mut world, ms(20));
        receiver.ask(&mut world);
    }
    world.set_links(bob, clean(), clean());
    for _ in 0..20 {
        video.run(&mut world, ms(33));
        receiver.ask(&mut world);
    }
    receiver.assert_continuous_video();
    assert!(receiver.from_rtx > 10, "{}", receiver.from_rtx);
    let counters = world.counters();
    assert_eq!(counters.rtx_in, 0);
    assert!(counters.rtx_bytes_out * 100 <= counters.rtp_bytes_out * 15);
}

#[test]
fn retransmissions_carry_the_vp8_numbers_that_the_packet_was_sent_with() {
    let mut world = World::new(3);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, crate::support::SIMULCAST);
    let ssrc = world.consume(bob, 0, 0, Consume { encoding: 0, ..Consume::default() });
    video.run(&mut world, ms(500));
    world.configure(0, false, 2);
    // From here on every tenth packet of the rewritten run is lost on the way out.
    let mut count = 0;
    world.clients[bob].drop_down = Some(Box::new(move |packet| {
        count += 1;
        packet.ssrc == ssrc && count % 10 == 0
    }));
    let mut receiver = Receiver::new(bob, ssrc);
    for _ in 0..60 {
        video.run(&mut world, ms(33));
        receiver.ask(&mut world);
    }
    world.clients[bob].drop_down = None;
    video.run(&mut world, ms(33));
    receiver.ask(&mut world);
    video.run(&mut world, ms(33));
    receiver.take(&world);
    assert!(receiver.from_rtx > 10);
    receiver.assert_continuous_video();
}

#[test]
fn a_nack_repeated_within_a_round_trip_is_answered_once() {
    let mut world = World::new(4);
    let (alice, bob) = (world.add_client(), world.add_client());
    world.set_links(bob, clean(), clean());
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    video.run(&mut world, ms(1_000));
    // A report tells the round trip of 40 ms.
    let (at, _, ntp, ..) = *world.clients[bob].sender_reports().last().expect("a sender report");
    let block = wire::rtcp::ReportBlock {
        ssrc: wire::Ssrc(ssrc),
        last_sr: (ntp >> 16) as u32,
        delay_since_last_sr: ((world.now - at).as_micros() * 65_536 / 1_000_000) as u32,
        ..Default::default()
    };
    let now = world.now;
    world.clients[bob].send_rtcp(now, |buf| wire::rtcp::write_rr(buf, wire::Ssrc(1), &[block]));
    world.run_for(ms(100));
    let seq = world.clients[bob].on_ssrc(ssrc).last().expect("media").index as u16;
    for _ in 0..3 {
        let now = world.now;
        world.clients[bob].send_rtcp(now, |buf| wire::rtcp::write_nack(buf, wire::Ssrc(1), wire::Ssrc(ssrc), &[seq]));
        world.run_for(ms(10));
    }
    world.run_for(ms(100));
    assert_eq!((world.counters().rtx_out, world.counters().rtx_repeated), (1, 2));
    assert_eq!(world.clients[bob].on_ssrc(ssrc + 1).len(), 1);
}

#[test]
fn a_client_that_asks_for_everything_gets_15_percent() {
    let mut world = World::new(5);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    for _ in 0..300 {
        video.run(&mut world, ms(33));
        let newest = world.clients[bob].on_ssrc(ssrc).last().expect("media").index as u16;
        let lost: Vec<u16> = (0..60).map(|back| newest.wrapping_sub(back)).collect();
        let now = world.now;
        world.clients[bob].send_rtcp(now, |buf| wire::rtcp::write_nack(buf, wire::Ssrc(1), wire::Ssrc(ssrc), &lost));
    }
    let counters = world.counters();
    assert!(counters.rtx_over_budget > 100);
    // 60 kB to start with, and 15 % of the rest.
    let media = counters.rtp_bytes_out - counters.rtx_bytes_out;
    assert!(counters.rtx_bytes_out < media * 15 / 100 + 65_000, "{} of {media}", counters.rtx_bytes_out);
}

fn nack(world: &mut World, client: usize, ssrc: u32, lost: &[u16]) {
    let now = world.now;
    world.clients[client].send_rtcp(now, |buf| wire::rtcp::write_nack(buf, wire::Ssrc(1), wire::Ssrc(ssrc), lost));
    world.run_for(ms(50));
}

#[test]
fn without_rtx_a_packet_is_repeated_byte_for_byte() {
    let mut world = World::new(6);
    let (alice, bob) = (world.add_client(), world.add_client());
    let config = VideoConfig { uneven: true, ..VideoConfig::default() };
    let mut video = Video::publish_with(&mut world, alice, 0, crate::support::SIMULCAST, config);
    let ssrc = world.consume(bob, 0, 0, Consume { rtx: false, encoding: 0, ..Consume::default() });
    video.run(&mut world, ms(500));
    // After a switch the VP8 numbers are rewritten too.
    world.configure(0, false, 2);
    video.run(&mut world, ms(500));
    world.clients[bob].raw = Some(Vec::new());
    video.run(&mut world, ms(300));
    let sent = world.clients[bob].raw.replace(Vec::new()).expect("kept");
    let lost: Vec<u16> = sent.iter().map(|datagram| u16::from_be_bytes([datagram[2], datagram[3]])).collect();
    nack(&mut world, bob, ssrc, &lost);
    assert_eq!(world.clients[bob].raw.take().expect("kept"), sent);
    assert_eq!(world.clients[bob].undecryptable, sent.len(), "replays, as nothing was lost");
    assert_eq!(world.counters().rtx_out, sent.len() as u64);
}

#[test]
fn without_rtx_losses_are_repaired_all_the_same() {
    let mut world = World::new(16);
    let (alice, bob) = (world.add_client(), world.add_client());
    world.set_links(bob, clean(), lossy(0.05));
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    let ssrc = world.consume(bob, 0, 0, Consume { rtx: false, ..Consume::default() });
    let mut receiver = Receiver::new(bob, ssrc);
    for round in 0..270 {
        if round == 250 {
            world.set_links(bob, clean(), clean());
        }
        video.run(&mut world, ms(20));
        receiver.ask(&mut world);
    }
    receiver.assert_continuous_video();
    assert!(world.counters().rtx_out > 10);
    assert!(world.counters().rtx_bytes_out * 100 <= world.counters().rtp_bytes_out * 15);
}

#[test]
fn what_cannot_be_repeated_byte_for_byte_is_not_sent_again() {
    let mut world = World::new(17);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    let ssrc = world.consume(bob, 0, 0, Consume { rtx: false, ..Consume::default() });
    video.run(&mut world, ms(300));
    let seq = world.clients[bob].on_ssrc(ssrc)[0].index as u16;
    // The same again changes nothing; other ids do.
    world.renegotiate(bob);
    world.clients[bob].raw = Some(Vec::new());
    nack(&mut world, bob, ssrc, &[seq]);
    assert_eq!(world.clients[bob].raw.as_ref().map(Vec::len), Some(1));
    let others = world.clients[bob].extensions.iter().map(|(id, uri)| (14 - id, uri)).collect();
    world.clients[bob].extensions = others;
    world.renegotiate(bob);
    nack(&mut world, bob, ssrc, &[seq + 1]);
    assert_eq!(world.clients[bob].raw.as_ref().map(Vec::len), Some(1));
    assert_eq!(world.counters().rtx_unavailable, 1);
}

#[test]
fn a_publisher_without_rtx_repairs_its_stream_on_itself() {
    let mut world = World::new(18);
    let (alice, bob) = (world.add_client(), world.add_client());
    let config = VideoConfig { answers_nacks: false, ..VideoConfig::default() };
    let mut video = Video::publish_with(&mut world, alice, 0, &[], config);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    video.run(&mut world, ms(300));
    for round in 0..20 {
        let packets = video.next_frame(0);
        let lost = round % 3;
        // One that libwebrtc sends again differs in its transport-wide number and send time only, or in nothing.
        let exact = world.clients[alice].encrypt(&packets[lost]);
        let now = world.now;
        for (at, packet) in packets.iter().enumerate().filter(|(at, _)| *at != lost) {
            assert_ne!(at, lost);
            world.clients[alice].send_rtp(now, packet);
        }
        video.run(&mut world, ms(33));
        let asked = world.clients[alice].nacks();
        assert_eq!(asked.last(), Some(&(video.encodings[0].ssrc, packets[lost].index as u16)));
        let again = if round % 2 == 0 { exact } else { world.clients[alice].encrypt(&packets[lost]) };
        let now = world.now;
        world.clients[alice].up.send(now, &again);
        world.run_for(ms(1));
    }
    let mut receiver = Receiver::new(bob, ssrc);
    receiver.take(&world);
    receiver.assert_continuous_video();
    assert_eq!(world.counters().nack_recovered, 20);
}

#[test]
fn we_stop_asking_after_ten_tries_and_at_a_keyframe() {
    let mut world = World::new(7);
    let (alice, bob) = (world.add_client(), world.add_client());
    let config = VideoConfig { answers_nacks: false, ..VideoConfig::default() };
    let mut video = Video::publish_with(&mut world, alice, 0, &[], config);
    world.consume(bob, 0, 0, Consume::default());
    video.run(&mut world, ms(500));
    // Two packets never leave.
    video.encodings[0].index += 2;
    video.run(&mut world, ms(3_000));
    assert_eq!(world.clients[alice].nacks().len(), 20);
    assert_eq!(world.counters().nack_abandoned, 2);
    video.encodings[0].index += 2;
    video.run(&mut world, ms(120));
    let asked = world.clients[alice].nacks().len();
    assert!(asked > 20);
    video.encodings[0].wants_keyframe = true;
    video.run(&mut world, ms(1_000));
    let after = world.clients[alice].nacks().len();
    assert!(after <= asked + 2, "{asked} {after}");
}

#[test]
fn a_nack_for_what_was_never_sent_is_counted_and_ignored() {
    let mut world = World::new(8);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    let now = world.now;
    world.clients[bob].send_rtcp(now, |buf| wire::rtcp::write_nack(buf, wire::Ssrc(1), wire::Ssrc(ssrc), &[5]));
    video.run(&mut world, ms(300));
    let first = world.clients[bob].on_ssrc(ssrc)[0].index as u16;
    let now = world.now;
    let lost = [first.wrapping_sub(1), first.wrapping_add(30_000)];
    world.clients[bob].send_rtcp(now, |buf| wire::rtcp::write_nack(buf, wire::Ssrc(1), wire::Ssrc(ssrc), &lost));
    world.run_for(ms(50));
    assert_eq!((world.counters().rtx_missing, world.counters().rtx_out), (3, 0));
}

#[test]
fn rtx_without_rids_is_known_by_its_payload_type() {
    let mut world = World::new(9);
    let (alice, bob) = (world.add_client(), world.add_client());
    world.publish(alice, 0, &Publish::default());
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    let media = |index: u64| RtpSpec {
        payload_type: 96,
        ssrc: 10,
        index,
        timestamp: 9_000,
        payload: vec![0x10, u8::from(index != 50), 0, 0],
        mid: Some("v".to_owned()),
        ..RtpSpec::default()
    };
    let now = world.now;
    world.clients[alice].send_rtp(now, &media(50));
    world.clients[alice].send_rtp(now, &media(52));
    let repair =
        RtpSpec { payload_type: 97, ssrc: 11, payload: [&[0, 51][..], &media(51).payload].concat(), ..media(7) };
    world.clients[alice].send_rtp(now, &repair);
    world.run_for(ms(10));
    let indices: Vec<u64> = world.clients[bob].on_ssrc(ssrc).iter().map(|packet| packet.index).collect();
    assert_eq!(indices, [indices[0], indices[0] + 2, indices[0] + 1]);
    assert_eq!(world.counters().rtx_in, 1);
}

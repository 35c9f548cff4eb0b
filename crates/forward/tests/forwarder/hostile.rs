//! What hostile or broken clients send is dropped and counted, and a call beside them loses nothing.

use forward::{AddConsumer, Command, ConsumerId, Event, Kind, ProducerId, RemoveConsumer, TransportId};
use wire::Ssrc;
use wire::rtcp;

use crate::support::{
    Audio, Consume, Publish, Receiver, RtpSpec, SIMULCAST, Video, VideoConfig, World, ms, stranger, usual_extensions,
};

/// A generator that needs no seed of its own.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 24
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

#[test]
fn noise_of_every_protocol_costs_a_call_nothing() {
    let mut world = World::new(1);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, SIMULCAST);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    let mut noise = Noise(1);
    let before = world.counters().datagrams_in;
    for round in 0..300_usize {
        video.run(&mut world, ms(33));
        for first in [0_u8, 1, 22, 63, 64, 80, 128, 0x90, 0xBF, 200] {
            let len = noise.next() as usize % 1_500;
            let mut datagram = noise.bytes(len);
            if let Some(byte) = datagram.first_mut() {
                *byte = first;
            }
            // From strangers, and as if from the two clients.
            let from = [stranger(), world.clients[alice].path.local, world.clients[bob].path.local][round % 3];
            world.inject(from, &mut datagram);
        }
    }
    let mut receiver = Receiver::new(bob, ssrc);
    receiver.take(&world);
    receiver.assert_continuous_video();
    assert!(receiver.packets.len() > 800);
    let counters = world.counters();
    assert!(counters.datagrams_in - before >= 3_000);
    assert!(counters.drop_unknown_path > 300 && counters.drop_unknown_protocol > 300);
    assert!(counters.drop_stun_malformed > 300 && counters.drop_authentication > 100);
}

#[test]
fn flipped_bits_and_truncations_of_real_packets_are_dropped() {
    let mut world = World::new(2);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    video.run(&mut world, ms(500));
    let from = world.clients[alice].path.local;
    let forwarded = world.counters().rtp_out;
    let template = video.next_frame(0).remove(0);
    let real = world.clients[alice].encrypt(&template);
    for at in 0..real.len() {
        let mut flipped = real.clone();
        flipped[at] ^= 1;
        world.inject(from, &mut flipped);
        let mut short = real[..at].to_vec();
        world.inject(from, &mut short);
    }
    assert_eq!(world.counters().rtp_out, forwarded);
    // The real one still counts.
    world.inject(from, &mut real.clone());
    assert_eq!(world.counters().rtp_out, forwarded + 1);
    world.inject(from, &mut real.clone());
    assert_eq!((world.counters().rtp_out, world.counters().drop_replayed), (forwarded + 1, 1));
    assert_eq!(world.clients[bob].on_ssrc(ssrc).len() as u64, forwarded + 1);
}

#[test]
fn rtp_before_the_handshake_is_dropped() {
    let mut world = World::new(3);
    let at = world.open_client(usual_extensions());
    let never = netem::LinkConfig { loss: netem::Loss::Random(1.0), ..netem::LinkConfig::default() };
    // Checks pass, but our flights never arrive.
    world.set_links(at, netem::LinkConfig::default(), never);
    world.run_for(ms(300));
    let from = world.clients[at].path.local;
    world.inject(from, &mut [0x80; 100]);
    world.inject(from, &mut [&[0x80, 200][..], &[0; 60]].concat());
    assert_eq!(world.counters().drop_not_connected, 2);
}

#[test]
fn an_ssrc_is_never_used_twice_on_a_transport() {
    let mut world = World::new(4);
    let (alice, bob) = (world.add_client(), world.add_client());
    let _video = Video::publish(&mut world, alice, 0, &[]);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    world.command(Command::RemoveConsumer(RemoveConsumer { consumer: ConsumerId(0) }));
    let again = |consumer: u64, ssrc: u32, rtx_ssrc: Option<u32>| {
        Command::AddConsumer(AddConsumer {
            consumer: ConsumerId(consumer),
            producer: ProducerId(0),
            transport: TransportId(bob as u64),
            mid: "0".to_owned(),
            ssrc,
            rtx_ssrc,
            payload_type: 100,
            rtx_payload_type: Some(101),
            cname: "c".to_owned(),
            paused: false,
            encoding: 0,
            red_payload_type: None,
            playout_delay: None,
        })
    };
    for command in
        [again(1, ssrc, None), again(2, 9, Some(ssrc + 1)), again(3, ssrc + 1, Some(9)), again(4, 7, Some(7))]
    {
        world.command(command);
    }
    let refused: Vec<_> = world
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Refused { command, id, reason } => Some((*command, *id, *reason)),
            _ => None,
        })
        .collect();
    assert_eq!(refused, [1, 2, 3, 4].map(|id| ("AddConsumer", id, "ssrc_in_use")));
    world.command(again(5, 9, Some(10)));
    assert_eq!(world.counters().consumers, 1);
}

#[test]
fn a_publisher_that_repeats_itself_makes_us_send_no_number_twice() {
    let mut world = World::new(5);
    let (alice, bob) = (world.add_client(), world.add_client());
    let config = VideoConfig { packets_per_frame: 20, payload_bytes: 1_100, ..VideoConfig::default() };
    let mut video = Video::publish_with(&mut world, alice, 0, SIMULCAST, config);
    let ssrc = world.consume(bob, 0, 0, Consume { encoding: 0, ..Consume::default() });
    let mut noise = Noise(5);
    for _ in 0..200 {
        video.run(&mut world, ms(33));
        for _ in 0..20 {
            let back = (noise.next() % 6_000) as u16;
            let seq = (video.encodings[0].index as u16).wrapping_sub(back);
            // Another payload under a number that was used before.
            if let Some(mut repair) = video.encodings[0].repair(seq, "v0") {
                repair.payload[20] ^= 0xFF;
                let now = world.now;
                world.clients[alice].send_rtp(now, &repair);
            }
        }
    }
    let mut receiver = Receiver::new(bob, ssrc);
    receiver.take(&world);
    assert_eq!((receiver.duplicates, world.clients[bob].undecryptable), (0, 0));
    receiver.assert_continuous_video();
    assert!(world.counters().drop_duplicate + world.counters().drop_late > 1_000);
}

#[test]
fn a_flood_of_ssrcs_fills_no_table() {
    let mut world = World::new(6);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, &["q"]);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    video.run(&mut world, ms(500));
    let mallory = world.add_client();
    world.publish(
        mallory,
        1,
        &Publish { kind: Kind::Audio, mime_type: "audio/opus", mid: "a", nack: false, ..Publish::default() },
    );
    for ssrc in 0..5_000 {
        let kinds = [(Some("a"), 111), (Some("x"), 111), (None, 5)];
        for (index, (mid, payload_type)) in (9..).zip(kinds) {
            let ssrc = 10 * ssrc + index as u32;
            let mid = mid.map(str::to_owned);
            let spec = RtpSpec { payload_type, ssrc, index, payload: vec![1; 20], mid, ..RtpSpec::default() };
            let now = world.now;
            world.clients[mallory].send_rtp(now, &spec);
        }
    }
    world.run_for(ms(100));
    assert_eq!(world.counters().drop_unknown_ssrc, 10_000);
    video.run(&mut world, ms(500));
    let mut receiver = Receiver::new(bob, ssrc);
    receiver.take(&world);
    receiver.assert_continuous_video();
}

#[test]
fn an_encoding_that_changes_its_ssrc_all_the_time_floods_nobody_with_events() {
    let mut world = World::new(11);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    video.run(&mut world, ms(1_500));
    let (honest, before) = (video.encodings[0].ssrc, world.events.len());
    for round in 0..60 {
        video.encodings[0].ssrc = if round % 2 == 0 { 77 } else { honest };
        video.run(&mut world, ms(33));
    }
    assert!(world.events.len() - before <= 6, "{}", world.events.len() - before);
    let mut receiver = Receiver::new(bob, ssrc);
    receiver.take(&world);
    receiver.assert_continuous_video();
}

#[test]
fn rtcp_about_other_peoples_streams_is_ignored() {
    let mut world = World::new(7);
    let (alice, bob, mallory) = (world.add_client(), world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    video.run(&mut world, ms(2_000));
    let before = world.clients[alice].plis().len();
    let (now, sender) = (world.now, Ssrc(1));
    let inbound = video.encodings[0].ssrc;
    for media in [ssrc, ssrc + 1, inbound, 0] {
        let media = Ssrc(media);
        let client = &mut world.clients[mallory];
        client.send_rtcp(now, |buf| rtcp::write_pli(buf, sender, media));
        client.send_rtcp(now, |buf| rtcp::write_nack(buf, sender, media, &[1, 2, 3]));
        client.send_rtcp(now, |buf| rtcp::write_fir(buf, sender, &[(media, 1)]));
        client.send_rtcp(now, |buf| rtcp::write_bye(buf, &[media]));
        client.send_rtcp(now, |buf| rtcp::write_sr(buf, media, 1, wire::RtpTimestamp(1), 1, 1, &[]));
    }
    video.run(&mut world, ms(500));
    assert_eq!(world.clients[alice].plis().len(), before);
    assert_eq!(world.counters().rtx_out, 0);
}

#[test]
fn a_client_cannot_take_over_anothers_address() {
    let mut world = World::new(8);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut audio = Audio::publish(&mut world, alice, 0);
    let ssrc = world.consume(bob, 0, 0, Consume { encoding: 0, rtx: false, ..Consume::default() });
    audio.run(&mut world, ms(100));
    // Mallory's checks are valid, and sent with Alice's address as their source.
    let mallory = world.open_client(usual_extensions());
    let victim = world.clients[alice].path.local;
    let now = world.now;
    world.clients[mallory].transport.handle_timeout(now);
    let mut buf = [0; 2_000];
    let mut checks = 0;
    while let Some((_, len)) = world.clients[mallory].transport.poll_datagram(now, &mut buf) {
        world.inject(victim, &mut buf[..len]);
        checks += 1;
    }
    while let Some(mut check) = world.clients[mallory].up.receive(now) {
        world.inject(victim, &mut check);
        checks += 1;
    }
    assert!(checks > 0);
    audio.run(&mut world, ms(400));
    assert_eq!(world.clients[bob].on_ssrc(ssrc).len(), 25, "Alice is still heard");
}

#[test]
fn oversize_packets_are_dropped() {
    let mut world = World::new(9);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut audio = Audio::publish(&mut world, alice, 0);
    world.consume(bob, 0, 0, Consume { encoding: 0, rtx: false, ..Consume::default() });
    audio.run(&mut world, ms(100));
    let mut large = audio.next();
    large.payload = vec![0; 1_700];
    let now = world.now;
    world.clients[alice].send_rtp(now, &large);
    audio.run(&mut world, ms(100));
    assert_eq!(world.counters().drop_oversize, 1);
    assert_eq!(world.clients[bob].received.len(), 10);
}

#[test]
fn closing_leaves_nothing_behind() {
    let mut world = World::new(10);
    for round in 0..20_u64 {
        let (alice, bob) = (world.add_client(), world.add_client());
        let mut video = Video::publish(&mut world, alice, round, SIMULCAST);
        world.consume(bob, round, round, Consume::default());
        video.run(&mut world, ms(100));
        for client in [alice, bob] {
            world.command(Command::CloseTransport(forward::CloseTransport { transport: TransportId(client as u64) }));
        }
        world.run_for(ms(50));
        let counters = world.counters();
        assert_eq!((counters.transports, counters.producers, counters.consumers), (0, 0, 0));
        assert_eq!(world.shards.poll_timeout(), None, "no timer is left");
        world.clients.clear();
    }
}

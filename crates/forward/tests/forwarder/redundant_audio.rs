//! Redundant audio (RFC 2198): passed on to those who understand it, reduced for the others, and used where packets were lost.

use std::collections::BTreeMap;

use netem::{LinkConfig, Loss};
use wire::codec::red;
use wire::rtcp;
use wire::{PayloadType, Ssrc};

use crate::support::{Audio, Consume, Received, RtpSpec, World, ms};

const RED: Consume = Consume { red: true, rtx: false, paused: false, encoding: 0, playout_delay: None };
const PLAIN: Consume = Consume { red: false, ..RED };

struct Call {
    world: World,
    alice: usize,
    audio: Audio,
    /// (Client, SSRC) of who negotiated RED and of who did not.
    red: (usize, u32),
    plain: (usize, u32),
}

impl Call {
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed);
        let (alice, bob, carol) = (world.add_client(), world.add_client(), world.add_client());
        let audio = Audio::publish_red(&mut world, alice, 0);
        let red = (bob, world.consume(bob, 0, 0, RED));
        let plain = (carol, world.consume(carol, 0, 1, PLAIN));
        Self { world, alice, audio, red, plain }
    }

    /// Sends a packet, unless it is lost, and lets 20 ms pass.
    fn tick(&mut self, spec: Option<RtpSpec>) {
        if let Some(spec) = spec {
            let now = self.world.now;
            self.world.clients[self.alice].send_rtp(now, &spec);
        }
        self.world.run_for(ms(20));
        self.audio.timestamp = self.audio.timestamp.wrapping_add(960);
    }

    /// (Sequence number after the first, timestamp after the first, payload type, payload), in the order of arrival.
    fn received(&self, (client, ssrc): (usize, u32)) -> Vec<(u64, u32, u8, Vec<u8>)> {
        let packets = self.world.clients[client].on_ssrc(ssrc);
        let first = packets[0];
        let relative = |packet: &&Received| {
            let elapsed = packet.timestamp.wrapping_sub(first.timestamp);
            (packet.index - first.index, elapsed, packet.payload_type, packet.payload.clone())
        };
        packets.iter().map(relative).collect()
    }
}

fn plain(number: u64) -> Vec<u8> {
    vec![(500 + number) as u8; 80]
}

#[test]
fn each_client_gets_what_it_negotiated_under_the_same_numbers() {
    let mut call = Call::new(41);
    let mut sent = Vec::new();
    for number in 0..12 {
        // Too large for redundancy, or the first after silence: sent plain now and then.
        let mut spec = if number % 4 == 3 { call.audio.next() } else { call.audio.next_red(number.min(2)) };
        spec.marker = number == 5;
        sent.push(spec.clone());
        call.tick(Some(spec));
    }
    for (number, (as_red, as_plain)) in call.received(call.red).iter().zip(call.received(call.plain)).enumerate() {
        let spec = &sent[number];
        let number = number as u64;
        assert_eq!((as_red.0, as_red.1), (number, 960 * number as u32));
        assert_eq!(as_plain, (number, 960 * number as u32, 100, plain(number)));
        if spec.payload_type == 111 {
            assert_eq!((as_red.2, &as_red.3), (100, &spec.payload));
            continue;
        }
        assert_eq!((as_red.2, as_red.3.len()), (102, spec.payload.len()));
        let (before, after) = (red::parse(&spec.payload, PayloadType(111)), red::parse(&as_red.3, PayloadType(100)));
        let (before, after) = (before.expect("RED"), after.expect("RED of the receiver's payload type"));
        assert!(before.redundant().eq(after.redundant()) && before.primary() == after.primary());
    }
    for (client, ssrc) in [call.red, call.plain] {
        let packets = call.world.clients[client].on_ssrc(ssrc);
        assert_eq!(packets.len(), 12);
        assert!(packets.iter().enumerate().all(|(number, packet)| packet.marker == (number == 5)));
        assert!(packets.iter().all(|packet| packet.audio_level.is_some()));
    }
    let counters = call.world.counters();
    assert_eq!((counters.red_in, counters.red_out, counters.red_recovered), (9, 9, 0));
}

#[test]
fn what_was_lost_takes_its_place_before_the_packet_that_repeats_it() {
    let mut call = Call::new(42);
    for number in 0..20 {
        let spec = call.audio.next_red(number.min(2));
        // One alone, two in a row, and three of which two can be had.
        let lost = [4, 8, 9, 13, 14, 15].contains(&number);
        call.tick(Some(spec).filter(|_| !lost));
    }
    let heard = call.received(call.plain);
    let expected: Vec<u64> = (0..20).filter(|number| *number != 13).collect();
    assert_eq!(heard.iter().map(|packet| packet.0).collect::<Vec<_>>(), expected, "in order, each once");
    assert!(heard.iter().all(|packet| packet.1 == 960 * packet.0 as u32 && packet.3 == plain(packet.0)));
    // Those who understand RED get them too, plain: a gap would be asked for.
    let recovered: Vec<_> = call.received(call.red).into_iter().filter(|packet| packet.2 == 100).collect();
    assert_eq!(recovered.iter().map(|packet| packet.0).collect::<Vec<_>>(), [4, 8, 9, 14, 15]);
    assert_eq!(call.world.counters().red_recovered, 5);
    let asked: Vec<u16> = call.world.clients[call.alice].nacks().iter().map(|(_, seq)| *seq).collect();
    assert!(!asked.is_empty() && asked.iter().all(|seq| *seq == 513), "only what nothing brought back: {asked:?}");
}

#[test]
fn a_recovered_packet_is_sent_again_byte_for_byte_and_its_late_original_not_at_all() {
    let mut call = Call::new(43);
    let mut late = None;
    for number in 0..8 {
        let spec = call.audio.next_red(number.min(1));
        if number == 5 {
            call.world.clients[call.plain.0].raw = Some(Vec::new());
            late = Some(spec);
            call.tick(None);
        } else {
            call.tick(Some(spec));
        }
    }
    let now = call.world.now;
    call.world.clients[call.alice].send_rtp(now, &late.expect("held back"));
    call.world.run_for(ms(5));
    assert_eq!(call.world.counters().drop_duplicate, 1);
    let (client, ssrc) = call.plain;
    let sent = call.world.clients[client].raw.replace(Vec::new()).expect("kept");
    assert_eq!(sent.len(), 3, "5, 6 and 7");
    let seq = call.world.clients[client].on_ssrc(ssrc)[5].index as u16;
    let now = call.world.now;
    call.world.clients[client].send_rtcp(now, |buf| wire::rtcp::write_nack(buf, Ssrc(1), Ssrc(ssrc), &[seq]));
    call.world.run_for(ms(5));
    assert_eq!(call.world.clients[client].raw.take().expect("kept"), sent[..1]);
}

#[test]
fn under_random_loss_only_runs_longer_than_the_redundancy_are_missing() {
    let mut call = Call::new(44);
    let lossy = LinkConfig { loss: Loss::Random(0.2), ..LinkConfig::default() };
    call.world.set_links(call.alice, lossy, LinkConfig::default());
    // Nothing but redundancy repairs here: what we ask for is not answered.
    for number in 0..1_000 {
        let spec = call.audio.next_red(number.min(2));
        call.tick(Some(spec));
    }
    let heard: BTreeMap<u64, Vec<u8>> =
        call.received(call.plain).into_iter().map(|packet| (packet.0, packet.3)).collect();
    let span = *heard.keys().next_back().expect("sound") + 1;
    assert_eq!(heard.len(), call.received(call.plain).len(), "no duplicates");
    // Three in a row or more: 0.2 ^ 3 of all positions begin one.
    assert!(span as usize - heard.len() < 20, "{} of {span}", heard.len());
    assert!((150..250).contains(&call.world.counters().red_recovered), "{}", call.world.counters().red_recovered);
    let first = heard[&0][0];
    assert!(heard.iter().all(|(number, payload)| *payload == vec![first.wrapping_add(*number as u8); 80]));
}

#[test]
fn malformed_redundancy_is_dropped_and_contradictions_recover_nothing() {
    let mut call = Call::new(45);
    for number in 0..3 {
        let spec = call.audio.next_red(number.min(1));
        call.tick(Some(spec));
    }
    // Of another payload type, cut short, empty, and plain audio that says it is RED.
    for payload in [vec![0x60, 1], vec![0xef, 0, 0], vec![0x6f], vec![0x78; 80]] {
        let mut spec = call.audio.next();
        (spec.payload_type, spec.payload) = (63, payload);
        call.tick(Some(spec));
    }
    assert_eq!(call.world.counters().drop_red, 4);
    // The packet before is missing, but the block is older than the one before that, or as new as this one.
    for ticks in [960 * 6_u32, 0] {
        let mut spec = call.audio.next_red(1);
        spec.payload[1..4].copy_from_slice(&((ticks << 10) + 80).to_be_bytes()[1..]);
        call.tick(Some(spec));
        call.audio.index += 1;
    }
    assert_eq!(call.world.counters().red_recovered, 0);
    // A client that cannot be taken at its word about its first packet: nothing is known before it.
    let numbers: Vec<u64> = call.received(call.plain).iter().map(|packet| packet.0).collect();
    assert_eq!(numbers, [0, 1, 2, 7, 9]);
}

#[test]
fn red_that_was_not_negotiated_is_dropped() {
    let mut world = World::new(46);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut audio = Audio::publish(&mut world, alice, 0);
    let ssrc = world.consume(bob, 0, 0, RED);
    let (plain, red) = (audio.next(), audio.next_red(1));
    let now = world.now;
    world.clients[alice].send_rtp(now, &plain);
    world.clients[alice].send_rtp(now, &red);
    world.run_for(ms(10));
    assert_eq!((world.clients[bob].on_ssrc(ssrc).len(), world.counters().drop_payload_type), (1, 1));
}

#[test]
fn silence_between_words_is_no_loss() {
    let mut call = Call::new(47);
    for number in 0..40 {
        // DTX: every tenth packet ends 400 ms in which nothing is sent, and repeats nothing, for its header could not say so.
        let pauses = number % 10 == 9;
        if pauses {
            call.audio.timestamp = call.audio.timestamp.wrapping_add(400 * 48);
            call.world.run_for(ms(400));
        }
        let spec = call.audio.next_red(if pauses { 0 } else { number.min(1) });
        call.tick(Some(spec));
    }
    let heard = call.received(call.plain);
    assert_eq!(heard.iter().map(|packet| packet.0).collect::<Vec<_>>(), (0..40).collect::<Vec<_>>());
    assert_eq!(heard.last().map(|packet| packet.1), Some(39 * 960 + 4 * 400 * 48));
    let counters = call.world.counters();
    assert_eq!((counters.red_recovered, counters.nack_out), (0, 0));
    let lost = call.world.events.iter().filter(|(_, event)| matches!(event, forward::Event::EncodingLost { .. }));
    assert_eq!(lost.count(), 0);
}

#[test]
fn what_is_sent_again_on_an_rtx_stream_is_plain_and_intact() {
    let mut call = Call::new(47);
    let bob = call.red.0;
    let ssrc = call.world.consume(bob, 0, 2, Consume { rtx: true, ..RED });
    for number in 0..50_u64 {
        let spec = call.audio.next_red(number.min(2));
        call.tick(Some(spec));
    }
    let lost = call.received((bob, ssrc))[40].clone();
    let seq = call.world.clients[bob].on_ssrc(ssrc)[40].index as u16;
    let now = call.world.now;
    call.world.clients[bob].send_rtcp(now, |buf| rtcp::write_nack(buf, Ssrc(1), Ssrc(ssrc), &[seq]));
    call.world.run_for(ms(10));
    let newest = red::parse(&lost.3, PayloadType(100)).expect("RED").primary().to_vec();
    let repeated = call.world.clients[bob].on_ssrc(ssrc + 1);
    assert_eq!(repeated.len(), 1);
    assert_eq!((lost.2, repeated[0].payload_type), (102, 101));
    assert_eq!(repeated[0].payload, [&seq.to_be_bytes()[..], &newest].concat());
}

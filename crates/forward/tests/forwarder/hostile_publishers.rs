//! Publishers with valid keys that lie: in names, in extensions, and with what they sent before.

use forward::testing::ServerParameters;
use forward::{Command, Kind, RestartIce, TransportId};

use crate::support::{Audio, Consume, Publish, Receiver, RtpSpec, SIMULCAST, Video, World, ms, usual_extensions};

#[test]
fn rids_mids_and_extensions_that_lie_cross_no_streams_and_flood_nobody() {
    let mut world = World::new(71);
    let (alice, bob, mallory) = (world.add_client(), world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, SIMULCAST);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    let simulcast = Publish { mid: "m0", rids: SIMULCAST, ..Publish::default() };
    world.publish(mallory, 1, &simulcast);
    world.publish(mallory, 2, &Publish { mid: "m1", ..simulcast });
    let lies = world.consume(bob, 1, 1, Consume::default());
    video.run(&mut world, ms(1_000));
    let before = world.events.len();
    let names = ["q", "h", "f", "", "zz", "v0", "0123456789abcdef0123456789abcdef", "\u{2603}"];
    let some = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    for round in 0..3_000_usize {
        let now = world.now;
        let spec = RtpSpec {
            payload_type: [96, 97, 111, 96][round % 4],
            // A few of them over and over, under every name.
            ssrc: 9_000 + (round % 50) as u32,
            index: 1 + round as u64,
            timestamp: round as u32 * 3_000,
            payload: vec![0x90, 0x80, (round % 128) as u8, 0, 0, 0, 0x9d, 0x01, 0x2a, 0, 1, 0, 1],
            mid: some(["m0", "m1", "v0", "", "m0"][round / 7 % 5]),
            rid: some(names[round / 3 % 8]),
            repaired_rid: some(names[round / 5 % 8]),
            descriptor: Some(vec![round as u8; 1 + round % 40]),
            orientation: Some(vec![1; 1 + round % 3]),
            playout_delay: Some(vec![0; 1 + round % 5]),
            capture_time: Some(vec![0xff; 1 + round % 20]),
            ..RtpSpec::default()
        };
        world.clients[mallory].send_rtp(now, &spec);
        if round % 10 == 0 {
            video.run(&mut world, ms(33));
        }
    }
    // Encodings that come and go are news, but not every packet is.
    assert!(world.events.len() - before < 200, "{} events", world.events.len() - before);
    let mut receiver = Receiver::new(bob, ssrc);
    receiver.take(&world);
    receiver.assert_continuous_video();
    let mut lied_to = Receiver::new(bob, lies);
    lied_to.take(&world);
    assert_eq!((lied_to.duplicates, world.clients[bob].undecryptable), (0, 0));
    let counters = world.counters();
    let dropped = counters.drop_unknown_ssrc + counters.drop_ssrc_table_full + counters.drop_payload_type;
    assert!(dropped > 100, "{dropped}");
}

#[test]
fn what_was_recorded_before_an_ice_restart_is_worth_nothing_after_it() {
    let mut world = World::new(72);
    let (alice, bob) = (world.add_client_with(usual_extensions()), world.add_client());
    let mut audio = Audio::publish(&mut world, alice, 0);
    let ssrc = world.consume(bob, 0, 0, Consume { encoding: 0, rtx: false, ..Consume::default() });
    let mut recorded = Vec::new();
    for _ in 0..50 {
        let spec = audio.next();
        let datagram = world.clients[alice].encrypt(&spec);
        let from = world.clients[alice].path.local;
        world.inject(from, &mut datagram.clone());
        recorded.push(datagram);
        world.run_for(ms(20));
    }
    let heard = world.clients[bob].on_ssrc(ssrc).len();
    assert_eq!(heard, 50);
    let (ufrag, password) = ("restarted".to_owned(), "another-password-of-ours".to_owned());
    world.command(Command::RestartIce(RestartIce {
        transport: TransportId(alice as u64),
        ufrag: ufrag.clone(),
        password: password.clone(),
    }));
    let fingerprint = world.fingerprint.clone();
    let now = world.now;
    world.clients[alice].transport.connect(now, &ServerParameters { ufrag, password, fingerprint });
    world.run_for(ms(500));
    let from = world.clients[alice].path.local;
    for datagram in &mut recorded {
        world.inject(from, datagram);
    }
    world.run_for(ms(100));
    assert_eq!(world.clients[bob].on_ssrc(ssrc).len(), heard);
    assert_eq!(world.counters().drop_replayed, 50);
    audio.run(&mut world, ms(200));
    assert_eq!(world.clients[bob].on_ssrc(ssrc).len(), heard + 10, "the call goes on");
}

#[test]
fn a_producer_takes_no_more_than_its_encodings() {
    let mut world = World::new(73);
    let (alice, bob) = (world.add_client(), world.add_client());
    world.publish(
        alice,
        0,
        &Publish { kind: Kind::Audio, mime_type: "audio/opus", mid: "a", nack: false, ..Publish::default() },
    );
    let ssrc = world.consume(bob, 0, 0, Consume { encoding: 0, rtx: false, ..Consume::default() });
    // Ten thousand streams at once that all claim to be the microphone.
    for stream in 0..10_000_u32 {
        let now = world.now;
        let spec = RtpSpec {
            payload_type: 111,
            ssrc: 1 + stream,
            index: 1,
            payload: vec![1; 20],
            mid: Some("a".to_owned()),
            ..RtpSpec::default()
        };
        world.clients[alice].send_rtp(now, &spec);
    }
    world.run_for(ms(100));
    assert!(world.counters().drop_ssrc_table_full > 9_900);
    assert!(world.clients[bob].on_ssrc(ssrc).len() < 10);
    assert!(world.events.len() < 50, "{}", world.events.len());
}

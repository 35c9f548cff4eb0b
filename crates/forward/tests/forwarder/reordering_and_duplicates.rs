//! Reordered packets keep their own numbers, duplicates go nowhere, and the stream stays whole.

use netem::LinkConfig;

use crate::support::{Consume, Receiver, SIMULCAST, Video, World, ms};

#[test]
fn reordered_packets_keep_their_numbers() {
    let mut world = World::new(1);
    let (alice, bob) = (world.add_client(), world.add_client());
    let up = LinkConfig { delay: ms(20), reorder: 0.2, reorder_by: ms(3), ..LinkConfig::default() };
    world.set_links(alice, up, LinkConfig::default());
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    video.run(&mut world, ms(3_000));
    world.run_for(ms(100));
    let arrived = world.clients[bob].on_ssrc(ssrc);
    assert!(!arrived.iter().map(|packet| packet.index).is_sorted(), "not held back to be sorted");
    let mut receiver = Receiver::new(bob, ssrc);
    receiver.take(&world);
    receiver.assert_continuous_video();
    assert_eq!(receiver.duplicates, 0);
    let origins = receiver.origins();
    let order: Vec<_> = origins.iter().map(|origin| (origin.frame, origin.packet)).collect();
    assert!(order.is_sorted());
    assert_eq!(world.counters().nack_out, 0, "3 ms are within the grace");
}

#[test]
fn duplicates_on_the_way_in_are_not_forwarded() {
    let mut world = World::new(2);
    let (alice, bob) = (world.add_client(), world.add_client());
    world.set_links(alice, LinkConfig { duplicate: 0.3, ..LinkConfig::default() }, LinkConfig::default());
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    video.run(&mut world, ms(2_000));
    let mut receiver = Receiver::new(bob, ssrc);
    receiver.take(&world);
    receiver.assert_continuous_video();
    assert_eq!(receiver.duplicates, 0);
    assert!(world.counters().drop_replayed > 20);
}

#[test]
fn a_retransmission_of_what_arrived_is_not_forwarded() {
    let mut world = World::new(3);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, SIMULCAST);
    let ssrc = world.consume(bob, 0, 0, Consume { encoding: 0, ..Consume::default() });
    video.run(&mut world, ms(500));
    let before = world.clients[bob].received.len();
    let newest = video.encodings[0].index as u16 - 1;
    let now = world.now;
    for _ in 0..3 {
        let repair = video.encodings[0].repair(newest, "v0").expect("in history");
        world.clients[alice].send_rtp(now, &repair);
    }
    world.run_for(ms(20));
    assert_eq!(world.clients[bob].received.len(), before);
    assert_eq!(world.counters().drop_duplicate, 3);
    video.run(&mut world, ms(200));
    let mut receiver = Receiver::new(bob, ssrc);
    receiver.take(&world);
    receiver.assert_continuous_video();
}

#[test]
fn everything_at_once_still_gives_a_whole_stream() {
    let mut world = World::new(4);
    let (alice, bob) = (world.add_client(), world.add_client());
    let rough = LinkConfig {
        loss: netem::Loss::GilbertElliott { good_to_bad: 0.01, bad_to_good: 0.3, loss_good: 0.005, loss_bad: 0.5 },
        delay: ms(30),
        jitter: ms(20),
        reorder: 0.05,
        reorder_by: ms(15),
        duplicate: 0.02,
        rate: None,
    };
    world.set_links(alice, rough, rough);
    world.set_links(bob, rough, rough);
    let mut video = Video::publish(&mut world, alice, 0, SIMULCAST);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    let mut receiver = Receiver::new(bob, ssrc);
    for _ in 0..400 {
        video.run(&mut world, ms(20));
        receiver.ask(&mut world);
    }
    let clean = LinkConfig { delay: ms(30), ..LinkConfig::default() };
    world.set_links(alice, clean, clean);
    world.set_links(bob, clean, clean);
    for _ in 0..20 {
        video.run(&mut world, ms(33));
        receiver.ask(&mut world);
    }
    world.run_for(ms(200));
    receiver.take(&world);
    // What no keyframe made pointless to ask for is there, and the numbers of the rest are right.
    let missing = receiver.missing().len();
    assert!(missing * 100 < receiver.packets.len(), "{missing} of {}", receiver.packets.len());
    let origins = receiver.origins();
    let frames = origins.windows(2).filter(|pair| pair[0].encoding == pair[1].encoding);
    assert!(frames.into_iter().all(|pair| pair[0].frame <= pair[1].frame));
    assert_eq!(
        world.clients[bob].undecryptable,
        world.clients[bob].undecryptable.min(40),
        "netem's own duplicates only"
    );
}

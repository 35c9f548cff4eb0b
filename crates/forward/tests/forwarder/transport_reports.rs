//! Every two seconds each transport that carried media is reported about: loss both ways and the round trip.

use std::time::Duration;

use forward::{Event, TransportId, TransportReport};
use netem::{LinkConfig, Loss};

use crate::support::{Audio, Consume, Receiver, Video, World, ms};

fn reports_of(world: &World, client: usize) -> Vec<TransportReport> {
    let batches = world.events.iter().filter_map(|(_, event)| match event {
        Event::TransportReports { reports } => Some(reports),
        _ => None,
    });
    batches.flatten().filter(|report| report.transport == TransportId(client as u64)).copied().collect()
}

#[test]
fn loss_is_told_in_both_directions_with_the_round_trip() {
    let mut world = World::new(31);
    let (alice, bob) = (world.add_client(), world.add_client());
    let delay = |loss| LinkConfig { delay: ms(25), loss, ..LinkConfig::default() };
    world.set_links(alice, delay(Loss::Random(0.1)), delay(Loss::None));
    world.set_links(bob, delay(Loss::None), delay(Loss::None));
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    let mut receiver = Receiver::new(bob, ssrc);
    for second in 1..=10 {
        video.run(&mut world, Duration::from_secs(1));
        receiver.report(&mut world, 3 * second);
    }
    let (up, down) = (reports_of(&world, alice), reports_of(&world, bob));
    assert!((4..=5).contains(&up.len()) && (4..=5).contains(&down.len()), "{} {}", up.len(), down.len());
    let sum = |reports: &[TransportReport], of: fn(&TransportReport) -> u32| reports.iter().map(of).sum::<u32>();
    let (expected, lost) = (sum(&up, |it| it.inbound_expected), sum(&up, |it| it.inbound_lost));
    assert!((650..=920).contains(&expected), "{expected}");
    assert!((expected / 14..=expected / 7).contains(&lost), "{lost} of {expected}");
    assert!(up.iter().all(|it| it.outbound_expected == 0) && down.iter().all(|it| it.inbound_expected == 0));
    let (expected, lost) = (sum(&down, |it| it.outbound_expected), sum(&down, |it| it.outbound_lost));
    assert!((600..=920).contains(&expected), "{expected}");
    assert!((21..=30).contains(&lost), "{lost}");
    assert!(matches!(down.last().expect("a report").rtt_ms, Some(48..=55)), "{down:?}");
}

#[test]
fn who_carried_nothing_is_not_reported_about() {
    let mut world = World::new(32);
    let (alice, bob, carol) = (world.add_client(), world.add_client(), world.add_client());
    let mut audio = Audio::publish(&mut world, alice, 0);
    world.consume(bob, 0, 0, Consume::default());
    audio.run(&mut world, ms(4_500));
    assert_eq!((reports_of(&world, alice).len(), reports_of(&world, carol).len()), (2, 0));
    // It was sent something and said nothing about it.
    assert!(reports_of(&world, bob).iter().all(|it| (it.outbound_expected, it.rtt_ms) == (0, None)));
    assert_eq!(reports_of(&world, bob).len(), 2);
    let before = world.events.len();
    world.run_for(Duration::from_secs(10));
    let told = world.events[before..].iter().filter(|(_, event)| matches!(event, Event::TransportReports { .. }));
    assert!(told.count() <= 2);
}

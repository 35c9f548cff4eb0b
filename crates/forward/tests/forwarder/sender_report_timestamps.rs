//! Sender reports towards subscribers say when each RTP timestamp was captured; switches follow the reports of both sides.

use std::time::{Duration, Instant};

use crate::support::{Audio, Consume, Receiver, SIMULCAST, UNIX_AT_START, Video, World, ms};

/// A publisher's clock that has nothing to do with ours.
fn publisher_ntp(world: &World, begin: Instant) -> u64 {
    let since = world.now - begin;
    (777_000_000 << 32) + ((since.as_nanos() << 32) / 1_000_000_000) as u64
}

fn ntp_to_seconds(ntp: u64) -> f64 {
    ntp as f64 / (1_u64 << 32) as f64
}

#[test]
fn the_first_report_comes_early_and_then_every_second() {
    let mut world = World::new(1);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    let begin = world.now;
    video.run(&mut world, ms(5_000));
    let reports = world.clients[bob].sender_reports();
    let times: Vec<u128> = reports.iter().map(|(at, ..)| (*at - begin).as_millis()).collect();
    assert!(times[0] <= 150, "{times:?}");
    assert!((5..=6).contains(&times.len()), "{times:?}");
    assert!(reports.iter().all(|report| report.1 == ssrc));
    let sent = world.clients[bob].received.iter().filter(|packet| packet.at <= reports[2].0).count();
    assert!(u32::try_from(sent).unwrap().abs_diff(reports[2].4) <= 3);
}

#[test]
fn reports_stop_with_the_media() {
    let mut world = World::new(2);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut audio = Audio::publish(&mut world, alice, 0);
    world.consume(bob, 0, 0, Consume { encoding: 0, rtx: false, ..Consume::default() });
    audio.run(&mut world, ms(1_000));
    world.run_for(ms(10_000));
    let before = world.clients[bob].sender_reports().len();
    world.run_for(ms(20_000));
    assert_eq!(world.clients[bob].sender_reports().len(), before);
    audio.run(&mut world, ms(200));
    assert_eq!(world.clients[bob].sender_reports().len(), before + 1);
}

#[test]
fn ntp_is_our_clock_and_the_timestamp_is_what_the_publisher_captures_at_that_moment() {
    let mut world = World::new(3);
    let (alice, bob) = (world.add_client(), world.add_client());
    let origin = world.now;
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    for _ in 0..3 {
        video.run(&mut world, ms(990));
        let ntp = publisher_ntp(&world, origin);
        video.send_report(&mut world, 0, ntp);
    }
    video.run(&mut world, ms(1_500));
    let (at, _, ntp, timestamp, _) = *world.clients[bob].sender_reports().last().expect("a report");
    let unix = ntp_to_seconds(ntp) - 2_208_988_800.0;
    let expected = UNIX_AT_START.as_secs_f64();
    assert!((unix - expected).abs() < 60.0, "{unix}");
    // The newest frame before the report was captured at most a frame interval earlier.
    let packets = world.clients[bob].on_ssrc(ssrc);
    let newest = packets.iter().rev().find(|packet| packet.at <= at).expect("media");
    let ahead_ms = f64::from(timestamp.wrapping_sub(newest.timestamp) as i32) / 90.0;
    let elapsed_ms = (at - newest.at).as_secs_f64() * 1_000.0;
    // The report was written when the frame it names was 33 ms old.
    assert!((ahead_ms - elapsed_ms).abs() < 40.0, "{ahead_ms} {elapsed_ms}");
}

#[test]
fn audio_and_video_of_one_publisher_share_one_origin() {
    let mut world = World::new(4);
    let (alice, bob) = (world.add_client(), world.add_client());
    let origin = world.now;
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    let mut audio = Audio::publish(&mut world, alice, 1);
    let video_ssrc = world.consume(bob, 0, 0, Consume::default());
    let audio_ssrc = world.consume(bob, 1, 1, Consume { encoding: 0, rtx: false, ..Consume::default() });
    // Reports of the two travel with different delays; what they say was captured together stays together.
    video.run(&mut world, ms(330));
    let ntp = publisher_ntp(&world, origin);
    let video_timestamp = video.encodings[0].timestamp;
    video.send_report(&mut world, 0, ntp);
    audio.timestamp = audio.timestamp.wrapping_add(330 * 48);
    let audio_timestamp = audio.timestamp;
    audio.send(&mut world);
    world.run_for(ms(40));
    audio.send_report(&mut world, ntp);
    // Both must go on, or their reports stop.
    for _ in 0..10 {
        video.run(&mut world, ms(330));
        audio.timestamp = audio.timestamp.wrapping_add(330 * 48);
        audio.send(&mut world);
    }
    let reports = world.clients[bob].sender_reports();
    let captured = |ssrc: u32, timestamp: u32, rate: f64| {
        let (_, _, ntp, at, _) = *reports.iter().rfind(|report| report.1 == ssrc).expect("a report");
        ntp_to_seconds(ntp) + f64::from(timestamp.wrapping_sub(at) as i32) / rate
    };
    let (seen, heard) =
        (captured(video_ssrc, video_timestamp, 90_000.0), captured(audio_ssrc, audio_timestamp, 48_000.0));
    assert!((seen - heard).abs() < 0.002, "{seen} {heard}");
}

#[test]
fn a_switch_is_aligned_by_the_reports_of_both_encodings() {
    let mut world = World::new(5);
    let (alice, bob) = (world.add_client(), world.add_client());
    let origin = world.now;
    let mut video = Video::publish(&mut world, alice, 0, SIMULCAST);
    let ssrc = world.consume(bob, 0, 0, Consume { encoding: 0, ..Consume::default() });
    video.run(&mut world, ms(990));
    let ntp = publisher_ntp(&world, origin);
    for encoding in 0..3 {
        video.send_report(&mut world, encoding, ntp);
    }
    // From here on jitter hides how far the frames are apart.
    let jitter = netem::LinkConfig { delay: ms(30), jitter: ms(60), ..netem::LinkConfig::default() };
    world.set_links(alice, jitter, netem::LinkConfig::default());
    video.run(&mut world, ms(495));
    world.configure(0, false, 2);
    video.run(&mut world, ms(990));
    let mut receiver = Receiver::new(bob, ssrc);
    receiver.take(&world);
    receiver.assert_continuous_video();
    let timestamps: Vec<u32> = receiver.packets.values().map(|packet| packet.timestamp).collect();
    let steps: Vec<u32> = timestamps.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    let odd: Vec<u32> = steps.into_iter().filter(|ticks| !ticks.is_multiple_of(2_970)).collect();
    // Frames are whole intervals apart, but for one picture that came from both: its twin is put just behind it.
    assert!(odd.is_empty() || odd == [375], "{odd:?}");
}

#[test]
fn without_reports_a_switch_is_aligned_by_arrival() {
    let mut world = World::new(6);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, SIMULCAST);
    let ssrc = world.consume(bob, 0, 0, Consume { encoding: 0, ..Consume::default() });
    video.run(&mut world, ms(990));
    world.configure(0, false, 2);
    video.run(&mut world, ms(990));
    let packets = world.clients[bob].on_ssrc(ssrc);
    let (first, last) = (packets[0], packets[packets.len() - 1]);
    let media = Duration::from_micros(u64::from(last.timestamp.wrapping_sub(first.timestamp)) * 100 / 9);
    let wall = last.at - first.at;
    assert!(media.abs_diff(wall) < ms(40), "{media:?} {wall:?}");
}

#[test]
fn round_trips_come_from_report_blocks() {
    let mut world = World::new(7);
    let (alice, bob) = (world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    world.consume(bob, 0, 0, Consume::default());
    let origin = world.now;
    video.run(&mut world, ms(300));
    let ntp = publisher_ntp(&world, origin);
    video.send_report(&mut world, 0, ntp);
    video.run(&mut world, ms(2_000));
    let blocks = world.clients[alice].rtcp_packets(|at, packet| match packet {
        wire::rtcp::Rtcp::ReceiverReport { mut reports, .. } => reports.next().map(|block| (at, block)),
        _ => None,
    });
    let (_, last) = blocks.last().expect("a receiver report");
    assert_eq!(last.last_sr, (ntp >> 16) as u32);
    assert_eq!((last.ssrc.0, last.fraction_lost, last.cumulative_lost), (video.encodings[0].ssrc, 0, 0));
    assert!(last.delay_since_last_sr > 65_536, "more than a second ago");
}

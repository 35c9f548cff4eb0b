//! Where a subscriber may start: each codec marks its keyframes differently. Payloads go through as they are.

use wire::rtcp::{self, Rtcp};

use crate::support::{Consume, Publish, RtpSpec, Video, World, ms};

/// Timestamp, payload and dependency descriptor of a packet.
type Sent<'a> = (u32, &'a [u8], Option<&'a [u8]>);

/// Sends frames of packets of an H.264, VP9 or AV1 track to a subscriber; gives the payloads that arrived, in sequence order.
fn forwarded(mime_type: &'static str, packets: &[Sent<'_>], order: &[usize]) -> Vec<Vec<u8>> {
    let mut world = World::new(1);
    let (alice, bob) = (world.add_client(), world.add_client());
    let what = Publish { mime_type, ..Publish::default() };
    world.publish(alice, 0, &what);
    let ssrc = world.consume(bob, 0, 0, Consume::default());
    for at in order {
        let (timestamp, payload, descriptor) = packets[*at];
        let spec = RtpSpec {
            payload_type: 96,
            ssrc: 5,
            index: 700 + *at as u64,
            timestamp,
            payload: payload.to_vec(),
            mid: Some("v".to_owned()),
            descriptor: descriptor.map(<[u8]>::to_vec),
            ..RtpSpec::default()
        };
        let now = world.now;
        world.clients[alice].send_rtp(now, &spec);
        world.run_for(ms(2));
    }
    let mut arrived = world.clients[bob].on_ssrc(ssrc);
    arrived.sort_by_key(|packet| packet.index);
    assert!(arrived.windows(2).all(|pair| pair[1].index == pair[0].index + 1), "no gap");
    arrived.iter().map(|packet| packet.payload.clone()).collect()
}

const SPS_PPS: &[u8] = &[0x78, 0, 2, 0x67, 1, 0, 2, 0x68, 2];
const IDR_START: &[u8] = &[0x7C, 0x85, 3];
const IDR_END: &[u8] = &[0x7C, 0x45, 4];
const SLICE: &[u8] = &[0x61, 5];

#[test]
fn h264_starts_with_its_parameter_sets() {
    let packets: Vec<Sent<'_>> =
        vec![(1, SLICE, None), (2, SPS_PPS, None), (2, IDR_START, None), (2, IDR_END, None), (3, SLICE, None)];
    assert_eq!(forwarded("video/H264", &packets, &[0, 1, 2, 3, 4]), [SPS_PPS, IDR_START, IDR_END, SLICE]);
}

#[test]
fn h264_waits_for_parameter_sets_that_were_overtaken() {
    let packets: Vec<Sent<'_>> = vec![(1, SLICE, None), (2, SPS_PPS, None), (2, IDR_START, None), (2, IDR_END, None)];
    assert_eq!(forwarded("video/H264", &packets, &[0, 2, 3, 1]), [SPS_PPS, IDR_START, IDR_END]);
}

#[test]
fn h264_without_parameter_sets_starts_with_the_idr_frame() {
    let packets: Vec<Sent<'_>> = vec![(1, SLICE, None), (2, IDR_START, None), (2, IDR_END, None), (3, SLICE, None)];
    assert_eq!(forwarded("video/H264", &packets, &[0, 1, 2, 3]), [IDR_START, IDR_END, SLICE]);
}

#[test]
fn vp9_starts_with_the_lowest_layer_of_a_key_picture() {
    // Flags I, L, B and E; picture id; layer indices; TL0PICIDX. P is 0x40.
    const DELTA: &[u8] = &[0xEC, 1, 0x00, 1, 7];
    const KEY: &[u8] = &[0xAC, 2, 0x00, 2, 7];
    const KEY_UPPER: &[u8] = &[0xAC, 2, 0x03, 2, 7];
    let packets: Vec<Sent<'_>> = vec![(1, DELTA, None), (2, KEY, None), (2, KEY_UPPER, None), (3, DELTA, None)];
    assert_eq!(forwarded("video/VP9", &packets, &[0, 1, 2, 3]), [KEY, KEY_UPPER, DELTA]);
}

#[test]
fn av1_starts_where_the_dependency_descriptor_has_its_structure() {
    const PAYLOAD: &[u8] = &[0x10, 9];
    const LATER: &[u8] = &[0x90, 8];
    let delta: Option<&[u8]> = Some(&[0xC1, 0, 1]);
    let key: Option<&[u8]> = Some(&[0x80, 0, 2, 0x80, 0, 0]);
    let rest: Option<&[u8]> = Some(&[0x40, 0, 2]);
    let packets = vec![(1, PAYLOAD, delta), (2, PAYLOAD, key), (2, LATER, rest), (3, PAYLOAD, delta)];
    assert_eq!(forwarded("video/AV1", &packets, &[0, 1, 2, 3]), [PAYLOAD, LATER, PAYLOAD]);
}

#[test]
fn a_stream_that_starts_with_a_keyframe_is_not_asked_for_one() {
    let mut world = World::new(2);
    let (alice, bob) = (world.add_client(), world.add_client());
    let what = Publish { mime_type: "video/H264", ..Publish::default() };
    world.publish(alice, 0, &what);
    world.consume(bob, 0, 0, Consume::default());
    let now = world.now;
    let spec = RtpSpec {
        payload_type: 96,
        ssrc: 5,
        index: 700,
        payload: SPS_PPS.to_vec(),
        mid: Some("v".to_owned()),
        ..RtpSpec::default()
    };
    world.clients[alice].send_rtp(now, &spec);
    world.run_for(ms(1_000));
    assert!(world.clients[alice].plis().is_empty());
    let asked = world.clients[alice].rtcp.iter().flat_map(|(_, compound)| rtcp::iter(compound)).flatten();
    assert!(asked.into_iter().all(|packet| !matches!(packet, Rtcp::Fir { .. })));
}

#[test]
fn a_rooms_playout_delay_takes_the_place_of_the_publishers_and_capture_time_passes() {
    let mut world = World::new(61);
    let (alice, bob, carol) = (world.add_client(), world.add_client(), world.add_client());
    let mut video = Video::publish(&mut world, alice, 0, &[]);
    let ours = world.consume(bob, 0, 0, Consume { playout_delay: Some((10, 200)), ..Consume::default() });
    let theirs = world.consume(carol, 0, 1, Consume::default());
    for mut packet in video.next_frame(0) {
        (packet.playout_delay, packet.capture_time) = (Some(vec![0, 0, 7]), Some(vec![3; 16]));
        let now = world.now;
        world.clients[alice].send_rtp(now, &packet);
    }
    world.run_for(ms(5));
    for (client, ssrc, delay) in [(bob, ours, [0, 160, 200]), (carol, theirs, [0, 0, 7])] {
        let packets = world.clients[client].on_ssrc(ssrc);
        assert_eq!(packets.len(), 3);
        assert!(packets.iter().all(|packet| packet.playout_delay.as_deref() == Some(&delay[..])), "{packets:?}");
        assert!(packets.iter().all(|packet| packet.capture_time.as_deref() == Some(&[3; 16][..])));
    }
}

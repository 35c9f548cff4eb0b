//! What one allocation may use: packets, bytes, peers, memory.

mod common;

use std::time::Duration;

use common::{
    HOME, LIMITS, MEDIA, MEDIA_HOST, Mac, PEER, PEER_HOST, RELAYED, World, address, channel_data, configuration,
    connected, indication, request, success, udp,
};
use relay::{AllocationId, AllocationLimits, ClientAddress, Configuration, RelayCommand, Reply};
use wire::stun::Method;

// ---- limits

fn limited(limits: AllocationLimits) -> (World, ClientAddress, AllocationId) {
    let (mut world, home) = (World::new(), udp(HOME));
    let allocation = world.allocate_with(&home, &[RELAYED], limits);
    assert_eq!(world.permit(allocation, PEER_HOST), None);
    world.bind(allocation, 0x4000, PEER);
    (world, home, allocation)
}

#[test]
fn packets_of_both_directions_share_their_bucket() {
    let (mut world, home, _) = limited(AllocationLimits { packets_per_s: 10, ..LIMITS });
    for _ in 0..20 {
        world.receive(&home, &channel_data(0x4000, b"x", false));
        world.receive_from_peer(world.out.socket(), PEER, b"x");
    }
    assert_eq!((world.out.to_peer.len(), world.out.to_client.len()), (5, 5));
    assert_eq!(world.counter("turn.dropped_rate_packets"), 30);
    world.advance(Duration::from_millis(300));
    world.out.clear();
    for _ in 0..20 {
        world.receive(&home, &indication(PEER, b"x"));
    }
    assert_eq!(world.out.to_peer.len(), 3);
}

#[test]
fn bytes_of_both_directions_share_their_bucket() {
    let (mut world, home, _) = limited(AllocationLimits { bytes_per_s: 10_000, ..LIMITS });
    for _ in 0..20 {
        world.receive(&home, &channel_data(0x4000, &[0; 1_000], false));
        world.receive_from_peer(world.out.socket(), PEER, &[0; 1_000]);
    }
    assert_eq!((world.out.to_peer.len(), world.out.to_client.len()), (5, 5));
    assert_eq!(world.counter("turn.dropped_rate_bytes"), 30);
}

#[test]
fn new_peers_are_limited_and_known_ones_are_not() {
    let (mut world, home, allocation) = limited(AllocationLimits { new_peers_per_s: 5, ..LIMITS });
    for port in 1..=20 {
        for _ in 0..3 {
            world.receive(&home, &indication(&format!("10.0.0.9:{port}"), b"x"));
        }
    }
    assert_eq!((world.out.to_peer.len(), world.counter("turn.dropped_rate_peers")), (15, 45));
    world.bind(allocation, 0x4001, "10.0.0.9:99");
    world.receive(&home, &channel_data(0x4001, b"x", false));
    assert_eq!(world.counter("turn.dropped_rate_peers"), 46, "a channel is no way around it");
    world.advance(Duration::from_millis(200));
    for _ in 0..3 {
        world.receive(&home, &channel_data(0x4001, b"x", false));
    }
    assert_eq!(world.out.to_peer.len(), 18);
}

#[test]
fn media_sockets_are_never_new_peers() {
    let (mut world, home) = (World::new(), udp(HOME));
    let allocation = world.allocate_with(&home, &[RELAYED], AllocationLimits { new_peers_per_s: 0, ..LIMITS });
    assert_eq!(world.permit(allocation, MEDIA_HOST), None);
    world.receive(&home, &indication(MEDIA, b"x"));
    assert_eq!(world.out.to_media.len(), 1);
}

// ---- size and speed

#[test]
fn an_allocation_takes_less_than_four_kibibytes() {
    let mut world = World::with(Configuration { unauthenticated_per_s: u32::MAX, ..configuration() });
    for number in 0..4_000_u16 {
        let home = udp(&format!("10.9.0.1:{}", 1_000 + number));
        let allocation = world.allocate(&home, &[&format!("192.168.0.1:{}", 50_000 + number)]);
        assert_eq!(world.permit(allocation, MEDIA_HOST), None);
        world.bind(allocation, 0x4000, MEDIA);
        world.receive(&home, &channel_data(0x4000, b"x", false));
    }
    let bytes = world.relay.bytes_per_allocation();
    println!("{bytes} bytes per allocation with a permission and a channel");
    assert!(bytes < 1_500, "{bytes}");
}

#[test]
fn the_256th_channel_works_like_the_first() {
    let home = udp(HOME);
    let (mut world, allocation) = connected(&home);
    for number in 0..256_u16 {
        let host = format!("10.1.{}.9", number % 256);
        assert_eq!(world.permit(allocation, &host), None);
        world.bind(allocation, 0x4100 + number, &format!("{host}:4000"));
    }
    let socket = world.out.socket();
    for number in 0..256_u16 {
        let peer = format!("10.1.{number}.9:4000");
        world.receive_from_peer(socket, &peer, b"x");
        assert_eq!(world.out.payload_to_client(), Some(channel_data(0x4100 + number, b"x", false)));
    }
    for number in 0..100_u16 {
        world.receive(&home, &channel_data(0x4100 + number, b"x", false));
        assert_eq!(world.out.to_peer.pop().unwrap().1, address(&format!("10.1.{number}.9:4000")));
    }
}

#[test]
fn replies_do_not_outlive_their_use_while_data_flows() {
    let home = udp(HOME);
    let (mut world, allocation) = connected(&home);
    let nonce = world.nonce(&home);
    for number in 0..100 {
        world.receive(&home, &request(Method::REFRESH, 500 + number).signed(&nonce, Mac::Sha256));
        let asked = world.out.request().unwrap();
        assert_eq!(asked.allocation, Some(allocation));
        world.command(RelayCommand::Reply(Reply { lifetime_s: Some(600), ..success(&asked) }));
        world.receive(&home, &channel_data(0x4000, b"x", false));
    }
    assert!(world.counter("turn.remembered_bytes") < 8 * 300);
    world.advance(Duration::from_secs(41));
    assert_eq!((world.counter("turn.remembered_bytes"), world.relay.poll_timeout()), (0, None));
    assert_eq!(world.counter("turn.clients"), 1);
}

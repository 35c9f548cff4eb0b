//! What permissions and channels open and close: sockets, routes, and what a change of the rules does to them.

mod common;

use std::sync::atomic::Ordering::Relaxed;

use common::{
    HOME, MEDIA, MEDIA_HOST, PEER, PEER_HOST, RELAYED, World, address, channel_data, configuration, connected,
    indication, read_indication, request, udp,
};
use relay::{Configuration, Frame, RelayCommand};
use wire::stun::{Message, Method};

// ---- routes

#[test]
fn media_sockets_are_told_the_way_whenever_it_changes() {
    let mut world = World::new();
    let home = udp(HOME);
    let allocation = world.allocate(&home, &[RELAYED]);
    world.bind(allocation, 0x4000, MEDIA);
    world.bind(allocation, 0x4001, PEER);
    assert_eq!(world.permit(allocation, PEER_HOST), None);
    assert!(world.out.routes.is_empty(), "no way without a permission");
    assert_eq!(world.permit(allocation, MEDIA_HOST), None);
    let frame = |world: &World, media: &str| world.out.routes[&address(RELAYED)].frame(address(media));
    assert_eq!(world.out.routes[&address(RELAYED)].client, home);
    assert_eq!(frame(&world, MEDIA), Some(Frame::Channel(0x4000)));
    assert_eq!(frame(&world, "192.168.0.1:7883"), Some(Frame::Indication));
    assert_eq!(frame(&world, PEER), None, "that is no media socket");
    world.command(RelayCommand::RemoveChannel { allocation, channel: 0x4000 });
    assert_eq!(frame(&world, MEDIA), Some(Frame::Indication));
    world.bind(allocation, 0x4005, MEDIA);
    assert_eq!(frame(&world, MEDIA), Some(Frame::Channel(0x4005)));
    world.forbid(allocation, MEDIA_HOST);
    assert!(world.out.routes.is_empty());
    assert_eq!(world.permit(allocation, MEDIA_HOST), None);
    assert_eq!(frame(&world, MEDIA), Some(Frame::Channel(0x4005)));
    world.command(RelayCommand::RemoveAllocation { allocation });
    assert!(world.out.routes.is_empty());
}

#[test]
fn what_media_sockets_send_by_themselves_is_in_the_statistics() {
    let home = udp(HOME);
    let (mut world, allocation) = connected(&home);
    let counters = world.out.routes[&address(RELAYED)].counters.clone();
    counters.packets.fetch_add(5, Relaxed);
    counters.bytes.fetch_add(500, Relaxed);
    world.bind(allocation, 0x4009, "192.168.0.1:7883");
    world.out.routes[&address(RELAYED)].counters.packets.fetch_add(1, Relaxed);
    world.receive(&home, &channel_data(0x4009, b"x", false));
    let stats = world.stats(allocation);
    assert_eq!((stats.packets_in, stats.bytes_in, stats.packets_out, stats.zero_hop_packets), (6, 500, 1, 7));
}

// ---- sockets and permissions

#[test]
fn sockets_are_bound_once_and_only_for_peers_outside() {
    let mut world = World::new();
    let home = udp(HOME);
    let allocation = world.allocate(&home, &[RELAYED]);
    assert_eq!(world.permit(allocation, MEDIA_HOST), None);
    assert_eq!(world.out.binds, 0);
    for host in [PEER_HOST, "10.0.0.8", PEER_HOST] {
        assert_eq!(world.permit(allocation, host), None);
    }
    assert_eq!((world.out.binds, world.counter("turn.permissions"), world.counter("turn.sockets")), (1, 3, 1));
    world.command(RelayCommand::RemoveAllocation { allocation });
    assert_eq!((world.out.sockets.len(), world.counter("turn.permissions"), world.counter("turn.sockets")), (0, 0, 0));
}

#[test]
fn a_relay_socket_is_bound_behind_the_nat_that_advertises_it() {
    let mut configuration = configuration();
    configuration.relay_hosts[0].bind = "10.7.0.1".parse().unwrap();
    let mut world = World::with(configuration);
    let allocation = world.allocate(&udp(HOME), &[RELAYED]);
    assert_eq!(world.permit(allocation, PEER_HOST), None);
    assert_eq!(world.out.sockets[&world.out.socket().0].0, address("10.7.0.1:50000"));
}

#[test]
fn a_permission_without_a_socket_or_against_the_rules_is_refused_and_nothing_is_left() {
    let mut world = World::new();
    let home = udp(HOME);
    let allocation = world.allocate(&home, &[RELAYED]);
    world.out.no_descriptors = true;
    assert_eq!(world.permit(allocation, PEER_HOST), Some("no_socket"));
    assert_eq!(world.permit(allocation, MEDIA_HOST), None, "that one needs none");
    assert_eq!(world.permit(allocation, "127.0.0.1"), Some("not_allowed"));
    assert_eq!(world.permit(allocation, "8.8.8.8"), Some("not_allowed"));
    world.receive(&home, &indication(PEER, b"x"));
    assert_eq!((world.counter("turn.dropped_no_permission"), world.counter("turn.permissions")), (1, 1));
    world.out.no_descriptors = false;
    assert_eq!(world.permit(allocation, PEER_HOST), None);
    let elsewhere = world.allocate(&udp("10.9.0.1:5009"), &["192.168.0.77:50000"]);
    assert_eq!(world.permit(elsewhere, PEER_HOST), Some("no_socket"), "no such relay host");
}

#[test]
fn commands_for_what_has_gone_are_ignored() {
    let mut world = World::new();
    let home = udp(HOME);
    let allocation = world.allocate(&home, &[RELAYED]);
    assert_eq!(world.permit(allocation, PEER_HOST), None);
    world.command(RelayCommand::RemoveAllocation { allocation });
    let host = PEER_HOST.parse().unwrap();
    world.command(RelayCommand::InstallPermission { allocation, host });
    world.command(RelayCommand::RemovePermission { allocation, host });
    world.bind(allocation, 0x4000, PEER);
    world.command(RelayCommand::RemoveChannel { allocation, channel: 0x4000 });
    world.command(RelayCommand::RemoveRelayed { allocation, family: relay::Family::V4 });
    world.command(RelayCommand::RemoveAllocation { allocation });
    assert_eq!((world.out.events.len(), world.counter("turn.channels")), (0, 0));
}

#[test]
fn a_relayed_address_belongs_to_one_allocation_and_a_client_has_one() {
    let mut world = World::new();
    let (first, second) = (udp(HOME), udp("10.9.0.1:5001"));
    let allocation = world.allocate(&first, &[RELAYED]);
    world.allocate(&second, &[RELAYED]);
    world.allocate(&first, &["192.168.0.1:50001"]);
    assert_eq!((world.counter("turn.allocations"), world.stats(allocation).allocation), (1, allocation));
    world.command(RelayCommand::RemoveAllocation { allocation });
    let next = world.allocate(&second, &[RELAYED]);
    assert_eq!(world.stats(next).allocation, next, "what was given back may be used again");
}

#[test]
fn channels_beyond_the_range_are_not_bound() {
    let (mut world, allocation) = connected(&udp(HOME));
    for channel in [0, 0x3fff, 0x7fff, 0xffff] {
        world.bind(allocation, channel, "10.0.0.9:9");
    }
    assert_eq!(world.counter("turn.channels"), 2);
}

#[test]
fn a_channel_number_follows_its_last_peer_and_a_peer_its_last_number() {
    let home = udp(HOME);
    let (mut world, allocation) = connected(&home);
    world.bind(allocation, 0x4000, "10.0.0.9:9");
    world.receive(&home, &channel_data(0x4000, b"x", false));
    assert_eq!(world.out.to_peer.pop().unwrap().1, address("10.0.0.9:9"));
    world.receive_from_peer(world.out.socket(), PEER, b"x");
    assert_eq!(read_indication(&world.out.payload_to_client().unwrap()).0, address(PEER));
    assert_eq!(world.counter("turn.channels"), 2);
}

// ---- changes of the rules

#[test]
fn what_is_no_longer_allowed_no_longer_works_and_works_again_when_it_is() {
    let home = udp(HOME);
    let (mut world, _) = connected(&home);
    let socket = world.out.socket();
    let closed = Configuration { allow_peers: Vec::new(), media: Vec::new(), ..configuration() };
    world.command(RelayCommand::Configure(closed));
    assert!(world.out.routes.is_empty());
    for _ in 0..2 {
        world.receive(&home, &channel_data(0x4000, b"x", false));
        world.receive(&home, &channel_data(0x7ffe, b"x", false));
        world.receive(&home, &indication(PEER, b"x"));
        world.receive_from_peer(socket, PEER, b"x");
        world.receive_from_peer(socket, "10.0.0.9:1", b"x");
        world.receive_from_media(MEDIA, RELAYED, b"x");
    }
    assert_eq!(world.counter("turn.dropped_denied_peer"), 12);
    assert_eq!((world.out.to_peer.len(), world.out.to_media.len(), world.out.to_client.len()), (0, 0, 0));
    world.command(RelayCommand::Configure(configuration()));
    world.receive(&home, &channel_data(0x4000, b"x", false));
    world.receive(&home, &channel_data(0x7ffe, b"x", false));
    world.receive_from_peer(socket, PEER, b"x");
    assert_eq!((world.out.to_peer.len(), world.out.to_media.len(), world.out.to_client.len()), (1, 1, 1));
    assert_eq!((world.out.binds, world.out.routes.len()), (1, 1));
}

#[test]
fn a_media_host_that_becomes_a_peer_gets_its_socket() {
    let mut world = World::new();
    let home = udp(HOME);
    let allocation = world.allocate(&home, &[RELAYED]);
    assert_eq!(world.permit(allocation, MEDIA_HOST), None);
    world.receive(&home, &indication("192.168.0.1:80", b"x"));
    let mut open = configuration();
    open.allow_peers.push(relay::PermissionRule { address: "192.168.0.0".parse().unwrap(), prefix_len: 16 });
    world.command(RelayCommand::Configure(open));
    world.receive(&home, &indication("192.168.0.1:80", b"x"));
    world.receive(&home, &indication(MEDIA, b"x"));
    assert_eq!((world.out.binds, world.out.to_peer.len(), world.out.to_media.len()), (1, 1, 1));
}

#[test]
fn a_new_realm_is_told_from_then_on() {
    let mut world = World::new();
    world.command(RelayCommand::Configure(Configuration { realm: "other.test".to_owned(), ..configuration() }));
    let bytes = world.answer(&udp(HOME), &request(Method::ALLOCATE, 1).transport(17).unsigned()).unwrap();
    assert_eq!(Message::parse(&bytes).unwrap().realm(), Some("other.test"));
}

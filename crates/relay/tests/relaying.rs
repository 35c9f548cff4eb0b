//! The way of application data between clients, peers and media sockets.

mod common;

use common::{
    HOME, LIMITS, MEDIA, MEDIA_HOST, PEER, PEER_HOST, RELAYED, RELAYED_V6, World, address, channel_data, client,
    connected, indication, message, read_indication, request, success, tcp, udp,
};
use relay::{AllocationId, ClientAddress, ClientTransport, RelayCommand, SocketId};
use wire::stun::{Class, Method, attribute};

// ---- from the client

#[test]
fn channel_data_goes_to_the_channels_peer_from_the_relayed_address() {
    for home in [udp(HOME), tcp(3, HOME), client(ClientTransport::Tls, 4, "[fd00:10::1]:5")] {
        let (mut world, allocation) = connected(&home);
        let socket = world.out.socket();
        assert_eq!(world.out.sockets[&socket.0], (address(RELAYED), false));
        for payload in [&b"hello"[..], b"", &[7; 1_400]] {
            world.receive(&home, &channel_data(0x4000, payload, home.transport.is_stream()));
            assert_eq!(world.out.to_peer.pop(), Some((socket, address(PEER), payload.to_vec())));
        }
        let stats = world.stats(allocation);
        assert_eq!((stats.packets_out, stats.bytes_out, stats.zero_hop_packets), (3, 1_405, 0));
        assert_eq!((world.counter("turn.to_peer_packets"), world.counter("turn.to_peer_bytes")), (3, 1_405));
        assert_eq!(world.counter(&format!("turn.from_{}_packets", home.transport.as_str())), 3);
        assert_eq!((world.dropped(), world.out.to_client.len()), (0, 0));
    }
}

#[test]
fn what_is_for_a_media_socket_takes_no_relay_socket() {
    let mut world = World::new();
    let home = udp(HOME);
    let allocation = world.allocate(&home, &[RELAYED]);
    assert_eq!(world.permit(allocation, MEDIA_HOST), None);
    world.bind(allocation, 0x4000, MEDIA);
    for _ in 0..10 {
        world.receive(&home, &channel_data(0x4000, b"rtp", false));
        world.receive(&home, &indication("192.168.0.1:7883", b"stun"));
    }
    assert_eq!((world.out.binds, world.out.to_peer.len(), world.out.to_media.len()), (0, 0, 20));
    assert_eq!(world.out.to_media[0], (0, address(RELAYED), address(MEDIA), b"rtp".to_vec()));
    assert_eq!(world.out.to_media[1], (1, address(RELAYED), address("192.168.0.1:7883"), b"stun".to_vec()));
    assert_eq!((world.stats(allocation).zero_hop_packets, world.counter("turn.to_media_bytes")), (20, 70));
}

#[test]
fn a_send_indication_goes_to_its_first_peer() {
    let home = udp(HOME);
    let (mut world, _) = connected(&home);
    let two = message(Class::Indication, Method::SEND, 1).data(b"x").peer("10.0.0.9:7").peer("10.0.0.9:8").unsigned();
    world.receive(&home, &two);
    assert_eq!(world.out.to_peer.pop(), Some((world.out.socket(), address("10.0.0.9:7"), b"x".to_vec())));
    world.receive(&home, &indication("[::ffff:10.0.0.9]:9", b"mapped"));
    assert_eq!(world.out.to_peer.pop(), Some((world.out.socket(), address("10.0.0.9:9"), b"mapped".to_vec())));
    assert!(world.out.to_peer.is_empty());
}

#[test]
fn an_indication_without_a_peer_or_data_or_with_something_unknown_is_dropped() {
    let home = udp(HOME);
    let (mut world, _) = connected(&home);
    let send = || message(Class::Indication, Method::SEND, 1);
    for bytes in [
        send().peer(PEER).unsigned(),
        send().data(b"x").unsigned(),
        send().data(b"x").attribute(attribute::XOR_PEER_ADDRESS, &[0, 1, 2]).peer(PEER).unsigned(),
        send().data(b"x").peer(PEER).attribute(0x7001, &[]).unsigned(),
    ] {
        world.receive(&home, &bytes);
    }
    assert_eq!((world.out.to_peer.len(), world.out.to_client.len()), (0, 0));
    let reasons = ["malformed", "unknown_attribute"].map(|name| world.counter(&format!("turn.dropped_{name}")));
    assert_eq!(reasons, [3, 1]);
}

#[test]
fn packets_that_must_not_be_fragmented_need_an_allocation_made_for_them() {
    let mut world = World::new();
    let send = || message(Class::Indication, Method::SEND, 1).data(b"x").attribute(attribute::DONT_FRAGMENT, &[]);
    let plain = udp(HOME);
    let allocation = world.allocate(&plain, &[RELAYED]);
    assert_eq!(world.permit(allocation, PEER_HOST), None);
    world.receive(&plain, &send().peer(PEER).unsigned());
    assert_eq!((world.out.to_peer.len(), world.counter("turn.dropped_dont_fragment")), (0, 1));

    let whole = udp("10.9.0.1:5001");
    let asked = world.ask(&whole, request(Method::ALLOCATE, 77).transport(17));
    world.command(RelayCommand::InstallAllocation(relay::InstallAllocation {
        allocation: AllocationId(77),
        client: asked.client,
        relayed: vec![address("192.168.0.1:50002")],
        limits: LIMITS,
        dont_fragment: true,
    }));
    world.command(RelayCommand::Reply(success(&asked)));
    assert_eq!(world.permit(AllocationId(77), PEER_HOST), None);
    world.receive(&whole, &send().peer(PEER).unsigned());
    let (socket, ..) = world.out.to_peer.pop().unwrap();
    assert_eq!(world.out.sockets[&socket.0], (address("192.168.0.1:50002"), true));
}

#[test]
fn without_an_allocation_a_permission_or_a_channel_nothing_is_relayed() {
    let home = udp(HOME);
    let (mut world, allocation) = connected(&home);
    let reason = |world: &World, name: &str| world.counter(&format!("turn.dropped_{name}"));
    let stranger = udp("10.9.0.1:5001");
    world.receive(&stranger, &channel_data(0x4000, b"x", false));
    world.receive(&stranger, &indication(PEER, b"x"));
    assert_eq!(reason(&world, "no_allocation"), 2);
    // The same ports by another way are another client.
    world.receive(&tcp(1, HOME), &channel_data(0x4000, b"x", true));
    world.receive(&ClientAddress { local: address("192.168.0.2:3478"), ..home }, &channel_data(0x4000, b"x", false));
    world.receive(&ClientAddress { local: address("192.168.0.1:443"), ..home }, &channel_data(0x4000, b"x", false));
    assert_eq!(reason(&world, "no_allocation"), 5);
    world.receive(&home, &channel_data(0x4001, b"x", false));
    assert_eq!(reason(&world, "no_channel"), 1);
    world.receive(&home, &indication("10.0.0.8:4000", b"x"));
    world.forbid(allocation, PEER_HOST);
    world.receive(&home, &channel_data(0x4000, b"x", false));
    world.receive(&home, &indication(PEER, b"x"));
    assert_eq!(reason(&world, "no_permission"), 3);
    world.receive(&home, &channel_data(0x4000, b"xyz", false)[..6]);
    world.receive(&home, &[0x7f, 0xff, 0, 0]);
    assert_eq!(reason(&world, "malformed"), 2);
    assert_eq!((world.out.to_peer.len(), world.out.to_media.len()), (0, 0));
    assert_eq!(world.permit(allocation, PEER_HOST), None);
    world.receive(&home, &channel_data(0x4000, b"x", false));
    assert_eq!(world.out.to_peer.len(), 1, "the channel was there all the time");
}

#[test]
fn a_permission_is_no_way_to_our_own_addresses_or_to_what_is_denied() {
    let home = udp(HOME);
    let (mut world, allocation) = connected(&home);
    assert_eq!(world.permit(allocation, "10.0.0.1"), None);
    // A media host, beside its media sockets; another relayed address; a listener; port 0.
    for peer in ["192.168.0.1:80", "192.168.0.1:50001", "10.0.0.1:443", "10.0.0.1:0"] {
        world.receive(&home, &indication(peer, b"x"));
        world.bind(allocation, 0x5000, peer);
        world.receive(&home, &channel_data(0x5000, b"x", false));
    }
    assert_eq!(world.counter("turn.dropped_denied_peer"), 8);
    assert_eq!((world.out.to_peer.len(), world.out.to_media.len()), (0, 0));
}

#[test]
fn junk_behind_channel_data_is_cut_off() {
    let home = udp(HOME);
    let (mut world, _) = connected(&home);
    world.receive(&home, &[&channel_data(0x4000, b"abc", false)[..], b"junk"].concat());
    assert_eq!(world.out.to_peer.pop().unwrap().2, b"abc");
}

// ---- to the client

#[test]
fn a_peer_with_a_channel_is_heard_on_it_and_any_other_in_indications() {
    for home in [udp(HOME), tcp(3, HOME)] {
        let (mut world, allocation) = connected(&home);
        let socket = world.out.socket();
        for payload in [&b"12345"[..], b"", b"1234"] {
            world.receive_from_peer(socket, PEER, payload);
            let (to, bytes) = world.out.to_client.pop().unwrap();
            assert_eq!((to, bytes), (home, channel_data(0x4000, payload, home.transport.is_stream())));
        }
        for payload in [&b"12345"[..], b"", b"1234"] {
            world.receive_from_peer(socket, "10.0.0.9:4001", payload);
            let bytes = world.out.payload_to_client().unwrap();
            assert_eq!(read_indication(&bytes), (address("10.0.0.9:4001"), payload.to_vec()));
        }
        let stats = world.stats(allocation);
        assert_eq!((stats.packets_in, stats.bytes_in, stats.zero_hop_packets), (6, 18, 0));
        assert_eq!(world.counter(&format!("turn.to_{}_bytes", home.transport.as_str())), 18);
    }
}

#[test]
fn every_byte_to_a_client_is_written() {
    let home = tcp(3, HOME);
    let (mut world, _) = connected(&home);
    let socket = world.out.socket();
    for len in 0..64 {
        for peer in [PEER, "10.0.0.9:4001"] {
            world.receive_from_peer(socket, peer, &vec![0x11; len]);
            let bytes = world.out.payload_to_client().unwrap();
            assert_eq!(bytes.len() % 4, 0);
            let padding = bytes.iter().rev().take(len.wrapping_neg() % 4);
            assert!(padding.copied().all(|byte| byte == 0), "{bytes:02x?}");
            assert!(!bytes.ends_with(&[0xee]));
        }
    }
}

#[test]
fn indications_have_ids_of_their_own() {
    let home = udp(HOME);
    let (mut world, _) = connected(&home);
    let socket = world.out.socket();
    let ids: std::collections::HashSet<Vec<u8>> = (0..1_000)
        .map(|_| {
            world.receive_from_peer(socket, "10.0.0.9:1", b"x");
            world.out.payload_to_client().unwrap()[8..20].to_vec()
        })
        .collect();
    assert_eq!(ids.len(), 1_000);
}

#[test]
fn peers_without_a_permission_are_not_heard() {
    let home = udp(HOME);
    let (mut world, allocation) = connected(&home);
    let socket = world.out.socket();
    world.receive_from_peer(socket, "10.0.0.8:4000", b"x");
    world.receive_from_peer(socket, "[fd00:10::1]:4000", b"x");
    world.forbid(allocation, PEER_HOST);
    world.receive_from_peer(socket, PEER, b"x");
    assert_eq!(world.counter("turn.dropped_no_permission") + world.counter("turn.dropped_no_socket"), 3);
    world.receive_from_peer(SocketId(77), PEER, b"x");
    assert_eq!((world.counter("turn.dropped_no_allocation"), world.out.to_client.len()), (1, 0));
}

#[test]
fn our_own_addresses_are_not_heard_through_a_relay_socket() {
    let home = udp(HOME);
    let (mut world, _) = connected(&home);
    let socket = world.out.socket();
    for peer in [MEDIA, "192.168.0.1:50001", "192.168.0.1:80"] {
        world.receive_from_peer(socket, peer, b"x");
    }
    assert_eq!((world.counter("turn.dropped_denied_peer"), world.out.to_client.len()), (3, 0));
}

#[test]
fn what_is_too_long_for_its_frame_is_dropped() {
    let home = tcp(3, HOME);
    let (mut world, _) = connected(&home);
    let socket = world.out.socket();
    for (peer, len) in [(PEER, 65_536), ("10.0.0.9:1", 65_520)] {
        world.receive_from_peer(socket, peer, &vec![0; len]);
    }
    assert_eq!((world.counter("turn.dropped_oversize"), world.out.to_client.len()), (2, 0));
    world.receive_from_peer(socket, "10.0.0.9:1", &vec![0; 65_507]);
    assert_eq!(read_indication(&world.out.payload_to_client().unwrap()).1.len(), 65_507);
}

#[test]
fn media_sockets_reach_clients_on_connections_through_the_relay() {
    let home = tcp(3, HOME);
    let (mut world, allocation) = connected(&home);
    world.receive_from_media(MEDIA, RELAYED, b"rtp");
    assert_eq!(world.out.payload_to_client(), Some(channel_data(0x7ffe, b"rtp", true)));
    world.receive_from_media("192.168.0.1:7883", RELAYED, b"stun");
    let bytes = world.out.payload_to_client().unwrap();
    assert_eq!(read_indication(&bytes), (address("192.168.0.1:7883"), b"stun".to_vec()));
    let stats = world.stats(allocation);
    assert_eq!((stats.packets_in, stats.bytes_in, stats.zero_hop_packets), (2, 7, 2));
    assert_eq!(world.counter("turn.from_media_packets"), 2);
    for (media, relayed) in [("192.168.0.1:80", RELAYED), (PEER, RELAYED), (MEDIA, "192.168.0.1:50001")] {
        world.receive_from_media(media, relayed, b"x");
    }
    world.forbid(allocation, MEDIA_HOST);
    world.receive_from_media(MEDIA, RELAYED, b"x");
    assert_eq!((world.dropped(), world.out.to_client.len()), (4, 0));
}

// ---- two families

#[test]
fn each_family_has_its_own_relayed_address_socket_and_route() {
    let mut world = World::new();
    let home = udp(HOME);
    let allocation = world.allocate(&home, &[RELAYED, RELAYED_V6]);
    for host in [PEER_HOST, "fd00:10::5", MEDIA_HOST, "fd00::1"] {
        assert_eq!(world.permit(allocation, host), None);
    }
    assert_eq!((world.out.sockets.len(), world.out.routes.len()), (2, 2));
    world.receive(&home, &indication("[fd00:10::5]:5", b"six"));
    let (socket, peer, _) = world.out.to_peer.pop().unwrap();
    assert_eq!((world.out.sockets[&socket.0].0, peer), (address(RELAYED_V6), address("[fd00:10::5]:5")));
    world.receive(&home, &indication("[fd00::1]:7882", b"media"));
    assert_eq!(world.out.to_media.pop().unwrap().1, address(RELAYED_V6));
    world.receive_from_peer(socket, "[fd00:10::5]:5", b"back");
    assert_eq!(read_indication(&world.out.payload_to_client().unwrap()), (address("[fd00:10::5]:5"), b"back".to_vec()));

    world.command(RelayCommand::RemoveRelayed { allocation, family: relay::Family::V6 });
    assert_eq!((world.out.sockets.len(), world.out.routes.len()), (1, 1));
    world.receive(&home, &indication("[fd00:10::5]:5", b"six"));
    world.receive_from_peer(socket, "[fd00:10::5]:5", b"late");
    assert_eq!((world.counter("turn.dropped_no_socket"), world.counter("turn.dropped_no_allocation")), (1, 1));
    world.receive(&home, &indication(PEER, b"four"));
    assert_eq!(world.out.to_peer.len(), 1);
}

#[test]
fn a_family_without_a_relayed_address_has_no_permissions() {
    let mut world = World::new();
    let allocation = world.allocate(&udp(HOME), &[RELAYED]);
    assert_eq!(world.permit(allocation, "fd00:10::5"), Some("no_socket"));
    assert_eq!(world.permit(allocation, "fd00::1"), Some("no_socket"));
    assert_eq!(world.counter("turn.permissions"), 0);
}

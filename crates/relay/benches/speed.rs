//! What one packet and one allocation cost here, beside everything that the kernel does: `cargo bench -p relay --bench speed`.

#![allow(clippy::print_stdout)] // That is where measurements go.

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::{MEDIA, World, address, channel_data, message, tcp, udp};
use relay::{AllocationLimits, ClientAddress, ConnectionId, Outputs, RelayCommand, RelayEvent, Route, SocketId};
use wire::stun::{Class, Method};

/// One room, as the send queue of the I/O thread has it.
struct Room(Vec<u8>);

impl Outputs for Room {
    fn to_client(&mut self, _: &ClientAddress, len: usize) -> &mut [u8] {
        &mut self.0[..len]
    }

    fn to_peer(&mut self, _: SocketId, _: SocketAddr, payload: &[u8]) {
        self.0[..payload.len()].copy_from_slice(payload);
    }

    fn to_media(&mut self, _: u32, _: SocketAddr, _: SocketAddr, payload: &[u8]) {
        self.0[..payload.len()].copy_from_slice(payload);
    }

    fn set_route(&mut self, _: SocketAddr, _: Option<Route>) {}

    fn bind(&mut self, _: SocketId, _: SocketAddr, _: bool) -> io::Result<()> {
        Ok(())
    }

    fn close(&mut self, _: SocketId) {}

    fn keep_connection(&mut self, _: ConnectionId) {}

    fn close_connection(&mut self, _: ConnectionId) {}

    fn event(&mut self, event: RelayEvent) {
        black_box(event);
    }
}

fn main() {
    nanoseconds_per_packet();
    nanoseconds_per_message_of_other_kinds();
    bytes_of_resident_memory_per_allocation();
}

fn nanoseconds_per_packet() {
    for (clients, channels) in [(1, 1), (1_000, 1), (4_000, 1), (10, 256)] {
        for len in [120, 1_200] {
            measure(clients, channels, len);
        }
    }
}

fn measure(clients: u16, channels: u16, len: usize) {
    let limits = AllocationLimits { packets_per_s: u32::MAX, bytes_per_s: 1 << 50, new_peers_per_s: u32::MAX };
    let mut world = World::with(relay::Configuration { unauthenticated_per_s: u32::MAX, ..common::configuration() });
    let home = |number: u16| udp(&format!("10.9.{}.{}:5000", number >> 8, number & 255));
    for number in 0..clients {
        let relayed = format!("192.168.0.1:{}", 50_000 + number);
        let allocation = world.allocate_with(&home(number), &[&relayed], limits);
        for channel in 0..channels {
            let host = format!("10.1.{}.{}", number & 255, channel & 255);
            assert_eq!(world.permit(allocation, &host), None);
            world.bind(allocation, 0x4000 + channel, &format!("{host}:4000"));
            world.advance(Duration::from_millis(5));
        }
        world.out.clear();
    }
    let mut room = Room(vec![0; 2_048]);
    let (relay, now, payload) = (&mut world.relay, world.now, vec![7; len]);
    let homes: Vec<ClientAddress> = (0..clients).map(home).collect();
    let pick = |turn: usize| (turn.wrapping_mul(7_919) % clients as usize, (turn % channels as usize) as u16);
    let frames: Vec<Vec<u8>> = (0..channels).map(|channel| channel_data(0x4000 + channel, &payload, false)).collect();
    let out = timed(|turn| {
        let (client, channel) = pick(turn);
        relay.handle_client(now, &homes[client], &frames[channel as usize], &mut room);
    });
    let peer = |client: usize, channel: u16| SocketAddr::from(([10, 1, client as u8, channel as u8], 4_000));
    let back = timed(|turn| {
        let (client, channel) = pick(turn);
        relay.handle_peer(now, SocketId(client as u32), peer(client, channel), &payload, &mut room);
    });
    let strangers = timed(|turn| {
        let (client, _) = pick(turn);
        relay.handle_peer(now, SocketId(client as u32), SocketAddr::from(([10, 2, 2, 2], 4_000)), &payload, &mut room);
    });
    assert_eq!(world.counter("turn.to_peer_packets"), TURNS as u64 * 3);
    assert_eq!(world.counter("turn.to_udp_packets"), TURNS as u64 * 3);
    println!(
        "{clients:>5} clients, {channels:>3} channels, {len:>4} B: from the client {out} ns, from a peer {back} ns, from a peer without permission {strangers} ns"
    );
}

fn nanoseconds_per_message_of_other_kinds() {
    let mut world = World::with(relay::Configuration { unauthenticated_per_s: u32::MAX, ..common::configuration() });
    let limits = AllocationLimits { packets_per_s: u32::MAX, bytes_per_s: 1 << 50, new_peers_per_s: u32::MAX };
    let (home, stream) = (udp("10.9.0.1:5000"), tcp(4, "10.9.0.1:5000"));
    for (number, home) in (50_000..).zip([home, stream]) {
        let allocation = world.allocate_with(&home, &[&format!("192.168.0.1:{number}")], limits);
        for host in ["10.0.0.9", "192.168.0.1"] {
            assert_eq!(world.permit(allocation, host), None);
        }
        world.bind(allocation, 0x4000, MEDIA);
    }
    let mut room = Room(vec![0; 2_048]);
    let payload = vec![7; 1_200];
    let binding = common::request(Method::BINDING, 1).unsigned();
    let allocate = common::request(Method::ALLOCATE, 1).transport(17).unsigned();
    let send = message(Class::Indication, Method::SEND, 1).data(&payload).peer("10.0.0.9:5").unsigned();
    let media = channel_data(0x4000, &payload, false);
    let (relay, now) = (&mut world.relay, world.now);
    let mut cost = |name: &str, message: &[u8], client: &ClientAddress| {
        let nanos = timed(|_| relay.handle_client(now, client, message, &mut room));
        println!("{name}: {nanos} ns");
    };
    cost("Binding", &binding, &udp("10.9.9.9:1"));
    cost("401", &allocate, &udp("10.9.9.9:1"));
    cost("Send, 1200 B", &send, &home);
    cost("ChannelData to a media socket, 1200 B", &media, &home);
    let indication = timed(|_| relay.handle_peer(now, SocketId(0), address("10.0.0.9:77"), &payload, &mut room));
    println!("Data indication, 1200 B: {indication} ns");
    world.command(RelayCommand::RemoveAllocation { allocation: relay::AllocationId(1) });
}

fn bytes_of_resident_memory_per_allocation() {
    const ALLOCATIONS: u16 = 10_000;
    let mut world = World::with(relay::Configuration { unauthenticated_per_s: u32::MAX, ..common::configuration() });
    let before = resident();
    for number in 0..ALLOCATIONS {
        let home = udp(&format!("10.9.{}.{}:5000", number >> 8, number & 255));
        let allocation = world.allocate(&home, &[&format!("192.168.0.1:{}", 50_000 + number)]);
        assert_eq!(world.permit(allocation, "192.168.0.1"), None);
        world.bind(allocation, 0x4000, MEDIA);
        world.out.clear();
        world.out.routes.clear();
    }
    let fresh = (resident() - before) / usize::from(ALLOCATIONS);
    world.advance(Duration::from_secs(41));
    println!("{fresh} bytes, the last answer of each included; counted: {}", world.relay.bytes_per_allocation());
    assert!(fresh < 4_096);
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    4_096 * statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number of pages")
}

/// The best of three.
fn timed(mut f: impl FnMut(usize)) -> u128 {
    let mut once = || {
        #[expect(clippy::disallowed_methods, reason = "it is what this file is for")]
        let start = Instant::now();
        (0..TURNS).for_each(&mut f);
        start.elapsed().as_nanos() / TURNS as u128
    };
    (0..3).map(|_| once()).min().unwrap_or_default()
}

const TURNS: usize = 1_000_000;

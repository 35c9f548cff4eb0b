//! A relay in virtual time, with clients that know how to ask and a driver that says yes.
#![allow(dead_code, unused_imports, unreachable_pub)] // Every test file takes what it needs.

mod message;
mod recorder;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use message::{Ask, KEY, Mac, REALM, answer_of, message, nonce_of, request, verifies};
pub use recorder::Recorder;
use relay::{
    AllocationId, AllocationLimits, AllocationStats, ClientAddress, ClientTransport, Configuration, ConnectionId,
    InstallAllocation, InstallChannel, MediaAddress, PermissionRule, Relay, RelayCommand, RelayEvent, RelayHost, Reply,
    Request, SocketId,
};
use wire::stun::{Class, Message, Method, attribute};

/// The server as clients see it, one of its shards, somebody outside, and where the relayed address is.
pub const SERVER: &str = "192.168.0.1:3478";
pub const MEDIA: &str = "192.168.0.1:7882";
pub const PEER: &str = "10.0.0.9:4000";
pub const RELAYED: &str = "192.168.0.1:50000";
pub const RELAYED_V6: &str = "[fd00::1]:50000";
pub const HOME: &str = "10.9.0.1:5000";
pub const MEDIA_HOST: &str = "192.168.0.1";
pub const PEER_HOST: &str = "10.0.0.9";

/// Relay, surroundings, clock.
pub struct World {
    pub relay: Relay,
    pub out: Recorder,
    pub now: Instant,
    next_allocation: u64,
}

impl World {
    pub fn new() -> Self {
        Self::with(configuration())
    }

    pub fn with(configuration: Configuration) -> Self {
        #[expect(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]
        let now = Instant::now();
        let mut world = Self { relay: Relay::new([7; 32], now), out: Recorder::default(), now, next_allocation: 1 };
        world.command(RelayCommand::Configure(configuration));
        world
    }

    pub fn command(&mut self, command: RelayCommand) {
        self.relay.handle_command(self.now, command, &mut self.out);
    }

    pub fn receive(&mut self, client: &ClientAddress, message: &[u8]) {
        self.relay.handle_client(self.now, client, message, &mut self.out);
    }

    pub fn receive_from_peer(&mut self, socket: SocketId, peer: &str, payload: &[u8]) {
        self.relay.handle_peer(self.now, socket, address(peer), payload, &mut self.out);
    }

    pub fn receive_from_media(&mut self, media: &str, relayed: &str, payload: &[u8]) {
        self.relay.handle_media(self.now, address(media), address(relayed), payload, &mut self.out);
    }

    /// What comes back for a message, if anything does.
    pub fn answer(&mut self, client: &ClientAddress, message: &[u8]) -> Option<Vec<u8>> {
        self.receive(client, message);
        self.out.to_client.pop().map(|(to, bytes)| {
            assert_eq!(to, *client);
            bytes
        })
    }

    /// Lets time pass, with timeouts as they come.
    pub fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.relay.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.relay.handle_timeout(self.now, &mut self.out);
        }
        self.now = end;
    }

    pub fn counter(&self, name: &str) -> u64 {
        let mut found = None;
        self.relay.counters().visit(|known, count| {
            if known == name {
                found = Some(count);
            }
        });
        found.unwrap_or_else(|| panic!("no counter {name}"))
    }

    /// What was dropped in all.
    pub fn dropped(&self) -> u64 {
        let mut dropped = 0;
        self.relay.counters().visit(|name, count| dropped += if name.contains(".dropped_") { count } else { 0 });
        dropped
    }

    // ---- conversations

    /// A nonce as clients get it.
    pub fn nonce(&mut self, client: &ClientAddress) -> Vec<u8> {
        let challenge = self.answer(client, &request(Method::ALLOCATE, 0x00c0_ffee).transport(17).unsigned());
        nonce_of(&challenge.expect("a challenge"))
    }

    /// Sends a good request; what the driver gets.
    pub fn ask(&mut self, client: &ClientAddress, ask: Ask) -> Request {
        let nonce = self.nonce(client);
        self.receive(client, &ask.signed(&nonce, Mac::Sha1));
        self.out.request().expect("a request for the driver")
    }

    /// An allocation with one relayed address for each of these.
    pub fn allocate(&mut self, client: &ClientAddress, relayed: &[&str]) -> AllocationId {
        self.allocate_with(client, relayed, LIMITS)
    }

    pub fn allocate_with(
        &mut self,
        client: &ClientAddress,
        relayed: &[&str],
        limits: AllocationLimits,
    ) -> AllocationId {
        let id = AllocationId(self.next_allocation);
        self.next_allocation += 1;
        let request = self.ask(client, request(Method::ALLOCATE, id.0).transport(17));
        let relayed: Vec<SocketAddr> = relayed.iter().map(|text| address(text)).collect();
        self.command(RelayCommand::InstallAllocation(InstallAllocation {
            allocation: id,
            client: request.client,
            relayed: relayed.clone(),
            limits,
            dont_fragment: request.dont_fragment,
        }));
        self.command(RelayCommand::Reply(Reply { relayed, lifetime_s: Some(600), ..success(&request) }));
        self.out.to_client.clear();
        id
    }

    /// Whether it was granted, or why not.
    pub fn permit(&mut self, allocation: AllocationId, host: &str) -> Option<&'static str> {
        let host = host.parse().expect("a literal");
        self.command(RelayCommand::InstallPermission { allocation, host });
        match self.out.events.pop() {
            Some(RelayEvent::PermissionInstalled { allocation: of, host: at, reason }) => {
                assert_eq!((of, at), (allocation, host));
                reason
            }
            other => panic!("not about the permission: {other:?}"),
        }
    }

    pub fn forbid(&mut self, allocation: AllocationId, host: &str) {
        self.command(RelayCommand::RemovePermission { allocation, host: host.parse().expect("a literal") });
    }

    pub fn bind(&mut self, allocation: AllocationId, channel: u16, peer: &str) {
        let peer = address(peer);
        self.command(RelayCommand::InstallChannel(InstallChannel { allocation, channel, peer }));
    }

    pub fn stats(&self, allocation: AllocationId) -> AllocationStats {
        self.relay.allocations().find(|stats| stats.allocation == allocation).expect("an allocation")
    }
}

/// A client with a channel to the peer and one to a media socket.
pub fn connected(home: &ClientAddress) -> (World, AllocationId) {
    let mut world = World::new();
    let allocation = world.allocate(home, &[RELAYED]);
    assert_eq!(world.permit(allocation, PEER_HOST), None);
    assert_eq!(world.permit(allocation, MEDIA_HOST), None);
    world.bind(allocation, 0x4000, PEER);
    world.bind(allocation, 0x7ffe, MEDIA);
    (world, allocation)
}

pub fn indication(peer: &str, payload: &[u8]) -> Vec<u8> {
    message(Class::Indication, Method::SEND, 1).data(payload).peer(peer).unsigned()
}

/// Peer and payload of a Data indication.
pub fn read_indication(bytes: &[u8]) -> (SocketAddr, Vec<u8>) {
    let message = Message::parse(bytes).expect("an indication");
    assert_eq!((message.class(), message.method()), (Class::Indication, Method::DATA));
    let peer = message.xor_address(attribute::XOR_PEER_ADDRESS).expect("a peer");
    (peer, message.find(attribute::DATA).expect("data").to_vec())
}

pub fn success(request: &Request) -> Reply {
    Reply {
        request: request.request,
        error: None,
        unknown_attributes: Vec::new(),
        lifetime_s: None,
        relayed: Vec::new(),
        address_error: None,
        reservation_token: None,
        key: Some(KEY.to_vec()),
    }
}

/// Its own media sockets, and the network 10/8.
pub fn configuration() -> Configuration {
    let rule = |address: &str, prefix_len| PermissionRule { address: address.parse().expect("a literal"), prefix_len };
    let host =
        |text: &str| RelayHost { bind: text.parse().expect("a literal"), advertised: text.parse().expect("a literal") };
    Configuration {
        realm: REALM.to_owned(),
        relay_hosts: vec![host("192.168.0.1"), host("fd00::1")],
        relay_ports: (50_000, 59_999),
        media: vec![
            MediaAddress { address: address(MEDIA), shard: 0 },
            MediaAddress { address: address("192.168.0.1:7883"), shard: 1 },
            MediaAddress { address: address("[fd00::1]:7882"), shard: 0 },
        ],
        allow_peers: vec![rule("10.0.0.0", 8), rule("fd00:10::", 32)],
        deny_peers: vec![address("10.0.0.1:443")],
        unauthenticated_per_s: 1_000,
    }
}

pub const LIMITS: AllocationLimits =
    AllocationLimits { packets_per_s: 100_000, bytes_per_s: 100_000_000, new_peers_per_s: 100 };

pub fn udp(remote: &str) -> ClientAddress {
    client(ClientTransport::Udp, 0, remote)
}

pub fn tcp(connection: u64, remote: &str) -> ClientAddress {
    client(ClientTransport::Tcp, connection, remote)
}

pub fn client(transport: ClientTransport, connection: u64, remote: &str) -> ClientAddress {
    ClientAddress { transport, connection: ConnectionId(connection), local: address(SERVER), remote: address(remote) }
}

pub fn address(text: &str) -> SocketAddr {
    text.parse().unwrap_or_else(|_| panic!("{text} is no address"))
}

/// `ChannelData`, padded for a stream when `padded`.
pub fn channel_data(channel: u16, payload: &[u8], padded: bool) -> Vec<u8> {
    let mut message = [&channel.to_be_bytes()[..], &(payload.len() as u16).to_be_bytes(), payload].concat();
    if padded {
        message.resize(message.len().next_multiple_of(4), 0);
    }
    message
}

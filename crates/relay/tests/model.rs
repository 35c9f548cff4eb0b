//! Any sequence of commands, data, changes of rules and ends, against a model that says what must come out.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use common::{MEDIA, World, address, channel_data, configuration, message, tcp, udp};
use relay::{AllocationId, ClientAddress, Configuration, Frame, RelayCommand, RelayEvent, SocketId};
use wire::stun::{Class, Method};

#[test]
fn the_relay_does_what_the_model_says() {
    let mut relayed = [0; 4];
    for seed in 0..500 {
        let mut pair = Pair::new(seed);
        for step in 0..400 {
            pair.step();
            pair.check(&format!("seed {seed}, step {step}"));
        }
        for (sum, name) in relayed.iter_mut().zip(["to_peer", "to_media", "to_udp", "to_tcp"]) {
            *sum += pair.world.counter(&format!("turn.{name}_packets"));
        }
        pair.finish();
    }
    assert!(relayed.iter().all(|count| *count > 500), "every way was gone: {relayed:?}");
}

/// What should be there, in the simplest form.
#[derive(Default)]
struct Model {
    allocations: BTreeMap<usize, Allocated>,
    /// Whether 10/8 may be reached, and whether there are media sockets.
    open: bool,
    media: bool,
}

struct Allocated {
    id: AllocationId,
    relayed: SocketAddr,
    socket: Option<SocketId>,
    permissions: BTreeSet<IpAddr>,
    channels: BTreeMap<u16, SocketAddr>,
}

#[derive(PartialEq)]
enum Way {
    Media,
    Outside,
    None,
}

impl Model {
    fn configuration(&self) -> Configuration {
        let mut rules = Configuration { unauthenticated_per_s: u32::MAX, ..configuration() };
        rules.deny_peers = vec![address("10.0.0.1:443"), address("10.0.0.2:443")];
        if !self.open {
            rules.allow_peers.clear();
        }
        if !self.media {
            rules.media.clear();
        }
        rules
    }

    fn way(&self, peer: SocketAddr) -> Way {
        if self.media && peer == address(MEDIA) {
            return Way::Media;
        }
        let inside = matches!(peer.ip(), IpAddr::V4(ip) if ip.octets()[0] == 10);
        if self.open && inside && peer.port() != 443 { Way::Outside } else { Way::None }
    }

    fn may_be_permitted(&self, host: IpAddr) -> bool {
        self.media && host == address(MEDIA).ip() || self.wants_socket(host)
    }

    fn wants_socket(&self, host: IpAddr) -> bool {
        self.open && matches!(host, IpAddr::V4(ip) if ip.octets()[0] == 10)
    }
}

impl Allocated {
    fn way(&self, model: &Model, peer: SocketAddr) -> Way {
        if self.permissions.contains(&peer.ip()) { model.way(peer) } else { Way::None }
    }

    fn channel_of(&self, peer: SocketAddr) -> Option<u16> {
        self.channels.iter().find(|(_, bound)| **bound == peer).map(|(number, _)| *number)
    }
}

struct Pair {
    world: World,
    model: Model,
    clients: [ClientAddress; 4],
    random: u64,
    ports: u16,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let clients = [udp("10.9.0.1:1"), udp("10.9.0.1:2"), tcp(3, "10.9.0.1:3"), tcp(4, "10.9.0.2:4")];
        let model = Model { open: true, media: true, ..Model::default() };
        Self { world: World::with(model.configuration()), model, clients, random: seed * 2 + 1, ports: 50_000 }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.random >> 33) as usize) % bound
    }

    fn host(&mut self) -> IpAddr {
        ["10.0.0.1", "10.0.0.2", "192.168.0.1", "127.0.0.1", "8.8.8.8"][self.below(5)].parse().expect("a literal")
    }

    fn peer(&mut self) -> SocketAddr {
        if self.below(3) == 0 {
            return address(MEDIA);
        }
        let host = self.host();
        SocketAddr::new(host, [443, 1_000, 1_001][self.below(3)])
    }

    fn step(&mut self) {
        let at = self.below(4);
        match self.below(16) {
            0 => self.allocate(at),
            1 if self.below(4) == 0 => self.remove(at),
            1..=4 => self.permit(at),
            5 => self.forbid(at),
            6 | 7 => self.bind(at),
            8 => self.unbind(at),
            9..=11 => self.send(at),
            12 | 13 => self.receive(at),
            14 => self.receive_media(at),
            _ if self.below(4) == 0 => self.configure(),
            _ => self.starve(),
        }
    }

    fn allocate(&mut self, at: usize) {
        if self.model.allocations.contains_key(&at) {
            return;
        }
        self.ports += 1;
        let relayed = SocketAddr::new(address(MEDIA).ip(), self.ports);
        let id = self.world.allocate(&self.clients[at], &[&relayed.to_string()]);
        let (permissions, channels) = (BTreeSet::new(), BTreeMap::new());
        self.model.allocations.insert(at, Allocated { id, relayed, socket: None, permissions, channels });
    }

    fn remove(&mut self, at: usize) {
        let Some(allocated) = self.model.allocations.remove(&at) else { return };
        if self.clients[at].transport.is_stream() {
            // The connection ends; another one comes in its place.
            let connection = self.clients[at].connection;
            self.world.relay.handle_connection_closed(self.world.now, connection, &mut self.world.out);
            assert!(matches!(self.world.out.events.pop(), Some(RelayEvent::ClientGone { .. })));
            self.clients[at].connection.0 += 10;
        } else {
            self.world.command(RelayCommand::RemoveAllocation { allocation: allocated.id });
        }
    }

    fn permit(&mut self, at: usize) {
        let host = self.host();
        let Some(allocated) = self.model.allocations.get(&at) else { return };
        let reason = self.world.permit(allocated.id, &host.to_string());
        let wants_socket = self.model.wants_socket(host);
        let want = if !self.model.may_be_permitted(host) {
            Some("not_allowed")
        } else if wants_socket && allocated.socket.is_none() && self.world.out.no_descriptors {
            Some("no_socket")
        } else {
            None
        };
        assert_eq!(reason, want, "{host}");
        let socket = self.socket_at(at);
        if let Some(allocated) = self.model.allocations.get_mut(&at) {
            if want.is_none() {
                allocated.permissions.insert(host);
            } else {
                allocated.permissions.remove(&host);
            }
            assert!(!wants_socket || want.is_some() || socket.is_some());
            allocated.socket = socket;
        }
    }

    /// The socket that is bound at a client's relayed address.
    fn socket_at(&self, at: usize) -> Option<SocketId> {
        let relayed = self.model.allocations.get(&at)?.relayed;
        let found = self.world.out.sockets.iter().find(|(_, (bound, _))| *bound == relayed);
        found.map(|(socket, _)| SocketId(*socket))
    }

    fn forbid(&mut self, at: usize) {
        let host = self.host();
        if let Some(allocated) = self.model.allocations.get_mut(&at) {
            allocated.permissions.remove(&host);
            self.world.forbid(allocated.id, &host.to_string());
        }
    }

    fn bind(&mut self, at: usize) {
        let (number, peer) = (0x4000 + self.below(4) as u16, self.peer());
        if let Some(allocated) = self.model.allocations.get_mut(&at) {
            allocated.channels.retain(|_, bound| *bound != peer);
            allocated.channels.insert(number, peer);
            self.world.bind(allocated.id, number, &peer.to_string());
        }
    }

    fn unbind(&mut self, at: usize) {
        let channel = 0x4000 + self.below(4) as u16;
        if let Some(allocated) = self.model.allocations.get_mut(&at) {
            allocated.channels.remove(&channel);
            self.world.command(RelayCommand::RemoveChannel { allocation: allocated.id, channel });
        }
    }

    fn send(&mut self, at: usize) {
        let client = self.clients[at];
        let (number, peer, on_channel) = (0x4000 + self.below(4) as u16, self.peer(), self.below(2) == 0);
        let (bytes, peer) = if on_channel {
            let bound = self.model.allocations.get(&at).and_then(|allocated| allocated.channels.get(&number)).copied();
            (channel_data(number, b"out", client.transport.is_stream()), bound)
        } else {
            let ask = message(Class::Indication, Method::SEND, 1).data(b"out").peer(&peer.to_string());
            (ask.unsigned(), Some(peer))
        };
        self.world.receive(&client, &bytes);
        let allocated = self.model.allocations.get(&at);
        let way = allocated.zip(peer).map_or(Way::None, |(allocated, peer)| allocated.way(&self.model, peer));
        let (to_peer, to_media) = (self.world.out.to_peer.pop(), self.world.out.to_media.pop());
        match (way, allocated, peer) {
            (Way::Outside, Some(allocated), Some(peer)) if allocated.socket.is_some() => {
                assert_eq!(to_peer, allocated.socket.map(|socket| (socket, peer, b"out".to_vec())));
                assert_eq!(to_media, None);
            }
            (Way::Media, Some(allocated), Some(peer)) => {
                assert_eq!(to_media, Some((0, allocated.relayed, peer, b"out".to_vec())));
                assert_eq!(to_peer, None);
            }
            _ => assert_eq!((to_peer, to_media), (None, None)),
        }
    }

    fn receive(&mut self, at: usize) {
        let peer = self.peer();
        let Some(allocated) = self.model.allocations.get(&at) else { return };
        let Some(socket) = allocated.socket else { return };
        self.world.receive_from_peer(socket, &peer.to_string(), b"in");
        let heard = allocated.way(&self.model, peer) == Way::Outside;
        let channel = allocated.channel_of(peer);
        self.heard(at, heard, channel);
    }

    fn receive_media(&mut self, at: usize) {
        let Some(allocated) = self.model.allocations.get(&at) else { return };
        self.world.receive_from_media(MEDIA, &allocated.relayed.to_string(), b"in");
        let heard = allocated.way(&self.model, address(MEDIA)) == Way::Media;
        let channel = allocated.channel_of(address(MEDIA));
        self.heard(at, heard, channel);
    }

    /// The client hears of it if it should, and how it should.
    fn heard(&mut self, at: usize, heard: bool, channel: Option<u16>) {
        let client = self.clients[at];
        match (self.world.out.to_client.pop(), heard, channel) {
            (None, false, _) => {}
            (Some((to, bytes)), true, Some(channel)) => {
                assert_eq!((to, bytes), (client, channel_data(channel, b"in", client.transport.is_stream())));
            }
            (Some((to, bytes)), true, None) => assert_eq!((to, bytes[0]), (client, 0)),
            (got, ..) => panic!("{got:?}, and it should be heard: {heard}"),
        }
    }

    fn configure(&mut self) {
        (self.model.open, self.model.media) = (self.below(2) == 0, self.below(3) > 0);
        let changed = self.model.configuration();
        self.world.command(RelayCommand::Configure(changed));
        for at in 0..4 {
            let socket = self.socket_at(at);
            if let Some(allocated) = self.model.allocations.get_mut(&at) {
                allocated.socket = socket;
            }
        }
    }

    /// From now on, or no longer, no socket can be bound.
    fn starve(&mut self) {
        self.world.out.no_descriptors = self.below(4) == 0;
    }

    fn check(&self, context: &str) {
        let out = &self.world.out;
        assert_eq!((out.to_client.len(), out.to_peer.len(), out.to_media.len()), (0, 0, 0), "{context}");
        assert_eq!(out.events, [], "{context}");
        let gauge = |name: &str| self.world.counter(name) as usize;
        let all = || self.model.allocations.values();
        assert_eq!(gauge("turn.allocations"), all().count(), "{context}");
        assert_eq!(gauge("turn.permissions"), all().map(|one| one.permissions.len()).sum::<usize>(), "{context}");
        assert_eq!(gauge("turn.channels"), all().map(|one| one.channels.len()).sum::<usize>(), "{context}");
        assert_eq!(gauge("turn.sockets"), all().filter(|one| one.socket.is_some()).count(), "{context}");
        assert_eq!(out.sockets.len(), gauge("turn.sockets"), "{context}");
        for (at, one) in &self.model.allocations {
            let route = out.routes.get(&one.relayed);
            let frame = route.and_then(|route| route.frame(address(MEDIA)));
            let want = (one.way(&self.model, address(MEDIA)) == Way::Media)
                .then(|| one.channel_of(address(MEDIA)).map_or(Frame::Indication, Frame::Channel));
            assert_eq!(frame, want, "{context}");
            assert!(route.is_none_or(|route| route.client == self.clients[*at]), "{context}");
        }
        let routed = all().filter(|one| out.routes.contains_key(&one.relayed)).count();
        assert_eq!(routed, out.routes.len(), "{context}");
    }

    /// Everybody goes; nothing is left.
    fn finish(mut self) {
        for at in 0..4 {
            self.remove(at);
        }
        self.world.advance(std::time::Duration::from_secs(41));
        self.check("at the end");
        assert_eq!((self.world.counter("turn.clients"), self.world.relay.poll_timeout()), (0, None));
        assert_eq!(self.world.relay.allocations().count(), 0);
    }
}

//! A TURN relay with three clients, some peers and a driver that does what it is told, in virtual time. What the driver has
//! installed is kept beside it: nothing else may be reached.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use relay::{
    AllocationId, AllocationLimits, ClientAddress, ClientId, ClientTransport, Configuration, ConnectionId, Family,
    InstallAllocation, InstallChannel, MediaAddress, Outputs, PermissionRule, Relay, RelayCommand, RelayEvent,
    RelayHost, Reply, Request, RequestId, Route, SocketId,
};
use wire::stun::{Class, Message, Method, TransactionId, Writer, attribute};

use crate::outcome::Outcome;
use crate::world::start;

/// Relay, surroundings, clock.
pub struct RelayWorld {
    now: Instant,
    relay: Relay,
    out: Surroundings,
    clients: [ClientAddress; 3],
    allocations: BTreeMap<AllocationId, Allocated>,
    next: u64,
}

/// What the driver knows of an allocation.
struct Allocated {
    client: ClientId,
    permitted: BTreeSet<IpAddr>,
}

impl RelayWorld {
    /// Configured, and nobody there.
    pub fn new() -> Self {
        let clients = [
            client(ClientTransport::Udp, 0, "10.9.0.1:5000"),
            client(ClientTransport::Tcp, 1, "10.9.0.1:5000"),
            client(ClientTransport::Tls, 2, "[fd00:10::1]:5000"),
        ];
        let now = start();
        let (relay, out) = (Relay::new([7; 32], now), Surroundings::default());
        let mut world = Self { now, relay, out, clients, allocations: BTreeMap::new(), next: 1 };
        world.command(RelayCommand::Configure(configuration(true)));
        world
    }

    /// A message of a client. There is at most one answer, and none for a stranger that would be worth a forged address.
    pub fn receive(&mut self, at: u8, message: &[u8]) {
        let client = self.clients[usize::from(at) % 3];
        let before = self.out.to_client;
        self.relay.handle_client(self.now, &client, message, &mut self.out);
        assert!(self.out.to_client <= before + 1);
        if self.out.to_client > before && message.len() < 28 {
            assert!(self.out.last_len <= message.len() + 24, "{} bytes for {}", self.out.last_len, message.len());
        }
        self.check();
    }

    /// A request with a good nonce and these attributes.
    pub fn request(&mut self, at: u8, method: u8, transaction: u8, attributes: &[u8]) {
        let client = self.clients[usize::from(at) % 3];
        let nonce = self.nonce(&client);
        let methods = [Method::ALLOCATE, Method::REFRESH, Method::CREATE_PERMISSION, Method::CHANNEL_BIND];
        let method = methods[usize::from(method) % methods.len()];
        let mut buf = vec![0; 8_192];
        let id = TransactionId([transaction; 12]);
        let mut writer = Writer::new(&mut buf, Class::Request, method, id);
        for one in attributes_of(attributes) {
            writer.attribute(one.0, one.1);
        }
        writer.username("alice").attribute(attribute::REALM, b"fuzz").attribute(attribute::NONCE, &nonce);
        if transaction.is_multiple_of(2) {
            writer.integrity(|_| [1; 20]);
        } else {
            writer.integrity_sha256(|_| [1; 32]);
        }
        if let Some(len) = writer.finish() {
            self.receive(at, &buf[..len]);
        }
    }

    fn nonce(&mut self, client: &ClientAddress) -> Vec<u8> {
        let mut buf = [0; 64];
        let mut writer = Writer::new(&mut buf, Class::Request, Method::ALLOCATE, TransactionId([0xee; 12]));
        let len = writer.attribute(attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0]).finish().unwrap_or(0);
        self.out.last.clear();
        self.relay.handle_client(self.now, client, &buf[..len], &mut self.out);
        self.out.take_last();
        let nonce = Message::parse(&self.out.last).ok().and_then(|message| message.nonce().map(<[u8]>::to_vec));
        nonce.unwrap_or_default()
    }

    /// A datagram at a relay socket.
    pub fn receive_from_peer(&mut self, bytes: &[u8]) {
        let Some((&[socket, host, port], payload)) = bytes.split_first_chunk::<3>() else { return };
        let peer = SocketAddr::new(peer_host(host), u16::from(port) + 4_000);
        self.relay.handle_peer(self.now, SocketId(u32::from(socket % 8)), peer, payload, &mut self.out);
        self.check();
    }

    /// A datagram of a media socket.
    pub fn receive_from_media(&mut self, bytes: &[u8]) {
        let Some((&[relayed, media], payload)) = bytes.split_first_chunk::<2>() else { return };
        let media = SocketAddr::new(MEDIA_HOST.parse().expect("a literal"), 7_880 + u16::from(media % 4));
        self.relay.handle_media(self.now, media, relayed_address(u64::from(relayed), false), payload, &mut self.out);
        self.check();
    }

    /// Something that a driver does.
    pub fn drive(&mut self, bytes: &[u8]) {
        let at = |index: usize| bytes.get(index).copied().unwrap_or(0);
        let allocation = self.allocations.keys().nth(usize::from(at(1)) % self.allocations.len().max(1)).copied();
        let allocation = allocation.unwrap_or(AllocationId(u64::from(at(1))));
        match at(0) % 12 {
            0 | 1 => self.grant(at(1)),
            2 => self.answer(at(1), at(2)),
            3 | 4 => self.permit(allocation, peer_host(at(2))),
            5 => self.forbid(allocation, peer_host(at(2))),
            6 | 7 => {
                let channel = 0x4000 | u16::from(at(2) & 0xbf) << 8 | u16::from(at(3));
                let peer = SocketAddr::new(peer_host(at(4)), u16::from(at(5)) + 4_000);
                self.command(RelayCommand::InstallChannel(InstallChannel { allocation, channel, peer }));
            }
            8 => self.command(RelayCommand::RemoveChannel { allocation, channel: 0x4000 | u16::from(at(2)) }),
            9 => {
                let family = if at(2).is_multiple_of(2) { Family::V4 } else { Family::V6 };
                self.command(RelayCommand::RemoveRelayed { allocation, family });
            }
            10 => {
                self.allocations.remove(&allocation);
                self.command(RelayCommand::RemoveAllocation { allocation });
            }
            _ => self.surround(at(1), at(2)),
        }
    }

    /// The oldest request gets an allocation.
    fn grant(&mut self, how: u8) {
        let Some(asked) = self.out.requests.pop_front() else { return };
        let (allocation, number) = (AllocationId(self.next), self.next);
        self.next += 1;
        let families: &[bool] = [&[false][..], &[true], &[false, true], &[]][usize::from(how) % 4];
        let relayed: Vec<SocketAddr> = families.iter().map(|v6| relayed_address(number, *v6)).collect();
        let limits = AllocationLimits { packets_per_s: 200, bytes_per_s: 100_000, new_peers_per_s: 10 };
        let taken = self.allocations.values().any(|allocated| allocated.client == asked.client);
        if !taken && !relayed.is_empty() {
            self.allocations.insert(allocation, Allocated { client: asked.client, permitted: BTreeSet::new() });
        }
        let client = asked.client;
        let dont_fragment = asked.dont_fragment;
        let install = InstallAllocation { allocation, client, relayed: relayed.clone(), limits, dont_fragment };
        self.command(RelayCommand::InstallAllocation(install));
        let reply = Reply { relayed, lifetime_s: Some(600), ..reply(asked.request, None) };
        self.command(RelayCommand::Reply(reply));
    }

    fn answer(&mut self, which: u8, code: u8) {
        let unknown = RequestId(u64::from(which));
        let asked = self.out.requests.pop_front();
        let unknown_attributes = asked.as_ref().map(|asked| asked.unknown_attributes.clone()).unwrap_or_default();
        let request = asked.map_or(unknown, |asked| asked.request);
        let error = [None, Some(401), Some(420), Some(438), Some(486), Some(7)][usize::from(code) % 6];
        self.command(RelayCommand::Reply(Reply { unknown_attributes, ..reply(request, error) }));
    }

    fn permit(&mut self, allocation: AllocationId, host: IpAddr) {
        let before = self.out.refused;
        self.command(RelayCommand::InstallPermission { allocation, host });
        let Some(allocated) = self.allocations.get_mut(&allocation) else { return };
        if self.out.refused == before {
            allocated.permitted.insert(host);
        } else {
            allocated.permitted.remove(&host);
        }
    }

    fn forbid(&mut self, allocation: AllocationId, host: IpAddr) {
        if let Some(allocated) = self.allocations.get_mut(&allocation) {
            allocated.permitted.remove(&host);
        }
        self.command(RelayCommand::RemovePermission { allocation, host });
    }

    fn surround(&mut self, what: u8, how: u8) {
        match what % 3 {
            0 => self.command(RelayCommand::Configure(configuration(how.is_multiple_of(2)))),
            1 => self.out.no_descriptors = how.is_multiple_of(2),
            _ => {
                let connection = ConnectionId(u64::from(how % 3));
                self.relay.handle_connection_closed(self.now, connection, &mut self.out);
                self.check();
            }
        }
    }

    /// Lets time pass.
    pub fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.relay.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.relay.handle_timeout(self.now, &mut self.out);
        }
        self.now = end;
        self.check();
    }

    fn command(&mut self, command: RelayCommand) {
        self.relay.handle_command(self.now, command, &mut self.out);
        self.check();
    }

    /// Whom it has reached is whom it was allowed to.
    fn check(&mut self) {
        if let Some(gone) = self.out.gone.take() {
            self.allocations.retain(|_, allocated| allocated.client != gone);
        }
        for peer in self.out.reached.drain(..) {
            let permitted = self.allocations.values().any(|allocated| allocated.permitted.contains(&peer.ip()));
            assert!(permitted, "{peer} was reached without a permission");
            assert!(may_be_reached(peer), "{peer} was reached");
        }
        let (mut allocations, mut clients, mut sockets) = (0, 0, 0);
        self.relay.counters().visit(|name, count| match name {
            "turn.allocations" => allocations = count,
            "turn.clients" => clients = count,
            "turn.sockets" => sockets = count,
            "turn.requests_waiting" => assert!(count <= 3 * 32),
            "turn.remembered_bytes" => assert!(count <= 64 << 10),
            _ => {}
        });
        assert_eq!(allocations, self.allocations.len() as u64);
        assert_eq!(sockets, self.out.sockets.len() as u64);
        assert!(allocations <= clients && clients <= 3);
    }

    /// Everybody goes; nothing may be left.
    pub fn finish(mut self, outcome: &mut Outcome) {
        self.relay.counters().visit(|name, count| {
            if !name.ends_with("bytes") {
                outcome.size(count.min(1 << 3) as usize);
            }
        });
        for allocation in std::mem::take(&mut self.allocations).into_keys() {
            self.relay.handle_command(self.now, RelayCommand::RemoveAllocation { allocation }, &mut self.out);
        }
        self.advance(Duration::from_secs(41));
        self.relay.counters().visit(|name, count| {
            let gauges = ["allocations", "permissions", "channels", "sockets", "clients", "requests_waiting"];
            assert!(count == 0 || !gauges.iter().any(|gauge| name.ends_with(&format!(".{gauge}"))), "{name}: {count}");
        });
        assert_eq!(self.relay.poll_timeout(), None);
        assert!(self.out.sockets.is_empty() && self.out.routes.is_empty());
    }

    /// Packets relayed to peers, to media sockets, and messages to clients.
    pub fn relayed(&self) -> [usize; 3] {
        [self.out.to_peer, self.out.to_media, self.out.to_client]
    }
}

impl Default for RelayWorld {
    fn default() -> Self {
        Self::new()
    }
}

/// What the relay wants of its surroundings.
#[derive(Default)]
struct Surroundings {
    /// The message that is being written, and as it is when it was.
    room: Vec<u8>,
    last: Vec<u8>,
    last_len: usize,
    to_client: usize,
    to_peer: usize,
    to_media: usize,
    reached: Vec<SocketAddr>,
    requests: VecDeque<Request>,
    sockets: BTreeSet<u32>,
    routes: BTreeSet<SocketAddr>,
    no_descriptors: bool,
    refused: usize,
    gone: Option<ClientId>,
}

impl Surroundings {
    fn take_last(&mut self) {
        self.last = std::mem::take(&mut self.room);
    }
}

impl Outputs for Surroundings {
    fn to_client(&mut self, _: &ClientAddress, len: usize) -> &mut [u8] {
        assert!(len <= 20 + 65_535);
        self.to_client += 1;
        self.last_len = len;
        self.room = vec![0; len];
        &mut self.room
    }

    fn to_peer(&mut self, socket: SocketId, peer: SocketAddr, _: &[u8]) {
        assert!(self.sockets.contains(&socket.0));
        self.to_peer += 1;
        self.reached.push(peer);
    }

    fn to_media(&mut self, shard: u32, _: SocketAddr, media: SocketAddr, _: &[u8]) {
        assert_eq!((shard, media.port()), (0, MEDIA_PORT));
        self.to_media += 1;
    }

    fn set_route(&mut self, relayed: SocketAddr, route: Option<Route>) {
        if route.is_some() {
            self.routes.insert(relayed);
        } else {
            assert!(self.routes.remove(&relayed));
        }
    }

    fn bind(&mut self, socket: SocketId, _: SocketAddr, _: bool) -> io::Result<()> {
        if self.no_descriptors {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        assert!(self.sockets.insert(socket.0));
        Ok(())
    }

    fn close(&mut self, socket: SocketId) {
        assert!(self.sockets.remove(&socket.0));
    }

    fn keep_connection(&mut self, connection: ConnectionId) {
        assert_ne!(connection.0, 0);
    }

    fn close_connection(&mut self, connection: ConnectionId) {
        assert_ne!(connection.0, 0);
    }

    fn event(&mut self, event: RelayEvent) {
        match event {
            RelayEvent::Request(request) => {
                assert!(request.signed.len() <= 3_072 && request.peers.len() <= 100);
                assert!(request.unknown_attributes.len() <= 16);
                self.requests.push_back(*request);
            }
            RelayEvent::PermissionInstalled { reason, .. } => self.refused += usize::from(reason.is_some()),
            RelayEvent::ClientGone { client } => self.gone = Some(client),
        }
    }
}

/// Kind and value of what looks like attributes.
fn attributes_of(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (&[high, low, len], rest) = bytes.split_first_chunk::<3>()?;
        let (value, rest) = rest.split_at(usize::from(len).min(rest.len()));
        bytes = rest;
        Some((u16::from_be_bytes([high, low]), value))
    })
}

fn reply(request: RequestId, error: Option<u16>) -> Reply {
    let key = (error != Some(401)).then(|| b"sixteen bytes !!".to_vec());
    Reply {
        request,
        error,
        unknown_attributes: Vec::new(),
        lifetime_s: None,
        relayed: Vec::new(),
        address_error: None,
        reservation_token: None,
        key,
    }
}

fn configuration(open: bool) -> Configuration {
    let host =
        |text: &str| RelayHost { bind: text.parse().expect("a literal"), advertised: text.parse().expect("a literal") };
    let rule = |text: &str, prefix_len| PermissionRule { address: text.parse().expect("a literal"), prefix_len };
    let media = SocketAddr::new(MEDIA_HOST.parse().expect("a literal"), MEDIA_PORT);
    Configuration {
        realm: "fuzz".to_owned(),
        relay_hosts: vec![host(MEDIA_HOST), host("fd00::1")],
        relay_ports: (50_000, 59_999),
        media: vec![MediaAddress { address: media, shard: 0 }],
        allow_peers: if open { vec![rule("10.0.0.0", 8), rule("fd00:10::", 32)] } else { Vec::new() },
        deny_peers: vec!["10.0.0.1:4001".parse().expect("a literal")],
        unauthenticated_per_s: 10_000,
    }
}

/// What the configuration allows at most.
fn may_be_reached(peer: SocketAddr) -> bool {
    match peer.ip() {
        IpAddr::V4(ip) => ip.octets()[0] == 10 && peer != "10.0.0.1:4001".parse().expect("a literal"),
        IpAddr::V6(ip) => ip.segments()[..2] == [0xfd00, 0x10],
    }
}

fn peer_host(number: u8) -> IpAddr {
    let hosts = ["10.0.0.1", "10.0.0.2", "fd00:10::1", MEDIA_HOST, "127.0.0.1", "fd00::1", "8.8.8.8", "2001::1"];
    hosts[usize::from(number) % hosts.len()].parse().expect("a literal")
}

fn relayed_address(number: u64, v6: bool) -> SocketAddr {
    let host = if v6 { "fd00::1" } else { MEDIA_HOST };
    SocketAddr::new(host.parse().expect("a literal"), 50_000 + (number % 10_000) as u16)
}

fn client(transport: ClientTransport, connection: u64, remote: &str) -> ClientAddress {
    let local = "192.168.0.1:3478".parse().expect("a literal");
    ClientAddress { transport, connection: ConnectionId(connection), local, remote: remote.parse().expect("a literal") }
}

const MEDIA_HOST: &str = "192.168.0.1";
const MEDIA_PORT: u16 = 7_882;

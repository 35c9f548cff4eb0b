//! Clients with a channel to a peer each, around a relay in virtual time. The driver of this relay believes everybody.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use relay::{
    AllocationId, AllocationLimits, ClientAddress, ClientTransport, Configuration, ConnectionId, InstallAllocation,
    InstallChannel, Outputs, PermissionRule, Relay, RelayCommand, RelayEvent, RelayHost, Request, Route, SocketId,
};
use wire::channeldata;
use wire::stun::{Class, Message, Method, TransactionId, Writer, attribute};

/// Relay, surroundings, clock.
pub(crate) struct Turn {
    now: Instant,
    relay: Relay,
    out: Surroundings,
    allocations: u16,
}

impl Turn {
    /// So many clients have an allocation, a permission and a channel.
    pub(crate) fn allocate(allocations: u16) -> Self {
        let now = Instant::now();
        let out = Surroundings { room: vec![0; 2_048], ..Surroundings::default() };
        let mut turn = Self { now, relay: Relay::new([7; 32], now), out, allocations };
        turn.command(RelayCommand::Configure(configuration()));
        for number in 0..allocations {
            turn.add(number);
        }
        turn
    }

    /// `ChannelData` of every client in turn. Gives the number of packets.
    pub(crate) fn run_to_peer(mut self) -> u64 {
        let mut frame = vec![0; PAYLOAD + channeldata::HEADER_LEN];
        let len = channeldata::write(&mut frame, CHANNEL, &[0x5a; PAYLOAD]).expect("room for a frame");
        let frame = &frame[..len];
        self.relay_to_peers(WARM_UP_PACKETS, frame);
        self.out.packets = 0;
        self.counted_to_peer(frame);
        assert_eq!(self.out.packets, PACKETS as u64, "not all was relayed");
        self.out.packets
    }

    /// Datagrams of every peer in turn, which clients get as `ChannelData`. Gives the number of packets.
    pub(crate) fn run_to_client(mut self) -> u64 {
        let payload = [0x5a; PAYLOAD];
        self.relay_to_clients(WARM_UP_PACKETS, &payload);
        self.out.packets = 0;
        self.counted_to_client(&payload);
        assert_eq!(self.out.packets, PACKETS as u64, "not all was relayed");
        self.out.packets
    }

    #[inline(never)]
    fn counted_to_peer(&mut self, frame: &[u8]) {
        self.relay_to_peers(PACKETS, frame);
    }

    #[inline(never)]
    fn counted_to_client(&mut self, payload: &[u8]) {
        self.relay_to_clients(PACKETS, payload);
    }

    fn relay_to_peers(&mut self, packets: usize, frame: &[u8]) {
        for at in 0..packets {
            self.now += INTERVAL;
            let client = client(at as u16 % self.allocations);
            self.relay.handle_client(self.now, &client, frame, &mut self.out);
        }
    }

    fn relay_to_clients(&mut self, packets: usize, payload: &[u8]) {
        for at in 0..packets {
            self.now += INTERVAL;
            let number = at as u16 % self.allocations;
            self.relay.handle_peer(self.now, SocketId(u32::from(number)), peer(number), payload, &mut self.out);
        }
    }

    fn add(&mut self, number: u16) {
        let (allocation, peer) = (AllocationId(u64::from(number)), peer(number));
        let asked = self.ask(number);
        let relayed = vec![SocketAddr::from((RELAY, 50_000 + number))];
        let (client, dont_fragment) = (asked.client, asked.dont_fragment);
        let install = InstallAllocation { allocation, client, relayed, limits: LIMITS, dont_fragment };
        self.command(RelayCommand::InstallAllocation(install));
        self.command(RelayCommand::InstallPermission { allocation, host: peer.ip() });
        self.command(RelayCommand::InstallChannel(InstallChannel { allocation, channel: CHANNEL, peer }));
    }

    /// The client's request as the driver gets it: first without a nonce, then with the one of the answer.
    fn ask(&mut self, number: u16) -> Request {
        let challenge = self.allocate_request(number, |_| {});
        let nonce = Message::parse(&challenge).ok().and_then(|message| message.nonce().map(<[u8]>::to_vec));
        let nonce = nonce.expect("a challenge with a nonce");
        self.allocate_request(number, |writer| {
            writer.username("bench").attribute(attribute::REALM, REALM.as_bytes());
            writer.attribute(attribute::NONCE, &nonce).integrity(|_| [1; 20]);
        });
        self.out.requests.pop_front().expect("a request for the driver")
    }

    /// Gives the answer, if there is one.
    fn allocate_request(&mut self, number: u16, credentials: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut buf = [0; 512];
        let mut writer = Writer::new(&mut buf, Class::Request, Method::ALLOCATE, TransactionId([number as u8; 12]));
        credentials(writer.attribute(attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0]));
        let len = writer.finish().expect("room for a request");
        self.out.len = 0;
        self.relay.handle_client(self.now, &client(number), &buf[..len], &mut self.out);
        self.out.room[..self.out.len].to_vec()
    }

    fn command(&mut self, command: RelayCommand) {
        self.relay.handle_command(self.now, command, &mut self.out);
    }
}

/// One room for all datagrams, as the I/O thread's send queue has one for many.
#[derive(Default)]
struct Surroundings {
    room: Vec<u8>,
    /// Of the last message to a client.
    len: usize,
    packets: u64,
    requests: VecDeque<Request>,
}

impl Outputs for Surroundings {
    fn to_client(&mut self, _: &ClientAddress, len: usize) -> &mut [u8] {
        self.packets += 1;
        self.len = len;
        &mut self.room[..len]
    }

    fn to_peer(&mut self, _: SocketId, _: SocketAddr, payload: &[u8]) {
        self.packets += 1;
        self.room[..payload.len()].copy_from_slice(payload);
    }

    fn to_media(&mut self, _: u32, _: SocketAddr, _: SocketAddr, _: &[u8]) {}

    fn set_route(&mut self, _: SocketAddr, _: Option<Route>) {}

    fn bind(&mut self, _: SocketId, _: SocketAddr, _: bool) -> io::Result<()> {
        Ok(())
    }

    fn close(&mut self, _: SocketId) {}

    fn keep_connection(&mut self, _: ConnectionId) {}

    fn close_connection(&mut self, _: ConnectionId) {}

    fn event(&mut self, event: RelayEvent) {
        if let RelayEvent::Request(request) = event {
            self.requests.push_back(*request);
        }
    }
}

fn configuration() -> Configuration {
    Configuration {
        realm: REALM.to_owned(),
        relay_hosts: vec![RelayHost { bind: RELAY.into(), advertised: RELAY.into() }],
        relay_ports: (50_000, 59_999),
        media: Vec::new(),
        allow_peers: vec![PermissionRule { address: IpAddr::from([10, 0, 0, 0]), prefix_len: 8 }],
        deny_peers: Vec::new(),
        unauthenticated_per_s: u32::MAX,
    }
}

fn client(number: u16) -> ClientAddress {
    ClientAddress {
        transport: ClientTransport::Udp,
        connection: ConnectionId(0),
        local: SocketAddr::from((RELAY, 3_478)),
        remote: SocketAddr::from(([198, 51, 100, 1], 5_000 + number)),
    }
}

fn peer(number: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 4_000 + number))
}

const REALM: &str = "bench";
const RELAY: [u8; 4] = [192, 0, 2, 1];
const CHANNEL: u16 = 0x4000;
const PAYLOAD: usize = 1_200;
const PACKETS: usize = 10_000;
const WARM_UP_PACKETS: usize = 1_000;
const INTERVAL: Duration = Duration::from_micros(50);
const LIMITS: AllocationLimits =
    AllocationLimits { packets_per_s: 1_000_000, bytes_per_s: 1 << 40, new_peers_per_s: 1_000 };

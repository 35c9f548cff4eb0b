//! A shard's way to clients behind the relay: frames are written by the shard itself and leave by TURN's listeners. Only what
//! goes to clients on connections goes through TURN's thread.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use netio::{FanQueue, UdpSocket};
use relay::{ClientTransport, Frame, Route};
use wire::channeldata;
use wire::stun::{self, Class, Method, TransactionId, Writer, attribute};

use super::{Answer, TurnInbox};

/// Verbs: `reserve`, `commit`, `flush`.
pub(crate) struct Way {
    turn: Arc<TurnInbox>,
    listeners: Arc<[Arc<UdpSocket>]>,
    routes: HashMap<SocketAddr, Box<Route>>,
    queue: FanQueue,
    answers: Answer,
    /// What is written before it is known how long it is, or that leads nowhere.
    scratch: Vec<u8>,
    reserved: Reserved,
    transaction: u128,
    packets: u64,
    lost: u64,
}

/// Where the datagram in the last reserved room goes.
enum Reserved {
    Nowhere,
    /// To a client on UDP: what stands in front of the payload, and how long that is.
    Datagram {
        media: SocketAddr,
        relayed: SocketAddr,
        frame: Frame,
        head: usize,
    },
    /// To a client on a connection.
    Answer {
        media: SocketAddr,
        relayed: SocketAddr,
    },
}

impl Way {
    /// `seed` is for the transaction ids of indications, which nobody answers.
    pub(crate) fn new(turn: Arc<TurnInbox>, seed: u64) -> Self {
        Self {
            turn,
            listeners: Arc::new([]),
            routes: HashMap::new(),
            queue: FanQueue::new(),
            answers: Answer::default(),
            scratch: Vec::new(),
            reserved: Reserved::Nowhere,
            transaction: u128::from(seed),
            packets: 0,
            lost: 0,
        }
    }

    pub(crate) fn set_listeners(&mut self, listeners: Arc<[Arc<UdpSocket>]>) {
        for lane in 0..self.listeners.len() {
            self.queue.close(lane);
        }
        for (lane, socket) in listeners.iter().enumerate() {
            self.queue.open(lane, Arc::clone(socket));
        }
        self.listeners = listeners;
    }

    pub(crate) fn set_route(&mut self, relayed: SocketAddr, route: Option<Box<Route>>) {
        match route {
            Some(route) => self.routes.insert(relayed, route),
            None => self.routes.remove(&relayed),
        };
    }

    /// Room for one datagram of at most `max_len` bytes from a media address to a relayed one.
    pub(crate) fn reserve(&mut self, media: SocketAddr, relayed: SocketAddr, max_len: usize) -> &mut [u8] {
        self.reserved = Reserved::Nowhere;
        let found = self.routes.get(&relayed).and_then(|route| Some((route.client, route.frame(media)?)));
        if let Some((client, frame)) = found {
            if client.transport != ClientTransport::Udp {
                self.reserved = Reserved::Answer { media, relayed };
            } else if let Some(lane) = self.listeners.iter().position(|socket| socket.serves(&client.local)) {
                let head = head_len(frame, media);
                self.reserved = Reserved::Datagram { media, relayed, frame, head };
                let room = self.queue.reserve(lane, client.local, client.remote, head + max_len + PADDING);
                return &mut room[head..head + max_len];
            }
        }
        if self.scratch.len() < max_len {
            self.scratch.resize(max_len, 0);
        }
        &mut self.scratch[..max_len]
    }

    /// The datagram in the last reserved room is `len` bytes long.
    pub(crate) fn commit(&mut self, len: usize) {
        match std::mem::replace(&mut self.reserved, Reserved::Nowhere) {
            Reserved::Nowhere => self.lost += 1,
            Reserved::Answer { media, relayed } => {
                self.answers.push(media, relayed, &self.scratch[..len]);
                self.packets += 1;
            }
            Reserved::Datagram { media, relayed, frame, head } => {
                self.transaction = self.transaction.wrapping_add(1);
                let transaction = self.transaction;
                let whole = self.queue.commit_with(|room| write_frame(room, frame, media, transaction, head, len));
                self.packets += 1;
                if let Some(route) = self.routes.get(&relayed).filter(|_| whole > 0) {
                    route.counters.packets.fetch_add(1, Ordering::Relaxed);
                    route.counters.bytes.fetch_add(len as u64, Ordering::Relaxed);
                }
            }
        }
    }

    /// Sends everything.
    pub(crate) fn flush(&mut self) {
        self.queue.flush();
        if !self.answers.is_empty() {
            self.turn.push_answers(&mut self.answers);
        }
    }

    /// Packets that went this way since the start.
    pub(crate) fn sent(&self) -> u64 {
        self.packets
    }

    pub(crate) fn visit(&self, mut f: impl FnMut(&'static str, u64)) {
        let sent = self.queue.counters();
        f("relay_way.packets", self.packets);
        f("relay_way.lost", self.lost + sent.overflow + sent.errors);
        f("relay_way.routes", self.routes.len() as u64);
    }
}

/// What stands in front of the payload.
fn head_len(frame: Frame, media: SocketAddr) -> usize {
    match frame {
        Frame::Channel(_) => channeldata::HEADER_LEN,
        Frame::Indication => stun::HEADER_LEN + 4 + if media.is_ipv4() { 8 } else { 20 } + 4,
    }
}

/// Completes the frame around the `len` bytes at `head`; gives its whole length.
fn write_frame(room: &mut [u8], frame: Frame, media: SocketAddr, transaction: u128, head: usize, len: usize) -> usize {
    match frame {
        Frame::Channel(channel) => {
            room[..2].copy_from_slice(&channel.to_be_bytes());
            room[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            head + len
        }
        Frame::Indication => {
            let padded = len.next_multiple_of(4);
            room[head + len..head + padded].fill(0);
            let id: [u8; 16] = transaction.to_be_bytes();
            let mut transaction = [0; 12];
            transaction.copy_from_slice(&id[4..]);
            // The value of DATA stands where it belongs already; only its header is written.
            let mut writer =
                Writer::new(&mut room[..head], Class::Indication, Method::DATA, TransactionId(transaction));
            writer.xor_address(attribute::XOR_PEER_ADDRESS, media).attribute_header(attribute::DATA, len as u16);
            writer.finish_with(padded);
            head + padded
        }
    }
}

const PADDING: usize = 3;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use relay::{ClientAddress, ConnectionId, RouteCounters};
    use wire::stun::Message;

    use super::*;

    const MEDIA: [&str; 2] = ["192.0.2.1:7882", "[2001:db8::1]:7882"];
    const RELAYED: &str = "192.0.2.1:50000";

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    /// A way whose one route leads to the client that is given with it.
    struct Setup {
        way: Way,
        turn: Arc<TurnInbox>,
        client: std::net::UdpSocket,
        counters: Arc<RouteCounters>,
    }

    fn setup(transport: ClientTransport, channels: &[(&str, u16)]) -> Setup {
        let turn = Arc::new(TurnInbox::new().expect("an eventfd"));
        let listener = Arc::new(UdpSocket::bind(address("127.0.0.1:0")).expect("loopback"));
        let client = std::net::UdpSocket::bind("127.0.0.1:0").expect("loopback");
        client.set_read_timeout(Some(Duration::from_secs(2))).expect("an option of every socket");
        let mut way = Way::new(Arc::clone(&turn), 1);
        let (local, remote) = (listener.local_address(), client.local_addr().expect("bound"));
        way.set_listeners(Arc::new([listener]));
        let counters = Arc::new(RouteCounters::default());
        let route = Route {
            client: ClientAddress { transport, connection: ConnectionId(0), local, remote },
            hosts: MEDIA.iter().map(|media| address(media).ip()).collect(),
            channels: channels.iter().map(|(media, channel)| (address(media), *channel)).collect(),
            counters: Arc::clone(&counters),
        };
        way.set_route(address(RELAYED), Some(Box::new(route)));
        Setup { way, turn, client, counters }
    }

    /// As the forwarder does it: with more room than it needs.
    fn send(way: &mut Way, media: &str, payload: &[u8]) {
        way.reserve(address(media), address(RELAYED), payload.len() + 20)[..payload.len()].copy_from_slice(payload);
        way.commit(payload.len());
    }

    fn received(client: &std::net::UdpSocket) -> Vec<u8> {
        let mut buffer = [0; 2048];
        let len = client.recv(&mut buffer).expect("it arrives");
        buffer[..len].to_vec()
    }

    fn lost(way: &Way) -> u64 {
        let mut lost = 0;
        way.visit(|name, value| lost += if name == "relay_way.lost" { value } else { 0 });
        lost
    }

    #[test]
    fn on_a_channel_a_payload_has_four_bytes_in_front_and_none_behind() {
        let mut it = setup(ClientTransport::Udp, &[(MEDIA[0], 0x4001)]);
        for payload in [&b"media"[..], b"more of it"] {
            send(&mut it.way, MEDIA[0], payload);
        }
        it.way.flush();
        for payload in [&b"media"[..], b"more of it"] {
            let datagram = received(&it.client);
            assert_eq!(channeldata::parse(&datagram), Ok((0x4001, payload)));
            assert_eq!(datagram.len(), 4 + payload.len());
        }
        assert_eq!(it.counters.packets.load(Ordering::Relaxed), 2);
        assert_eq!(it.counters.bytes.load(Ordering::Relaxed), 15);
        assert_eq!((it.way.sent(), lost(&it.way)), (2, 0));
    }

    #[test]
    fn without_a_channel_it_is_an_indication_of_any_length_and_family() {
        let mut it = setup(ClientTransport::Udp, &[]);
        let payload = b"0123456789";
        let mut transactions = Vec::new();
        for media in MEDIA {
            for len in 1..=payload.len() {
                send(&mut it.way, media, &payload[..len]);
                it.way.flush();
                let datagram = received(&it.client);
                let message = Message::parse(&datagram).expect("STUN");
                assert_eq!((message.class(), message.method()), (Class::Indication, Method::DATA));
                assert_eq!(message.xor_address(attribute::XOR_PEER_ADDRESS), Some(address(media)));
                assert_eq!(message.find(attribute::DATA), Some(&payload[..len]));
                transactions.push(message.transaction_id());
            }
        }
        transactions.dedup();
        assert_eq!(transactions.len(), 20, "nobody's id is used twice in a row");
    }

    #[test]
    fn what_has_no_permission_or_no_route_is_lost_and_counted() {
        let mut it = setup(ClientTransport::Udp, &[(MEDIA[0], 0x4001)]);
        send(&mut it.way, "192.0.2.7:7882", b"nobody allowed it");
        it.way.set_route(address(RELAYED), None);
        send(&mut it.way, MEDIA[0], b"nobody knows it");
        it.way.flush();
        assert_eq!((it.way.sent(), lost(&it.way)), (0, 2));
        assert_eq!(it.counters.packets.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn without_its_listener_a_client_is_not_reached_and_a_new_one_reaches_it() {
        let mut it = setup(ClientTransport::Udp, &[(MEDIA[0], 0x4001)]);
        let listeners = Arc::clone(&it.way.listeners);
        it.way.set_listeners(Arc::new([]));
        send(&mut it.way, MEDIA[0], b"lost");
        it.way.set_listeners(listeners);
        send(&mut it.way, MEDIA[0], b"sent");
        it.way.flush();
        assert_eq!(channeldata::parse(&received(&it.client)), Ok((0x4001, &b"sent"[..])));
        assert_eq!(lost(&it.way), 1);
    }

    #[test]
    fn to_a_client_on_a_connection_the_payload_goes_by_turns_thread() {
        let mut it = setup(ClientTransport::Tls, &[(MEDIA[0], 0x4001)]);
        send(&mut it.way, MEDIA[0], b"media");
        assert!(it.turn.take().answers.is_empty(), "not before the flush");
        it.way.flush();
        let waiting = it.turn.take();
        let answers: Vec<_> = waiting.answers.iter().collect();
        assert_eq!(answers, [(address(MEDIA[0]), address(RELAYED), &b"media"[..])]);
    }

    #[test]
    fn what_is_reserved_and_forgotten_is_not_sent() {
        let mut it = setup(ClientTransport::Udp, &[(MEDIA[0], 0x4001)]);
        it.way.reserve(address(MEDIA[0]), address(RELAYED), 100).fill(1);
        send(&mut it.way, MEDIA[0], b"media");
        it.way.flush();
        assert_eq!(channeldata::parse(&received(&it.client)), Ok((0x4001, &b"media"[..])));
        assert_eq!(it.way.sent(), 1);
    }
}

//! Over loopback, in one thread: the server has a turn whenever a client waits.

mod admission;
mod certificates;
mod listening;
mod tls;
mod tls_client;
mod tls_load;
mod writing;

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use netio::Poller;
use relay::{ClientAddress, ConnectionId};

use super::connection::Connection;
use super::{StreamListen, Streams};

/// What the I/O thread does, with a clock that can be set forward.
struct Server {
    poller: Poller,
    streams: Streams,
    received: Vec<(ClientAddress, Vec<u8>)>,
    closed: Vec<ConnectionId>,
    ahead: Duration,
}

impl Server {
    fn new() -> Self {
        Self {
            poller: Poller::new().expect("a poller"),
            streams: Streams::new(),
            received: Vec::new(),
            closed: Vec::new(),
            ahead: Duration::ZERO,
        }
    }

    /// Listens without TLS, on a port that is free.
    fn plain() -> (Self, SocketAddr) {
        let mut server = Self::new();
        let failed = server.streams.configure(&server.poller, &[any_port(false)], None, 1_000);
        assert_eq!(failed, []);
        let address = server.streams.addresses()[0].address;
        (server, address)
    }

    fn now(&self) -> Instant {
        Instant::now() + self.ahead
    }

    fn turn(&mut self) {
        let is_due = |at: Instant| at <= self.now();
        let wait = if self.streams.poll_timeout().is_some_and(is_due) { Duration::ZERO } else { WAIT };
        let ready: Vec<_> = self.poller.wait(Some(wait)).expect("a poller that works").collect();
        let now = self.now();
        for ready in ready {
            assert!(Streams::owns(ready.token));
            let received = &mut self.received;
            let mut message = |client: &ClientAddress, bytes: &[u8]| received.push((*client, bytes.to_vec()));
            self.streams.handle_ready(now, &self.poller, ready, &mut message);
        }
        if self.streams.poll_timeout().is_some_and(|at| at <= now) {
            self.streams.handle_timeout(now, &self.poller);
        }
        self.streams.flush(&self.poller);
        self.closed.extend(std::iter::from_fn(|| self.streams.poll_closed()));
    }

    /// Has turns until `done` gives something.
    fn until<T>(&mut self, mut done: impl FnMut(&mut Self) -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(result) = done(self) {
                return result;
            }
            assert!(started.elapsed() < PATIENCE, "it did not happen; counters: {:?}", self.counters());
            self.turn();
        }
    }

    fn next_message(&mut self) -> (ClientAddress, Vec<u8>) {
        self.until(|server| (!server.received.is_empty()).then(|| server.received.remove(0)))
    }

    fn send(&mut self, connection: ConnectionId, message: &[u8]) {
        self.streams.reserve(connection, message.len()).copy_from_slice(message);
    }

    fn connect(&mut self, address: SocketAddr) -> Client {
        let open = self.counter("turn.stream_accepted");
        let client = Client::new(address);
        self.until(|server| (server.counter("turn.stream_accepted") > open).then_some(()));
        client
    }

    /// A client that the relay has heard of.
    fn meet(&mut self, address: SocketAddr) -> (Client, ConnectionId) {
        let mut client = self.connect(address);
        client.write(&stun(0));
        let (from, message) = self.next_message();
        assert_eq!((from.remote, &message), (client.address(), &stun(0)));
        (client, from.connection)
    }

    /// For messages that are not whole or not written.
    fn held_bytes(&self) -> usize {
        self.streams.open.values().map(Connection::held_bytes).sum()
    }

    fn counters(&self) -> HashMap<&'static str, u64> {
        let mut counters = HashMap::new();
        self.streams.visit(&mut |name, value| assert!(counters.insert(name, value).is_none()));
        counters
    }

    fn counter(&self, name: &'static str) -> u64 {
        self.counters()[name]
    }
}

struct Client {
    stream: TcpStream,
}

impl Client {
    fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_nonblocking(true).expect("no blocking");
        Self { stream }
    }

    fn address(&self) -> SocketAddr {
        self.stream.local_addr().expect("an address")
    }

    fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("room in the kernel");
    }

    /// What has come, and whether that was the end.
    fn read(&mut self) -> (Vec<u8>, bool) {
        let (mut bytes, mut buffer) = (Vec::new(), [0; 16_384]);
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return (bytes, true),
                Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return (bytes, false),
                Err(_) => return (bytes, true),
            }
        }
    }

    /// What comes until the server closes the connection.
    fn read_to_end(&mut self, server: &mut Server) -> Vec<u8> {
        let mut all = Vec::new();
        server.until(|_| {
            let (bytes, is_end) = self.read();
            all.extend(bytes);
            is_end.then_some(())
        });
        all
    }

    fn read_exactly(&mut self, server: &mut Server, len: usize) -> Vec<u8> {
        let mut all = Vec::new();
        server.until(|_| {
            all.extend(self.read().0);
            (all.len() >= len).then_some(())
        });
        all
    }
}

fn any_port(tls: bool) -> StreamListen {
    StreamListen { address: "127.0.0.1:0".parse().expect("an address"), tls }
}

/// A STUN message with so many bytes of attributes.
fn stun(len: usize) -> Vec<u8> {
    let mut message = vec![0, 1];
    message.extend_from_slice(&(len as u16).to_be_bytes());
    message.extend_from_slice(&wire::stun::MAGIC_COOKIE.to_be_bytes());
    message.resize(20 + len, 7);
    message
}

/// `ChannelData` of 1200 bytes that begin with `number`.
fn media(number: u32) -> Vec<u8> {
    let mut message = vec![0x40, 0, 4, 176];
    message.extend_from_slice(&number.to_be_bytes());
    message.resize(4 + 1200, 0xab);
    message
}

/// The numbers of `media` in a row; nothing else is there.
fn numbers(bytes: &[u8]) -> Vec<u32> {
    let (whole, rest) = bytes.as_chunks::<1204>();
    assert!(rest.is_empty(), "a message was cut");
    whole
        .iter()
        .map(|message| {
            let number = u32::from_be_bytes([message[4], message[5], message[6], message[7]]);
            assert_eq!(message[..], media(number));
            number
        })
        .collect()
}

const WAIT: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(20);

//! Clients that come by TCP and TLS: their listeners, their connections, and the messages in them.
//!
//! Part of the relay's I/O thread, which owns the poller and the clock. Knows where a message begins and ends (RFC 8656
//! section 2.1), not what it says. A connection is on probation until `keep`: few per address, small messages, 10 s.

mod connection;
mod counters;
mod handshakes;
mod listeners;
mod sources;
mod splitter;
#[cfg(test)]
mod tests;
mod tls;

use std::collections::{HashMap, VecDeque};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use netio::{Interest, Poller, Ready};
use relay::{ClientAddress, ClientTransport, ConnectionId};

use crate::tcp::ACCEPTS_PER_TURN;
use connection::Connection;
use counters::Counters;
use handshakes::Handshakes;
use listeners::{Accept, Listeners};
use sources::Sources;
use tls::{Tls, TlsConfig};

/// All of them.
pub(crate) struct Streams {
    listeners: Listeners,
    tls: Option<Arc<TlsConfig>>,
    connections_per_address: usize,
    max_connections: usize,
    open: HashMap<u64, Connection>,
    sources: Sources,
    next_token: u64,
    /// Until when a client may show who it is, in the order of time. Those that are kept or gone are passed over.
    deadlines: VecDeque<(Instant, u64)>,
    /// Whose handshakes go on. The poller does not watch them meanwhile.
    handshakes: Handshakes,
    /// What one turn takes from one connection.
    buffer: Box<[u8]>,
    /// What is written for a connection that has no room, or is gone.
    spare: Vec<u8>,
    /// Connections with something to write.
    dirty: Vec<u64>,
    /// Connections that do not take what waits, and when to look at them.
    stalled: Vec<u64>,
    look_at: Option<Instant>,
    /// The relay was not told of their end yet.
    closed: Vec<ConnectionId>,
    /// Of the last call that told it.
    now: Option<Instant>,
    counters: Counters,
}

/// Where clients connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct StreamListen {
    /// Port 0: any that is free.
    pub(crate) address: SocketAddr,
    pub(crate) tls: bool,
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client closed it, or it broke.
    Closed,
    /// The relay wants it so.
    Asked,
    /// There were too many, and it had not shown who it is.
    Evicted,
    /// It did not show that in time.
    Late,
    /// Something else came.
    NotTurn,
    /// The handshake failed, or a record was not what it should be.
    Tls,
    /// It did not take what it was sent.
    Stalled,
}

impl Streams {
    /// No listener and no connection.
    pub(crate) fn new() -> Self {
        Self {
            listeners: Listeners::default(),
            tls: None,
            connections_per_address: 0,
            max_connections: MAX_CONNECTIONS,
            open: HashMap::new(),
            sources: Sources::default(),
            next_token: STREAM_TOKENS + 1,
            deadlines: VecDeque::new(),
            handshakes: Handshakes::new(Instant::now()),
            buffer: vec![0; READ_BYTES].into(),
            spare: Vec::new(),
            dirty: Vec::new(),
            stalled: Vec::new(),
            look_at: None,
            closed: Vec::new(),
            now: None,
            counters: Counters::default(),
        }
    }

    /// Listens where `listen` says, and nowhere else; connections go on. `tls` is the certificate's chain and key in PEM, for
    /// connections from now on. Gives the listeners that failed, with the reason; if the certificate is why, the last good
    /// one stays in use where one is.
    pub(crate) fn configure(
        &mut self,
        poller: &Poller,
        listen: &[StreamListen],
        tls: Option<(&[u8], &[u8])>,
        connections_per_address: usize,
    ) -> Vec<(StreamListen, String)> {
        self.connections_per_address = connections_per_address;
        let certified = self.set_certificate(tls);
        self.listeners.retain(|open| listen.contains(&open) && (self.tls.is_some() || !open.tls));
        let mut failed = Vec::new();
        for listen in listen.iter().copied() {
            let opened = match &certified {
                Err(reason) if listen.tls => Err(reason.clone()),
                _ if self.listeners.has(listen) => Ok(()),
                _ => self.listeners.open(poller, listen),
            };
            failed.extend(opened.err().map(|reason| (listen, reason)));
        }
        failed
    }

    /// Where is listened, with the ports that were given.
    pub(crate) fn addresses(&self) -> Vec<StreamListen> {
        self.listeners.addresses()
    }

    /// Whether `handle_ready` is to be called with what has this token.
    pub(crate) fn owns(token: u64) -> bool {
        (STREAM_TOKENS..u64::MAX).contains(&token)
    }

    /// Accepts or reads, a turn's share at most. `message` is called with each message that is whole, padding included.
    pub(crate) fn handle_ready(
        &mut self,
        now: Instant,
        poller: &Poller,
        ready: Ready,
        message: &mut dyn FnMut(&ClientAddress, &[u8]),
    ) {
        self.now = Some(now);
        if ready.token >= FIRST_LISTENER {
            return self.accept(now, poller, ready.token);
        }
        let Some(connection) = self.open.get_mut(&ready.token) else { return };
        if connection.is_handshaking() {
            return self.line_up(poller, ready.token);
        }
        if ready.writable && !std::mem::replace(&mut connection.is_dirty, true) {
            self.dirty.push(ready.token);
        }
        self.read(ready.token, message);
    }

    /// Room for one message of exactly `len` bytes. Whole messages are dropped when too many wait.
    pub(crate) fn reserve(&mut self, connection: ConnectionId, len: usize) -> &mut [u8] {
        let token = token(connection);
        if let Some(room) = self.open.get_mut(&token).and_then(|open| reserve(open, token, len, &mut self.dirty)) {
            self.counters.sent += 1;
            self.counters.sent_bytes += len as u64;
            return room;
        }
        self.counters.dropped += 1;
        if self.spare.len() < len {
            self.spare.resize(len, 0);
        }
        &mut self.spare[..len]
    }

    /// Its client has shown who it is: it stays for as long as the relay wants it.
    pub(crate) fn keep(&mut self, connection: ConnectionId) {
        if let Some(connection) = self.open.get_mut(&token(connection)) {
            connection.is_kept = true;
        }
    }

    /// Ends a connection, once what can be written at once is written.
    pub(crate) fn close(&mut self, connection: ConnectionId) {
        self.end(token(connection), End::Asked);
    }

    /// The next connection that has ended, for whatever reason.
    pub(crate) fn poll_closed(&mut self) -> Option<ConnectionId> {
        self.closed.pop()
    }

    /// Writes what waits and goes on with handshakes, for a turn's share of time. To be called once a turn.
    pub(crate) fn flush(&mut self, poller: &Poller) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for token in dirty.drain(..) {
            self.write(poller, token);
        }
        self.dirty = dirty;
        let started = Instant::now();
        while let Some(token) = self.handshakes.next(started, Instant::now()) {
            self.shake_hands(poller, token);
        }
    }

    /// When to call `handle_timeout`. A time that has passed means: do not wait.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let looks = if self.stalled.is_empty() { None } else { self.look_at.or(self.now) };
        let deadline = self.deadlines.front().map(|(deadline, _)| *deadline);
        [self.handshakes.poll_timeout(), looks, deadline, self.listeners.poll_timeout()].into_iter().flatten().min()
    }

    /// Ends those whose time is up.
    pub(crate) fn handle_timeout(&mut self, now: Instant, poller: &Poller) {
        self.now = Some(now);
        self.listeners.handle_timeout(now, poller);
        while let Some(token) = self.first_on_probation() {
            if self.deadlines.front().is_some_and(|(deadline, _)| now < *deadline) {
                break;
            }
            self.end(token, End::Late);
        }
        if self.look_at.is_none_or(|at| at <= now) {
            self.look_at_stalled(now);
        }
    }

    /// Every counter with its name.
    pub(crate) fn visit(&self, f: &mut dyn FnMut(&'static str, u64)) {
        f("turn.connections", self.open.len() as u64);
        f("turn.stream_handshakes", self.handshakes.len() as u64);
        self.counters.visit(f);
    }

    fn set_certificate(&mut self, tls: Option<(&[u8], &[u8])>) -> Result<(), String> {
        let Some((chain, key)) = tls else {
            self.tls = None;
            return Err("there is no certificate".to_owned());
        };
        self.tls = Some(Arc::new(TlsConfig::new(chain, key)?));
        Ok(())
    }

    fn accept(&mut self, now: Instant, poller: &Poller, listener: u64) {
        for _ in 0..ACCEPTS_PER_TURN {
            match self.listeners.accept(now, poller, listener) {
                Accept::Connection { stream, remote, tls } => self.admit(now, poller, stream, remote, tls),
                Accept::Failed => self.counters.accept_errors += 1,
                Accept::Nothing => return,
                Accept::Exhausted => {
                    self.counters.accept_errors += 1;
                    return;
                }
            }
        }
    }

    /// Takes in a connection, or closes it.
    fn admit(&mut self, now: Instant, poller: &Poller, stream: TcpStream, remote: SocketAddr, tls: bool) {
        if !self.has_place(remote) {
            return;
        }
        let token = self.next_token;
        let Some(connection) = self.open_connection(poller, token, stream, remote, tls) else {
            self.sources.remove(remote.ip());
            self.counters.accept_errors += 1;
            return;
        };
        self.next_token += 1;
        self.counters.accepted += 1;
        self.open.insert(token, connection);
        self.deadlines.push_back((now + DEADLINE, token));
    }

    fn open_connection(
        &self,
        poller: &Poller,
        token: u64,
        stream: TcpStream,
        remote: SocketAddr,
        tls: bool,
    ) -> Option<Connection> {
        netio::prepare(&stream).and_then(|()| netio::keep_alive(&stream)).ok()?;
        let client = ClientAddress {
            transport: if tls { ClientTransport::Tls } else { ClientTransport::Tcp },
            connection: ConnectionId(token - STREAM_TOKENS),
            local: stream.local_addr().ok()?,
            remote,
        };
        let tls = if tls { Some(Tls::new(self.tls.clone()?)) } else { None };
        let connection = Connection::new(client, stream, tls);
        poller.add(&connection, token, Interest::Read).ok()?;
        Some(connection)
    }

    /// Counts one more connection of `remote`, if there may be one. When there are too many in all, the oldest on probation
    /// goes: an honest client shows who it is within a few round trips.
    fn has_place(&mut self, remote: SocketAddr) -> bool {
        if !self.sources.add(remote.ip(), self.connections_per_address) {
            self.counters.refused_address += 1;
            return false;
        }
        if self.open.len() < self.max_connections {
            return true;
        }
        if let Some(oldest) = self.first_on_probation() {
            self.end(oldest, End::Evicted);
            return true;
        }
        self.sources.remove(remote.ip());
        self.counters.refused_total += 1;
        false
    }

    fn first_on_probation(&mut self) -> Option<u64> {
        while let Some((_, token)) = self.deadlines.front() {
            if self.open.get(token).is_some_and(|connection| !connection.is_kept) {
                return Some(*token);
            }
            self.deadlines.pop_front();
        }
        None
    }

    fn read(&mut self, token: u64, message: &mut dyn FnMut(&ClientAddress, &[u8])) {
        let Some(connection) = self.open.get_mut(&token) else { return };
        let (client, counters) = (connection.client, &mut self.counters);
        let read = connection.read(&mut self.buffer, &mut |bytes| {
            counters.received += 1;
            message(&client, bytes);
        });
        match read {
            Ok(bytes) => self.counters.received_bytes += bytes as u64,
            Err(end) => self.end(token, end),
        }
    }

    /// Its handshake goes on when there is time for it.
    fn line_up(&mut self, poller: &Poller, token: u64) {
        let Some(connection) = self.open.get(&token) else { return };
        if poller.remove(connection).is_err() {
            return self.end(token, End::Closed);
        }
        self.handshakes.push(token);
    }

    fn shake_hands(&mut self, poller: &Poller, token: u64) {
        let Some(connection) = self.open.get_mut(&token) else { return };
        let mut step = connection.shake_hands(&mut self.buffer);
        if step.is_ok() {
            // Room to write is there at once: that is when messages are read that came right behind the handshake.
            connection.awaits_room = !connection.is_handshaking() || connection.wants_write();
            let interest = if connection.awaits_room { Interest::ReadWrite } else { Interest::Read };
            step = poller.add(connection, token, interest).map_err(|_| End::Closed);
        }
        if let Err(end) = step {
            self.end(token, end);
        }
    }

    fn write(&mut self, poller: &Poller, token: u64) {
        let Some(connection) = self.open.get_mut(&token) else { return };
        connection.is_dirty = false;
        let Ok(all_written) = connection.write() else { return self.end(token, End::Closed) };
        let awaited_room = std::mem::replace(&mut connection.awaits_room, !all_written);
        if awaited_room == connection.awaits_room {
            return;
        }
        let interest = if all_written { Interest::Read } else { Interest::ReadWrite };
        if poller.modify(connection, token, interest).is_err() {
            return self.end(token, End::Closed);
        }
        if !all_written && !self.stalled.contains(&token) {
            self.stalled.push(token);
        }
    }

    /// A connection that has taken nothing for long holds memory for nobody.
    fn look_at_stalled(&mut self, now: Instant) {
        let mut stalled = std::mem::take(&mut self.stalled);
        stalled.retain(|token| {
            let Some(connection) = self.open.get_mut(token).filter(|connection| connection.awaits_room) else {
                return false;
            };
            let since = *connection.stalled_since.get_or_insert(now);
            if now < since + STALLED {
                return true;
            }
            self.end(*token, End::Stalled);
            false
        });
        self.look_at = (!stalled.is_empty()).then_some(now + LOOK);
        self.stalled = stalled;
    }

    fn end(&mut self, token: u64, end: End) {
        let Some(mut connection) = self.open.remove(&token) else { return };
        if end != End::Closed {
            connection.close();
        }
        self.sources.remove(connection.client.remote.ip());
        self.counters.count(end);
        self.closed.push(connection.client.connection);
    }
}

fn reserve<'a>(connection: &'a mut Connection, token: u64, len: usize, dirty: &mut Vec<u64>) -> Option<&'a mut [u8]> {
    let is_listed = connection.is_dirty || connection.awaits_room;
    if !is_listed {
        connection.is_dirty = true;
        dirty.push(token);
    }
    connection.reserve(len)
}

fn token(connection: ConnectionId) -> u64 {
    STREAM_TOKENS + connection.0
}

/// Tokens of the poller; lower ones are sockets'. Connections have those up to listeners'.
const STREAM_TOKENS: u64 = 1 << 40;
const FIRST_LISTENER: u64 = 1 << 62;
/// 27 MB if all are idle: 6.7 kB each with TLS, 0.3 kB without (measured), and what the kernel holds.
const MAX_CONNECTIONS: usize = 4096;
/// A fast sender waits for the next turn with the rest, so that the others have theirs.
const READ_BYTES: usize = 32 << 10;
/// Handshake and request come within seconds, even over the slowest of networks.
const DEADLINE: Duration = Duration::from_secs(10);
/// By then a client has given up.
const STALLED: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_secs(1);

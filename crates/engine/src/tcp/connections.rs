//! All connections of one shard: found by the poller's token when something comes, by the path when something goes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use forward::Path;
use netio::{Interest, Poller};

use super::connection::{Connection, ReadEnd};
use super::{Accepted, MAX_FRAME};

/// Cumulative counts of one shard.
#[derive(Default)]
struct Counters {
    adopted: u64,
    received: u64,
    received_bytes: u64,
    sent: u64,
    sent_bytes: u64,
    dropped: u64,
    oversize: u64,
    unverified: u64,
    idle: u64,
}

pub(crate) struct Connections {
    open: HashMap<u64, Connection>,
    tokens: HashMap<Path, u64>,
    next_token: u64,
    /// What one turn takes from one connection.
    buffer: Box<[u8]>,
    /// Connections with something to write.
    dirty: Vec<u64>,
    /// The datagram that is being written, and where it goes.
    room: Box<[u8]>,
    reserved: Option<u64>,
    /// Paths of connections that ended and of which the forwarder was not told yet.
    closed: Vec<Path>,
    counters: Counters,
}

impl Connections {
    pub(crate) fn new() -> Self {
        Self {
            open: HashMap::new(),
            tokens: HashMap::new(),
            next_token: FIRST_TOKEN,
            buffer: vec![0; READ_BYTES].into(),
            dirty: Vec::new(),
            room: vec![0; MAX_FRAME].into(),
            reserved: None,
            closed: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// A connection that has begun with a check. Call `discard` if the check does not verify. False, and closed, when it
    /// cannot be watched.
    pub(crate) fn adopt(&mut self, now: Instant, poller: &Poller, accepted: Accepted) -> bool {
        let connection = Connection::new(now, accepted.stream, accepted.path);
        let token = self.next_token;
        if poller.add(&connection, token, Interest::Read).is_err() {
            return false;
        }
        self.next_token += 1;
        self.tokens.insert(accepted.path, token);
        self.open.insert(token, connection);
        self.counters.adopted += 1;
        true
    }

    /// Its first check did not verify.
    pub(crate) fn discard(&mut self, path: Path) {
        if let Some(token) = self.tokens.remove(&path) {
            self.open.remove(&token);
            self.counters.unverified += 1;
        }
    }

    /// Hands out the frames that wait on one connection, one turn's share at most.
    pub(crate) fn read(&mut self, now: Instant, token: u64, mut handle: impl FnMut(Path, &mut [u8])) {
        let Some(connection) = self.open.get_mut(&token) else { return };
        let (path, counters) = (connection.path, &mut self.counters);
        let (bytes, oversize, end) = connection.read(now, &mut self.buffer, |frame| {
            counters.received += 1;
            handle(path, frame);
        });
        self.counters.received_bytes += bytes as u64;
        self.counters.oversize += oversize;
        if end == ReadEnd::Closed {
            self.close(token);
        }
    }

    /// There is room to write again.
    pub(crate) fn handle_writable(&mut self, token: u64) {
        if let Some(connection) = self.open.get_mut(&token)
            && !std::mem::replace(&mut connection.is_dirty, true)
        {
            self.dirty.push(token);
        }
    }

    /// Room for one datagram; what is written for a connection that is gone goes nowhere.
    pub(crate) fn reserve(&mut self, path: Path, max_len: usize) -> &mut [u8] {
        self.reserved = self.tokens.get(&path).copied();
        if max_len > self.room.len() {
            self.room = vec![0; max_len].into();
        }
        &mut self.room[..max_len]
    }

    pub(crate) fn commit(&mut self, len: usize) {
        let Some((token, connection)) =
            self.reserved.take().and_then(|token| Some((token, self.open.get_mut(&token)?)))
        else {
            self.counters.dropped += u64::from(len > 0);
            return;
        };
        if !connection.push(&self.room[..len]) {
            self.counters.dropped += 1;
            return;
        }
        self.counters.sent += 1;
        self.counters.sent_bytes += len as u64;
        if !connection.awaits_room && !std::mem::replace(&mut connection.is_dirty, true) {
            self.dirty.push(token);
        }
    }

    /// Writes what waits. Connections that take no more for now are watched for room.
    pub(crate) fn flush(&mut self, poller: &Poller) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for token in dirty.drain(..) {
            let Some(connection) = self.open.get_mut(&token) else { continue };
            connection.is_dirty = false;
            let Ok(all_written) = connection.write() else {
                self.close(token);
                continue;
            };
            if all_written && connection.is_ending {
                self.close(token);
                continue;
            }
            if connection.awaits_room == all_written {
                connection.awaits_room = !all_written;
                let interest = if all_written { Interest::Read } else { Interest::ReadWrite };
                if poller.modify(connection, token, interest).is_err() {
                    self.close(token);
                }
            }
        }
        self.dirty = dirty;
    }

    /// Closes the connection that is this path, if there is one.
    pub(crate) fn close_path(&mut self, path: Path) {
        if let Some(token) = self.tokens.get(&path) {
            self.close(*token);
        }
    }

    /// Nobody owns this path any more: its connection ends once all is written.
    pub(crate) fn end(&mut self, now: Instant, path: Path) {
        let Some(token) = self.tokens.get(&path).copied() else { return };
        let Some(connection) = self.open.get_mut(&token) else { return };
        connection.is_ending = true;
        connection.active_at = now;
        if connection.is_written() {
            self.close(token);
        }
    }

    /// Closes connections over which nothing came for long, and those that did not end in time.
    pub(crate) fn close_idle(&mut self, now: Instant) {
        let is_idle = |connection: &Connection| {
            let patience = if connection.is_ending { END_WITHIN } else { IDLE };
            now > connection.active_at + patience
        };
        let idle: Vec<u64> = self.open.iter().filter(|(_, open)| is_idle(open)).map(|(token, _)| *token).collect();
        for token in idle {
            self.counters.idle += 1;
            self.close(token);
        }
    }

    /// The next path whose connection ended.
    pub(crate) fn poll_closed(&mut self) -> Option<Path> {
        self.closed.pop()
    }

    /// Whether the kernel has taken everything.
    pub(crate) fn all_written(&self) -> bool {
        self.open.values().all(Connection::is_written)
    }

    /// Datagrams that were queued.
    pub(crate) fn sent(&self) -> u64 {
        self.counters.sent
    }

    /// Every counter with its name.
    pub(crate) fn visit(&self, mut f: impl FnMut(&'static str, u64)) {
        let counters = &self.counters;
        f("tcp.open", self.open.len() as u64);
        f("tcp.adopted", counters.adopted);
        f("tcp.refused_unverified", counters.unverified);
        f("tcp.closed_idle", counters.idle);
        f("tcp.received", counters.received);
        f("tcp.received_bytes", counters.received_bytes);
        f("tcp.sent", counters.sent);
        f("tcp.sent_bytes", counters.sent_bytes);
        f("tcp.dropped", counters.dropped);
        f("tcp.oversize", counters.oversize);
    }

    fn close(&mut self, token: u64) {
        let Some(connection) = self.open.remove(&token) else { return };
        if self.tokens.get(&connection.path) == Some(&token) {
            self.tokens.remove(&connection.path);
        }
        self.closed.push(connection.path);
    }
}

/// Tokens of connections; those below belong to sockets.
pub(crate) const FIRST_TOKEN: u64 = 1 << 32;
/// A fast sender waits for the next turn with the rest, so that the others have theirs.
const READ_BYTES: usize = 32 << 10;
/// Browsers check even a path that they do not use every 25 s.
const IDLE: Duration = Duration::from_secs(60);
const END_WITHIN: Duration = Duration::from_secs(5);

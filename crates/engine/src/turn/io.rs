//! What the relay's rules want of the world: `relay::Outputs` over sockets, connections, shards and the driver.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use netio::{FanQueue, Poller, UdpSocket};
use relay::{ClientAddress, ClientTransport, ConnectionId, Outputs, RelayEvent, Route, SocketId};

use super::streams::Streams;
use super::udp::{Sockets, lane};
use super::{MediaBatch, ShardOrder, TurnEvent, TurnListen};
use crate::inbox::Inbox;

pub(super) struct Io {
    pub(super) poller: Poller,
    pub(super) queue: FanQueue,
    pub(super) sockets: Sockets,
    pub(super) streams: Streams,
    /// For the driver.
    pub(super) events: Vec<TurnEvent>,
    /// The receive time of what is being handled.
    pub(super) received: Instant,
    shards: Arc<[Arc<Inbox>]>,
    /// For each shard.
    batches: Box<[MediaBatch]>,
    pub(super) media_full: u64,
    spare: Vec<u8>,
}

impl Io {
    pub(super) fn new(poller: Poller, shards: Arc<[Arc<Inbox>]>, now: Instant) -> Self {
        Self {
            poller,
            queue: FanQueue::new(),
            sockets: Sockets::new(),
            streams: Streams::new(),
            events: Vec::new(),
            received: now,
            batches: shards.iter().map(|_| MediaBatch::default()).collect(),
            shards,
            media_full: 0,
            spare: Vec::new(),
        }
    }

    /// Tells the shards by which sockets clients are reached.
    fn announce_listeners(&self) {
        let listeners: Arc<[_]> = self.sockets.listeners().map(Arc::clone).collect();
        for shard in self.shards.iter() {
            shard.push_turn(ShardOrder::Listeners(Arc::clone(&listeners)));
        }
    }

    /// Opens and closes UDP listeners by difference; gives those that failed.
    pub(super) fn listen(&mut self, listen: &[TurnListen]) -> Vec<(TurnListen, String)> {
        let given_up = self.sockets.retain(&self.poller, &mut self.queue, listen);
        if !given_up.is_empty() {
            self.announce_listeners();
            wait_until_free(&given_up);
            drop(given_up);
        }
        let failed = self.sockets.open(&self.poller, &mut self.queue, listen);
        self.announce_listeners();
        failed
    }

    /// Hands over what the shards are to have, and sends the rest.
    pub(super) fn flush(&mut self) {
        for number in 0..self.batches.len() {
            self.push_batch(number);
        }
        self.queue.flush();
        self.streams.flush(&self.poller);
    }

    fn push_batch(&mut self, shard: usize) {
        if !self.batches[shard].is_empty() {
            let batch = std::mem::take(&mut self.batches[shard]);
            self.media_full += self.shards[shard].push_media(batch) as u64;
        }
    }

    fn nowhere(&mut self, len: usize) -> &mut [u8] {
        if self.spare.len() < len {
            self.spare.resize(len, 0);
        }
        &mut self.spare[..len]
    }
}

impl Outputs for Io {
    fn to_client(&mut self, client: &ClientAddress, len: usize) -> &mut [u8] {
        if client.transport != ClientTransport::Udp {
            return self.streams.reserve(client.connection, len);
        }
        match self.sockets.listener_lane(&client.local) {
            Some(lane) => self.queue.push(lane, client.local, client.remote, len),
            None => self.nowhere(len),
        }
    }

    fn to_peer(&mut self, socket: SocketId, peer: SocketAddr, payload: &[u8]) {
        if let Some(local) = self.sockets.relay(socket).map(|socket| socket.local_address()) {
            let room = self.queue.push(lane(socket), local, peer, payload.len());
            let len = room.len();
            room.copy_from_slice(&payload[..len]);
        }
    }

    fn to_media(&mut self, shard: u32, relayed: SocketAddr, media: SocketAddr, payload: &[u8]) {
        let shard = shard as usize;
        let Some(batch) = self.batches.get_mut(shard) else { return };
        batch.push(relayed, media, self.received, payload);
        if batch.byte_count() >= MAX_BATCH_BYTES {
            self.push_batch(shard);
        }
    }

    fn set_route(&mut self, relayed: SocketAddr, route: Option<Route>) {
        // What was relayed before goes first.
        for number in 0..self.batches.len() {
            self.push_batch(number);
        }
        let route = route.map(Box::new);
        for shard in self.shards.iter() {
            shard.push_turn(ShardOrder::Route(relayed, route.clone()));
        }
    }

    fn bind(&mut self, socket: SocketId, address: SocketAddr, dont_fragment: bool) -> io::Result<()> {
        self.sockets.bind(&self.poller, &mut self.queue, socket, address, dont_fragment)
    }

    fn close(&mut self, socket: SocketId) {
        self.sockets.close(&mut self.queue, socket);
    }

    fn keep_connection(&mut self, connection: ConnectionId) {
        self.streams.keep(connection);
    }

    fn close_connection(&mut self, connection: ConnectionId) {
        self.streams.close(connection);
    }

    fn event(&mut self, event: RelayEvent) {
        self.events.push(TurnEvent::Relay(event));
    }
}

/// The shards let go of them within microseconds, as a rule: then their ports can be bound again, by another address.
fn wait_until_free(sockets: &[Arc<UdpSocket>]) {
    let patience = Instant::now() + PATIENCE;
    while sockets.iter().any(|socket| Arc::strong_count(socket) > 1) && Instant::now() < patience {
        thread::sleep(LOOK);
    }
}

/// A shard that takes longer has other troubles, and so has a listener that cannot be opened then.
const PATIENCE: Duration = Duration::from_millis(200);
const LOOK: Duration = Duration::from_micros(100);
/// Then the shard may begin with it.
const MAX_BATCH_BYTES: usize = 256 << 10;

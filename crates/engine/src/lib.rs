//! The engine: shards (one thread each) that own sockets and a forwarder, and the queues between them and their driver.
//!
//! Commands go down through one inbox per shard, events come up through one outbox for all. Ids are minted by the
//! driver; the engine remembers which shard owns which. Nothing here knows Python, rooms or participants.

mod byte_queue;
mod config;
mod held;
mod hold;
mod inbox;
mod outbox;
mod pipes;
mod router;
mod shard;
mod sink;
mod stats;
mod tcp;
mod turn;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::RawFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use forward::dtls::Certificate;
use forward::{Command, Event, PathProtocol};
use netio::{UdpSocket, bind_all, listen_all};

pub use config::{ConfigError, EngineConfig, StartError};
pub use stats::ShardStats;
pub use turn::{TurnCommand, TurnConfiguration, TurnEvent, TurnListen};

use inbox::{Inbox, Order};
use outbox::Outbox;
use router::{Router, Verdict};
use tcp::{Accepted, Acceptor};
use turn::{TURN_THREAD, Turn};

/// A running engine.
pub struct Engine {
    fingerprint: String,
    shards: Vec<Handle>,
    router: Arc<Mutex<Router>>,
    outbox: Arc<Outbox>,
    tcp_addresses: Vec<SocketAddr>,
    acceptor: Option<Acceptor>,
    turn: Turn,
    /// Disconnected once every shard's thread has ended.
    running: Mutex<Receiver<()>>,
}

/// The driver's end of one shard.
struct Handle {
    addresses: Vec<SocketAddr>,
    inbox: Arc<Inbox>,
    stats: Arc<Mutex<ShardStats>>,
}

impl Engine {
    /// Binds the sockets, makes the certificate and starts the shards.
    pub fn start(config: &EngineConfig) -> Result<Self, StartError> {
        config.check()?;
        let certificate = Certificate::generate().map_err(|error| StartError::Certificate(error.to_string()))?;
        let sockets = (0..config.shards).map(|shard| bind(config, shard)).collect::<Result<Vec<_>, _>>()?;
        let listeners = listen(config)?;

        let outbox = Arc::new(Outbox::new(config.shards).map_err(StartError::System)?);
        let (alive, running) = channel();
        let inboxes = (0..config.shards).map(|_| Inbox::new().map(Arc::new)).collect::<Result<Vec<_>, _>>();
        let inboxes: Arc<[Arc<Inbox>]> = inboxes.map_err(StartError::System)?.into();
        let turn = Turn::new(Arc::clone(&inboxes), Arc::clone(&outbox)).map_err(StartError::System)?;
        let mut engine = Self {
            fingerprint: certificate.fingerprint().to_owned(),
            shards: Vec::with_capacity(config.shards),
            router: Arc::new(Mutex::new(Router::new(config.shards))),
            outbox: Arc::clone(&outbox),
            tcp_addresses: listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect(),
            acceptor: None,
            turn,
            running: Mutex::new(running),
        };
        let forwarder = forward::ForwarderConfig {
            srtp_profiles: config.srtp_profiles.as_slice().into(),
            certificate: Arc::new(certificate),
        };
        let unix_now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let started = (Instant::now(), unix_now);
        for (index, sockets) in sockets.into_iter().enumerate() {
            let handle = Handle {
                addresses: sockets.iter().map(UdpSocket::local_address).collect(),
                inbox: Arc::clone(&inboxes[index]),
                stats: Arc::default(),
            };
            shard::spawn(
                shard::Parts {
                    index,
                    sockets: sockets.into(),
                    inbox: Arc::clone(&handle.inbox),
                    peers: Arc::clone(&inboxes),
                    turn: Arc::clone(&engine.turn.inbox),
                    outbox: Arc::clone(&outbox),
                    stats: Arc::clone(&handle.stats),
                    forwarder: forwarder.clone(),
                    started,
                    seed: config.shard_seed(index),
                },
                alive.clone(),
            )
            .map_err(StartError::System)?;
            engine.shards.push(handle);
        }
        if !listeners.is_empty() {
            let acceptor = Acceptor::spawn(listeners, engine.delivery(), alive).map_err(StartError::System)?;
            engine.acceptor = Some(acceptor);
        }
        Ok(engine)
    }

    /// Hands commands to the shards they are for, in order. A refusal comes back as an event.
    pub fn submit(&self, commands: impl IntoIterator<Item = Command>) {
        let mut deliveries = Deliveries::new(&self.shards);
        let mut router = lock(&self.router);
        for command in commands {
            router.route(command, |verdict| deliveries.add(verdict));
        }
        // Still under the router's lock, so that two submits cannot overtake each other.
        self.outbox.post_all(deliveries.push());
    }

    /// Hands commands to TURN's thread, in order. One that configures returns when its listeners are open, or could not be.
    pub fn submit_turn(&self, commands: Vec<TurnCommand>) -> io::Result<()> {
        self.turn.submit(commands)
    }

    /// TURN's listeners that are open.
    pub fn turn_addresses(&self) -> Vec<TurnListen> {
        lock(&self.turn.shared.listening).clone()
    }

    /// What every allocation relayed, as of the last second.
    pub fn allocation_stats(&self) -> Vec<relay::AllocationStats> {
        lock(&self.turn.shared.allocations).clone()
    }

    /// Takes at most `limit` events of TURN's thread.
    pub fn drain_turn(&self, limit: usize) -> Vec<TurnEvent> {
        self.outbox.take_turn(limit)
    }

    /// Takes at most `limit` events that wait.
    pub fn drain(&self, limit: usize) -> Vec<Event> {
        let events = self.outbox.take(limit);
        let closed = events.iter().filter_map(|event| match event {
            Event::TransportClosed { transport, .. } => Some(*transport),
            _ => None,
        });
        let mut deliveries = Deliveries::new(&self.shards);
        let mut router = lock(&self.router);
        router.forget(closed, |verdict| deliveries.add(verdict));
        self.outbox.post_all(deliveries.push());
        drop(router);
        events
    }

    /// Says goodbye to every client, then ends the shards. Waits for them `drain_for` at most; true if all have ended.
    pub fn close(&self, drain_for: Duration) -> bool {
        if let Some(acceptor) = &self.acceptor {
            acceptor.stop();
        }
        let deadline = Instant::now() + drain_for;
        let farewells = lock(&self.router).close_all();
        self.submit(farewells);
        for shard in &self.shards {
            shard.inbox.stop(drain_for);
        }
        let shards_ended = lock(&self.running).recv_timeout(drain_for) == Err(RecvTimeoutError::Disconnected);
        // Last: the way of the shards' goodbyes to clients behind the relay.
        let turn_ended = self.turn.stop(deadline.saturating_duration_since(Instant::now()));
        shards_ended && turn_ended
    }

    /// Makes a shard panic, or what fails under the number `TURN_THREAD`. For tests of what happens then.
    pub fn crash(&self, shard: usize) {
        if shard == TURN_THREAD as usize {
            self.turn.inbox.crash();
        } else if let Some(shard) = self.shards.get(shard) {
            shard.inbox.crash();
        }
    }

    /// "sha-256 AA:BB:..." of the certificate that every transport uses.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Where a shard is bound, in the order of the configuration; `None` when there is no such shard.
    pub fn addresses(&self, shard: usize) -> Option<&[SocketAddr]> {
        self.shards.get(shard).map(|shard| shard.addresses.as_slice())
    }

    /// Where the TCP listeners are bound; one port for all shards.
    pub fn tcp_addresses(&self) -> &[SocketAddr] {
        &self.tcp_addresses
    }

    /// Readable while events wait.
    pub fn event_fd(&self) -> RawFd {
        self.outbox.raw_fd()
    }

    /// What each shard posted last. The acceptor's and TURN's counts are with the first.
    pub fn snapshot(&self) -> Vec<ShardStats> {
        let mut all: Vec<_> = self.shards.iter().map(|shard| lock(&shard.stats).clone()).collect();
        if let (Some(acceptor), Some(first)) = (&self.acceptor, all.first_mut()) {
            acceptor.stats().visit(|name, value| first.counters.push((name, value)));
        }
        if let Some(first) = all.first_mut() {
            first.counters.extend(lock(&self.turn.shared.counters).iter().copied());
        }
        all
    }

    /// Hands a connection to the shard that has a ufrag; false when none has.
    fn delivery(&self) -> impl Fn(&str, Accepted) -> bool + Send + 'static {
        let router = Arc::clone(&self.router);
        let inboxes: Vec<_> = self.shards.iter().map(|shard| Arc::clone(&shard.inbox)).collect();
        move |ufrag, accepted| {
            let shard = lock(&router).shard_of_ufrag(ufrag);
            shard.and_then(|shard| inboxes.get(shard)).is_some_and(|inbox| inbox.push_connection(accepted))
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close(Duration::ZERO);
    }
}

/// What goes to each shard at once.
struct Deliveries<'a> {
    shards: &'a [Handle],
    orders: Vec<Vec<Order>>,
    /// What goes last: the source of a pipe starts when all others know of it.
    sources: Vec<Vec<Order>>,
    refused: Vec<Event>,
}

impl<'a> Deliveries<'a> {
    fn new(shards: &'a [Handle]) -> Self {
        let none = || shards.iter().map(|_| Vec::new()).collect();
        Self { shards, orders: none(), sources: none(), refused: Vec::new() }
    }

    fn add(&mut self, verdict: Verdict) {
        let has_failed = |shard: usize| self.shards[shard].inbox.has_failed();
        match verdict {
            Verdict::Deliver(shard, command) if has_failed(shard) => {
                self.refused.push(router::refusal(&command, "shard_failed"));
            }
            Verdict::Mirror(shard, _) | Verdict::Tap(shard, _) if has_failed(shard) => {}
            Verdict::Deliver(shard, command) => self.orders[shard].push(Order::Command(command)),
            Verdict::Mirror(shard, command) => self.orders[shard].push(Order::Pipe(command)),
            Verdict::Tap(shard, command) => self.sources[shard].push(Order::Pipe(command)),
            Verdict::Refuse(event) => self.refused.push(event),
        }
    }

    /// Pushes everything; gives what was refused.
    fn push(self) -> Vec<Event> {
        for orders in [self.orders, self.sources] {
            for (shard, orders) in self.shards.iter().zip(orders) {
                if !orders.is_empty() {
                    shard.inbox.push(orders);
                }
            }
        }
        self.refused
    }
}

fn bind(config: &EngineConfig, shard: usize) -> Result<Vec<UdpSocket>, StartError> {
    bind_all(&config.bind, config.port(shard)).map_err(|(address, error)| StartError::Bind {
        protocol: PathProtocol::Udp,
        address,
        error,
    })
}

fn listen(config: &EngineConfig) -> Result<Vec<TcpListener>, StartError> {
    let Some(port) = config.tcp_port else { return Ok(Vec::new()) };
    listen_all(&config.bind, port).map_err(|(address, error)| StartError::Bind {
        protocol: PathProtocol::Tcp,
        address,
        error,
    })
}

/// What the lock guards is consistent after every statement, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

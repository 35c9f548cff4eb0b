//! The engine: shards (one thread each) that own sockets and a forwarder, and the queues between them and their driver.
//!
//! Commands go down through one inbox per shard, events come up through one outbox for all. Ids are minted by the
//! driver; the engine remembers which shard owns which. Nothing here knows Python, rooms or participants.

mod config;
mod inbox;
mod load;
mod outbox;
mod router;
mod shard;
mod sink;
mod stats;

use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use forward::dtls::Certificate;
use forward::{Command, Event};
use netio::{UdpSocket, bind_all};

pub use config::{ConfigError, EngineConfig, StartError};
pub use stats::ShardStats;

use inbox::Inbox;
use outbox::Outbox;
use router::{Router, Verdict};

/// A running engine.
pub struct Engine {
    fingerprint: String,
    shards: Vec<Handle>,
    router: Mutex<Router>,
    outbox: Arc<Outbox>,
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

        let outbox = Arc::new(Outbox::new(config.shards).map_err(StartError::System)?);
        let (alive, running) = channel();
        let mut engine = Self {
            fingerprint: certificate.fingerprint().to_owned(),
            shards: Vec::with_capacity(config.shards),
            router: Mutex::new(Router::new(config.shards)),
            outbox: Arc::clone(&outbox),
            running: Mutex::new(running),
        };
        let forwarder = forward::ForwarderConfig {
            srtp_profiles: config.srtp_profiles.as_slice().into(),
            certificate: Arc::new(certificate),
        };
        for (index, sockets) in sockets.into_iter().enumerate() {
            let handle = Handle {
                addresses: sockets.iter().map(UdpSocket::local_address).collect(),
                inbox: Arc::new(Inbox::new().map_err(StartError::System)?),
                stats: Arc::default(),
            };
            shard::spawn(
                shard::Parts {
                    index,
                    sockets: sockets.into(),
                    inbox: Arc::clone(&handle.inbox),
                    outbox: Arc::clone(&outbox),
                    stats: Arc::clone(&handle.stats),
                    forwarder: forwarder.clone(),
                    seed: config.shard_seed(index),
                },
                alive.clone(),
            )
            .map_err(StartError::System)?;
            engine.shards.push(handle);
        }
        Ok(engine)
    }

    /// Hands commands to the shards they are for, in order. A refusal comes back as an event.
    pub fn submit(&self, commands: impl IntoIterator<Item = Command>) {
        let mut batches: Vec<Vec<Command>> = self.shards.iter().map(|_| Vec::new()).collect();
        let mut refused = Vec::new();
        let mut router = lock(&self.router);
        for command in commands {
            router.route(command, |verdict| match verdict {
                Verdict::Deliver(shard, command) if !self.shards[shard].inbox.has_failed() => {
                    batches[shard].push(command);
                }
                Verdict::Deliver(_, command) => refused.push(router::refusal(&command, "shard_failed")),
                Verdict::Refuse(event) => refused.push(event),
            });
        }
        // Still under the router's lock, so that two submits cannot overtake each other.
        for (shard, batch) in self.shards.iter().zip(batches) {
            if !batch.is_empty() {
                shard.inbox.push(batch);
            }
        }
        self.outbox.post_all(refused);
    }

    /// Takes at most `limit` events that wait.
    pub fn drain(&self, limit: usize) -> Vec<Event> {
        let events = self.outbox.take(limit);
        let closed = events.iter().filter_map(|event| match event {
            Event::TransportClosed { transport, .. } => Some(*transport),
            _ => None,
        });
        lock(&self.router).forget(closed);
        events
    }

    /// Says goodbye to every client, then ends the shards. Waits for them `drain_for` at most; true if all have ended.
    pub fn close(&self, drain_for: Duration) -> bool {
        let farewells = lock(&self.router).close_all();
        self.submit(farewells);
        for shard in &self.shards {
            shard.inbox.stop(drain_for);
        }
        let ended = lock(&self.running).recv_timeout(drain_for);
        ended == Err(RecvTimeoutError::Disconnected)
    }

    /// Makes a shard panic. For tests of what happens then.
    pub fn crash(&self, shard: usize) {
        if let Some(shard) = self.shards.get(shard) {
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

    /// Readable while events wait.
    pub fn event_fd(&self) -> RawFd {
        self.outbox.raw_fd()
    }

    /// What each shard posted last.
    pub fn snapshot(&self) -> Vec<ShardStats> {
        self.shards.iter().map(|shard| lock(&shard.stats).clone()).collect()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close(Duration::ZERO);
    }
}

fn bind(config: &EngineConfig, shard: usize) -> Result<Vec<UdpSocket>, StartError> {
    bind_all(&config.bind, config.port(shard)).map_err(|(address, error)| StartError::Bind { address, error })
}

/// What the lock guards is consistent after every statement, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

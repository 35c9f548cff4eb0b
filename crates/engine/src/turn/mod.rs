//! The TURN server of the engine: one thread of I/O around `crates/relay`, and the ways between it and the shards.

mod coalesce;
mod inbox;
mod io;
mod media;
pub(crate) mod streams;
mod thread;
mod udp;
mod way;

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use relay::{AllocationStats, ClientTransport, RelayCommand, RelayEvent};

pub(crate) use inbox::{Answer, TurnInbox};
pub(crate) use media::{MediaBatch, ShardOrder};
pub(crate) use way::Way;

use crate::inbox::Inbox;
use crate::lock;
use crate::outbox::Outbox;
use thread::Parts;
pub(crate) use thread::TURN_THREAD;

/// What the driver wants.
#[derive(Debug, Clone)]
pub enum TurnCommand {
    /// The whole configuration.
    Configure(Box<TurnConfiguration>),
    /// For the relay's rules.
    Relay(RelayCommand),
}

/// The whole configuration. Listeners are opened and closed by difference; allocations live on.
#[derive(Debug, Clone)]
pub struct TurnConfiguration {
    /// Where clients come.
    pub listen: Vec<TurnListen>,
    /// Certificate chain and key, PEM.
    pub certificate: Option<(Vec<u8>, Vec<u8>)>,
    /// TCP and TLS connections of one IPv4 address or IPv6 /64.
    pub connections_per_address: usize,
    /// How long packets may wait for others under load. Zero: never.
    pub coalesce: Duration,
    /// For the relay's rules.
    pub relay: relay::Configuration,
}

/// One listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TurnListen {
    /// Port 0: any that is free.
    pub address: SocketAddr,
    /// What clients come by.
    pub transport: ClientTransport,
}

/// What the driver is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnEvent {
    /// From the relay's rules.
    Relay(RelayEvent),
    /// A listener could not be opened.
    ListenFailed {
        /// Which.
        listen: TurnListen,
        /// A sentence.
        reason: String,
    },
}

/// What the thread posts once a second, and when its listeners change.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) listening: Mutex<Vec<TurnListen>>,
    pub(crate) counters: Mutex<Vec<(&'static str, u64)>>,
    pub(crate) allocations: Mutex<Vec<AllocationStats>>,
}

/// The engine's end of the thread, which the first configuration starts.
pub(crate) struct Turn {
    pub(crate) inbox: Arc<TurnInbox>,
    pub(crate) shared: Arc<Shared>,
    /// Until then.
    parts: Mutex<Option<(Parts, Sender<()>)>>,
    /// Disconnected once the thread has ended, or will never start.
    running: Mutex<Receiver<()>>,
}

impl Turn {
    pub(crate) fn new(shards: Arc<[Arc<Inbox>]>, outbox: Arc<Outbox>) -> std::io::Result<Self> {
        let (inbox, shared) = (Arc::new(TurnInbox::new()?), Arc::default());
        let key = thread::random_key()?;
        let (alive, running) = channel();
        let parts = Parts { inbox: Arc::clone(&inbox), shards, outbox, shared: Arc::clone(&shared), key };
        Ok(Self { inbox, shared, parts: Mutex::new(Some((parts, alive))), running: Mutex::new(running) })
    }

    /// Hands commands over. With a configuration among them it waits until the listeners are open.
    pub(crate) fn submit(&self, commands: Vec<TurnCommand>) -> std::io::Result<()> {
        let configures = commands.iter().any(|command| matches!(command, TurnCommand::Configure(_)));
        if configures && let Some((parts, alive)) = lock(&self.parts).take() {
            thread::spawn(parts, alive)?;
        }
        let (done, wait) = channel();
        self.inbox.push(commands, configures.then_some(done));
        if configures {
            // The thread answers at once, or it is gone and the channel with it.
            let _ = wait.recv_timeout(CONFIGURE_PATIENCE);
        }
        Ok(())
    }

    /// Ends the thread once everything that was handed to it is on its way. Waits for it so long; true if it has ended.
    pub(crate) fn stop(&self, within: Duration) -> bool {
        if lock(&self.parts).take().is_some() {
            self.inbox.set_ended();
        }
        self.inbox.stop();
        lock(&self.running).recv_timeout(within) == Err(RecvTimeoutError::Disconnected)
    }
}

/// Told when the commands before it are carried out.
pub(crate) type Done = Sender<()>;

/// Opening listeners takes milliseconds; a machine may be busy.
const CONFIGURE_PATIENCE: Duration = Duration::from_secs(5);

//! The thread that accepts connections for all shards.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use forward::Path;
use netio::{EventFd, Interest, Poller};

use super::Accepted;
use super::pending::{Pending, Progress};

/// The engine's end of the thread.
#[derive(Clone)]
pub(crate) struct Acceptor {
    shared: Arc<Shared>,
}

struct Shared {
    stop: AtomicBool,
    signal: EventFd,
    stats: AcceptorStats,
}

/// Cumulative counts, and one gauge.
#[derive(Debug, Default)]
pub(crate) struct AcceptorStats {
    accepted: AtomicU64,
    pending: AtomicU64,
    too_many: AtomicU64,
    evicted: AtomicU64,
    expired: AtomicU64,
    useless: AtomicU64,
    unknown_ufrag: AtomicU64,
    errors: AtomicU64,
}

impl AcceptorStats {
    pub(crate) fn visit(&self, mut f: impl FnMut(&'static str, u64)) {
        let mut tell = |name, value: &AtomicU64| f(name, value.load(Ordering::Relaxed));
        tell("tcp.accepted", &self.accepted);
        tell("tcp.pending", &self.pending);
        tell("tcp.refused_source", &self.too_many);
        tell("tcp.refused_total", &self.evicted);
        tell("tcp.refused_late", &self.expired);
        tell("tcp.refused_no_check", &self.useless);
        tell("tcp.refused_unknown_ufrag", &self.unknown_ufrag);
        tell("tcp.accept_errors", &self.errors);
    }
}

impl Acceptor {
    /// Starts the thread. `deliver` hands a connection to the shard that has the ufrag, false if none has. `alive` is dropped
    /// when the thread ends.
    pub(crate) fn spawn(
        listeners: Vec<TcpListener>,
        deliver: impl Fn(&str, Accepted) -> bool + Send + 'static,
        alive: Sender<()>,
    ) -> io::Result<Self> {
        let shared =
            Arc::new(Shared { stop: AtomicBool::new(false), signal: EventFd::new()?, stats: AcceptorStats::default() });
        let poller = Poller::new()?;
        poller.add(&shared.signal, STOP, Interest::Read)?;
        let mut accept = Accept {
            poller,
            listeners,
            pending: Pending::default(),
            deliver,
            shared: Arc::clone(&shared),
            rest_until: None,
        };
        accept.listen(true)?;
        let run = move || {
            accept.run();
            drop(alive);
        };
        thread::Builder::new().name("tcp-accept".to_owned()).spawn(run)?;
        Ok(Self { shared })
    }

    pub(crate) fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.signal.signal();
    }

    pub(crate) fn stats(&self) -> &AcceptorStats {
        &self.shared.stats
    }
}

struct Accept<F> {
    poller: Poller,
    listeners: Vec<TcpListener>,
    pending: Pending,
    deliver: F,
    shared: Arc<Shared>,
    /// The system had no descriptor left: nothing is accepted before.
    rest_until: Option<Instant>,
}

impl<F: Fn(&str, Accepted) -> bool> Accept<F> {
    fn run(&mut self) {
        let mut ready = Vec::new();
        loop {
            ready.clear();
            match self.poller.wait(self.time_to_wait()) {
                Ok(tokens) => ready.extend(tokens.map(|ready| ready.token)),
                Err(_) => return,
            }
            if self.shared.stop.load(Ordering::Relaxed) {
                return;
            }
            let now = Instant::now();
            if self.rest_until.is_some_and(|until| until <= now) {
                self.rest_until = None;
                if self.listen(true).is_err() {
                    return;
                }
            }
            for token in &ready {
                match *token {
                    STOP => {}
                    token if token >= FIRST_LISTENER => self.accept(now, (token - FIRST_LISTENER) as usize),
                    token => self.read(token),
                }
            }
            let stats = &self.shared.stats;
            stats.expired.fetch_add(self.pending.expire(now), Ordering::Relaxed);
            stats.pending.store(self.pending.len() as u64, Ordering::Relaxed);
        }
    }

    fn time_to_wait(&self) -> Option<Duration> {
        let until = self.pending.next_deadline().into_iter().chain(self.rest_until).min()?;
        Some(until.saturating_duration_since(Instant::now()))
    }

    /// Watches the listeners, or stops doing so.
    fn listen(&mut self, watch: bool) -> io::Result<()> {
        for (index, listener) in self.listeners.iter().enumerate() {
            if watch {
                self.poller.add(listener, FIRST_LISTENER + index as u64, Interest::Read)?;
            } else {
                self.poller.remove(listener)?;
            }
        }
        Ok(())
    }

    fn accept(&mut self, now: Instant, listener: usize) {
        for _ in 0..ACCEPTS_PER_TURN {
            let stats = &self.shared.stats;
            let (stream, remote) = match self.listeners[listener].accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    stats.errors.fetch_add(1, Ordering::Relaxed);
                    if is_exhausted(&error) && self.listen(false).is_ok() {
                        self.rest_until = Some(now + REST);
                        return;
                    }
                    continue; // the connection ended before it was accepted
                }
            };
            stats.accepted.fetch_add(1, Ordering::Relaxed);
            let Some(local) = stream.local_addr().ok().filter(|_| netio::prepare(&stream).is_ok()) else {
                stats.errors.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            let accepted = Accepted { stream, path: Path::tcp(local, remote), first: Vec::new() };
            let Some((token, evicted)) = self.pending.add(now, accepted) else {
                stats.too_many.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            stats.evicted.fetch_add(u64::from(evicted), Ordering::Relaxed);
            if let Some(stream) = self.pending.stream(token) {
                // If it cannot be watched, its deadline ends it.
                let _ = self.poller.add(stream, token, Interest::Read);
            }
        }
    }

    fn read(&mut self, token: u64) {
        let stats = &self.shared.stats;
        match self.pending.read(token) {
            Progress::Incomplete => {}
            Progress::Useless => {
                stats.useless.fetch_add(1, Ordering::Relaxed);
            }
            Progress::Check(ufrag, accepted) => {
                // The shard's poller takes over; two of them would wake both.
                if self.poller.remove(&accepted.stream).is_err() || !(self.deliver)(&ufrag, accepted) {
                    stats.unknown_ufrag.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

/// The system has no descriptor or no memory left: accepting again at once would be a busy loop.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| EXHAUSTED.contains(&code))
}

/// Tokens of the poller: connections have lower ones.
const STOP: u64 = u64::MAX;
const FIRST_LISTENER: u64 = 1 << 62;
/// Then those that are pending have their turn.
pub(crate) const ACCEPTS_PER_TURN: usize = 64;
/// `EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`.
const EXHAUSTED: [i32; 4] = [24, 23, 105, 12];
/// Then some of what is open has ended.
pub(crate) const REST: Duration = Duration::from_millis(100);

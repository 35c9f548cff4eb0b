//! One shard: a thread that owns sockets and a forwarder, and turns between receiving, timers and sending.
//!
//! Media first: of each batch RTP and RTCP are forwarded and sent before STUN, and DTLS and SCTP get a budget per turn.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use forward::{Event, Forwarder, ForwarderConfig, Path};
use netio::{Interest, Poller, Receiver, SendQueue, UdpSocket};
use wire::demux::{Protocol, classify};

use crate::inbox::Inbox;
use crate::load::Load;
use crate::lock;
use crate::outbox::Outbox;
use crate::sink::Sink;
use crate::stats::{LoopCounters, ShardStats};

/// What a shard is made of.
pub(crate) struct Parts {
    pub(crate) index: usize,
    pub(crate) sockets: Arc<[UdpSocket]>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) stats: Arc<Mutex<ShardStats>>,
    pub(crate) forwarder: ForwarderConfig,
    pub(crate) seed: u64,
}

/// Starts the shard's thread. `alive` is dropped when it ends, however it ends.
pub(crate) fn spawn(parts: Parts, alive: Sender<()>) -> io::Result<()> {
    let (index, inbox, outbox) = (parts.index, Arc::clone(&parts.inbox), Arc::clone(&parts.outbox));
    let run = move || {
        let result = catch_unwind(AssertUnwindSafe(|| Shard::new(parts)?.run()));
        let reason = match result {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(panic) => Some(panic_message(panic.as_ref())),
        };
        inbox.set_failed();
        if let Some(reason) = reason {
            outbox.post_all(vec![Event::ShardFailed { shard: index as u32, reason }]);
        }
        drop(alive);
    };
    thread::Builder::new().name(format!("shard-{index}")).spawn(run).map(drop)
}

struct Shard {
    index: usize,
    sockets: Arc<[UdpSocket]>,
    inbox: Arc<Inbox>,
    outbox: Arc<Outbox>,
    stats: Arc<Mutex<ShardStats>>,
    forwarder: Forwarder,
    poller: Poller,
    receiver: Receiver,
    queue: SendQueue,
    counters: LoopCounters,
    /// Sockets that have something to read.
    readable: Vec<usize>,
    /// What is not media of the current batch.
    later: Vec<usize>,
    /// When the media came that is handled, but may not be sent yet.
    arrivals: Vec<Instant>,
    load: Load,
    /// Nothing is sent before: more to the same clients may join it.
    hold_until: Option<Instant>,
    /// Whether the poller watches for room to write.
    awaits_room: bool,
    post_stats_at: Instant,
    stop: Option<Instant>,
}

impl Shard {
    fn new(parts: Parts) -> io::Result<Self> {
        let now = Instant::now();
        let unix_now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let poller = Poller::new()?;
        poller.add(parts.inbox.as_ref(), INBOX, Interest::Read)?;
        for (index, socket) in parts.sockets.iter().enumerate() {
            poller.add(socket, index as u64, Interest::Read)?;
        }
        Ok(Self {
            index: parts.index,
            queue: SendQueue::new(Arc::clone(&parts.sockets)),
            readable: Vec::with_capacity(parts.sockets.len()),
            sockets: parts.sockets,
            inbox: parts.inbox,
            outbox: parts.outbox,
            stats: parts.stats,
            forwarder: Forwarder::new(parts.forwarder, now, unix_now, parts.seed),
            poller,
            receiver: Receiver::new(),
            counters: LoopCounters::default(),
            later: Vec::with_capacity(MAX_BATCH),
            arrivals: Vec::with_capacity(MAX_BATCH),
            load: Load::new(now),
            hold_until: None,
            awaits_room: false,
            post_stats_at: now,
            stop: None,
        })
    }

    fn run(mut self) -> io::Result<()> {
        let mut more_waits = false;
        loop {
            let now = Instant::now();
            self.post_stats(now);
            let timeout = if more_waits { Duration::ZERO } else { self.time_to_wait(now) };
            self.load.handle_wait(now);
            self.wait(timeout)?;
            self.counters.turns += 1;

            for index in 0..self.readable.len() {
                let socket = self.readable[index];
                self.receive(socket);
            }
            self.run_timers(Instant::now());
            more_waits = self.run_background();
            let all_sent = self.send(Instant::now())?;
            self.post_events();
            if self.stop.is_some_and(|at| all_sent || Instant::now() >= at) {
                self.post_stats_at = now;
                self.post_stats(now);
                return Ok(());
            }
        }
    }

    /// Blocks until there is something to do, and notes which sockets are readable. Takes orders at once.
    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        self.readable.clear();
        let mut has_orders = false;
        for ready in self.poller.wait(Some(timeout))? {
            match ready.token {
                INBOX => has_orders = true,
                socket if ready.readable => self.readable.push(socket as usize),
                _ => {}
            }
        }
        let now = Instant::now();
        self.load.handle_wake(now);
        if has_orders {
            self.take_orders(now);
        }
        Ok(())
    }

    fn take_orders(&mut self, now: Instant) {
        let orders = self.inbox.take();
        for command in orders.commands {
            self.forwarder.handle_command(now, command);
        }
        self.stop = self.stop.or(orders.stop);
        assert!(!orders.crash, "asked to crash");
    }

    /// One batch of one socket: media is forwarded and on its way before the rest is looked at.
    fn receive(&mut self, socket: usize) {
        self.counters.receive_calls += 1;
        let Ok(count) = self.receiver.receive(&self.sockets[socket]) else {
            self.counters.receive_errors += 1;
            return;
        };
        let now = self.receiver.received_at();
        self.later.clear();
        for index in 0..count {
            let datagram = self.receiver.datagram(index);
            if !matches!(classify(datagram.bytes), Protocol::Rtp | Protocol::Rtcp) {
                self.later.push(index);
                continue;
            }
            self.arrivals.push(datagram.received);
            let path = Path { local: datagram.local, remote: datagram.remote };
            self.forwarder.handle_datagram(now, datagram.received, path, datagram.bytes);
        }
        if !self.arrivals.is_empty() && self.may_send(now) {
            self.flush(now);
        }
        for index in &self.later {
            let datagram = self.receiver.datagram(*index);
            let path = Path { local: datagram.local, remote: datagram.remote };
            self.forwarder.handle_datagram(now, datagram.received, path, datagram.bytes);
        }
    }

    /// Under load, media that nothing waits for yet is held for a moment: what joins it to the same client leaves in the
    /// same message, which costs the kernel a quarter of what single ones do.
    fn may_send(&mut self, now: Instant) -> bool {
        if self.hold_until.is_none() && self.load.is_high() && !self.arrivals.is_empty() {
            self.hold_until = Some(now + MAX_HOLD);
        }
        self.hold_until.is_none_or(|until| until <= now)
    }

    /// Sends all that is due. True when the kernel took everything.
    fn flush(&mut self, now: Instant) -> bool {
        self.hold_until = None;
        let before = self.queue.counters().datagrams;
        self.forwarder.flush(now, &mut Sink(&mut self.queue));
        let all_sent = self.queue.flush();
        if !self.arrivals.is_empty() && self.queue.counters().datagrams > before {
            let done = Instant::now();
            for arrival in &self.arrivals {
                self.counters.forward_latency.record(done.saturating_duration_since(*arrival));
            }
        }
        self.arrivals.clear();
        all_sent
    }

    fn run_timers(&mut self, now: Instant) {
        if self.forwarder.poll_timeout().is_some_and(|at| at <= now) {
            self.forwarder.handle_timeout(now);
        }
    }

    /// DTLS and SCTP. Waits while the driver has not picked up what was received before.
    fn run_background(&mut self) -> bool {
        if self.outbox.is_crowded(self.index) {
            self.counters.crowded_turns += 1;
            return false;
        }
        self.forwarder.handle_background(Instant::now(), BACKGROUND_BUDGET)
    }

    /// True when nothing waits any more.
    fn send(&mut self, now: Instant) -> io::Result<bool> {
        if self.stop.is_none() && !self.may_send(now) {
            return Ok(false);
        }
        let all_sent = self.flush(now);
        if self.awaits_room == all_sent {
            self.awaits_room = !all_sent;
            let interest = if all_sent { Interest::Read } else { Interest::ReadWrite };
            for (index, socket) in self.sockets.iter().enumerate() {
                self.poller.modify(socket, index as u64, interest)?;
            }
        }
        Ok(all_sent)
    }

    fn post_events(&mut self) {
        let events = std::iter::from_fn(|| self.forwarder.poll_event());
        self.outbox.post(self.index, events);
    }

    fn post_stats(&mut self, now: Instant) {
        if now < self.post_stats_at {
            return;
        }
        let stats = ShardStats::collect(
            self.forwarder.counters(),
            &self.counters,
            self.load.total_busy(),
            &self.sockets,
            &self.receiver,
            &self.queue,
        );
        *lock(&self.stats) = stats;
        self.post_stats_at = now + STATS_INTERVAL;
    }

    fn time_to_wait(&mut self, now: Instant) -> Duration {
        let mut until = self.post_stats_at.min(now + MAX_WAIT);
        if let Some(at) = self.forwarder.poll_timeout() {
            // A deadline in the past was served a moment ago; a loop must not spin on it.
            until = until.min(at.max(now + MIN_WAIT));
        }
        for at in [self.stop, self.hold_until].into_iter().flatten() {
            until = until.min(at);
        }
        if self.outbox.is_crowded(self.index) {
            until = until.min(now + CROWDED_WAIT);
        }
        until.saturating_duration_since(now)
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("panicked").to_owned()
}

/// Tokens of the poller: sockets have their index.
const INBOX: u64 = u64::MAX;
/// Datagrams of DTLS and SCTP per turn: a full handshake step is about half a millisecond.
const BACKGROUND_BUDGET: usize = 4;
/// What a batch holds when each message was joined from 64 datagrams.
const MAX_BATCH: usize = 2048;
/// Shorter than the spread of one frame's packets on most networks.
const MAX_HOLD: Duration = Duration::from_millis(1);
const STATS_INTERVAL: Duration = Duration::from_secs(1);
const MAX_WAIT: Duration = Duration::from_secs(1);
const MIN_WAIT: Duration = Duration::from_micros(100);
const CROWDED_WAIT: Duration = Duration::from_millis(5);

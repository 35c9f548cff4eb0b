//! One shard: a thread that owns sockets and a forwarder, and turns between receiving, timers and sending.
//!
//! Media first: RTP and RTCP are forwarded and sent at once; STUN, then DTLS and SCTP, get a share of each turn that found
//! the sockets empty.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use forward::{Event, Forwarder, ForwarderConfig, Path, PipeBatch};
use netio::{Interest, Poller, Ready, Receiver, SendQueue, UdpSocket};
use wire::demux::{Protocol, classify};

use crate::held::Held;
use crate::hold::worthwhile_hold;
use crate::inbox::{Inbox, Order};
use crate::lock;
use crate::outbox::Outbox;
use crate::sink::Sink;
use crate::stats::{LoopCounters, ShardStats};
use crate::tcp::{Accepted, Connections, FIRST_TOKEN};
use crate::turn::{MediaBatch, ShardOrder, TurnInbox, Way};

/// What a shard is made of.
pub(crate) struct Parts {
    pub(crate) index: usize,
    pub(crate) sockets: Arc<[UdpSocket]>,
    pub(crate) inbox: Arc<Inbox>,
    /// The inboxes of all shards, for what is piped to them.
    pub(crate) peers: Arc<[Arc<Inbox>]>,
    /// Of TURN's thread, for what goes to clients on connections.
    pub(crate) turn: Arc<TurnInbox>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) stats: Arc<Mutex<ShardStats>>,
    pub(crate) forwarder: ForwarderConfig,
    /// When the engine started and what the wall clock said: one time for all shards.
    pub(crate) started: (Instant, Duration),
    pub(crate) seed: u64,
}

/// Starts the shard's thread. `alive` is dropped when it ends, however it ends.
pub(crate) fn spawn(parts: Parts, alive: Sender<()>) -> io::Result<()> {
    let (index, inbox, outbox) = (parts.index, Arc::clone(&parts.inbox), Arc::clone(&parts.outbox));
    // Here, so that a lack of descriptors is an error of the start and not the end of a shard.
    let poller = poller(&parts)?;
    let run = move || {
        let result = catch_unwind(AssertUnwindSafe(|| Shard::new(parts, poller).run()));
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

fn poller(parts: &Parts) -> io::Result<Poller> {
    let poller = Poller::new()?;
    poller.add(parts.inbox.as_ref(), INBOX, Interest::Read)?;
    for (index, socket) in parts.sockets.iter().enumerate() {
        poller.add(socket, index as u64, Interest::Read)?;
    }
    Ok(poller)
}

struct Shard {
    index: usize,
    sockets: Arc<[UdpSocket]>,
    inbox: Arc<Inbox>,
    peers: Arc<[Arc<Inbox>]>,
    outbox: Arc<Outbox>,
    stats: Arc<Mutex<ShardStats>>,
    started: Instant,
    forwarder: Forwarder,
    poller: Poller,
    receiver: Receiver,
    queue: SendQueue,
    tcp: Connections,
    /// To clients behind our own relay.
    way: Way,
    counters: LoopCounters,
    /// Sockets that have something to read.
    readable: Vec<usize>,
    /// Connections that have something to read, or room to write.
    ready: Vec<Ready>,
    /// What is not media.
    held: Held,
    /// Batches of other shards that were handled.
    spent: Vec<PipeBatch>,
    /// When the media came that is handled, but may not be sent yet.
    arrivals: Vec<Instant>,
    /// The time spent working instead of waiting, until the last wait.
    busy: Duration,
    woke_at: Instant,
    turns_without_background: u32,
    /// Nothing is sent before: more to the same clients may join it.
    hold_until: Option<Instant>,
    /// Whether the poller watches for room to write.
    awaits_room: bool,
    post_stats_at: Instant,
    stop: Option<Instant>,
}

impl Shard {
    fn new(parts: Parts, poller: Poller) -> Self {
        let now = Instant::now();
        let (started, unix_at_start) = parts.started;
        Self {
            index: parts.index,
            queue: SendQueue::new(Arc::clone(&parts.sockets)),
            tcp: Connections::new(),
            way: Way::new(parts.turn, parts.seed),
            readable: Vec::with_capacity(parts.sockets.len()),
            ready: Vec::new(),
            sockets: parts.sockets,
            inbox: parts.inbox,
            peers: parts.peers,
            outbox: parts.outbox,
            stats: parts.stats,
            started,
            forwarder: Forwarder::new(parts.forwarder, started, unix_at_start, parts.seed),
            spent: Vec::new(),
            poller,
            receiver: Receiver::new(),
            counters: LoopCounters::default(),
            held: Held::new(),
            arrivals: Vec::with_capacity(MAX_BATCH),
            busy: Duration::ZERO,
            woke_at: now,
            turns_without_background: 0,
            hold_until: None,
            awaits_room: false,
            post_stats_at: now,
            stop: None,
        }
    }

    fn run(mut self) -> io::Result<()> {
        let mut more_waits = false;
        loop {
            let now = Instant::now();
            self.post_stats(now);
            let timeout = if more_waits { Duration::ZERO } else { self.time_to_wait(now) };
            self.busy += now.saturating_duration_since(self.woke_at);
            self.wait(timeout)?;
            self.counters.turns += 1;

            let all_read = self.receive();
            self.receive_tcp();
            self.run_timers(Instant::now());
            self.turns_without_background += 1;
            if all_read || self.turns_without_background > PATIENCE {
                self.turns_without_background = 0;
                more_waits = self.run_held() | self.run_background();
            }
            self.push_pipes(Instant::now());
            let all_sent = self.send(Instant::now())?;
            self.forget_closed();
            self.post_events();
            if self.stop.is_some_and(|at| (all_sent && self.tcp.all_written()) || Instant::now() >= at) {
                self.post_stats_at = now;
                self.post_stats(now);
                return Ok(());
            }
        }
    }

    /// Blocks until there is something to do, and notes which sockets are readable. Takes orders at once.
    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        self.readable.clear();
        self.ready.clear();
        let mut has_orders = false;
        for ready in self.poller.wait(Some(timeout))? {
            match ready.token {
                INBOX => has_orders = true,
                FIRST_TOKEN.. => self.ready.push(ready),
                socket if ready.readable => self.readable.push(socket as usize),
                _ => {}
            }
        }
        let now = Instant::now();
        self.woke_at = now;
        if has_orders {
            self.take_orders(now);
        }
        Ok(())
    }

    fn take_orders(&mut self, now: Instant) {
        let waiting = self.inbox.take(&mut self.spent);
        for order in waiting.orders {
            match order {
                Order::Command(command) => self.forwarder.handle_command(now, command),
                Order::Pipe(command) => self.forwarder.handle_pipe_command(command),
            }
        }
        for accepted in waiting.connections {
            self.adopt(now, accepted);
        }
        self.stop = self.stop.or(waiting.stop);
        assert!(!waiting.crash, "asked to crash");
        for batch in waiting.pipes {
            self.receive_piped(now, batch);
        }
        for order in waiting.turn {
            match order {
                ShardOrder::Listeners(listeners) => self.way.set_listeners(listeners),
                ShardOrder::Route(relayed, route) => self.way.set_route(relayed, route),
                ShardOrder::Packets(batch) => self.receive_relayed(now, batch),
            }
        }
    }

    /// What came through our own relay: the same as from a socket.
    fn receive_relayed(&mut self, now: Instant, mut batch: MediaBatch) {
        batch.for_each(|relayed, media, received, bytes| {
            let path = Path::relay(media, relayed);
            match classify(bytes) {
                Protocol::Stun | Protocol::Dtls => return self.held.push(path, received, bytes),
                Protocol::Rtp | Protocol::Rtcp => self.arrivals.push(received),
                Protocol::ChannelData | Protocol::Unknown => {}
            }
            self.forwarder.handle_datagram(now, received, path, bytes);
        });
        if !self.arrivals.is_empty() && self.may_send(now) {
            self.flush(now);
        }
    }

    /// Media that another shard received.
    fn receive_piped(&mut self, now: Instant, mut batch: PipeBatch) {
        self.arrivals.extend(batch.received_us().map(|us| self.started + Duration::from_micros(us)));
        self.forwarder.handle_pipe(now, &batch);
        batch.clear();
        self.spent.push(batch);
        if !self.arrivals.is_empty() && self.may_send(now) {
            self.flush(now);
        }
    }

    /// Hands over what other shards want of it.
    fn push_pipes(&mut self, now: Instant) {
        while let Some((shard, batch)) = self.forwarder.poll_pipe(now) {
            let Some(peer) = self.peers.get(shard as usize) else { continue };
            let (dropped, spent) = peer.push_pipe(batch);
            self.counters.pipe_batches += 1;
            self.counters.pipe_full += dropped as u64;
            if let Some(spent) = spent {
                self.forwarder.recycle_pipe(spent);
            }
        }
    }

    /// Takes a connection in, if the check that it began with verifies.
    fn adopt(&mut self, now: Instant, mut accepted: Accepted) {
        let (path, mut first) = (accepted.path, std::mem::take(&mut accepted.first));
        // The same pair of addresses again: the older connection is gone, and the kernel knows it already.
        self.tcp.close_path(path);
        self.forget_closed();
        if !self.tcp.adopt(now, &self.poller, accepted) {
            return;
        }
        self.forwarder.handle_datagram(now, now, path, &mut first);
        if !self.forwarder.knows(path) {
            self.tcp.discard(path);
        }
    }

    /// Paths end with their connections.
    fn forget_closed(&mut self) {
        while let Some(path) = self.tcp.poll_closed() {
            self.held.forget(path);
            self.forwarder.handle_path_closed(Instant::now(), path);
        }
    }

    /// A batch of each socket that has something to read. False when more waits: media may be among it.
    fn receive(&mut self) -> bool {
        let mut all_read = true;
        for index in 0..self.readable.len() {
            all_read &= self.receive_from(self.readable[index]);
        }
        all_read
    }

    /// One batch of one socket: media is forwarded and on its way, the rest is held. False when it was a full one.
    fn receive_from(&mut self, socket: usize) -> bool {
        self.counters.receive_calls += 1;
        let Ok(count) = self.receiver.receive(&self.sockets[socket]) else {
            self.counters.receive_errors += 1;
            return true;
        };
        let now = self.receiver.received_at();
        for index in 0..count {
            let datagram = self.receiver.datagram(index);
            let path = Path::udp(datagram.local, datagram.remote);
            match classify(datagram.bytes) {
                Protocol::Stun | Protocol::Dtls => {
                    self.held.push(path, datagram.received, datagram.bytes);
                    continue;
                }
                Protocol::Rtp | Protocol::Rtcp => self.arrivals.push(datagram.received),
                Protocol::ChannelData | Protocol::Unknown => {} // counted, no more
            }
            self.forwarder.handle_datagram(now, datagram.received, path, datagram.bytes);
        }
        // First, so that the other shards work while this one sends.
        self.push_pipes(now);
        if !self.arrivals.is_empty() && self.may_send(now) {
            self.flush(now);
        }
        !self.receiver.is_full()
    }

    /// The same for connections. What waits on them is as old as this reading: the kernel says no more.
    fn receive_tcp(&mut self) {
        let now = Instant::now();
        for ready in &self.ready {
            if ready.writable {
                self.tcp.handle_writable(ready.token);
            }
            self.tcp.read(now, ready.token, |path, frame| {
                match classify(frame) {
                    Protocol::Stun | Protocol::Dtls => return self.held.push(path, now, frame),
                    Protocol::Rtp | Protocol::Rtcp => self.arrivals.push(now),
                    Protocol::ChannelData | Protocol::Unknown => {}
                }
                self.forwarder.handle_datagram(now, now, path, frame);
            });
        }
        self.forget_closed();
        if !self.ready.is_empty() && !self.arrivals.is_empty() && self.may_send(now) {
            self.flush(now);
        }
    }

    /// The beginning of a picture is held for a moment where that pays: what joins it to the same client leaves in the same message,
    /// which costs the kernel a quarter of what single ones do.
    fn may_send(&mut self, now: Instant) -> bool {
        if self.arrivals.is_empty() {
            return self.hold_until.is_none_or(|until| until <= now);
        }
        let hold = worthwhile_hold(self.forwarder.unfinished_fan_out());
        hold.is_zero() || *self.hold_until.get_or_insert(now + hold) <= now
    }

    /// Sends all that is due. True when the kernel took everything.
    fn flush(&mut self, now: Instant) -> bool {
        self.hold_until = None;
        let before = self.sent();
        self.forwarder.flush(now, &mut Sink::new(&mut self.queue, &mut self.tcp, &mut self.way));
        let all_sent = self.queue.flush();
        self.tcp.flush(&self.poller);
        self.way.flush();
        while let Some(path) = self.forwarder.poll_released_path() {
            self.tcp.end(now, path);
        }
        if !self.arrivals.is_empty() && self.sent() > before {
            let done = Instant::now();
            for arrival in &self.arrivals {
                self.counters.forward_latency.record(done.saturating_duration_since(*arrival));
            }
        }
        self.arrivals.clear();
        all_sent
    }

    fn sent(&self) -> u64 {
        self.queue.counters().datagrams + self.tcp.sent() + self.way.sent()
    }

    fn run_timers(&mut self, now: Instant) {
        if self.forwarder.poll_timeout().is_some_and(|at| at <= now) {
            self.forwarder.handle_timeout(now);
        }
    }

    /// STUN, and DTLS as far as to queue it. True when more waits.
    fn run_held(&mut self) -> bool {
        let started = Instant::now();
        let mut now = started;
        while now < started + HELD_TIME
            && let Some((path, received, datagram)) = self.held.pop()
        {
            self.forwarder.handle_datagram(now, received, path, datagram);
            now = Instant::now();
        }
        !self.held.is_empty()
    }

    /// DTLS and SCTP. Waits while the driver has not picked up what was received before.
    fn run_background(&mut self) -> bool {
        if self.outbox.is_crowded(self.index) {
            self.counters.crowded_turns += 1;
            return false;
        }
        let started = Instant::now();
        let mut now = started;
        while self.forwarder.handle_background(now, 1) {
            now = Instant::now();
            if now >= started + BACKGROUND_TIME {
                return true;
            }
        }
        false
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
        self.tcp.close_idle(now);
        let mut stats = ShardStats::collect(
            self.forwarder.counters(),
            &self.counters,
            self.busy,
            &self.sockets,
            &self.receiver,
            &self.queue,
            self.held.dropped(),
        );
        self.tcp.visit(|name, value| stats.counters.push((name, value)));
        self.way.visit(|name, value| stats.counters.push((name, value)));
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

pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("panicked").to_owned()
}

/// Tokens of the poller: sockets have their index.
const INBOX: u64 = u64::MAX;
/// For STUN per turn: some thirty checks.
const HELD_TIME: Duration = Duration::from_micros(250);
/// For DTLS and SCTP per turn. One step of a handshake takes about as long, so media waits for one or two of them.
const BACKGROUND_TIME: Duration = Duration::from_micros(250);
/// So many full batches are read before the rest has its turn all the same: no flood keeps clients from connecting.
const PATIENCE: u32 = 16;
/// What a batch holds when each message was joined from 64 datagrams.
const MAX_BATCH: usize = 2048;
const STATS_INTERVAL: Duration = Duration::from_secs(1);
const MAX_WAIT: Duration = Duration::from_secs(1);
const MIN_WAIT: Duration = Duration::from_micros(100);
const CROWDED_WAIT: Duration = Duration::from_millis(5);

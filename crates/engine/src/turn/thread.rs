//! The thread: receives, asks the relay's rules, sends; then, under load, waits a little for more.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use forward::{Event, LatencyHistogram};
use netio::{Interest, Poller, Ready, Receiver, UdpSocket};
use relay::{ClientAddress, ClientTransport, ConnectionId, Relay, SocketId};

use super::coalesce::Coalescer;
use super::io::Io;
use super::streams::{StreamListen, Streams};
use super::udp::Source;
use super::{Shared, TurnCommand, TurnConfiguration, TurnEvent, TurnInbox, TurnListen};
use crate::inbox::Inbox;
use crate::lock;
use crate::outbox::Outbox;

/// What the thread is made of.
pub(crate) struct Parts {
    pub(crate) inbox: Arc<TurnInbox>,
    pub(crate) shards: Arc<[Arc<Inbox>]>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) shared: Arc<Shared>,
    /// From a CSPRNG.
    pub(crate) key: [u8; 32],
}

/// From the system.
pub(crate) fn random_key() -> io::Result<[u8; 32]> {
    let mut key = [0; 32];
    let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    random.fill(&mut key).map_err(|_| io::Error::other("the system gives no random bytes"))?;
    Ok(key)
}

/// Starts the thread. `alive` is dropped when it ends, however it ends.
pub(crate) fn spawn(parts: Parts, alive: Sender<()>) -> io::Result<()> {
    let (inbox, outbox) = (Arc::clone(&parts.inbox), Arc::clone(&parts.outbox));
    let poller = Poller::new()?;
    poller.add(parts.inbox.as_ref(), INBOX, Interest::Read)?;
    let run = move || {
        let result = catch_unwind(AssertUnwindSafe(|| Thread::new(parts, poller).run()));
        let reason = match result {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(panic) => Some(panic_message(panic.as_ref())),
        };
        inbox.set_ended();
        if let Some(reason) = reason {
            outbox.post_all(vec![Event::ShardFailed { shard: TURN_THREAD, reason }]);
        }
        drop(alive);
    };
    thread::Builder::new().name("turn".to_owned()).spawn(run).map(drop)
}

struct Thread {
    inbox: Arc<TurnInbox>,
    outbox: Arc<Outbox>,
    shared: Arc<Shared>,
    relay: Relay,
    io: Io,
    receiver: Receiver,
    coalescer: Coalescer,
    ready: Vec<Ready>,
    /// Whole messages of connections, which wait until the connections are done with reading.
    messages: Vec<(ClientAddress, usize)>,
    message_bytes: Vec<u8>,
    /// When what is being relayed was received.
    arrivals: Vec<Instant>,
    latency: LatencyHistogram,
    turns: u64,
    receive_errors: u64,
    post_stats_at: Instant,
}

impl Thread {
    fn new(parts: Parts, poller: Poller) -> Self {
        let now = Instant::now();
        Self {
            inbox: parts.inbox,
            outbox: parts.outbox,
            shared: parts.shared,
            relay: Relay::new(parts.key, now),
            io: Io::new(poller, parts.shards, now),
            receiver: Receiver::new(),
            coalescer: Coalescer::new(now),
            ready: Vec::new(),
            messages: Vec::new(),
            message_bytes: Vec::new(),
            arrivals: Vec::new(),
            latency: LatencyHistogram::default(),
            turns: 0,
            receive_errors: 0,
            post_stats_at: now,
        }
    }

    fn run(mut self) -> io::Result<()> {
        while !self.inbox.is_stopped() {
            let timeout = self.time_to_wait(Instant::now());
            let started = self.turn(timeout)?;
            let now = Instant::now();
            if let Some(pause) = self.coalescer.pause(now, started) {
                thread::sleep(pause);
            }
        }
        // What the shards said last.
        self.take_orders();
        self.io.flush();
        Ok(())
    }

    /// Everything that is ready, as far as the time goes; then it is sent. Gives when the waiting ended.
    fn turn(&mut self, timeout: Duration) -> io::Result<Instant> {
        self.wait(timeout)?;
        let started = Instant::now();
        let mut packets = 0;
        while !self.ready.is_empty() {
            packets += self.handle_ready();
            if started.elapsed() >= MAX_RECEIVING {
                break;
            }
            self.wait(Duration::ZERO)?;
        }
        self.turns += 1;
        let now = Instant::now();
        self.coalescer.handle_packets(now, packets);
        while let Some(connection) = self.io.streams.poll_closed() {
            self.relay.handle_connection_closed(now, connection, &mut self.io);
        }
        if self.io.streams.poll_timeout().is_some_and(|at| at <= now) {
            self.io.streams.handle_timeout(now, &self.io.poller);
        }
        if self.relay.poll_timeout().is_some_and(|at| at <= now) {
            self.relay.handle_timeout(now, &mut self.io);
        }
        self.io.flush();
        self.note_latency();
        if !self.io.events.is_empty() {
            self.outbox.post_turn(&mut self.io.events);
        }
        self.post_stats(now);
        Ok(started)
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        self.ready.clear();
        self.ready.extend(self.io.poller.wait(Some(timeout))?);
        Ok(())
    }

    /// Gives the number of packets.
    fn handle_ready(&mut self) -> u64 {
        let mut packets = 0;
        for index in 0..self.ready.len() {
            let ready = self.ready[index];
            match ready.token {
                INBOX => self.take_orders(),
                token if Streams::owns(token) => packets += self.read_stream(ready),
                token => match self.io.sockets.source(token) {
                    Some(Source::Listener(socket)) => packets += self.receive_from_clients(&socket),
                    Some(Source::Relay(id, socket)) => packets += self.receive_from_peers(id, &socket),
                    None => {} // closed a moment ago
                },
            }
        }
        packets
    }

    fn take_orders(&mut self) {
        let waiting = self.inbox.take();
        assert!(!waiting.crash, "asked to crash");
        let now = Instant::now();
        for command in waiting.commands {
            match command {
                TurnCommand::Configure(configuration) => self.configure(now, *configuration),
                TurnCommand::Relay(command) => self.relay.handle_command(now, command, &mut self.io),
            }
        }
        for (media, relayed, payload) in waiting.answers.iter() {
            self.relay.handle_media(now, media, relayed, payload, &mut self.io);
        }
        for done in waiting.done {
            // Nobody may wait any more.
            let _ = done.send(());
        }
    }

    fn configure(&mut self, now: Instant, configuration: TurnConfiguration) {
        let TurnConfiguration { listen, certificate, connections_per_address, coalesce, relay } = configuration;
        self.coalescer.set_limit(coalesce);
        self.relay.handle_command(now, relay::RelayCommand::Configure(relay), &mut self.io);
        let mut failed = self.io.listen(&listen);
        let streams: Vec<_> = listen.iter().filter_map(|listen| stream_listen(*listen)).collect();
        let tls = certificate.as_ref().map(|(chain, key)| (chain.as_slice(), key.as_slice()));
        let failures = self.io.streams.configure(&self.io.poller, &streams, tls, connections_per_address);
        failed.extend(failures.into_iter().map(|(listen, reason)| (turn_listen(listen), reason)));
        let failed = failed.into_iter().map(|(listen, reason)| TurnEvent::ListenFailed { listen, reason });
        self.io.events.extend(failed);
        *lock(&self.shared.listening) = self.listening();
    }

    fn listening(&self) -> Vec<TurnListen> {
        let udp = self
            .io
            .sockets
            .listeners()
            .map(|socket| TurnListen { address: socket.local_address(), transport: ClientTransport::Udp });
        udp.chain(self.io.streams.addresses().into_iter().map(turn_listen)).collect()
    }

    fn receive_from_clients(&mut self, socket: &UdpSocket) -> u64 {
        let count = self.receive(socket);
        let now = self.receiver.received_at();
        for index in 0..count {
            let datagram = self.receiver.datagram(index);
            let client = ClientAddress {
                transport: ClientTransport::Udp,
                connection: ConnectionId(0),
                local: datagram.local,
                remote: datagram.remote,
            };
            self.io.received = datagram.received;
            self.arrivals.push(datagram.received);
            self.relay.handle_client(now, &client, datagram.bytes, &mut self.io);
        }
        count as u64
    }

    fn receive_from_peers(&mut self, id: SocketId, socket: &UdpSocket) -> u64 {
        let count = self.receive(socket);
        let now = self.receiver.received_at();
        for index in 0..count {
            let datagram = self.receiver.datagram(index);
            self.arrivals.push(datagram.received);
            self.relay.handle_peer(now, id, datagram.remote, datagram.bytes, &mut self.io);
        }
        count as u64
    }

    fn receive(&mut self, socket: &UdpSocket) -> usize {
        self.receiver.receive(socket).unwrap_or_else(|_| {
            self.receive_errors += 1;
            0
        })
    }

    fn read_stream(&mut self, ready: Ready) -> u64 {
        let now = Instant::now();
        let (messages, bytes) = (&mut self.messages, &mut self.message_bytes);
        self.io.streams.handle_ready(now, &self.io.poller, ready, &mut |client, message| {
            bytes.extend_from_slice(message);
            messages.push((*client, bytes.len()));
        });
        self.io.received = now;
        let mut start = 0;
        for (client, end) in &self.messages {
            self.arrivals.push(now);
            self.relay.handle_client(now, client, &self.message_bytes[start..*end], &mut self.io);
            start = *end;
        }
        let count = self.messages.len() as u64;
        self.messages.clear();
        self.message_bytes.clear();
        count
    }

    fn note_latency(&mut self) {
        let now = Instant::now();
        for arrival in self.arrivals.drain(..) {
            self.latency.record(now.saturating_duration_since(arrival));
        }
    }

    fn time_to_wait(&self, now: Instant) -> Duration {
        let until = [self.relay.poll_timeout(), self.io.streams.poll_timeout()]
            .into_iter()
            .flatten()
            .fold(self.post_stats_at, Instant::min);
        until.saturating_duration_since(now)
    }

    fn post_stats(&mut self, now: Instant) {
        if now < self.post_stats_at {
            return;
        }
        self.post_stats_at = now + STATS_INTERVAL;
        let mut all = Vec::with_capacity(96);
        self.relay.counters().visit(|name, value| all.push((name, value)));
        self.io.streams.visit(&mut |name, value| all.push((name, value)));
        let sent = self.io.queue.counters();
        all.extend([
            ("turn.turns", self.turns),
            ("turn.relay_sockets", self.io.sockets.open_relays()),
            ("turn.receive_errors", self.receive_errors),
            ("turn.kernel_drops", self.io.sockets.kernel_drops()),
            ("turn.sent", sent.datagrams),
            ("turn.send_messages", sent.messages),
            ("turn.send_calls", sent.calls),
            ("turn.send_errors", sent.errors),
            ("turn.send_overflow", sent.overflow),
            ("turn.gso_fallbacks", sent.fallbacks),
            ("turn.dropped_media_full", self.io.media_full),
            ("turn.dropped_answers_full", self.inbox.dropped()),
            ("turn.relay_latency_sum_us", self.latency.sum_us()),
        ]);
        all.extend(LATENCY_NAMES.iter().copied().zip(self.latency.cumulative().map(|(_, count)| count)));
        *lock(&self.shared.counters) = all;
        *lock(&self.shared.allocations) = self.relay.allocations().collect();
    }
}

fn stream_listen(listen: TurnListen) -> Option<StreamListen> {
    match listen.transport {
        ClientTransport::Udp => None,
        transport => Some(StreamListen { address: listen.address, tls: transport == ClientTransport::Tls }),
    }
}

fn turn_listen(listen: StreamListen) -> TurnListen {
    let transport = if listen.tls { ClientTransport::Tls } else { ClientTransport::Tcp };
    TurnListen { address: listen.address, transport }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    crate::shard::panic_message(panic)
}

/// Named like a shard when it fails: it ends the process as one does.
pub(crate) const TURN_THREAD: u32 = u32::MAX;
/// Listeners and relay sockets have their lane, connections theirs.
const INBOX: u64 = u64::MAX;
/// Then what was received is sent, however much waits.
const MAX_RECEIVING: Duration = Duration::from_millis(1);
const STATS_INTERVAL: Duration = Duration::from_secs(1);
/// Cumulative counts up to these bounds.
const LATENCY_NAMES: [&str; 16] = [
    "turn.relay_latency_us_32",
    "turn.relay_latency_us_64",
    "turn.relay_latency_us_128",
    "turn.relay_latency_us_256",
    "turn.relay_latency_us_512",
    "turn.relay_latency_us_1024",
    "turn.relay_latency_us_2048",
    "turn.relay_latency_us_4096",
    "turn.relay_latency_us_8192",
    "turn.relay_latency_us_16384",
    "turn.relay_latency_us_32768",
    "turn.relay_latency_us_65536",
    "turn.relay_latency_us_131072",
    "turn.relay_latency_us_262144",
    "turn.relay_latency_us_524288",
    "turn.relay_latency_us_inf",
];

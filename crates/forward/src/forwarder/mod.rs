//! The forwarder: all transports, producers and consumers of one shard, composed. Sans I/O: `handle_*` in, `poll_*` and
//! `flush` out, plain getters.
//!
//! A packet's way: `receive` finds its transport and decrypts it, `media` finds its encoding and stores it in the ring,
//! `fan_out` queues a descriptor for each consumer, `flush` builds and encrypts what was queued.

mod commands;
mod entry;
mod fan_out;
mod feedback;
mod flush;
mod media;
mod media_commands;
mod mirrors;
mod names;
mod pipes;
mod receive;
mod red;
mod repair;
mod reports;
mod route;
#[cfg(feature = "testing")]
mod sabotage;
mod taps;
mod targets;
mod timers;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::entry::TransportEntry;
use self::names::Names;
use self::pipes::Pipes;
use crate::clock::Clock;
use crate::consumer::Consumer;
use crate::deadlines::Deadlines;
use crate::dtls::Certificate;
use crate::levels::LevelWindow;
use crate::producer::Producer;
use crate::ring::Ring;
use crate::rng::Rng;
use crate::srtp::Profile;
use crate::transport::{Transport, TransportEvent};
use crate::{Counters, Event, Path};
use slots::{Index, Slab};

/// What a forwarder is built from.
#[derive(Clone)]
pub struct ForwarderConfig {
    /// Best first.
    pub srtp_profiles: Arc<[Profile]>,
    /// Shared by all transports of the process.
    pub certificate: Arc<Certificate>,
}

/// All transports, producers and consumers of one shard.
///
/// In: `handle_command`, `handle_datagram`, `handle_timeout`, `handle_background`, and of other shards `handle_pipe`. Out:
/// `flush`, `poll_event`, `poll_timeout`, `poll_pipe`. The rest are getters.
pub struct Forwarder {
    config: ForwarderConfig,
    clock: Clock,
    rng: Rng,
    counters: Counters,
    events: VecDeque<Event>,
    names: Names,
    transports: Slab<TransportEntry>,
    producers: Slab<Producer>,
    consumers: Slab<Consumer>,
    rings: Slab<Ring>,
    deadlines: Deadlines,
    /// Transports with something to send.
    dirty: Vec<Index>,
    /// Rings of video with packets that were not flushed yet.
    fresh: Vec<Index>,
    /// So many get the rest of a picture of which they have something queued.
    unfinished_fan_out: u32,
    /// Transports with queued DTLS datagrams, served in turn.
    background: VecDeque<Index>,
    levels: LevelWindow,
    /// When the transports are reported about; `None` while none is connected.
    reports_due: Option<Instant>,
    /// Closed transports whose goodbye is still to be sent.
    farewells: Vec<Transport>,
    /// Scratch of `flush`.
    session_datagram: Box<[u8]>,
    pipes: Pipes,
}

impl Forwarder {
    /// `unix_now` is the wall-clock time at `now`; `seed` feeds every random choice and must be unpredictable to clients.
    pub fn new(config: ForwarderConfig, now: Instant, unix_now: Duration, seed: u64) -> Self {
        Self {
            config,
            clock: Clock::new(now, unix_now),
            rng: Rng::new(seed),
            counters: Counters::default(),
            events: VecDeque::new(),
            names: Names::default(),
            transports: Slab::default(),
            producers: Slab::default(),
            consumers: Slab::default(),
            rings: Slab::default(),
            deadlines: Deadlines::default(),
            dirty: Vec::new(),
            fresh: Vec::new(),
            unfinished_fan_out: 0,
            background: VecDeque::new(),
            levels: LevelWindow::default(),
            reports_due: None,
            farewells: Vec::new(),
            session_datagram: vec![0; flush::SESSION_DATAGRAM].into(),
            pipes: Pipes::default(),
        }
    }

    // ---- in: `handle_command` is in `commands`, `handle_datagram` in `receive`, `handle_timeout` in `timers`,
    // `handle_pipe` and `poll_pipe` in `pipes`

    /// How many consumers wait for the rest of the picture that came last; 0 when it is whole, or sent as far as it came.
    pub fn unfinished_fan_out(&self) -> u32 {
        self.unfinished_fan_out
    }

    /// Handles at most `budget` queued DTLS and SCTP datagrams; true when more wait.
    pub fn handle_background(&mut self, now: Instant, budget: usize) -> bool {
        for _ in 0..budget {
            let Some(at) = self.background.pop_front() else { break };
            let Some(entry) = self.transports.get_mut(at) else { continue };
            if entry.transport.handle_background(now, 1) {
                self.background.push_back(at);
            } else {
                entry.in_background = false;
            }
            self.counters.drop_dtls += entry.transport.take_dropped();
            self.settle(now, at);
        }
        !self.background.is_empty()
    }

    // ---- out: `flush` is in `flush`

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The earliest deadline.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        let transports = self.deadlines.peek().map(|(at, _)| at);
        let others = [self.levels.poll_timeout(), self.reports_due, self.pipes.poll_timeout()];
        transports.into_iter().chain(others.into_iter().flatten()).min()
    }

    /// The next TCP path that belongs to no transport any more; its connection may be closed once all is written.
    pub fn poll_released_path(&mut self) -> Option<Path> {
        self.names.poll_released()
    }

    // ---- getters

    /// Whether a verified check came over this path, and its transport still exists.
    pub fn knows(&self, path: Path) -> bool {
        self.names.path(path).is_some()
    }

    /// What was counted so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    // ---- details

    /// After a transport did something: takes its events, moves its deadline, and lets the next flush look at it.
    fn settle(&mut self, now: Instant, at: Index) {
        while let Some(event) = self.transports.get_mut(at).and_then(|entry| entry.transport.poll_event(now)) {
            self.handle_transport_event(now, at, event);
        }
        let Some(entry) = self.transports.get(at) else { return };
        if let Some(due) = entry.transport.poll_timeout() {
            self.deadlines.lower(at, due);
        }
        self.mark_dirty(at);
    }

    fn handle_transport_event(&mut self, now: Instant, at: Index, event: TransportEvent) {
        let Some(entry) = self.transports.get_mut(at) else { return };
        let transport = entry.id;
        match event {
            TransportEvent::Connected { path, profile } => {
                entry.connected = true;
                self.counters.transports_connected += 1;
                self.count_selected(path);
                let Path { protocol, remote, .. } = path;
                let srtp_profile = profile.as_str();
                self.events.push_back(Event::TransportConnected { transport, remote, srtp_profile, protocol });
                self.handle_connected(now, at);
            }
            TransportEvent::PathChanged(path) => {
                self.count_selected(path);
                let Path { protocol, remote, .. } = path;
                self.events.push_back(Event::PathChanged { transport, remote, protocol });
            }
            TransportEvent::PathForgotten(path) => self.names.forget_path(path, at),
            TransportEvent::UfragRetired(ufrag) => self.names.forget_ufrag(&ufrag, at),
            TransportEvent::Closed(reason) => {
                self.count_closed(reason);
                self.events.push_back(Event::TransportClosed { transport, reason: reason.as_str() });
                self.remove_transport(now, at);
            }
            TransportEvent::ChannelOpened { label } => {
                self.events.push_back(Event::DataChannelOpened { transport, label });
            }
            TransportEvent::Data { label, payload } => {
                self.counters.data_in += 1;
                self.events.push_back(Event::DataReceived { transport, label, payload });
            }
            TransportEvent::Overflow => self.events.push_back(Event::DataOverflow { transport }),
            TransportEvent::Low => self.events.push_back(Event::DataLow { transport }),
        }
    }

    /// Media may flow: the consumers of this transport start.
    fn handle_connected(&mut self, now: Instant, at: Index) {
        self.start_transport_reports(now);
        let consumers = self.transports.get(at).map(|entry| entry.consumers.clone()).unwrap_or_default();
        for consumer in consumers {
            self.retarget_consumer(now, consumer);
        }
    }

    #[inline]
    fn mark_dirty(&mut self, at: Index) {
        if let Some(entry) = self.transports.get_mut(at) {
            entry.mark_dirty(at, &mut self.dirty);
        }
    }
}

//! The forwarder: all transports, producers and consumers of one shard, composed. Sans I/O: `handle_*` in, `poll_*` and
//! `flush` out, plain getters.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::dtls::Certificate;
use crate::srtp::Profile;
use crate::{Command, Counters, DatagramSink, Event, Path};

/// What a forwarder is built from.
#[derive(Clone)]
pub struct ForwarderConfig {
    /// Best first.
    pub srtp_profiles: Arc<[Profile]>,
    /// Shared by all transports of the process.
    pub certificate: Arc<Certificate>,
}

/// All transports, producers and consumers of one shard.
pub struct Forwarder {
    counters: Counters,
}

impl Forwarder {
    /// `unix_now` is the wall-clock time at `now`; `seed` feeds every random choice.
    pub fn new(_config: ForwarderConfig, _now: Instant, _unix_now: Duration, _seed: u64) -> Self {
        Self { counters: Counters::default() }
    }

    // ---- in

    /// Carries out a command; a refusal is an event.
    pub fn handle_command(&mut self, _now: Instant, _command: Command) {}

    /// Takes one datagram; RTP is decrypted in place. `received` is the kernel's receive time.
    pub fn handle_datagram(&mut self, _now: Instant, _received: Instant, _path: Path, _datagram: &mut [u8]) {}

    /// Runs every timer that is due.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// Handles at most `budget` queued DTLS and SCTP datagrams; true when more wait.
    pub fn handle_background(&mut self, _now: Instant, _budget: usize) -> bool {
        false
    }

    // ---- out

    /// Writes everything that is due, for transports that have something to say.
    pub fn flush(&mut self, _now: Instant, _sink: &mut impl DatagramSink) {}

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// The earliest deadline.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        None
    }

    // ---- getters

    /// What was counted so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

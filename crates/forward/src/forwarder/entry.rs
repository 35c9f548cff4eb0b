//! One transport as the forwarder keeps it: the session half and everything about media that is per client.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use wire::Ssrc;
use wire::ext::ExtensionMap;

use crate::TransportId;
use crate::egress::EgressQueue;
use crate::producer::InboundTable;
use crate::report::NtpOrigin;
use crate::rtx::Budget;
use crate::transport::Transport;
use crate::twcc::{Recorder, Stamper};
use slots::Index;

pub(super) struct TransportEntry {
    // Touched for every packet to this client.
    pub(super) egress: EgressQueue,
    pub(super) dirty: bool,
    pub(super) connected: bool,
    pub(super) in_background: bool,
    pub(super) transport: Transport,
    pub(super) stamper: Stamper,
    pub(super) budget: Budget,
    /// Ids that the client negotiated, the same both ways.
    pub(super) extensions: ExtensionMap,
    // Touched for every packet from this client.
    pub(super) inbound: InboundTable,
    pub(super) recorder: Recorder,
    /// Something authentic came.
    pub(super) heard_at: Option<Instant>,
    // The rest.
    pub(super) id: TransportId,
    /// The sender of our feedback.
    pub(super) local_ssrc: Ssrc,
    pub(super) origin: NtpOrigin,
    round_trip: Option<Duration>,
    pub(super) producers: Vec<Index>,
    pub(super) consumers: Vec<Index>,
    /// Media SSRCs that we send.
    pub(super) outbound: HashMap<u32, Index>,
    /// Every SSRC that was ever sent: SRTP forbids to use one again under the same key.
    pub(super) used_ssrcs: HashSet<u32>,
    pub(super) report_due: Option<Instant>,
    pub(super) remb_bps: u64,
}

impl TransportEntry {
    pub(super) fn new(id: TransportId, transport: Transport, local_ssrc: u32) -> Self {
        Self {
            egress: EgressQueue::default(),
            dirty: false,
            connected: false,
            in_background: false,
            transport,
            stamper: Stamper::default(),
            budget: Budget::default(),
            extensions: ExtensionMap::new(),
            inbound: InboundTable::default(),
            recorder: Recorder::default(),
            heard_at: None,
            id,
            local_ssrc: Ssrc(local_ssrc),
            origin: NtpOrigin::default(),
            round_trip: None,
            producers: Vec::new(),
            consumers: Vec::new(),
            outbound: HashMap::new(),
            used_ssrcs: HashSet::new(),
            report_due: None,
            remb_bps: REMB_START_BPS,
        }
    }

    #[inline]
    pub(super) fn mark_dirty(&mut self, at: Index, dirty: &mut Vec<Index>) {
        if !self.dirty {
            self.dirty = true;
            dirty.push(at);
        }
    }

    /// Where REMB stands after an interval: it opens generously and follows heavy loss down.
    pub(super) fn handle_interval(&mut self, fraction_lost: u8, received_bits: u64) {
        self.remb_bps = if fraction_lost > REMB_LOSS {
            (received_bits * 85 / 100).max(REMB_MIN_BPS)
        } else {
            (self.remb_bps * 5 / 4).max(received_bits * 2).min(REMB_MAX_BPS)
        };
    }

    /// A round trip was measured (RFC 3550 6.4.1, or a NACK and its answer).
    pub(super) fn handle_round_trip(&mut self, sample: Duration) {
        let sample = sample.min(MAX_ROUND_TRIP);
        self.round_trip = Some(self.round_trip.map_or(sample, |smoothed| (smoothed * 7 + sample) / 8));
    }

    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// The round trip, or a guess for asking again.
    pub(super) fn round_trip_or_guess(&self) -> Duration {
        self.round_trip.unwrap_or(ROUND_TRIP_GUESS)
    }

    /// The round trip as far as it was measured: what tells an impatient client from a second loss.
    pub(super) fn measured_round_trip(&self) -> Duration {
        self.round_trip.unwrap_or_default().max(MIN_REPEAT)
    }
}

const MAX_ROUND_TRIP: Duration = Duration::from_secs(2);
// libwebrtc's own guess.
const ROUND_TRIP_GUESS: Duration = Duration::from_millis(100);
// Clients run their NACK timers every 20 ms.
const MIN_REPEAT: Duration = Duration::from_millis(10);
const REMB_START_BPS: u64 = 3_000_000;
const REMB_MIN_BPS: u64 = 300_000;
const REMB_MAX_BPS: u64 = 20_000_000;
// Above 10 % of loss senders slow down whatever we say.
const REMB_LOSS: u8 = 26;

//! One simulcast RTP stream of a producer: its numbers, its losses, its keyframes and whether it lives.

use std::time::{Duration, Instant};

use wire::Ssrc;

use super::dense::DenseMap;
use crate::Kind;
use crate::keyframe::KeyframeRequests;
use crate::nack::NackList;
use crate::report::{ReceiveStats, SenderTime};
use slots::Index;

#[derive(Debug)]
pub(crate) struct Encoding {
    pub(crate) rid: Option<String>,
    /// Signalled, or learned from the first packet.
    pub(crate) ssrc: Option<Ssrc>,
    pub(crate) ring: Index,
    pub(crate) numbers: DenseMap,
    /// Counts the SSRCs that carried it: timestamps of different ones have nothing in common.
    pub(crate) epoch: u16,
    pub(crate) stats: ReceiveStats,
    pub(crate) sender: Option<SenderTime>,
    pub(crate) nack: NackList,
    pub(crate) keyframes: KeyframeRequests,
    pub(crate) last_packet_at: Option<Instant>,
    /// When another SSRC took over last.
    rebound_at: Option<Instant>,
    /// Packets came lately: `EncodingSeen` was said and `EncodingLost` was not.
    pub(crate) lives: bool,
    /// The last keyframe's first packet: dense number and receive time.
    pub(crate) last_keyframe: Option<(u64, u64)>,
    /// Newest packet: RTP timestamp and receive time.
    pub(crate) newest: Option<(u32, u64)>,
    /// Consumers that are sent this encoding, or wait for it.
    pub(crate) interested: u32,
    /// Media bytes since the last REMB.
    pub(crate) bytes: u64,
}

impl Encoding {
    pub(crate) fn new(kind: Kind, rid: Option<String>, ssrc: Option<Ssrc>, ring: Index) -> Self {
        Self {
            rid,
            ssrc,
            ring,
            numbers: DenseMap::default(),
            epoch: 0,
            stats: ReceiveStats::default(),
            sender: None,
            nack: NackList::new(kind),
            keyframes: KeyframeRequests::default(),
            last_packet_at: None,
            rebound_at: None,
            lives: false,
            last_keyframe: None,
            newest: None,
            interested: 0,
            bytes: 0,
        }
    }

    /// Whether another SSRC may take over. Not twice in a row: what comes of the old one is late, or its sender hostile, as
    /// each change costs a keyframe and an event.
    pub(crate) fn may_rebind(&self, now: Instant) -> bool {
        self.rebound_at.is_none_or(|last| now >= last + REBIND_SPACING)
    }

    /// This SSRC carries the encoding from now on.
    pub(crate) fn rebind(&mut self, now: Instant, ssrc: Ssrc) {
        if self.ssrc.replace(ssrc) == Some(ssrc) || self.last_packet_at.is_none() {
            return;
        }
        self.rebound_at = Some(now);
        // Seen anew: consumers need a new place to start.
        self.lives = false;
        self.numbers.start_over();
        self.epoch = self.epoch.wrapping_add(1);
        self.stats = ReceiveStats::default();
        self.sender = None;
        self.nack.reset();
        self.keyframes = KeyframeRequests::default();
        self.last_keyframe = None;
        self.newest = None;
    }

    /// At the other end of a pipe: the source's epoch.
    pub(crate) fn adopt(&mut self, epoch: u16) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.sender = None;
            self.last_keyframe = None;
            self.newest = None;
        }
    }

    /// Whether it fell silent; says so once.
    pub(crate) fn falls_silent(&mut self, now: Instant) -> bool {
        let silent = self.lives && self.last_packet_at.is_none_or(|last| now >= last + SILENCE);
        if silent {
            self.lives = false;
        }
        silent
    }

    /// When to look whether it fell silent.
    pub(crate) fn poll_silence(&self) -> Option<Instant> {
        self.last_packet_at.filter(|_| self.lives).map(|last| last + SILENCE)
    }
}

// Longer than a DTX comfort packet (400 ms) and a stall of a busy publisher, shorter than anybody's patience.
const SILENCE: Duration = Duration::from_millis(1_500);
const REBIND_SPACING: Duration = Duration::from_secs(1);

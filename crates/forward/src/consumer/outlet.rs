//! The part of a consumer that every packet of its producer visits: which encoding it is sent and how numbers map.
//!
//! A *run* is a stretch of packets from one encoding under one mapping. A new run starts at a keyframe (video) and goes on
//! where the last one ended: sequence numbers, timestamps and VP8 picture numbers stay continuous.

use super::{Alignment, Run};
use crate::Kind;
use crate::egress::{Descriptor, Treatment};
use crate::producer::{Codec, Encoding};
use crate::ring::Slot;
use slots::Index;

#[derive(Debug)]
pub(crate) struct Outlet {
    pub(crate) consumer: Index,
    pub(crate) transport: Index,
    /// The encoding on the wire.
    pub(crate) current: Option<u8>,
    /// The encoding it heads for.
    pub(crate) target: Option<u8>,
    epoch: u16,
    /// Dense number of the run's first packet: older ones are too late for it.
    run_start: u64,
    /// Dense number minus own index.
    delta: u64,
    timestamp_delta: u32,
    picture_delta: u16,
    tl0_delta: u8,
    treatment: Treatment,
    /// The newest packet queued so far.
    newest: Option<Newest>,
    /// Index of the very first packet.
    first_index: u64,
    /// What it was told to be.
    pub(crate) cap: u8,
    pub(crate) paused: bool,
    /// The last `ConsumerLayerChanged`.
    pub(crate) announced: Option<u8>,
}

/// Where the next run goes on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Newest {
    index: u64,
    /// As sent, and as it came.
    pub(super) timestamp: u32,
    pub(super) original_timestamp: u32,
    pub(super) received_us: u64,
    picture_id: u16,
    tl0_picture_index: u8,
}

impl Outlet {
    pub(crate) fn new(consumer: Index, transport: Index, cap: u8, paused: bool, first_index: u64) -> Self {
        Self {
            consumer,
            transport,
            current: None,
            target: None,
            epoch: 0,
            run_start: 0,
            delta: 0,
            timestamp_delta: 0,
            picture_delta: 0,
            tl0_delta: 0,
            treatment: Treatment::Plain,
            newest: None,
            first_index,
            cap,
            paused,
            announced: None,
        }
    }

    /// Whether packets of this encoding go out under the current run.
    #[inline]
    pub(crate) fn carries(&self, encoding: u8, epoch: u16) -> bool {
        self.current == Some(encoding) && self.epoch == epoch
    }

    /// Whether it waits for a place to start in this encoding.
    #[inline]
    pub(crate) fn awaits(&self, encoding: u8, epoch: u16) -> bool {
        self.target == Some(encoding) && !self.carries(encoding, epoch)
    }

    /// The descriptor of a packet of the current run; `None` when it is older than the run.
    #[inline]
    pub(crate) fn descriptor(&mut self, ring: Index, dense: u64, slot: &Slot) -> Option<Descriptor> {
        if dense < self.run_start {
            return None;
        }
        let index = dense.wrapping_sub(self.delta);
        let descriptor = Descriptor {
            index,
            consumer: self.consumer,
            ring,
            dense: dense as u32,
            timestamp: slot.timestamp.wrapping_add(self.timestamp_delta),
            picture_id: slot.picture_id.unwrap_or(0).wrapping_sub(self.picture_delta),
            tl0_picture_index: slot.tl0_picture_index.unwrap_or(0).wrapping_sub(self.tl0_delta),
            treatment: self.treatment,
        };
        if self.newest.is_none_or(|newest| index > newest.index) {
            self.newest = Some(Newest {
                index,
                timestamp: descriptor.timestamp,
                original_timestamp: slot.timestamp,
                received_us: slot.received_us,
                picture_id: descriptor.picture_id,
                tl0_picture_index: descriptor.tl0_picture_index,
            });
        }
        Some(descriptor)
    }

    /// Whether it was never sent anything.
    pub(crate) fn saw_nothing(&self) -> bool {
        self.newest.is_none()
    }

    /// Whether it was sent something that arrived after this time.
    pub(crate) fn is_newer_than(&self, received_us: u64) -> bool {
        self.newest.is_some_and(|newest| newest.received_us >= received_us)
    }

    /// Starts a run with this packet.
    pub(crate) fn start_run(
        &mut self,
        (at, encoding): (u8, &Encoding),
        codec: Codec,
        dense: u64,
        slot: &Slot,
        alignment: &Alignment<'_>,
    ) -> Run {
        let next_index = self.newest.map_or(self.first_index, |newest| newest.index + 1);
        self.timestamp_delta = alignment.timestamp_delta(self.newest.as_ref(), slot);
        self.align_pictures(slot);
        self.delta = dense.wrapping_sub(next_index);
        self.run_start = dense;
        self.epoch = encoding.epoch;
        self.current = Some(at);
        let rewrites = codec == Codec::Vp8 && (self.picture_delta != 0 || self.tl0_delta != 0);
        self.treatment = if rewrites { Treatment::Vp8 } else { Treatment::Plain };
        Run {
            first_index: next_index,
            delta: self.delta,
            ring: encoding.ring,
            encoding: at,
            epoch: self.epoch,
            timestamp_delta: self.timestamp_delta,
            picture_delta: self.picture_delta,
            tl0_delta: self.tl0_delta,
            rewrites_vp8: rewrites,
        }
    }

    fn align_pictures(&mut self, slot: &Slot) {
        let Some(newest) = self.newest else { return };
        self.picture_delta = slot.picture_id.unwrap_or(0).wrapping_sub(newest.picture_id.wrapping_add(1));
        self.tl0_delta = slot.tl0_picture_index.unwrap_or(0).wrapping_sub(newest.tl0_picture_index.wrapping_add(1));
    }

    /// Whether a run may start with this packet.
    #[inline]
    pub(crate) fn may_start_with(kind: Kind, slot: &Slot) -> bool {
        !slot.filler && (kind == Kind::Audio || slot.keyframe_start)
    }
}

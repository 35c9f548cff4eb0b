//! What waits to be sent to one client: small descriptors of packets in the rings, and finished RTCP.
//!
//! Nothing is built before the flush: a descriptor names the packet and the numbers that this consumer gives it.

mod header;
mod passthrough;
mod rtcp;

pub(crate) use header::{HeaderFields, HeaderTemplate, Stamps};
pub(crate) use passthrough::{MAX_LEN as PASSTHROUGH_MAX, Passthrough};
pub(crate) use rtcp::RtcpQueue;

use slots::Index;

/// One packet for one consumer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Descriptor {
    /// 48 bits: the consumer's own roll-over counter and sequence number. Of a retransmission, the original's.
    pub(crate) index: u64,
    pub(crate) consumer: Index,
    pub(crate) ring: Index,
    /// Low bits of the dense number.
    pub(crate) dense: u32,
    pub(crate) timestamp: u32,
    pub(crate) picture_id: u16,
    pub(crate) tl0_picture_index: u8,
    pub(crate) treatment: Treatment,
}

/// How a packet is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Treatment {
    /// As it is in the ring.
    Plain,
    /// With the VP8 payload descriptor rewritten.
    Vp8,
    /// On the RTX stream.
    Repair,
    /// On the RTX stream, with the VP8 payload descriptor rewritten.
    Vp8Repair,
    /// Byte for byte as it was sent before.
    Repeat,
    /// Byte for byte, which includes the VP8 payload descriptor rewritten.
    Vp8Repeat,
}

impl Treatment {
    /// How a packet is sent again.
    pub(crate) fn again(has_rtx: bool, rewrites_vp8: bool) -> Self {
        match (has_rtx, rewrites_vp8) {
            (true, false) => Self::Repair,
            (true, true) => Self::Vp8Repair,
            (false, false) => Self::Repeat,
            (false, true) => Self::Vp8Repeat,
        }
    }

    pub(crate) fn is_repair(self) -> bool {
        matches!(self, Self::Repair | Self::Vp8Repair)
    }

    pub(crate) fn is_repeat(self) -> bool {
        matches!(self, Self::Repeat | Self::Vp8Repeat)
    }

    pub(crate) fn rewrites_vp8(self) -> bool {
        matches!(self, Self::Vp8 | Self::Vp8Repair | Self::Vp8Repeat)
    }
}

const _: () = assert!(size_of::<Descriptor>() <= 32);

/// The queue of one transport.
#[derive(Debug, Default)]
pub(crate) struct EgressQueue {
    pub(crate) rtcp: RtcpQueue,
    /// Sent before video: a late word is worse than a late picture.
    pub(crate) audio: Vec<Descriptor>,
    pub(crate) video: Vec<Descriptor>,
}

impl EgressQueue {
    /// Queues audio; false when the queue is full.
    #[inline]
    pub(crate) fn push_audio(&mut self, descriptor: Descriptor) -> bool {
        push(&mut self.audio, descriptor)
    }

    /// Queues video; false when the queue is full.
    #[inline]
    pub(crate) fn push_video(&mut self, descriptor: Descriptor) -> bool {
        push(&mut self.video, descriptor)
    }

    /// A consumer is gone; its index may be used again.
    pub(crate) fn forget(&mut self, consumer: Index) {
        self.audio.retain(|descriptor| descriptor.consumer != consumer);
        self.video.retain(|descriptor| descriptor.consumer != consumer);
    }
}

#[inline]
fn push(queue: &mut Vec<Descriptor>, descriptor: Descriptor) -> bool {
    if queue.len() >= MAX_QUEUED {
        return false;
    }
    queue.push(descriptor);
    true
}

// Queues are emptied after every receive batch; only a stalled loop comes near this.
const MAX_QUEUED: usize = 8_192;

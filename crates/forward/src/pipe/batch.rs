//! What one forwarder has for another shard since it was last asked: in order, packets by value.

use super::{Demand, PipeId};
use crate::report::{NtpOrigin, SenderTime};
use crate::ring::Slot;

/// Everything for one shard. Moved as a whole, and used again when it was emptied.
#[derive(Debug, Default)]
pub struct PipeBatch {
    items: Vec<Item>,
    /// Extensions and payload of the packets, one behind the other.
    bytes: Vec<u8>,
    packets: usize,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Item {
    pub(crate) pipe: PipeId,
    pub(crate) what: What,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum What {
    /// Downstream: as the ring stores it; its bytes begin at `at`.
    Packet { encoding: u8, epoch: u16, slot: Slot, at: usize },
    /// The tap is there. First of all.
    Opened,
    /// An encoding sends, under this epoch. `is_keyframe`: what follows starts with one.
    Alive { encoding: u8, epoch: u16, is_keyframe: bool },
    /// An encoding fell silent.
    Silent { encoding: u8 },
    /// What the publisher's sender report said, and how far its clock is from ours.
    SenderReport { encoding: u8, epoch: u16, sender: SenderTime, origin: NtpOrigin },
    /// Upstream.
    Demand(Demand),
}

impl PipeBatch {
    /// A batch of equal packets, for tests of what carries it.
    #[cfg(feature = "testing")]
    pub fn of_packets(count: usize, len: usize) -> Self {
        let mut batch = Self::of_packets_only(count, len);
        batch.push(PipeId(0), What::Opened);
        batch
    }

    /// The same, without any news.
    #[cfg(feature = "testing")]
    pub fn of_packets_only(count: usize, len: usize) -> Self {
        use crate::ring::{Packet, Ring};
        let payload = vec![0; len];
        let packet = Packet { payload: &payload, ..Packet::default() };
        let mut ring = Ring::new(crate::producer::Producer::ring_limits(crate::Kind::Video));
        let mut batch = Self::default();
        for dense in 0..count as u64 {
            if ring.insert(dense, &packet).is_ok()
                && let Some(slot) = ring.get(dense)
            {
                batch.push_packet(PipeId(0), 0, 0, *slot, ring.bytes(slot));
            }
        }
        batch
    }

    /// Packets in it.
    pub fn packets(&self) -> usize {
        self.packets
    }

    /// About what it takes in memory.
    pub fn weight(&self) -> usize {
        self.bytes.len() + self.items.len() * size_of::<Item>()
    }

    /// Whether there is nothing in it at all.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Receive times of its packets, in microseconds since the start.
    pub fn received_us(&self) -> impl Iterator<Item = u64> + '_ {
        self.items.iter().filter_map(|item| match item.what {
            What::Packet { slot, .. } => Some(slot.received_us),
            _ => None,
        })
    }

    /// The destination has too much waiting: keeps only what it cannot do without. Gives the number of packets dropped.
    pub fn shed(&mut self) -> usize {
        self.items.retain(|item| !matches!(item.what, What::Packet { .. } | What::SenderReport { .. }));
        // It may wait for long, beside many like it.
        self.items.shrink_to_fit();
        self.bytes = Vec::new();
        std::mem::take(&mut self.packets)
    }

    /// Empties it for its next use; a large one gives its memory back.
    pub fn clear(&mut self) {
        self.items.clear();
        self.bytes.clear();
        self.packets = 0;
        self.items.shrink_to(KEPT_BYTES / size_of::<Item>());
        self.bytes.shrink_to(KEPT_BYTES);
    }

    #[inline]
    pub(crate) fn push_packet(
        &mut self,
        pipe: PipeId,
        encoding: u8,
        epoch: u16,
        slot: Slot,
        (extensions, payload): (&[u8], &[u8]),
    ) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(extensions);
        self.bytes.extend_from_slice(payload);
        self.packets += 1;
        self.push(pipe, What::Packet { encoding, epoch, slot, at });
    }

    pub(crate) fn push(&mut self, pipe: PipeId, what: What) {
        self.items.push(Item { pipe, what });
    }

    pub(crate) fn items(&self) -> &[Item] {
        &self.items
    }

    /// A packet's extensions and payload.
    #[inline]
    pub(crate) fn bytes(&self, slot: &Slot, at: usize) -> (&[u8], &[u8]) {
        let (extensions, payload) = slot.lens();
        self.bytes[at..at + extensions + payload].split_at(extensions)
    }
}

// A batch of 200 packets.
const KEPT_BYTES: usize = 256 << 10;

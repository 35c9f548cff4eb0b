//! A pipe carries one producer to another shard of the process: packets by value and in batches, once for all consumers there.
//!
//! At the source the producer has a *tap*; at the destination it has a *mirror*, a producer like any other to its consumers.
//! Downstream go packets as the ring stores them, which encodings live, and sender reports; upstream go demands: which
//! encodings are wanted, and keyframe requests. NACKs, feedback and levels stay at the source. Forwarders that pipe to each
//! other are built with the same `now` and `unix_now`, so that times mean the same on both sides.

mod batch;

pub use batch::PipeBatch;
pub(crate) use batch::{Item, What};

use crate::{AddProducer, ProducerId};

/// One pipe from its opening to its end; never used again, so that what comes late is told from what is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PipeId(pub u64);

/// What the driver tells the forwarders at both ends. The mirror's end hears first, else the tap's greeting is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PipeCommand {
    /// Carry a producer of this forwarder to a shard.
    OpenTap {
        /// The pipe.
        pipe: PipeId,
        /// What it carries.
        producer: ProducerId,
        /// Where to.
        to: u32,
    },
    /// Carry nothing more.
    CloseTap {
        /// The pipe.
        pipe: PipeId,
    },
    /// Be ready for a producer that another shard receives; consumers may be added at once.
    OpenMirror {
        /// The pipe.
        pipe: PipeId,
        /// Whose it is.
        from: u32,
        /// As the source was told; its transport is not of this shard.
        producer: Box<AddProducer>,
    },
    /// The mirror ends, and its consumers with it.
    CloseMirror {
        /// The pipe.
        pipe: PipeId,
    },
}

/// What a mirror wants of its source. Bits are encodings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Demand {
    /// Somebody is sent it, or waits for it.
    pub(crate) wanted: u8,
    /// Somebody waits for a keyframe of it.
    pub(crate) awaited: u8,
    /// A keyframe is asked for.
    pub(crate) requested: u8,
    /// Of those: for a joiner, or one that switches.
    pub(crate) urgent: u8,
    /// Of those: for one that sees nothing yet and would take an older keyframe.
    pub(crate) dark: u8,
    /// How much news of encodings that came alive it knows; wraps.
    pub(crate) heard: u8,
}

/// The bit of an encoding.
pub(crate) fn bit(encoding: u8) -> u8 {
    1 << encoding
}

/// The encodings of a set of bits.
pub(crate) fn encodings_of(bits: u8) -> impl Iterator<Item = u8> {
    (0..8).filter(move |encoding| bits & bit(*encoding) != 0)
}

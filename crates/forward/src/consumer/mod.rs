//! Media that we send to a client: its own SSRC, sequence and timestamp space.
//!
//! The part that every packet visits is the [`Outlet`], kept beside its siblings in the producer; here is the rest.

mod alignment;
mod outlet;
mod stamps;

pub(crate) use alignment::Alignment;
pub(crate) use outlet::Outlet;
pub(crate) use stamps::SentStamps;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use wire::ext::ExtensionMap;

use crate::egress::HeaderTemplate;
use crate::rtx::RepeatGuard;
use crate::slab::Index;
use crate::{AddConsumer, ConsumerId, Kind};

#[derive(Debug)]
pub(crate) struct Consumer {
    // Read for every packet.
    pub(crate) template: HeaderTemplate,
    pub(crate) ssrc: u32,
    pub(crate) payload_type: u8,
    /// `None` when the client has no RTX.
    pub(crate) rtx: Option<RtxStream>,
    pub(crate) sent_packets: u32,
    pub(crate) sent_octets: u32,
    /// Index of the newest packet that left; `None` before the first.
    pub(crate) highest_sent: Option<u64>,
    /// For a client without RTX.
    pub(crate) sent_stamps: SentStamps,
    // The rest.
    pub(crate) guard: RepeatGuard,
    runs: VecDeque<Run>,
    pub(crate) id: ConsumerId,
    pub(crate) producer: Index,
    pub(crate) transport: Index,
    pub(crate) kind: Kind,
    pub(crate) cname: String,
    pub(crate) report_due: Option<Instant>,
    /// What the last sender report said.
    pub(crate) reported_packets: Option<u32>,
    pub(crate) mid: String,
}

/// The stream that carries a consumer's retransmissions (RFC 4588).
#[derive(Debug)]
pub(crate) struct RtxStream {
    pub(crate) ssrc: u32,
    pub(crate) payload_type: u8,
    pub(crate) next_index: u64,
}

/// A stretch of packets from one encoding under one mapping; by it a retransmission is found again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) first_index: u64,
    pub(crate) delta: u64,
    pub(crate) ring: Index,
    pub(crate) encoding: u8,
    pub(crate) epoch: u16,
    pub(crate) timestamp_delta: u32,
    pub(crate) picture_delta: u16,
    pub(crate) tl0_delta: u8,
    pub(crate) rewrites_vp8: bool,
}

impl Consumer {
    pub(crate) fn new(
        command: AddConsumer,
        kind: Kind,
        producer: Index,
        transport: Index,
        ids: &ExtensionMap,
        rtx_index: u64,
    ) -> Self {
        Self {
            template: HeaderTemplate::new(ids, &command.mid),
            ssrc: command.ssrc,
            payload_type: command.payload_type,
            rtx: command.rtx_ssrc.zip(command.rtx_payload_type).map(|(ssrc, payload_type)| RtxStream {
                ssrc,
                payload_type,
                next_index: rtx_index,
            }),
            sent_packets: 0,
            sent_octets: 0,
            highest_sent: None,
            sent_stamps: SentStamps::default(),
            guard: RepeatGuard::default(),
            runs: VecDeque::new(),
            id: command.consumer,
            producer,
            transport,
            kind,
            cname: command.cname,
            report_due: None,
            reported_packets: None,
            mid: command.mid,
        }
    }

    /// Notes a run. Only a few are kept: a client asks again for what is seconds old at most.
    pub(crate) fn add_run(&mut self, run: Run) {
        if self.runs.len() == MAX_RUNS {
            self.runs.pop_front();
        }
        self.runs.push_back(run);
    }

    /// The run on the wire.
    pub(crate) fn current_run(&self) -> Option<&Run> {
        self.runs.back()
    }

    /// The run that a packet was sent in.
    pub(crate) fn run_of(&self, index: u64) -> Option<&Run> {
        let after = self.runs.partition_point(|run| run.first_index <= index);
        self.runs.get(after.checked_sub(1)?)
    }

    /// The index of a sequence number that the client names; `None` when it was never sent.
    pub(crate) fn index_of(&self, seq: u16) -> Option<u64> {
        let highest = self.highest_sent?;
        highest.checked_sub(u64::from((highest as u16).wrapping_sub(seq)))
    }

    /// How often a sender report goes out.
    pub(crate) fn report_interval(&self) -> Duration {
        match self.kind {
            Kind::Audio => Duration::from_secs(3),
            Kind::Video => Duration::from_secs(1),
        }
    }
}

const MAX_RUNS: usize = 16;
/// A first report soon after the first packet, so that lips are in sync from the start.
pub(crate) const FIRST_REPORT: Duration = Duration::from_millis(100);

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
use crate::keyframe::Allowance;
use crate::report::Reception;
use crate::ring::Slot;
use crate::rtx::RepeatGuard;
use crate::{AddConsumer, ConsumerId, Kind};
use slots::Index;

#[derive(Debug)]
pub(crate) struct Consumer {
    // Read for every packet.
    pub(crate) template: HeaderTemplate,
    pub(crate) ssrc: u32,
    pub(crate) payload_type: u8,
    /// `None` when the client did not negotiate RED.
    pub(crate) red_payload_type: Option<u8>,
    /// `None` when the client has no RTX.
    pub(crate) rtx: Option<RtxStream>,
    pub(crate) sent_packets: u32,
    pub(crate) sent_octets: u32,
    /// The client loses so much that ends of frames are repeated unasked.
    pub(crate) is_lossy: bool,
    /// Index of the newest packet that left; `None` before the first.
    pub(crate) highest_sent: Option<u64>,
    /// For a client without RTX.
    pub(crate) sent_stamps: SentStamps,
    // The rest.
    pub(crate) guard: RepeatGuard,
    pub(crate) keyframe_allowance: Allowance,
    runs: VecDeque<Run>,
    pub(crate) id: ConsumerId,
    pub(crate) producer: Index,
    pub(crate) transport: Index,
    pub(crate) kind: Kind,
    pub(crate) cname: String,
    /// The end of a frame that is to be repeated unless something newer is sent before.
    pub(crate) probe: Option<Probe>,
    pub(crate) report_due: Option<Instant>,
    /// What the last sender report said.
    pub(crate) reported_packets: Option<u32>,
    pub(crate) mid: String,
    playout_delay: Option<(u16, u16)>,
    pub(crate) reception: Reception,
    /// Packets sent when the transport was last reported about.
    pub(crate) sent_at_report: u32,
}

/// The stream that carries a consumer's retransmissions (RFC 4588).
#[derive(Debug)]
pub(crate) struct RtxStream {
    pub(crate) ssrc: u32,
    pub(crate) payload_type: u8,
    pub(crate) next_index: u64,
}

/// A packet to repeat unasked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe {
    pub(crate) index: u64,
    pub(crate) due: Instant,
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
        (first_index, rtx_index): (u64, u64),
    ) -> Self {
        let playout_delay = command.playout_delay.filter(|_| kind == Kind::Video);
        Self {
            template: HeaderTemplate::new(ids, &command.mid, playout_delay),
            ssrc: command.ssrc,
            payload_type: command.payload_type,
            red_payload_type: command.red_payload_type,
            rtx: command.rtx_ssrc.zip(command.rtx_payload_type).map(|(ssrc, payload_type)| RtxStream {
                ssrc,
                payload_type,
                next_index: rtx_index,
            }),
            sent_packets: 0,
            sent_octets: 0,
            is_lossy: false,
            highest_sent: None,
            sent_stamps: SentStamps::default(),
            guard: RepeatGuard::default(),
            keyframe_allowance: Allowance::default(),
            runs: VecDeque::new(),
            id: command.consumer,
            producer,
            transport,
            kind,
            cname: command.cname,
            probe: None,
            report_due: None,
            reported_packets: None,
            mid: command.mid,
            playout_delay,
            reception: Reception::new(first_index),
            sent_at_report: 0,
        }
    }

    /// The client negotiated other extensions: headers look different from now on.
    pub(crate) fn set_extensions(&mut self, ids: &ExtensionMap) {
        self.template = HeaderTemplate::new(ids, &self.mid, self.playout_delay);
        self.sent_stamps.clear();
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

    /// A packet just left. Of the end of a frame whose loss would be noticed too late, says when to repeat it.
    pub(crate) fn plan_probe(&mut self, now: Instant, index: u64, slot: &Slot) -> Option<Instant> {
        if self.highest_sent != Some(index) {
            return None;
        }
        let worthwhile = slot.marker && slot.skippable && self.rtx.is_some();
        self.probe = worthwhile.then(|| Probe { index, due: now + PROBE_AFTER });
        self.probe.map(|probe| probe.due)
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
// Longer than a frame's packets take that are sent one by one, well before the next frame.
const PROBE_AFTER: Duration = Duration::from_millis(10);
/// A first report soon after the first packet, so that lips are in sync from the start.
pub(crate) const FIRST_REPORT: Duration = Duration::from_millis(100);

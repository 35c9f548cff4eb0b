//! The pipes of a forwarder: opening and closing them, and their batches in and out. Sources are in `taps`, destinations in
//! `mirrors`.

use std::collections::HashMap;
use std::time::Instant;

use super::Forwarder;
use crate::Kind;
use crate::pipe::{Item, PipeBatch, PipeCommand, PipeId, What, bit};
use crate::producer::{Mirror, Producer};
use slots::Index;

/// Which producers are at the ends of pipes, and what waits for other shards.
#[derive(Default)]
pub(super) struct Pipes {
    pub(super) taps: HashMap<PipeId, Index>,
    pub(super) mirrors: HashMap<PipeId, Index>,
    /// By shard.
    outgoing: Vec<PipeBatch>,
    spare: Vec<PipeBatch>,
    /// Mirrors that have something to tell their source, now or later.
    restless: Vec<Index>,
    /// One of them may have something now.
    has_news: bool,
    /// When one of them has.
    next: Option<Instant>,
}

impl Pipes {
    pub(super) fn outgoing(&mut self, shard: u32) -> &mut PipeBatch {
        let shard = shard as usize;
        if self.outgoing.len() <= shard {
            self.outgoing.resize_with(shard + 1, PipeBatch::default);
        }
        &mut self.outgoing[shard]
    }

    /// Something changed at this producer; if it is a mirror, its source may want to know.
    #[inline]
    pub(super) fn look_at(&mut self, at: Index, producer: &mut Producer) {
        let Some(mirror) = producer.mirror().filter(|mirror| mirror.linked) else { return };
        self.has_news = true;
        if !mirror.restless {
            mirror.restless = true;
            self.restless.push(at);
        }
    }

    /// A producer is gone; its index may be used again.
    pub(super) fn forget(&mut self, at: Index, producer: &mut Producer) {
        for tap in &producer.taps {
            self.taps.remove(&tap.pipe);
        }
        if let Some(mirror) = producer.mirror() {
            self.mirrors.remove(&mirror.pipe);
            self.restless.retain(|other| *other != at);
            if self.restless.is_empty() {
                self.next = None;
            }
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    fn take_batch(&mut self) -> Option<(u32, PipeBatch)> {
        let at = self.outgoing.iter().position(|batch| !batch.is_empty())?;
        let empty = self.spare.pop().unwrap_or_default();
        Some((at as u32, std::mem::replace(&mut self.outgoing[at], empty)))
    }
}

impl Forwarder {
    // ---- in

    /// Carries out what the driver wants of a pipe's end. What is gone already is ignored.
    pub fn handle_pipe_command(&mut self, command: PipeCommand) {
        match command {
            PipeCommand::OpenTap { pipe, producer, to } => self.open_tap(pipe, producer, to),
            PipeCommand::CloseTap { pipe } => self.close_tap(pipe),
            PipeCommand::OpenMirror { pipe, from, producer } => self.open_mirror(Mirror::new(pipe, from), &producer),
            PipeCommand::CloseMirror { pipe } => self.close_mirror(pipe),
        }
        self.count_pipes();
    }

    /// Takes what another forwarder had for this one.
    pub fn handle_pipe(&mut self, now: Instant, batch: &PipeBatch) {
        for Item { pipe, what } in batch.items() {
            if let What::Demand(demand) = what {
                self.handle_demand(now, *pipe, *demand);
                continue;
            }
            let Some(at) = self.pipes.mirrors.get(pipe).copied() else {
                self.counters.drop_pipe_closed += u64::from(matches!(what, What::Packet { .. }));
                continue;
            };
            match what {
                What::Packet { encoding, epoch, slot, at: start } => {
                    self.handle_piped_packet(now, at, (*encoding, *epoch), slot, batch.bytes(slot, *start));
                }
                other => self.handle_piped_note(now, at, other),
            }
        }
    }

    /// Gives a batch back after its use: its memory serves for the next one.
    pub fn recycle_pipe(&mut self, mut batch: PipeBatch) {
        if self.pipes.spare.len() < MAX_SPARE {
            batch.clear();
            self.pipes.spare.push(batch);
        }
    }

    // ---- out

    /// What waits for another shard, all of it, and which shard that is.
    pub fn poll_pipe(&mut self, now: Instant) -> Option<(u32, PipeBatch)> {
        if self.pipes.has_news || self.pipes.next.is_some_and(|next| next <= now) {
            self.collect_demands(now);
        }
        self.pipes.take_batch()
    }

    // ---- details

    /// Lets mirrors tell their sources what they want.
    fn collect_demands(&mut self, now: Instant) {
        let mut restless = std::mem::take(&mut self.pipes.restless);
        (self.pipes.has_news, self.pipes.next) = (false, None);
        restless.retain(|at| {
            let Some(producer) = self.producers.get_mut(*at) else { return false };
            let (wanted, awaited) = demand_bits(producer);
            let Some(mirror) = producer.mirror() else { return false };
            let (demand, due) = (mirror.demand(now, wanted, awaited), mirror.poll_timeout(now, wanted, awaited));
            mirror.restless = due.is_some();
            self.pipes.next = self.pipes.next.into_iter().chain(due).min();
            if let Some(demand) = demand {
                self.counters.pipe_demands += 1;
                self.pipes.outgoing(mirror.from).push(mirror.pipe, What::Demand(demand));
                // Nobody can start with a keyframe after which something is missing.
                let unwanted = producer.encodings.iter_mut().filter(|encoding| encoding.interested == 0);
                unwanted.for_each(|encoding| encoding.last_keyframe = None);
            }
            due.is_some()
        });
        self.pipes.restless = restless;
    }

    pub(super) fn count_pipes(&mut self) {
        self.counters.pipes_out = self.pipes.taps.len() as u64;
        self.counters.pipes_in = self.pipes.mirrors.len() as u64;
        self.counters.producers = self.producers.len() as u64 - self.counters.pipes_in;
    }
}

/// Which encodings are wanted, and of which video a keyframe is awaited, by the consumers here.
fn demand_bits(producer: &Producer) -> (u8, u8) {
    let bits = |is: &dyn Fn(u8) -> bool| {
        (0..producer.encodings.len() as u8).filter(|encoding| is(*encoding)).map(bit).fold(0, |all, bit| all | bit)
    };
    let wanted = bits(&|encoding| producer.encodings[usize::from(encoding)].interested > 0);
    let is_video = producer.kind == Kind::Video;
    (wanted, bits(&|encoding| is_video && producer.is_awaited_here(encoding)))
}

const MAX_SPARE: usize = 4;

//! The destination's side of pipes: a producer of another shard, as its consumers here know it.

use std::time::Instant;

use super::Forwarder;
use crate::AddProducer;
use crate::pipe::{PipeId, What};
use crate::producer::{Feed, Mirror, Route};
use crate::ring::{Ring, Slot};
use slots::Index;

impl Forwarder {
    pub(super) fn open_mirror(&mut self, mirror: Mirror, of: &AddProducer) {
        let pipe = mirror.pipe;
        // The source refuses what is refused here.
        if let Ok(at) = self.insert_producer(of, Feed::Pipe(mirror)) {
            self.pipes.mirrors.insert(pipe, at);
        }
    }

    pub(super) fn close_mirror(&mut self, pipe: PipeId) {
        if let Some(at) = self.pipes.mirrors.get(&pipe).copied() {
            self.remove_producer(at);
        }
    }

    /// A packet as the source's ring has it: numbered, inspected, never twice.
    #[inline]
    pub(super) fn handle_piped_packet(
        &mut self,
        now: Instant,
        at: Index,
        (encoding_at, epoch): (u8, u16),
        slot: &Slot,
        (extensions, payload): (&[u8], &[u8]),
    ) {
        self.counters.pipe_packets_in += 1;
        let Some(producer) = self.producers.get(at) else { return };
        let Some(encoding) = producer.encodings.get(usize::from(encoding_at)).filter(|it| it.epoch == epoch) else {
            return;
        };
        let dense = slot.dense();
        let highest = self.rings.get(encoding.ring).and_then(Ring::highest);
        let is_new = highest.is_none_or(|highest| dense > highest);
        let route = Route { producer: at, encoding: encoding_at, is_rtx: false };
        if !self.store(route, dense, is_new, &slot.packet(extensions, payload)) {
            return;
        }
        if slot.keyframe_start
            && let Some(producer) = self.producers.get_mut(at)
        {
            let last = &mut producer.encodings[usize::from(encoding_at)].last_keyframe;
            *last = (*last).max(Some((dense, slot.received_us)));
        }
        self.fan_out(now, at, encoding_at, dense);
    }

    /// News of the source.
    pub(super) fn handle_piped_note(&mut self, now: Instant, at: Index, what: &What) {
        match *what {
            What::Opened => self.link(at),
            What::Alive { encoding, epoch, is_keyframe } => self.handle_alive(now, at, encoding, epoch, is_keyframe),
            What::Silent { encoding } => {
                if let Some(it) = self.producers.get_mut(at).and_then(|it| it.encodings.get_mut(usize::from(encoding)))
                {
                    it.lives = false;
                }
                self.retarget(now, at, None);
            }
            What::SenderReport { encoding, epoch, sender, origin } => {
                let Some(producer) = self.producers.get_mut(at) else { return };
                if let Some(mirror) = producer.mirror() {
                    mirror.origin = origin;
                }
                let encoding = producer.encodings.get_mut(usize::from(encoding));
                if let Some(encoding) = encoding.filter(|encoding| encoding.epoch == epoch) {
                    encoding.sender = Some(sender);
                }
            }
            What::Packet { .. } | What::Demand(_) => {}
        }
    }

    /// The source listens from now on.
    fn link(&mut self, at: Index) {
        let Some(producer) = self.producers.get_mut(at) else { return };
        if let Some(mirror) = producer.mirror() {
            mirror.linked = true;
        }
        self.pipes.look_at(at, producer);
    }

    fn handle_alive(&mut self, now: Instant, at: Index, encoding_at: u8, epoch: u16, is_keyframe: bool) {
        let Some(producer) = self.producers.get_mut(at) else { return };
        let Some(encoding) = producer.encodings.get_mut(usize::from(encoding_at)) else { return };
        encoding.lives = true;
        encoding.adopt(epoch);
        if let Some(mirror) = producer.mirror() {
            mirror.handle_alive();
        }
        self.pipes.look_at(at, producer);
        self.retarget(now, at, Some(encoding_at).filter(|_| is_keyframe));
    }
}

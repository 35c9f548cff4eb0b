//! Which pipes there are: one for each producer and other shard with consumers of it. Opened for the first, closed with the last.

use std::collections::HashMap;

use forward::{AddProducer, PipeCommand, PipeId, ProducerId};

use crate::router::Verdict;

#[derive(Default)]
pub(crate) struct Pipes {
    producers: HashMap<ProducerId, Source>,
    next: u64,
    /// What to tell the shards.
    waiting: Vec<Verdict>,
}

/// A producer that may be piped.
struct Source {
    shard: usize,
    /// What its mirrors are made from.
    description: AddProducer,
    pipes: Vec<Pipe>,
}

struct Pipe {
    id: PipeId,
    to: usize,
    consumers: usize,
}

impl Pipes {
    pub(crate) fn note_producer(&mut self, add: &AddProducer, shard: usize) {
        self.producers.insert(add.producer, Source { shard, description: add.clone(), pipes: Vec::new() });
    }

    pub(crate) fn forget_producer(&mut self, producer: ProducerId) {
        let Some(source) = self.producers.remove(&producer) else { return };
        for pipe in &source.pipes {
            self.close(source.shard, pipe);
        }
    }

    /// A consumer on this shard: there must be a pipe.
    pub(crate) fn hold(&mut self, producer: ProducerId, to: usize) {
        let Some(source) = self.producers.get_mut(&producer).filter(|source| source.shard != to) else { return };
        if let Some(pipe) = source.pipes.iter_mut().find(|pipe| pipe.to == to) {
            pipe.consumers += 1;
            return;
        }
        let id = PipeId(self.next);
        self.next += 1;
        source.pipes.push(Pipe { id, to, consumers: 1 });
        let from = source.shard as u32;
        let description = Box::new(source.description.clone());
        self.waiting.extend([
            Verdict::Mirror(to, PipeCommand::OpenMirror { pipe: id, from, producer: description }),
            Verdict::Tap(source.shard, PipeCommand::OpenTap { pipe: id, producer, to: to as u32 }),
        ]);
    }

    /// A consumer on this shard is gone.
    pub(crate) fn release(&mut self, producer: ProducerId, to: usize) {
        let Some(source) = self.producers.get_mut(&producer) else { return };
        let Some(at) = source.pipes.iter().position(|pipe| pipe.to == to) else { return };
        source.pipes[at].consumers -= 1;
        if source.pipes[at].consumers == 0 {
            let (shard, pipe) = (source.shard, source.pipes.swap_remove(at));
            self.close(shard, &pipe);
        }
    }

    /// Hands out what the shards must be told.
    pub(crate) fn drain(&mut self, deliver: impl FnMut(Verdict)) {
        self.waiting.drain(..).for_each(deliver);
    }

    fn close(&mut self, source: usize, pipe: &Pipe) {
        self.waiting.extend([
            Verdict::Mirror(pipe.to, PipeCommand::CloseMirror { pipe: pipe.id }),
            Verdict::Tap(source, PipeCommand::CloseTap { pipe: pipe.id }),
        ]);
    }
}

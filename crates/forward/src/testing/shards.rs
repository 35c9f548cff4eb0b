//! Several forwarders as one: commands find their shard, and pipes are opened, moved and closed as the engine does it, but at
//! once and in virtual time. A client's shard follows from its transport's id.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::Machine;
use crate::{
    AddProducer, Command, ConsumerId, Counters, DatagramSink, Event, Forwarder, ForwarderConfig, Path, PipeBatch,
    PipeCommand, PipeId, ProducerId, TransportId,
};

/// One forwarder, or several with pipes between them.
pub struct Shards {
    forwarders: Vec<Forwarder>,
    producers: HashMap<ProducerId, AddProducer>,
    consumers: HashMap<ConsumerId, (TransportId, ProducerId)>,
    /// By producer and the shard that it is carried to.
    pipes: HashMap<(ProducerId, u32), PipeId>,
    next_pipe: u64,
    /// What is under way stays here while there is a place for it.
    pub held: Option<Vec<(u32, PipeBatch)>>,
    /// Consumers that pictures were flushed to before they were whole.
    pub cut_short: u32,
}

impl Shards {
    /// So many forwarders, all on one clock.
    pub fn new(count: u32, config: &ForwarderConfig, now: Instant, unix_now: Duration, seed: u64) -> Self {
        let forwarder = |shard| Forwarder::new(config.clone(), now, unix_now, seed + 1_000 * u64::from(shard));
        Self {
            forwarders: (0..count).map(forwarder).collect(),
            producers: HashMap::new(),
            consumers: HashMap::new(),
            pipes: HashMap::new(),
            next_pipe: 0,
            held: None,
            cut_short: 0,
        }
    }

    // ---- in

    /// Brings a command to its shard.
    pub fn handle_command(&mut self, now: Instant, command: Command) {
        let shard = match &command {
            Command::OpenTransport(it) => self.shard_of(it.transport),
            Command::SetRemote(it) => self.shard_of(it.transport),
            Command::RestartIce(it) => self.shard_of(it.transport),
            Command::CloseTransport(it) => {
                self.forget(it.transport);
                self.shard_of(it.transport)
            }
            Command::AddProducer(it) => {
                self.producers.insert(it.producer, it.clone());
                self.shard_of(it.transport)
            }
            Command::RemoveProducer(it) => {
                let shard = self.source_of(it.producer);
                self.forget_producer(it.producer);
                shard
            }
            Command::AddConsumer(it) => {
                self.consumers.insert(it.consumer, (it.transport, it.producer));
                self.open_pipe(it.producer, self.shard_of(it.transport));
                self.shard_of(it.transport)
            }
            Command::ConfigureConsumer(it) => self.shard_of_consumer(it.consumer),
            Command::RemoveConsumer(it) => {
                let shard = self.shard_of_consumer(it.consumer);
                self.forget_consumer(it.consumer);
                shard
            }
            Command::RequestKeyframe(it) => self.source_of(it.producer),
            Command::OpenDataChannel(it) => self.shard_of(it.transport),
            Command::SendData(it) => return self.send_data(now, it),
            Command::PauseData(it) => self.shard_of(it.transport),
        };
        self.forwarders[shard as usize].handle_command(now, command);
    }

    /// Takes a datagram of the client with this transport.
    pub fn handle_datagram(&mut self, now: Instant, from: TransportId, path: Path, datagram: &mut [u8]) {
        self.of(from).handle_datagram(now, now, path, datagram);
    }

    /// Runs every timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.forwarders.iter_mut().for_each(|forwarder| forwarder.handle_timeout(now));
    }

    /// Handles what waits of DTLS and SCTP.
    pub fn handle_background(&mut self, now: Instant) {
        for forwarder in &mut self.forwarders {
            while forwarder.handle_background(now, 4) {}
        }
    }

    // ---- out

    /// Moves what is in the pipes, then writes everything that is due.
    pub fn flush(&mut self, now: Instant, sink: &mut impl DatagramSink) {
        while self.move_pipes(now) {}
        self.cut_short += self.forwarders.iter().map(Forwarder::unfinished_fan_out).sum::<u32>();
        self.forwarders.iter_mut().for_each(|forwarder| forwarder.flush(now, sink));
    }

    /// The next event of any.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.forwarders.iter_mut().find_map(Forwarder::poll_event)?;
        if let Event::TransportClosed { transport, .. } = &event {
            self.forget(*transport);
        }
        Some(event)
    }

    /// The earliest deadline.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        self.forwarders.iter_mut().filter_map(Forwarder::poll_timeout).min()
    }

    // ---- for tests of pipes

    /// Lets go what was held.
    pub fn release(&mut self, now: Instant) {
        for (to, batch) in self.held.take().unwrap_or_default() {
            self.deliver(now, to, batch);
        }
    }

    /// Ends a producer's pipe to this shard, as when its last consumer there goes.
    pub fn close_pipe(&mut self, producer: ProducerId, to: u32) {
        if let Some(pipe) = self.pipes.remove(&(producer, to)) {
            let from = self.source_of(producer);
            self.forwarders[to as usize].handle_pipe_command(PipeCommand::CloseMirror { pipe });
            self.forwarders[from as usize].handle_pipe_command(PipeCommand::CloseTap { pipe });
        }
    }

    /// See [`Forwarder::sabotage`].
    pub fn sabotage(&mut self, transport: TransportId, machine: Machine) -> bool {
        self.of(transport).sabotage(transport, machine)
    }

    // ---- getters

    /// All shards together.
    pub fn counters(&self) -> Counters {
        let mut all = Counters::default();
        self.forwarders.iter().for_each(|forwarder| all.add(forwarder.counters()));
        all
    }

    // ---- details

    fn shard_of(&self, transport: TransportId) -> u32 {
        (transport.0 % self.forwarders.len() as u64) as u32
    }

    fn of(&mut self, transport: TransportId) -> &mut Forwarder {
        let shard = self.shard_of(transport);
        &mut self.forwarders[shard as usize]
    }

    fn source_of(&self, producer: ProducerId) -> u32 {
        self.producers.get(&producer).map_or(0, |producer| self.shard_of(producer.transport))
    }

    fn shard_of_consumer(&self, consumer: ConsumerId) -> u32 {
        self.consumers.get(&consumer).map_or(0, |(transport, _)| self.shard_of(*transport))
    }

    fn send_data(&mut self, now: Instant, data: &crate::SendData) {
        for transport in &data.transports {
            let data = crate::SendData { transports: vec![*transport], ..data.clone() };
            self.of(*transport).handle_command(now, Command::SendData(data));
        }
    }

    /// True when there was something.
    fn move_pipes(&mut self, now: Instant) -> bool {
        let mut moved = false;
        for shard in 0..self.forwarders.len() {
            while let Some((to, batch)) = self.forwarders[shard].poll_pipe(now) {
                assert_ne!(to as usize, shard, "a pipe leads to another shard");
                moved = true;
                match &mut self.held {
                    Some(held) => held.push((to, batch)),
                    None => self.deliver(now, to, batch),
                }
            }
        }
        moved
    }

    fn deliver(&mut self, now: Instant, to: u32, batch: PipeBatch) {
        let forwarder = &mut self.forwarders[to as usize];
        forwarder.handle_pipe(now, &batch);
        forwarder.recycle_pipe(batch);
    }

    fn open_pipe(&mut self, producer: ProducerId, to: u32) {
        let from = self.source_of(producer);
        let Some(description) = self.producers.get(&producer).filter(|_| from != to) else { return };
        if self.pipes.contains_key(&(producer, to)) {
            return;
        }
        let (pipe, description) = (PipeId(self.next_pipe), Box::new(description.clone()));
        self.next_pipe += 1;
        self.pipes.insert((producer, to), pipe);
        let mirror = PipeCommand::OpenMirror { pipe, from, producer: description };
        self.forwarders[to as usize].handle_pipe_command(mirror);
        self.forwarders[from as usize].handle_pipe_command(PipeCommand::OpenTap { pipe, producer, to });
    }

    fn forget(&mut self, transport: TransportId) {
        let of_it = |producer: &&AddProducer| producer.transport == transport;
        let producers: Vec<_> = self.producers.values().filter(of_it).map(|producer| producer.producer).collect();
        for producer in producers {
            self.forget_producer(producer);
        }
        let consumers = self.consumers.iter().filter(|(_, (on, _))| *on == transport);
        let consumers: Vec<_> = consumers.map(|(consumer, _)| *consumer).collect();
        for consumer in consumers {
            self.forget_consumer(consumer);
        }
    }

    fn forget_producer(&mut self, producer: ProducerId) {
        (0..self.forwarders.len() as u32).for_each(|to| self.close_pipe(producer, to));
        self.producers.remove(&producer);
    }

    fn forget_consumer(&mut self, consumer: ConsumerId) {
        let Some((transport, producer)) = self.consumers.remove(&consumer) else { return };
        let to = self.shard_of(transport);
        let is_needed = self.consumers.values().any(|(on, of)| *of == producer && self.shard_of(*on) == to);
        if !is_needed {
            self.close_pipe(producer, to);
        }
    }
}

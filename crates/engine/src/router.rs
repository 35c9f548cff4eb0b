//! Which shard owns which id, so that a command finds its way, and which producers are piped to which other shards. Plain
//! tables, no threads.

use std::collections::HashMap;

use forward::{
    AddProducer, CloseTransport, Command, ConsumerId, Event, PipeCommand, ProducerId, SendData, TransportId,
};

use crate::pipes::Pipes;

/// What becomes of a command.
pub(crate) enum Verdict {
    /// It goes to this shard.
    Deliver(usize, Command),
    /// For the destination of a pipe, in order with its commands.
    Mirror(usize, PipeCommand),
    /// For the source of a pipe, after everything else.
    Tap(usize, PipeCommand),
    /// It cannot be carried out; the event says why.
    Refuse(Event),
}

pub(crate) struct Router {
    shards: usize,
    transports: HashMap<TransportId, Route>,
    producers: HashMap<ProducerId, TransportId>,
    consumers: HashMap<ConsumerId, (TransportId, ProducerId)>,
    pipes: Pipes,
    ufrags: HashMap<String, TransportId>,
}

/// Where a transport lives and what was added to it.
struct Route {
    shard: usize,
    /// The newest last; the one before is valid until a check with the newest has verified.
    ufrags: Vec<String>,
    producers: Vec<ProducerId>,
    consumers: Vec<ConsumerId>,
}

impl Router {
    pub(crate) fn new(shards: usize) -> Self {
        Self {
            shards,
            transports: HashMap::new(),
            producers: HashMap::new(),
            consumers: HashMap::new(),
            pipes: Pipes::default(),
            ufrags: HashMap::new(),
        }
    }

    /// Finds the shard for `command`. `deliver` is called for it once, or once per shard for data that goes to several; not
    /// at all when something is removed that is gone already. What pipes need for it comes before.
    pub(crate) fn route(&mut self, command: Command, mut deliver: impl FnMut(Verdict)) {
        if let Command::SendData(data) = command {
            self.spread(data, |shard, data| deliver(Verdict::Deliver(shard, Command::SendData(data))));
            return;
        }
        let placed = self.place(&command);
        self.pipes.drain(&mut deliver);
        match placed {
            Ok(shard) => deliver(Verdict::Deliver(shard, command)),
            Err(GONE) => {}
            Err(reason) => deliver(Verdict::Refuse(refusal(&command, reason))),
        }
    }

    /// Where the transport lives that gave out this ufrag, now or before its last ICE restart.
    pub(crate) fn shard_of_ufrag(&self, ufrag: &str) -> Option<usize> {
        self.shard_of(*self.ufrags.get(ufrag)?).ok()
    }

    /// Transports that ended by themselves, with all that was on them.
    pub(crate) fn forget(&mut self, transports: impl Iterator<Item = TransportId>, deliver: impl FnMut(Verdict)) {
        for transport in transports {
            self.remove(transport);
        }
        self.pipes.drain(deliver);
    }

    /// The commands that close all there is.
    pub(crate) fn close_all(&self) -> Vec<Command> {
        self.transports.keys().map(|&transport| Command::CloseTransport(CloseTransport { transport })).collect()
    }

    /// The shard for `command`, or the reason why there is none. Keeps the tables up to date on the way.
    fn place(&mut self, command: &Command) -> Result<usize, &'static str> {
        match command {
            Command::OpenTransport(open) => {
                let shard = self.open(open.transport, open.shard)?;
                self.learn_ufrag(open.transport, &open.ufrag);
                Ok(shard)
            }
            Command::SetRemote(set) => self.shard_of(set.transport),
            Command::RestartIce(restart) => {
                self.learn_ufrag(restart.transport, &restart.ufrag);
                self.shard_of(restart.transport)
            }
            Command::CloseTransport(close) => self.remove(close.transport).ok_or(GONE),
            Command::AddProducer(add) => self.add_producer(add),
            Command::RemoveProducer(remove) => self.remove_producer(remove.producer),
            Command::AddConsumer(add) => self.add_consumer(add.consumer, add.producer, add.transport),
            Command::ConfigureConsumer(configure) => {
                let (transport, _) = self.consumers.get(&configure.consumer).ok_or("unknown_consumer")?;
                self.shard_of(*transport)
            }
            Command::RemoveConsumer(remove) => self.remove_consumer(remove.consumer),
            Command::RequestKeyframe(request) => {
                let transport = self.producers.get(&request.producer).ok_or("unknown_producer")?;
                self.shard_of(*transport)
            }
            Command::OpenDataChannel(open) => self.shard_of(open.transport),
            Command::PauseData(pause) => self.shard_of(pause.transport),
            Command::SendData(_) => unreachable!("spread over its shards by `route`"),
        }
    }

    fn shard_of(&self, transport: TransportId) -> Result<usize, &'static str> {
        self.transports.get(&transport).map(|route| route.shard).ok_or("unknown_transport")
    }

    fn open(&mut self, transport: TransportId, shard: u32) -> Result<usize, &'static str> {
        let shard = shard as usize;
        if shard >= self.shards {
            return Err("unknown_shard");
        }
        if self.transports.contains_key(&transport) {
            return Err("transport_exists");
        }
        self.transports
            .insert(transport, Route { shard, ufrags: Vec::new(), producers: Vec::new(), consumers: Vec::new() });
        Ok(shard)
    }

    fn learn_ufrag(&mut self, transport: TransportId, ufrag: &str) {
        let Some(route) = self.transports.get_mut(&transport) else { return };
        // A ufrag that is taken is refused by the shard, and stays whose it is.
        if self.ufrags.contains_key(ufrag) {
            return;
        }
        self.ufrags.insert(ufrag.to_owned(), transport);
        route.ufrags.push(ufrag.to_owned());
        if route.ufrags.len() > MAX_UFRAGS {
            self.ufrags.remove(&route.ufrags.remove(0));
        }
    }

    fn remove(&mut self, transport: TransportId) -> Option<usize> {
        let route = self.transports.remove(&transport)?;
        for ufrag in route.ufrags {
            self.ufrags.remove(&ufrag);
        }
        for producer in route.producers {
            self.producers.remove(&producer);
            self.pipes.forget_producer(producer);
        }
        for consumer in route.consumers {
            if let Some((_, producer)) = self.consumers.remove(&consumer) {
                self.pipes.release(producer, route.shard);
            }
        }
        Some(route.shard)
    }

    fn add_producer(&mut self, add: &AddProducer) -> Result<usize, &'static str> {
        let route = self.transports.get_mut(&add.transport).ok_or("unknown_transport")?;
        if self.producers.contains_key(&add.producer) {
            return Err("producer_exists");
        }
        self.producers.insert(add.producer, add.transport);
        route.producers.push(add.producer);
        // With one shard there is nowhere to pipe to.
        if self.shards > 1 {
            self.pipes.note_producer(add, route.shard);
        }
        Ok(route.shard)
    }

    fn remove_producer(&mut self, producer: ProducerId) -> Result<usize, &'static str> {
        let transport = self.producers.remove(&producer).ok_or(GONE)?;
        self.pipes.forget_producer(producer);
        let route = self.transports.get_mut(&transport).ok_or(GONE)?;
        route.producers.retain(|other| *other != producer);
        Ok(route.shard)
    }

    fn add_consumer(
        &mut self,
        consumer: ConsumerId,
        producer: ProducerId,
        transport: TransportId,
    ) -> Result<usize, &'static str> {
        if !self.producers.contains_key(&producer) {
            return Err("unknown_producer");
        }
        let route = self.transports.get_mut(&transport).ok_or("unknown_transport")?;
        if self.consumers.contains_key(&consumer) {
            return Err("consumer_exists");
        }
        self.consumers.insert(consumer, (transport, producer));
        route.consumers.push(consumer);
        self.pipes.hold(producer, route.shard);
        Ok(route.shard)
    }

    fn remove_consumer(&mut self, consumer: ConsumerId) -> Result<usize, &'static str> {
        let (transport, producer) = self.consumers.remove(&consumer).ok_or(GONE)?;
        let route = self.transports.get_mut(&transport).ok_or(GONE)?;
        route.consumers.retain(|other| *other != consumer);
        self.pipes.release(producer, route.shard);
        Ok(route.shard)
    }

    /// One command per shard that has a receiver. Unknown receivers go to the first shard, which counts them.
    fn spread(&self, data: SendData, mut deliver: impl FnMut(usize, SendData)) {
        let shard_of = |transport: &TransportId| self.shard_of(*transport).unwrap_or(0);
        let Some(first) = data.transports.first().map(&shard_of) else { return };
        if data.transports.iter().all(|transport| shard_of(transport) == first) {
            return deliver(first, data);
        }
        for shard in 0..self.shards {
            let here: Vec<_> = data.transports.iter().copied().filter(|id| shard_of(id) == shard).collect();
            if !here.is_empty() {
                deliver(shard, SendData { transports: here, label: data.label.clone(), payload: data.payload.clone() });
            }
        }
    }
}

/// The event that refuses `command`.
pub(crate) fn refusal(command: &Command, reason: &'static str) -> Event {
    let (command, id) = match command {
        Command::OpenTransport(it) => ("OpenTransport", it.transport.0),
        Command::SetRemote(it) => ("SetRemote", it.transport.0),
        Command::RestartIce(it) => ("RestartIce", it.transport.0),
        Command::CloseTransport(it) => ("CloseTransport", it.transport.0),
        Command::AddProducer(it) => ("AddProducer", it.producer.0),
        Command::RemoveProducer(it) => ("RemoveProducer", it.producer.0),
        Command::AddConsumer(it) => ("AddConsumer", it.consumer.0),
        Command::ConfigureConsumer(it) => ("ConfigureConsumer", it.consumer.0),
        Command::RemoveConsumer(it) => ("RemoveConsumer", it.consumer.0),
        Command::RequestKeyframe(it) => ("RequestKeyframe", it.producer.0),
        Command::OpenDataChannel(it) => ("OpenDataChannel", it.transport.0),
        Command::SendData(it) => ("SendData", it.transports.first().map_or(0, |id| id.0)),
        Command::PauseData(it) => ("PauseData", it.transport.0),
    };
    Event::Refused { command, id, reason }
}

/// Not a refusal: what should be removed is not there any more.
const GONE: &str = "gone";
const MAX_UFRAGS: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use forward::{AddConsumer, Kind, OpenTransport, PauseData, RemoveConsumer, RequestKeyframe};

    fn open(id: u64, shard: u32) -> Command {
        let (ufrag, password) = (String::new(), String::new());
        Command::OpenTransport(OpenTransport { transport: TransportId(id), shard, ufrag, password })
    }

    fn close(id: u64) -> Command {
        Command::CloseTransport(CloseTransport { transport: TransportId(id) })
    }

    fn pause(id: u64) -> Command {
        Command::PauseData(PauseData { transport: TransportId(id), paused: true })
    }

    fn outcome(router: &mut Router, command: Command) -> Vec<Result<usize, &'static str>> {
        let mut all = Vec::new();
        router.route(command, |verdict| match verdict {
            Verdict::Deliver(shard, _) => all.push(Ok(shard)),
            Verdict::Refuse(Event::Refused { reason, .. }) => all.push(Err(reason)),
            Verdict::Refuse(event) => panic!("not a refusal: {event:?}"),
            Verdict::Mirror(..) | Verdict::Tap(..) => {}
        });
        all
    }

    /// What is said of pipes: to whom, what, of which pipe.
    fn piped(run: impl FnOnce(&mut dyn FnMut(Verdict))) -> Vec<(usize, &'static str, u64)> {
        let mut all = Vec::new();
        run(&mut |verdict| {
            let (shard, command) = match verdict {
                Verdict::Mirror(shard, command) | Verdict::Tap(shard, command) => (shard, command),
                Verdict::Deliver(..) | Verdict::Refuse(_) => return,
            };
            let (name, pipe) = match command {
                PipeCommand::OpenTap { pipe, .. } => ("open tap", pipe),
                PipeCommand::CloseTap { pipe } => ("close tap", pipe),
                PipeCommand::OpenMirror { pipe, .. } => ("open mirror", pipe),
                PipeCommand::CloseMirror { pipe } => ("close mirror", pipe),
            };
            all.push((shard, name, pipe.0));
        });
        all
    }

    fn produce(producer: u64, transport: u64) -> Command {
        Command::AddProducer(AddProducer {
            producer: ProducerId(producer),
            transport: TransportId(transport),
            kind: Kind::Audio,
            mid: String::new(),
            mime_type: String::new(),
            clock_rate: 48_000,
            payload_type: 111,
            rtx_payload_type: None,
            encodings: Vec::new(),
            nack: false,
            transport_cc: false,
            remb: false,
            red_payload_type: None,
        })
    }

    fn consume(consumer: u64, producer: u64, transport: u64) -> Command {
        Command::AddConsumer(AddConsumer {
            consumer: ConsumerId(consumer),
            producer: ProducerId(producer),
            transport: TransportId(transport),
            mid: String::new(),
            ssrc: 1,
            rtx_ssrc: None,
            payload_type: 111,
            rtx_payload_type: None,
            cname: String::new(),
            paused: false,
            encoding: 0,
            red_payload_type: None,
            playout_delay: None,
        })
    }

    fn drop_consumer(consumer: u64) -> Command {
        Command::RemoveConsumer(RemoveConsumer { consumer: ConsumerId(consumer) })
    }

    #[test]
    fn commands_follow_their_transport() {
        let mut router = Router::new(2);
        assert_eq!(outcome(&mut router, open(1, 1)), [Ok(1)]);
        assert_eq!(outcome(&mut router, open(1, 0)), [Err("transport_exists")]);
        assert_eq!(outcome(&mut router, open(2, 2)), [Err("unknown_shard")]);
        assert_eq!(outcome(&mut router, pause(1)), [Ok(1)]);
        assert_eq!(outcome(&mut router, close(1)), [Ok(1)]);
        assert_eq!(outcome(&mut router, close(1)), []);
        assert_eq!(outcome(&mut router, pause(1)), [Err("unknown_transport")]);
    }

    #[test]
    fn closing_a_transport_forgets_all_that_is_on_it() {
        let mut router = Router::new(2);
        for (id, shard) in [(1, 0), (2, 0), (3, 1)] {
            outcome(&mut router, open(id, shard));
        }
        assert_eq!(outcome(&mut router, produce(10, 1)), [Ok(0)]);
        assert_eq!(outcome(&mut router, consume(20, 10, 2)), [Ok(0)]);
        assert_eq!(outcome(&mut router, consume(22, 11, 2)), [Err("unknown_producer")]);
        assert_eq!(piped(|deliver| router.forget([TransportId(1), TransportId(2)].into_iter(), deliver)), []);
        let keyframe = Command::RequestKeyframe(RequestKeyframe { producer: ProducerId(10) });
        assert_eq!(outcome(&mut router, keyframe), [Err("unknown_producer")]);
        assert_eq!(outcome(&mut router, drop_consumer(20)), []);
        assert_eq!((router.producers.len(), router.consumers.len(), router.transports.len()), (0, 0, 1));
    }

    /// A router with transports 1 on shard 0, 2 and 3 on shard 1, 4 on shard 2, and producer 10 of transport 1.
    fn spread() -> Router {
        let mut router = Router::new(3);
        for (id, shard) in [(1, 0), (2, 1), (3, 1), (4, 2)] {
            outcome(&mut router, open(id, shard));
        }
        outcome(&mut router, produce(10, 1));
        router
    }

    #[test]
    fn a_producer_is_piped_once_to_each_shard_while_it_has_consumers_there() {
        let mut router = spread();
        let mut said = |command| piped(|deliver| router.route(command, deliver));
        assert_eq!(said(consume(20, 10, 2)), [(1, "open mirror", 0), (0, "open tap", 0)]);
        assert_eq!(said(consume(20, 10, 3)), [], "refused: the id is taken");
        assert_eq!(said(consume(21, 10, 3)), []);
        assert_eq!(said(consume(22, 10, 4)), [(2, "open mirror", 1), (0, "open tap", 1)]);
        assert_eq!(said(drop_consumer(20)), []);
        assert_eq!(said(drop_consumer(20)), []);
        assert_eq!(said(drop_consumer(21)), [(1, "close mirror", 0), (0, "close tap", 0)]);
        assert_eq!(said(consume(23, 10, 2)), [(1, "open mirror", 2), (0, "open tap", 2)], "a pipe is never used again");
    }

    #[test]
    fn a_pipe_ends_with_its_producer_and_with_the_transports_of_its_consumers() {
        let mut router = spread();
        for (consumer, transport) in [(20, 2), (21, 3), (22, 4)] {
            outcome(&mut router, consume(consumer, 10, transport));
        }
        assert_eq!(piped(|deliver| router.route(close(2), deliver)), []);
        let gone = [TransportId(3)].into_iter();
        let closed = [(1, "close mirror", 0), (0, "close tap", 0)];
        assert_eq!(piped(|deliver| router.forget(gone, deliver)), closed);
        let closed = [(2, "close mirror", 1), (0, "close tap", 1)];
        assert_eq!(piped(|deliver| router.route(close(1), deliver)), closed);
        assert_eq!(piped(|deliver| router.route(drop_consumer(22), deliver)), []);
    }

    #[test]
    fn data_goes_once_to_each_shard_that_has_a_receiver() {
        let mut router = Router::new(3);
        for (id, shard) in [(1, 1), (2, 2), (3, 2)] {
            outcome(&mut router, open(id, shard));
        }
        let to = |ids: &[u64]| {
            let transports = ids.iter().copied().map(TransportId).collect();
            Command::SendData(SendData { transports, label: String::new(), payload: Vec::new() })
        };
        assert_eq!(outcome(&mut router, to(&[1, 2, 3])), [Ok(1), Ok(2)]);
        assert_eq!(outcome(&mut router, to(&[2, 3])), [Ok(2)]);
        assert_eq!(outcome(&mut router, to(&[2, 9])), [Ok(0), Ok(2)]);
        assert_eq!(outcome(&mut router, to(&[])), []);
    }
}

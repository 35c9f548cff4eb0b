//! Which shard owns which id, so that a command finds its way. Plain tables, no threads.

use std::collections::HashMap;

use forward::{CloseTransport, Command, ConsumerId, Event, ProducerId, SendData, TransportId};

/// What becomes of a command.
pub(crate) enum Verdict {
    /// It goes to this shard.
    Deliver(usize, Command),
    /// It cannot be carried out; the event says why.
    Refuse(Event),
}

pub(crate) struct Router {
    shards: usize,
    transports: HashMap<TransportId, Route>,
    producers: HashMap<ProducerId, TransportId>,
    consumers: HashMap<ConsumerId, TransportId>,
}

/// Where a transport lives and what was added to it.
struct Route {
    shard: usize,
    producers: Vec<ProducerId>,
    consumers: Vec<ConsumerId>,
}

impl Router {
    pub(crate) fn new(shards: usize) -> Self {
        Self { shards, transports: HashMap::new(), producers: HashMap::new(), consumers: HashMap::new() }
    }

    /// Finds the shard for `command`. `deliver` is called once, or once per shard for data that goes to several; not at
    /// all when something is removed that is gone already.
    pub(crate) fn route(&mut self, command: Command, mut deliver: impl FnMut(Verdict)) {
        if let Command::SendData(data) = command {
            self.spread(data, |shard, data| deliver(Verdict::Deliver(shard, Command::SendData(data))));
            return;
        }
        match self.place(&command) {
            Ok(shard) => deliver(Verdict::Deliver(shard, command)),
            Err(GONE) => {}
            Err(reason) => deliver(Verdict::Refuse(refusal(&command, reason))),
        }
    }

    /// Transports that ended by themselves, with all that was on them.
    pub(crate) fn forget(&mut self, transports: impl Iterator<Item = TransportId>) {
        for transport in transports {
            self.remove(transport);
        }
    }

    /// The commands that close all there is.
    pub(crate) fn close_all(&self) -> Vec<Command> {
        self.transports.keys().map(|&transport| Command::CloseTransport(CloseTransport { transport })).collect()
    }

    /// The shard for `command`, or the reason why there is none. Keeps the tables up to date on the way.
    fn place(&mut self, command: &Command) -> Result<usize, &'static str> {
        match command {
            Command::OpenTransport(open) => self.open(open.transport, open.shard),
            Command::SetRemote(set) => self.shard_of(set.transport),
            Command::RestartIce(restart) => self.shard_of(restart.transport),
            Command::CloseTransport(close) => self.remove(close.transport).ok_or(GONE),
            Command::AddProducer(add) => self.add_producer(add.producer, add.transport),
            Command::RemoveProducer(remove) => self.remove_producer(remove.producer),
            Command::AddConsumer(add) => self.add_consumer(add.consumer, add.producer, add.transport),
            Command::ConfigureConsumer(configure) => {
                let transport = self.consumers.get(&configure.consumer).ok_or("unknown_consumer")?;
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
        self.transports.insert(transport, Route { shard, producers: Vec::new(), consumers: Vec::new() });
        Ok(shard)
    }

    fn remove(&mut self, transport: TransportId) -> Option<usize> {
        let route = self.transports.remove(&transport)?;
        for producer in route.producers {
            self.producers.remove(&producer);
        }
        for consumer in route.consumers {
            self.consumers.remove(&consumer);
        }
        Some(route.shard)
    }

    fn add_producer(&mut self, producer: ProducerId, transport: TransportId) -> Result<usize, &'static str> {
        let route = self.transports.get_mut(&transport).ok_or("unknown_transport")?;
        if self.producers.contains_key(&producer) {
            return Err("producer_exists");
        }
        self.producers.insert(producer, transport);
        route.producers.push(producer);
        Ok(route.shard)
    }

    fn remove_producer(&mut self, producer: ProducerId) -> Result<usize, &'static str> {
        let transport = self.producers.remove(&producer).ok_or(GONE)?;
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
        let source = self.producers.get(&producer).ok_or("unknown_producer")?;
        let source_shard = self.shard_of(*source)?;
        let route = self.transports.get_mut(&transport).ok_or("unknown_transport")?;
        if route.shard != source_shard {
            return Err("other_shard");
        }
        if self.consumers.contains_key(&consumer) {
            return Err("consumer_exists");
        }
        self.consumers.insert(consumer, transport);
        route.consumers.push(consumer);
        Ok(route.shard)
    }

    fn remove_consumer(&mut self, consumer: ConsumerId) -> Result<usize, &'static str> {
        let transport = self.consumers.remove(&consumer).ok_or(GONE)?;
        let route = self.transports.get_mut(&transport).ok_or(GONE)?;
        route.consumers.retain(|other| *other != consumer);
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

#[cfg(test)]
mod tests {
    use super::*;
    use forward::{OpenTransport, PauseData, RemoveConsumer, RequestKeyframe};

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
        router.route(command, |verdict| {
            all.push(match verdict {
                Verdict::Deliver(shard, _) => Ok(shard),
                Verdict::Refuse(Event::Refused { reason, .. }) => Err(reason),
                Verdict::Refuse(event) => panic!("not a refusal: {event:?}"),
            });
        });
        all
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
        assert_eq!(router.add_producer(ProducerId(10), TransportId(1)), Ok(0));
        assert_eq!(router.add_consumer(ConsumerId(20), ProducerId(10), TransportId(2)), Ok(0));
        assert_eq!(router.add_consumer(ConsumerId(21), ProducerId(10), TransportId(3)), Err("other_shard"));
        assert_eq!(router.add_consumer(ConsumerId(22), ProducerId(11), TransportId(2)), Err("unknown_producer"));
        router.forget([TransportId(1), TransportId(2)].into_iter());
        let keyframe = Command::RequestKeyframe(RequestKeyframe { producer: ProducerId(10) });
        assert_eq!(outcome(&mut router, keyframe), [Err("unknown_producer")]);
        assert_eq!(outcome(&mut router, Command::RemoveConsumer(RemoveConsumer { consumer: ConsumerId(20) })), []);
        assert_eq!((router.producers.len(), router.consumers.len(), router.transports.len()), (0, 0, 1));
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

//! The outbox of all shards: events on their way to the driver, and the descriptor that its event loop watches.
//!
//! Nothing is ever dropped but what is overtaken: of levels the latest batch of a shard wins, of path changes and reports
//! the latest of a transport. It stays bounded because a shard whose received data is not picked up stops reading data
//! (`is_crowded`), and SCTP's window then pushes back on the clients.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::os::fd::RawFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use forward::{Event, ProducerId, TransportId, TransportReport};
use netio::EventFd;

use crate::lock;
use crate::turn::TurnEvent;

pub(crate) struct Outbox {
    waiting: Mutex<Waiting>,
    signal: EventFd,
    /// Bytes of received data that wait, and a flat charge per event, of each shard.
    load: Box<[AtomicUsize]>,
}

struct Waiting {
    /// (shard, event); what the engine itself posts belongs to no shard.
    events: VecDeque<(Option<usize>, Event)>,
    /// Of TURN's thread, which bounds the requests among them.
    turn: VecDeque<TurnEvent>,
    /// Events taken so far: the position of the first that waits.
    taken: u64,
    /// Positions of path changes that wait.
    path_changes: HashMap<TransportId, u64>,
    /// The latest of each shard.
    levels: Box<[Option<Levels>]>,
    /// The latest of each transport.
    reports: BTreeMap<TransportId, TransportReport>,
}

type Levels = Vec<(ProducerId, u8)>;

impl Outbox {
    pub(crate) fn new(shards: usize) -> io::Result<Self> {
        Ok(Self {
            waiting: Mutex::new(Waiting {
                events: VecDeque::new(),
                turn: VecDeque::new(),
                taken: 0,
                path_changes: HashMap::new(),
                levels: (0..shards).map(|_| None).collect(),
                reports: BTreeMap::new(),
            }),
            signal: EventFd::new()?,
            load: (0..shards).map(|_| AtomicUsize::new(0)).collect(),
        })
    }

    /// Posts what a shard has to tell.
    pub(crate) fn post(&self, shard: usize, events: impl Iterator<Item = Event>) {
        let mut events = events.peekable();
        if events.peek().is_none() {
            return;
        }
        let mut waiting = lock(&self.waiting);
        let was_empty = waiting.is_empty();
        for event in events {
            match event {
                Event::AudioLevels { levels } => waiting.levels[shard] = Some(levels),
                Event::TransportReports { reports } => {
                    waiting.reports.extend(reports.into_iter().map(|report| (report.transport, report)));
                }
                event => {
                    let weight = weight(&event);
                    if waiting.push(Some(shard), event) {
                        self.load[shard].fetch_add(weight, Ordering::Relaxed);
                    }
                }
            }
        }
        if was_empty {
            self.signal.signal();
        }
    }

    /// Posts what the engine itself has to tell.
    pub(crate) fn post_all(&self, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let mut waiting = lock(&self.waiting);
        for event in events {
            waiting.push(None, event);
        }
        self.signal.signal();
    }

    /// Posts what TURN's thread has to tell, and leaves `events` empty.
    pub(crate) fn post_turn(&self, events: &mut Vec<TurnEvent>) {
        lock(&self.waiting).turn.extend(events.drain(..));
        self.signal.signal();
    }

    /// Takes the oldest events of TURN's thread. Stays readable while more wait.
    pub(crate) fn take_turn(&self, limit: usize) -> Vec<TurnEvent> {
        let mut waiting = lock(&self.waiting);
        let count = limit.min(waiting.turn.len());
        let taken = waiting.turn.drain(..count).collect();
        if waiting.is_empty() {
            self.signal.clear();
        }
        taken
    }

    /// Takes the oldest events, levels and reports last. Stays readable while more wait.
    pub(crate) fn take(&self, limit: usize) -> Vec<Event> {
        let mut waiting = lock(&self.waiting);
        let mut taken = Vec::with_capacity(limit.min(waiting.events.len() + waiting.levels.len()));
        while taken.len() < limit {
            let Some((shard, event)) = waiting.pop() else { break };
            if let Some(shard) = shard {
                self.load[shard].fetch_sub(weight(&event), Ordering::Relaxed);
            }
            taken.push(event);
        }
        for slot in &mut waiting.levels {
            if taken.len() < limit
                && let Some(levels) = slot.take()
            {
                taken.push(Event::AudioLevels { levels });
            }
        }
        if taken.len() < limit && !waiting.reports.is_empty() {
            let reports = std::mem::take(&mut waiting.reports).into_values().collect();
            taken.push(Event::TransportReports { reports });
        }
        if waiting.is_empty() {
            self.signal.clear();
        }
        taken
    }

    /// Whether so much of this shard's waits that it should not read more data from its clients.
    pub(crate) fn is_crowded(&self, shard: usize) -> bool {
        self.load[shard].load(Ordering::Relaxed) > CROWDED_BYTES
    }

    pub(crate) fn raw_fd(&self) -> RawFd {
        self.signal.raw_fd()
    }
}

impl Waiting {
    /// Queues an event. False when it took the place of one that waits.
    fn push(&mut self, shard: Option<usize>, event: Event) -> bool {
        if let Event::PathChanged { transport, .. } = &event {
            let end = self.taken + self.events.len() as u64;
            let position = *self.path_changes.entry(*transport).or_insert(end);
            if let Some(overtaken) = self.events.get_mut((position - self.taken) as usize) {
                overtaken.1 = event;
                return false;
            }
        }
        self.events.push_back((shard, event));
        true
    }

    fn pop(&mut self) -> Option<(Option<usize>, Event)> {
        let first = self.events.pop_front()?;
        self.taken += 1;
        if let Event::PathChanged { transport, .. } = &first.1 {
            self.path_changes.remove(transport);
        }
        Some(first)
    }

    fn is_empty(&self) -> bool {
        self.events.is_empty()
            && self.turn.is_empty()
            && self.reports.is_empty()
            && self.levels.iter().all(Option::is_none)
    }
}

fn weight(event: &Event) -> usize {
    match event {
        Event::DataReceived { payload, .. } => EVENT_BYTES + payload.len(),
        _ => EVENT_BYTES,
    }
}

/// 8 MiB: a quarter of a second of 250 Mbit/s of data.
const CROWDED_BYTES: usize = 8 << 20;
/// About what an event takes besides its payload.
const EVENT_BYTES: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use forward::PathProtocol;

    fn low(id: u64) -> Event {
        Event::DataLow { transport: TransportId(id) }
    }

    fn levels(level: u8) -> Event {
        Event::AudioLevels { levels: vec![(ProducerId(1), level)] }
    }

    #[test]
    fn events_keep_their_order_and_only_the_latest_levels_are_kept() {
        let outbox = Outbox::new(2).expect("an eventfd");
        outbox.post(0, [low(1), levels(10), low(2)].into_iter());
        outbox.post(0, [levels(20)].into_iter());
        outbox.post(1, [levels(30), low(3)].into_iter());
        assert_eq!(outbox.take(2), [low(1), low(2)]);
        assert_eq!(outbox.take(100), [low(3), levels(20), levels(30)]);
        assert_eq!(outbox.take(100), []);
    }

    #[test]
    fn of_the_path_changes_of_a_transport_only_the_last_waits() {
        let outbox = Outbox::new(1).expect("an eventfd");
        let changed = |id: u64, port: u16| Event::PathChanged {
            transport: TransportId(id),
            remote: ([192, 0, 2, 1], port).into(),
            protocol: PathProtocol::Udp,
        };
        outbox.post(0, [low(1), changed(1, 1), changed(2, 2), low(2), changed(1, 3), changed(1, 4)].into_iter());
        assert_eq!(outbox.take(2), [low(1), changed(1, 4)]);
        outbox.post(0, [changed(1, 5), changed(2, 6), changed(1, 7)].into_iter());
        assert_eq!(outbox.take(100), [changed(2, 6), low(2), changed(1, 7)]);
        assert_eq!(outbox.load[0].load(Ordering::Relaxed), 0);
        assert!(outbox.take(100).is_empty());
    }

    #[test]
    fn of_the_reports_about_a_transport_the_latest_is_kept() {
        let report = |id, lost| TransportReport {
            transport: TransportId(id),
            rtt_ms: None,
            inbound_expected: 100,
            inbound_lost: lost,
            outbound_expected: 0,
            outbound_lost: 0,
        };
        let outbox = Outbox::new(2).expect("an eventfd");
        outbox.post(0, [Event::TransportReports { reports: vec![report(1, 5), report(2, 6)] }].into_iter());
        outbox.post(0, [Event::TransportReports { reports: vec![report(2, 7)] }].into_iter());
        outbox.post(1, [Event::TransportReports { reports: vec![report(3, 8)] }].into_iter());
        assert_eq!(outbox.take(0), []);
        let reports = vec![report(1, 5), report(2, 7), report(3, 8)];
        assert_eq!(outbox.take(9), [Event::TransportReports { reports }]);
        assert_eq!(outbox.take(9), []);
    }

    #[test]
    fn data_that_is_not_picked_up_crowds_its_own_shard_only() {
        let outbox = Outbox::new(2).expect("an eventfd");
        let data =
            || Event::DataReceived { transport: TransportId(1), label: String::new(), payload: vec![0; 1 << 20] };
        outbox.post(1, (0..9).map(|_| data()));
        assert!(outbox.is_crowded(1) && !outbox.is_crowded(0));
        assert_eq!(outbox.take(8).len(), 8);
        assert!(!outbox.is_crowded(1));
    }
}

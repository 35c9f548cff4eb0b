//! The outbox of all shards: events on their way to the driver, and the descriptor that its event loop watches.
//!
//! Nothing but levels is ever dropped: of those the latest batch of a shard wins. It stays bounded because a shard whose
//! received data is not picked up stops reading data (`is_crowded`), and SCTP's window then pushes back on the clients.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use forward::{Event, ProducerId};
use netio::EventFd;

use crate::lock;

pub(crate) struct Outbox {
    waiting: Mutex<Waiting>,
    signal: EventFd,
    /// Bytes of received data that wait, and a flat charge per event, of each shard.
    load: Box<[AtomicUsize]>,
}

struct Waiting {
    /// (shard, event); what the engine itself posts belongs to no shard.
    events: VecDeque<(Option<usize>, Event)>,
    /// The latest of each shard.
    levels: Box<[Option<Levels>]>,
}

type Levels = Vec<(ProducerId, u8)>;

impl Outbox {
    pub(crate) fn new(shards: usize) -> io::Result<Self> {
        Ok(Self {
            waiting: Mutex::new(Waiting { events: VecDeque::new(), levels: (0..shards).map(|_| None).collect() }),
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
                event => {
                    self.load[shard].fetch_add(weight(&event), Ordering::Relaxed);
                    waiting.events.push_back((Some(shard), event));
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
        waiting.events.extend(events.into_iter().map(|event| (None, event)));
        self.signal.signal();
    }

    /// Takes the oldest events, and levels last. Stays readable while more wait.
    pub(crate) fn take(&self, limit: usize) -> Vec<Event> {
        let mut waiting = lock(&self.waiting);
        let mut taken = Vec::with_capacity(limit.min(waiting.events.len() + waiting.levels.len()));
        while taken.len() < limit {
            let Some((shard, event)) = waiting.events.pop_front() else { break };
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
    fn is_empty(&self) -> bool {
        self.events.is_empty() && self.levels.iter().all(Option::is_none)
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
    use forward::TransportId;

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

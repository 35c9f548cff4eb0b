//! All participants and their sockets, on one thread that never sleeps while there is a call: on loopback the sender pays for waking a
//! receiver, which no sender to a network does.

use std::io;
use std::time::{Duration, Instant};

use mio::{Events, Poll};
use netio::{Datagram, Receiver};
use wire::demux;

use super::impair::{Held, Impairer};
use super::participant::{Part, Participant, Shared};

/// The participants, each in a slot.
pub(crate) struct Crew {
    poll: Poll,
    events: Events,
    receiver: Receiver,
    pub(crate) shared: Shared,
    pub(crate) impairer: Impairer,
    slots: Vec<Option<Participant>>,
    /// When each slot wants to be called, and the earliest of them.
    due: Vec<Instant>,
    next_due: Instant,
    next_poll: Instant,
    poll_interval: Duration,
    /// What ended participants that did not leave.
    ended: Vec<(usize, String)>,
    /// Drops of sockets that are closed.
    drops: u64,
}

impl Crew {
    pub(crate) fn new(shared: Shared, poll: Poll) -> Self {
        let now = Instant::now();
        Self {
            poll,
            events: Events::with_capacity(EVENTS_AT_ONCE),
            receiver: Receiver::new(),
            shared,
            impairer: Impairer::default(),
            slots: Vec::new(),
            due: Vec::new(),
            next_due: now,
            next_poll: now,
            poll_interval: PROMPT,
            ended: Vec::new(),
            drops: 0,
        }
    }

    // ---- commands

    /// A place for another one.
    pub(crate) fn free_slot(&mut self) -> usize {
        self.slots.iter().position(Option::is_none).unwrap_or_else(|| {
            self.slots.push(None);
            self.due.push(Instant::now());
            self.slots.len() - 1
        })
    }

    pub(crate) fn insert(&mut self, slot: usize, participant: Participant) {
        self.slots[slot] = Some(participant);
        self.reschedule(slot);
    }

    /// Leaves the call.
    pub(crate) fn remove(&mut self, slot: usize) -> Option<Participant> {
        let mut participant = self.slots[slot].take()?;
        participant.leave(Instant::now());
        self.drops += participant.drops();
        Some(participant)
    }

    /// Whether what arrives is looked at in batches, which is cheaper, and not at once, which handshakes and acknowledgements want.
    /// Latencies are by the kernel's time of receipt either way.
    pub(crate) fn set_batched(&mut self, batched: bool) {
        self.poll_interval = if batched { BATCHED } else { PROMPT };
    }

    /// Does what there is to do, and does not wait for more.
    pub(crate) fn turn(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let mut worked = self.handle_held(now);
        worked |= self.handle_timeouts(now);
        if now >= self.next_poll {
            self.next_poll = now + self.poll_interval;
            worked |= self.handle_events(now)?;
        }
        if worked {
            self.shared.meter.sums.worked += now.elapsed();
        }
        Ok(())
    }

    // ---- getters

    pub(crate) fn participants(&self) -> impl Iterator<Item = &Participant> {
        self.slots.iter().flatten()
    }

    pub(crate) fn participant(&self, slot: usize) -> Option<&Participant> {
        self.slots[slot].as_ref()
    }

    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Calls `change` for each; one that fails ends.
    pub(crate) fn for_each(&mut self, mut change: impl FnMut(&mut Participant) -> Result<(), String>) {
        for slot in 0..self.slots.len() {
            self.with(slot, |participant, _| change(participant));
        }
    }

    /// What ended without leaving since the last call: slot and reason.
    pub(crate) fn take_ended(&mut self) -> Vec<(usize, String)> {
        std::mem::take(&mut self.ended)
    }

    /// Datagrams that the kernel dropped for lack of room in our sockets, since the start.
    pub(crate) fn drops(&self) -> u64 {
        self.drops + self.participants().map(Participant::drops).sum::<u64>()
    }

    // ---- details

    /// Whether there was anything to do.
    fn handle_timeouts(&mut self, now: Instant) -> bool {
        if now < self.next_due {
            return false;
        }
        for slot in 0..self.slots.len() {
            if self.due[slot] <= now && self.slots[slot].is_some() {
                self.with(slot, |participant, shared| participant.handle_timeout(now, &mut shared.meter));
            }
        }
        let due = self.slots.iter().zip(&self.due).filter(|(slot, _)| slot.is_some()).map(|(_, due)| *due);
        self.next_due = due.fold(now + IDLE, Instant::min);
        true
    }

    fn handle_events(&mut self, now: Instant) -> io::Result<bool> {
        self.poll.poll(&mut self.events, Some(Duration::ZERO))?;
        let ready: Vec<_> = self.events.iter().map(|event| Part::of_token(event.token())).collect();
        for (slot, part) in &ready {
            match part {
                Part::Signal => self.with(*slot, |participant, shared| participant.handle_signal(now, shared)),
                part => self.receive(*slot, *part)?,
            }
            // Pictures leave when they are due: else what a burst of the server makes late comes back to it as a burst.
            self.handle_timeouts(Instant::now());
        }
        Ok(!ready.is_empty())
    }

    /// Reads a socket until it is empty.
    fn receive(&mut self, slot: usize, part: Part) -> io::Result<()> {
        loop {
            let Some(participant) = self.slots[slot].as_mut() else { return Ok(()) };
            let Some(socket) = participant.socket(part) else { return Ok(()) };
            let count = self.receiver.receive(socket)?;
            let (now, number) = (self.receiver.received_at(), participant.number);
            let mut result = Ok(());
            for index in 0..count {
                let mut datagram = self.receiver.datagram(index);
                if part == Part::Subscriber && is_media(&datagram) && !self.impairer.passes(slot, number, &datagram) {
                    continue;
                }
                result = participant.handle_datagram(now, part, &mut datagram, &mut self.shared.meter);
                if result.is_err() {
                    break;
                }
            }
            self.settle(slot, result);
            if !self.receiver.is_full() {
                return Ok(());
            }
        }
    }

    fn handle_held(&mut self, now: Instant) -> bool {
        let mut worked = false;
        while let Some(mut held) = self.impairer.poll_held(now) {
            worked = true;
            let Held { slot, number, .. } = held;
            self.with(slot, |participant, shared| {
                if participant.number != number {
                    return Ok(());
                }
                participant.handle_datagram(now, Part::Subscriber, &mut held.datagram(), &mut shared.meter)
            });
        }
        worked
    }

    /// Lets one participant do something; if it fails, it ends.
    pub(crate) fn with(
        &mut self,
        slot: usize,
        handle: impl FnOnce(&mut Participant, &mut Shared) -> Result<(), String>,
    ) {
        let Some(participant) = self.slots[slot].as_mut() else { return };
        let result = handle(participant, &mut self.shared);
        self.settle(slot, result);
    }

    /// After anything happened to a participant.
    fn settle(&mut self, slot: usize, result: Result<(), String>) {
        match result {
            Ok(()) => self.reschedule(slot),
            Err(reason) => {
                self.remove(slot);
                self.ended.push((slot, reason));
            }
        }
    }

    fn reschedule(&mut self, slot: usize) {
        if let Some(participant) = &self.slots[slot] {
            self.due[slot] = participant.poll_timeout();
            self.next_due = self.next_due.min(self.due[slot]);
        }
    }
}

fn is_media(datagram: &Datagram<'_>) -> bool {
    demux::classify(datagram.bytes) == demux::Protocol::Rtp
}

const EVENTS_AT_ONCE: usize = 1_024;
const PROMPT: Duration = Duration::from_micros(50);
/// Some packets on each socket of a big call, and far from filling its buffer.
const BATCHED: Duration = Duration::from_micros(500);
const IDLE: Duration = Duration::from_millis(10);

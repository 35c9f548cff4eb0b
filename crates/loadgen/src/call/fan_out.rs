//! Data from one participant to all the others: what arrives, how late, and what it cost the server.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::crew::Crew;
use super::data::{Channel, DataRequest, StreamRequest};
use super::latency::{Latencies, Quantiles};
use super::load::MeasureRequest;
use super::meter::Data;
use super::participant::Participant;
use crate::Failure;
use crate::usage::{Spent, Usage};

/// What became of messages.
#[derive(Debug, Serialize)]
pub(crate) struct Delivered {
    sent: u64,
    /// That the sender's channel did not take.
    refused: u64,
    receivers: usize,
    received: u64,
    lost: u64,
    latency_us: Quantiles,
    #[serde(flatten)]
    cost: Cost,
}

/// What became of a stream.
#[derive(Debug, Serialize)]
pub(crate) struct Streamed {
    /// From the first packet until everybody had the last, or until there was no time left.
    seconds: f64,
    /// Of each receiver.
    bytes: Vec<usize>,
    #[serde(flatten)]
    cost: Cost,
}

/// What it took.
#[derive(Debug, Serialize)]
struct Cost {
    spent: Spent,
    /// Share of the time that this process had something to do.
    own_busy: f64,
    own_drops: u64,
}

/// Sends messages for a while. `run` tells them from others.
pub(crate) fn deliver(crew: &mut Crew, sender: usize, run: u32, request: &DataRequest) -> Result<Delivered, Failure> {
    let channel = if request.reliable { Channel::Reliable } else { Channel::Lossy };
    prepare(crew, sender, channel)?;
    crew.shared.meter.data = Data { run, latencies: Latencies::open(), ..Data::default() };
    let account = Account::open(crew, request.measure)?;
    let mut due = Instant::now();
    let until = due + Duration::from_secs_f64(request.measure.seconds);
    let interval = Duration::from_secs_f64(1.0 / request.rate_per_s.max(MIN_RATE));
    let (mut sent, mut refused) = (0, 0);
    while due < until {
        while due <= Instant::now() {
            due += interval;
            let taken = send_message(crew, sender, channel, request.size, run, sent as u32);
            *(if taken { &mut sent } else { &mut refused }) += 1;
        }
        crew.turn()?;
    }
    let cost = account.close(crew)?;
    turn_for(crew, SETTLE)?;
    let receivers = receivers(crew, sender).len();
    let Data { messages: received, latencies, .. } = &mut crew.shared.meter.data;
    Ok(Delivered {
        sent,
        refused,
        receivers,
        received: *received,
        lost: (sent * receivers as u64).saturating_sub(*received),
        latency_us: latencies.close(),
        cost,
    })
}

/// Sends one long stream and waits until everybody has it.
pub(crate) fn stream(crew: &mut Crew, sender: usize, run: u32, request: &StreamRequest) -> Result<Streamed, Failure> {
    prepare(crew, sender, Channel::Reliable)?;
    let receivers = receivers(crew, sender);
    let bytes_of = |crew: &Crew, slot: usize| crew.participant(slot).map_or(0, Participant::stream_bytes);
    let before: Vec<usize> = receivers.iter().map(|slot| bytes_of(crew, *slot)).collect();
    let mut packets = Vec::new();
    crew.with(sender, |participant, _| {
        packets.extend(participant.data_sequence().stream(request.bytes, run));
        Ok(())
    });
    let account = Account::open(crew, request.measure)?;
    let started = Instant::now();
    let mut waiting = packets.iter().peekable();
    loop {
        while waiting.next_if(|packet| send(crew, sender, Channel::Reliable, packet)).is_some() {}
        crew.turn()?;
        let has_all = |(slot, before): (&usize, &usize)| bytes_of(crew, *slot) - before >= request.bytes;
        if receivers.iter().zip(&before).all(has_all) || started.elapsed() > STREAM_TIMEOUT {
            break;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let bytes = receivers.iter().zip(&before).map(|(slot, before)| bytes_of(crew, *slot) - before).collect();
    Ok(Streamed { seconds, bytes, cost: account.close(crew)? })
}

/// What the machine did meanwhile.
struct Account {
    request: MeasureRequest,
    usage: Usage,
    opened: Instant,
    worked: Duration,
    drops: u64,
}

impl Account {
    fn open(crew: &Crew, request: MeasureRequest) -> Result<Self, Failure> {
        let usage = Usage::read(request.pid, request.cores)?;
        let (worked, drops) = (crew.shared.meter.sums.worked, crew.drops());
        Ok(Self { request, usage, opened: Instant::now(), worked, drops })
    }

    fn close(self, crew: &Crew) -> Result<Cost, Failure> {
        let spent = Usage::read(self.request.pid, self.request.cores)?.since(&self.usage);
        let worked = crew.shared.meter.sums.worked.saturating_sub(self.worked).as_secs_f64();
        let own_busy = worked / self.opened.elapsed().as_secs_f64();
        Ok(Cost { spent, own_busy, own_drops: crew.drops().saturating_sub(self.drops) })
    }
}

/// Waits until the sender's channel is open.
fn prepare(crew: &mut Crew, sender: usize, channel: Channel) -> Result<(), Failure> {
    let now = Instant::now();
    crew.with(sender, |participant, shared| participant.prepare_data(now, shared));
    while !crew.participant(sender).is_some_and(|participant| participant.can_send_data(channel)) {
        if now.elapsed() > OPEN_TIMEOUT {
            return Err(Failure::Call { reason: format!("the channel {} does not open", channel.label()) });
        }
        crew.turn()?;
    }
    Ok(())
}

fn send_message(crew: &mut Crew, sender: usize, channel: Channel, size: usize, run: u32, number: u32) -> bool {
    let mut message = Vec::new();
    crew.with(sender, |participant, shared| {
        let at = shared.meter.since_epoch(Instant::now());
        message = participant.data_sequence().message(channel, size, run, number, at);
        Ok(())
    });
    send(crew, sender, channel, &message)
}

fn send(crew: &mut Crew, sender: usize, channel: Channel, message: &[u8]) -> bool {
    let (started, mut taken) = (Instant::now(), false);
    crew.with(sender, |participant, shared| {
        taken = participant.send_data(started, channel, message, &mut shared.meter)?;
        Ok(())
    });
    if taken {
        crew.shared.meter.sums.worked += started.elapsed();
    }
    taken
}

/// Slots of those in the sender's room who are connected.
fn receivers(crew: &Crew, sender: usize) -> Vec<usize> {
    let room = crew.participant(sender).map(|participant| participant.spec.claims.room.as_str());
    let in_room = |slot: &usize| {
        let participant = crew.participant(*slot);
        participant.is_some_and(|other| Some(other.spec.claims.room.as_str()) == room && other.connected().is_some())
    };
    (0..crew.slots()).filter(|slot| *slot != sender).filter(in_room).collect()
}

fn turn_for(crew: &mut Crew, time: Duration) -> Result<(), Failure> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        crew.turn()?;
    }
    Ok(())
}

const MIN_RATE: f64 = 0.001;
/// Longer than a server holds a message for a reader that is not too slow.
const SETTLE: Duration = Duration::from_millis(500);
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
const STREAM_TIMEOUT: Duration = Duration::from_secs(60);

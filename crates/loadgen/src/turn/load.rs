//! The clients with their allocations, and the peers: sends trains through the server both ways, never sleeps, and counts.
//!
//! One thread. It reads whatever has arrived between two volleys, so that no receive buffer of ours ever is the bottleneck.

use std::time::{Duration, Instant};

use serde::Serialize;
use wire::channeldata;

use super::datagrams::{Datagrams, Hosts};
use super::leg::Leg;
use super::pace::Pace;
use super::session::{Session, Step};
use super::stamp;
use super::tally::Tally;
use super::{Direction, PrepareRequest, RunRequest};
use crate::Failure;
use crate::usage::{Spent, Usage};

/// Ready to run.
pub(crate) struct Load {
    leg: Leg,
    /// `None`: the peer is not ours.
    peers: Option<Datagrams>,
    sessions: Vec<Session>,
    /// What stamps count from.
    epoch: Instant,
    renewed: Instant,
    run: u16,
}

/// What came of a run.
#[derive(Debug, Serialize)]
pub(crate) struct RunReport {
    /// Over the whole run, warm-up included, up to the last arrival.
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) strays: u64,
    /// Arrivals in the window, and of the flows with the fewest and with the most.
    pub(crate) arrived: u64,
    pub(crate) flow_min: u64,
    pub(crate) flow_max: u64,
    /// In the window.
    pub(crate) spent: Spent,
    /// From before the first packet until after the last.
    pub(crate) spent_in_all: Spent,
    /// Share of the window in which this process had something to do; a flood is always all of it.
    pub(crate) busy: f64,
    /// Trains that were not sent in time, packets that a full connection held back, datagrams that our buffers lost.
    pub(crate) skipped: u64,
    pub(crate) held_back: u64,
    pub(crate) socket_drops: u64,
    /// One way, from the call that sent it to the kernel's receive time; p50, p99, p99.9 and the worst. None in a flood.
    pub(crate) latency_us: Vec<f64>,
}

/// The state of one run.
struct Progress {
    tally: Tally,
    pace: Pace,
    directions: Vec<Direction>,
    train: usize,
    payload: usize,
    /// Trains so far: says whose turn it is.
    trains: usize,
    worked: Duration,
    held_back: u64,
}

impl Load {
    /// Opens sockets, allocates, and binds each allocation's channel to its peer.
    pub(crate) fn prepare(request: &PrepareRequest) -> Result<Self, Failure> {
        let hosts = Hosts::new(request.peers, request.count);
        let peers = match request.peer {
            None => Some(Datagrams::bind(hosts, request.gro)?),
            Some(_) => None,
        };
        let session = |index: usize| {
            let peer = request.peer.or_else(|| Some(peers.as_ref()?.address(index))).ok_or(Failure::NotPrepared)?;
            Ok(Session::new(request.account.clone(), channel(index), peer, index as u64))
        };
        let sessions = (0..request.count).map(session).collect::<Result<_, Failure>>()?;
        let (leg, now) = (Leg::open(request)?, Instant::now());
        let mut load = Self { leg, peers, sessions, epoch: now, renewed: now, run: 0 };
        load.drive(&[Step::Allocate, Step::Bind])?;
        Ok(load)
    }

    /// Sends as the request says. Renews the allocations before, if it is time.
    pub(crate) fn run(&mut self, request: &RunRequest) -> Result<RunReport, Failure> {
        self.check(request)?;
        self.renew_if_due()?;
        self.run = self.run.wrapping_add(1);
        let drops = self.drops();
        let mut progress = self.begin(request);
        let begun = Usage::read(request.pid, request.cores)?;
        self.send_for(request.warm_up_s, &mut progress)?;
        let before = Usage::read(request.pid, request.cores)?;
        progress.tally.set_window(true);
        progress.worked = Duration::ZERO;
        self.send_for(request.seconds, &mut progress)?;
        progress.tally.set_window(false);
        let after = Usage::read(request.pid, request.cores)?;
        let worked = progress.worked;
        self.settle(&mut progress)?;
        let spent = after.since(&before);
        let arrivals: Vec<u64> =
            request.directions.iter().flat_map(|direction| progress.tally.window(*direction)).collect();
        Ok(RunReport {
            sent: progress.tally.sent(),
            received: progress.tally.received(),
            strays: progress.tally.strays(),
            arrived: arrivals.iter().sum(),
            flow_min: arrivals.iter().min().copied().unwrap_or(0),
            flow_max: arrivals.iter().max().copied().unwrap_or(0),
            busy: worked.as_secs_f64() / spent.wall_s,
            spent,
            spent_in_all: Usage::read(request.pid, request.cores)?.since(&begun),
            skipped: progress.pace.skipped(),
            held_back: progress.held_back,
            socket_drops: self.drops() - drops,
            latency_us: progress.tally.latencies_us(&[0.5, 0.99, 0.999, 1.0]),
        })
    }

    /// Lets every allocation go.
    pub(crate) fn release(mut self) -> Result<(), Failure> {
        self.drive(&[Step::Release])
    }

    fn check(&self, request: &RunRequest) -> Result<(), Failure> {
        let to_clients = request.directions.contains(&Direction::ToClients);
        let valid = request.train > 0
            && (stamp::BYTES..=MAX_PAYLOAD_BYTES).contains(&request.payload)
            && !request.directions.is_empty()
            && (self.peers.is_some() || !to_clients);
        if valid { Ok(()) } else { Err(Failure::NoSuchRun) }
    }

    fn begin(&self, request: &RunRequest) -> Progress {
        let (flows, now) = (self.sessions.len() * request.directions.len(), Instant::now());
        let (paced, watched) = (request.rate_pps > 0.0, self.peers.is_some());
        Progress {
            tally: Tally::new(self.run, self.epoch, now, self.sessions.len(), paced),
            pace: Pace::new(request.rate_pps, request.train, flows, watched, now),
            directions: request.directions.clone(),
            train: request.train,
            payload: request.payload,
            trains: 0,
            worked: Duration::ZERO,
            held_back: 0,
        }
    }

    fn send_for(&mut self, seconds: f64, progress: &mut Progress) -> Result<(), Failure> {
        let until = Instant::now() + Duration::from_secs_f64(seconds);
        loop {
            let now = Instant::now();
            if now >= until {
                return Ok(());
            }
            let received = self.receive(progress)?;
            if !received {
                progress.tally.handle_silence(now);
            }
            let leaving = Instant::now();
            let trains = progress.pace.trains_due(leaving, progress.tally.outstanding());
            for _ in 0..trains {
                self.send_train(progress, leaving);
            }
            if trains > 0 {
                self.flush()?;
            }
            if received || trains > 0 {
                progress.worked += now.elapsed();
            }
        }
    }

    fn send_train(&mut self, progress: &mut Progress, now: Instant) {
        let turn = progress.trains;
        progress.trains += 1;
        let direction = progress.directions[turn % progress.directions.len()];
        let index = turn / progress.directions.len() % self.sessions.len();
        for _ in 0..progress.train {
            match direction {
                Direction::ToPeers => self.send_to_peer(progress, index, now),
                Direction::ToClients => self.send_to_client(progress, index, now),
            }
        }
    }

    fn send_to_peer(&mut self, progress: &mut Progress, index: usize, now: Instant) {
        if self.leg.is_backed_up(index) {
            progress.held_back += 1;
            return;
        }
        let stamp = progress.tally.stamp(Direction::ToPeers, index, now);
        self.leg.queue(index, channeldata::HEADER_LEN + progress.payload, |message| {
            let (header, payload) = message.split_at_mut(channeldata::HEADER_LEN);
            header[..2].copy_from_slice(&channel(index).to_be_bytes());
            header[2..].copy_from_slice(&(payload.len() as u16).to_be_bytes());
            stamp.write(payload);
        });
    }

    fn send_to_client(&mut self, progress: &mut Progress, index: usize, now: Instant) {
        let (Some(peers), Some(relayed)) = (&mut self.peers, self.sessions[index].relayed()) else { return };
        let stamp = progress.tally.stamp(Direction::ToClients, index, now);
        stamp.write(peers.reserve(index, relayed, progress.payload));
        peers.commit(progress.payload);
    }

    fn flush(&mut self) -> Result<(), Failure> {
        if let Some(peers) = &mut self.peers {
            peers.flush();
        }
        Ok(self.leg.flush()?)
    }

    /// Reads until nothing waits, or for long enough; whether there was anything.
    fn receive(&mut self, progress: &mut Progress) -> Result<bool, Failure> {
        let before = progress.tally.received();
        for _ in 0..MAX_BATCHES {
            let mut more = false;
            for direction in &progress.directions {
                more |= match (direction, &mut self.peers) {
                    (Direction::ToPeers, Some(peers)) => receive_at_peers(peers, &mut progress.tally)?,
                    (Direction::ToPeers, None) => false,
                    (Direction::ToClients, _) => receive_at_clients(&mut self.leg, &mut progress.tally)?,
                };
            }
            if !more {
                break;
            }
        }
        Ok(progress.tally.received() > before)
    }

    /// Waits for what is on its way, until nothing has come for a while.
    fn settle(&mut self, progress: &mut Progress) -> Result<(), Failure> {
        let mut last = Instant::now();
        while last.elapsed() < SETTLE {
            self.leg.flush()?;
            if self.receive(progress)? {
                last = Instant::now();
            }
        }
        Ok(())
    }

    fn renew_if_due(&mut self) -> Result<(), Failure> {
        if self.renewed.elapsed() < RENEW_AFTER {
            return Ok(());
        }
        self.renewed = Instant::now();
        self.drive(&[Step::Refresh, Step::Bind])
    }

    /// Takes every session through these steps, some at a time.
    fn drive(&mut self, steps: &[Step]) -> Result<(), Failure> {
        self.sessions.iter_mut().for_each(|session| session.handle_wish(steps));
        let mut first = 0;
        while first < self.sessions.len() {
            let now = Instant::now();
            let last = self.sessions.len().min(first + SESSIONS_AT_ONCE);
            for (client, session) in self.sessions[..last].iter_mut().enumerate().skip(first) {
                if let Some(message) = session.poll_message(now)? {
                    self.leg.queue(client, message.len(), |room| room.copy_from_slice(message));
                }
            }
            self.leg.flush()?;
            self.receive_answers()?;
            first += self.sessions[first..last].iter().take_while(|session| session.is_settled()).count();
        }
        Ok(())
    }

    fn receive_answers(&mut self) -> Result<(), Failure> {
        let (sessions, mut result) = (&mut self.sessions, Ok(()));
        self.leg.receive(&mut |client, _, message| {
            if result.is_ok() {
                result = sessions[client].handle_message(message);
            }
        })?;
        result
    }

    fn drops(&self) -> u64 {
        self.leg.drops() + self.peers.as_ref().map_or(0, Datagrams::drops)
    }
}

fn receive_at_peers(peers: &mut Datagrams, tally: &mut Tally) -> Result<bool, Failure> {
    let mut take = |peer, at, payload: &[u8]| tally.handle_arrival(Direction::ToPeers, peer, at, payload);
    Ok(peers.receive(&mut take)?)
}

fn receive_at_clients(leg: &mut Leg, tally: &mut Tally) -> Result<bool, Failure> {
    let mut take = |client, at, message: &[u8]| match channeldata::parse(message) {
        Ok((number, payload)) if number == channel(client) => {
            tally.handle_arrival(Direction::ToClients, client, at, payload);
        }
        _ => {} // the answer to a request that was repeated, or not for this flow: it counts as lost
    };
    Ok(leg.receive(&mut take)?)
}

/// Each allocation has its own channels; different numbers let a mix-up show.
fn channel(index: usize) -> u16 {
    0x4000 + (index % 0x1000) as u16
}

/// What fits into a datagram of Ethernet beside the headers, and into GSO.
const MAX_PAYLOAD_BYTES: usize = 1_400;
/// Between two volleys: what a fast server sends meanwhile, and an end.
const MAX_BATCHES: usize = 64;
const SESSIONS_AT_ONCE: usize = 32;
/// Longer than any server of the bench holds a packet.
const SETTLE: Duration = Duration::from_millis(200);
/// Permissions live for five minutes, and a run takes seconds.
const RENEW_AFTER: Duration = Duration::from_secs(120);

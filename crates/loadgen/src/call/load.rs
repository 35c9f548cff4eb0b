//! Carries out requests: joins participants and waits for their media, lets them leave, measures.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mio::Poll;
use serde::Deserialize;

use super::crew::Crew;
use super::data::{DataRequest, StreamRequest};
use super::fan_out::{self, Delivered, Streamed};
use super::impair::Impairment;
use super::media::Library;
use super::meter::Meter;
use super::offering::Media;
use super::participant::{Participant, Shared, Spec};
use super::peer;
use super::report::{JoinReport, Window, WindowReport};
use super::roster::Room;
use super::signal::Server;
use super::token::Claims;
use super::wishes::Subscribe;
use crate::Failure;

/// Who joins where.
#[derive(Deserialize)]
pub(crate) struct JoinRequest {
    /// `ws://host:port`.
    url: String,
    /// Directory with `media.json`.
    media: PathBuf,
    /// One subscriber in so many is like a browser; 0: none.
    #[serde(default = "full_every")]
    full_every: usize,
    /// 0: as fast as the server lets them in.
    #[serde(default)]
    joins_per_s: f64,
    participants: Vec<ParticipantRequest>,
}

#[derive(Deserialize)]
struct ParticipantRequest {
    token: String,
    #[serde(default)]
    audio: bool,
    #[serde(default)]
    video: Option<String>,
    #[serde(default = "simulcast")]
    simulcast: bool,
    #[serde(default)]
    subscribe: Option<Subscribe>,
}

/// For how long, and whose time to account for.
#[derive(Clone, Copy, Deserialize)]
pub(crate) struct MeasureRequest {
    pub(crate) seconds: f64,
    /// The server.
    pub(crate) pid: u32,
    /// The core it is pinned to, and ours.
    pub(crate) cores: [usize; 2],
}

/// Participants that leave and join anew.
#[derive(Deserialize)]
pub(crate) struct ChurnRequest {
    rate_per_s: f64,
    #[serde(flatten)]
    measure: MeasureRequest,
}

/// The call.
pub(crate) struct Load {
    crew: Crew,
    libraries: BTreeMap<PathBuf, Library>,
    rooms: BTreeMap<String, Room>,
    /// Slots in the order of joining.
    present: VecDeque<usize>,
    next_number: u32,
    subscribers: usize,
    data_runs: u32,
}

impl Load {
    pub(crate) fn new() -> Result<Self, Failure> {
        let poll = Poll::new()?;
        let identity = peer::Identity::new().map_err(|reason| Failure::Call { reason })?;
        let shared = Shared { registry: poll.registry().try_clone()?, identity, meter: Meter::new(Instant::now()) };
        Ok(Self {
            crew: Crew::new(shared, poll),
            libraries: BTreeMap::new(),
            rooms: BTreeMap::new(),
            present: VecDeque::new(),
            next_number: 1,
            subscribers: 0,
            data_runs: 0,
        })
    }

    /// See `Crew::turn`.
    pub(crate) fn turn(&mut self) -> Result<(), Failure> {
        self.crew.turn()?;
        Ok(())
    }

    /// Joins them all and waits until what they want arrives, or until it is clear that it does not.
    pub(crate) fn join(&mut self, request: JoinRequest) -> Result<JoinReport, Failure> {
        let JoinRequest { url, media, full_every, joins_per_s, participants } = request;
        let server = Rc::new(Server::resolve(&url).map_err(|reason| Failure::Call { reason })?);
        let mut specs = VecDeque::with_capacity(participants.len());
        for participant in participants {
            specs.push_back(self.spec(&server, &media, full_every, participant)?);
        }
        for spec in &specs {
            self.plan(spec);
        }
        self.announce_rooms();
        self.join_all(specs, joins_per_s)
    }

    /// The last `count` leave; gives the number of those that did.
    pub(crate) fn leave(&mut self, count: usize) -> usize {
        let mut left = 0;
        while left < count
            && let Some(slot) = self.present.pop_back()
        {
            if let Some(participant) = self.crew.remove(slot) {
                self.unplan(&participant.spec);
                left += 1;
            }
        }
        self.announce_rooms();
        left
    }

    /// Counts for a while.
    pub(crate) fn measure(&mut self, request: MeasureRequest) -> Result<WindowReport, Failure> {
        let window = Window::open(&mut self.crew, request)?;
        let until = Instant::now() + Duration::from_secs_f64(request.seconds);
        self.crew.set_batched(true);
        while Instant::now() < until {
            self.turn()?;
        }
        self.crew.set_batched(false);
        let ended = self.take_ended();
        window.close(&mut self.crew, ended)
    }

    /// Counts while participants leave, the oldest first, and join anew at once.
    pub(crate) fn churn(&mut self, request: &ChurnRequest) -> Result<(JoinReport, WindowReport), Failure> {
        let window = Window::open(&mut self.crew, request.measure)?;
        let started = Instant::now();
        let until = started + Duration::from_secs_f64(request.measure.seconds);
        let mut due = started;
        let mut joins = Joins::default();
        while Instant::now() < until {
            if Instant::now() >= due
                && let Some(slot) = self.present.pop_front()
            {
                due += Duration::from_secs_f64(1.0 / request.rate_per_s.max(MIN_RATE));
                if let Some(participant) = self.crew.remove(slot) {
                    joins.handle_left(slot, &participant);
                    joins.push(&participant.spec);
                }
            }
            self.advance(&mut joins, true)?;
        }
        while !joins.over {
            self.advance(&mut joins, true)?;
        }
        let joined = joins.report(&self.crew);
        let ended = self.take_ended();
        Ok((joined, window.close(&mut self.crew, ended)?))
    }

    /// The one who joined first sends messages to the others of its room.
    pub(crate) fn data(&mut self, request: &DataRequest) -> Result<Delivered, Failure> {
        self.data_runs += 1;
        let sender = self.sender()?;
        fan_out::deliver(&mut self.crew, sender, self.data_runs, request)
    }

    /// The one who joined first sends a stream to the others of its room.
    pub(crate) fn stream(&mut self, request: &StreamRequest) -> Result<Streamed, Failure> {
        self.data_runs += 1;
        let sender = self.sender()?;
        fan_out::stream(&mut self.crew, sender, self.data_runs, request)
    }

    pub(crate) fn impair(&mut self, impairment: Impairment) {
        self.crew.impairer.set(impairment);
    }

    // ---- details

    fn sender(&self) -> Result<usize, Failure> {
        self.present.front().copied().ok_or_else(|| Failure::Call { reason: "nobody is there".to_owned() })
    }

    fn spec(
        &mut self,
        server: &Rc<Server>,
        directory: &PathBuf,
        full_every: usize,
        request: ParticipantRequest,
    ) -> Result<Rc<Spec>, Failure> {
        let unreadable = || Failure::Call { reason: "a token names no identity or no room".to_owned() };
        let claims = Claims::read(&request.token).ok_or_else(unreadable)?;
        let media = self.media(directory, &request)?;
        let full = request.subscribe.is_some() && full_every > 0 && self.subscribers.is_multiple_of(full_every);
        self.subscribers += usize::from(request.subscribe.is_some());
        Ok(Rc::new(Spec {
            server: Rc::clone(server),
            token: request.token,
            claims,
            media,
            subscribe: request.subscribe,
            full,
        }))
    }

    fn media(&mut self, directory: &PathBuf, request: &ParticipantRequest) -> Result<Media, Failure> {
        if !request.audio && request.video.is_none() {
            return Ok(Media::default());
        }
        if !self.libraries.contains_key(directory) {
            self.libraries.insert(directory.clone(), Library::open(directory)?);
        }
        let Some(library) = self.libraries.get_mut(directory) else { return Ok(Media::default()) };
        let audio = request.audio.then(|| library.codec("opus")).transpose()?;
        let video = request.video.as_deref().map(|name| library.codec(name)).transpose()?;
        Ok(Media { audio, video, simulcast: request.simulcast })
    }

    fn plan(&mut self, spec: &Spec) {
        let room = self.rooms.entry(spec.claims.room.clone()).or_default();
        if spec.media.audio.is_some() {
            room.microphones.insert(spec.claims.identity.clone());
        }
        if spec.media.video.is_some() {
            room.cameras.insert(spec.claims.identity.clone());
        }
    }

    fn unplan(&mut self, spec: &Spec) {
        if let Some(room) = self.rooms.get_mut(&spec.claims.room) {
            room.microphones.remove(&spec.claims.identity);
            room.cameras.remove(&spec.claims.identity);
        }
    }

    fn announce_rooms(&mut self) {
        let rooms = &self.rooms;
        self.crew.for_each(|participant| match rooms.get(&participant.spec.claims.room) {
            Some(room) => participant.set_room(room),
            None => Ok(()),
        });
    }

    fn join_all(&mut self, specs: VecDeque<Rc<Spec>>, joins_per_s: f64) -> Result<JoinReport, Failure> {
        let mut joins = Joins { waiting: specs, ..Joins::default() };
        let started = Instant::now();
        let mut allowed = 0;
        while !joins.over {
            let passed = started.elapsed().as_secs_f64() * joins_per_s;
            let free = joins_per_s <= 0.0 || passed >= f64::from(allowed);
            allowed += u32::from(self.advance(&mut joins, free)?);
        }
        Ok(joins.report(&self.crew))
    }

    /// One turn of the loop, with a look at those who are joining; true when another one was started.
    fn advance(&mut self, joins: &mut Joins, may_start: bool) -> Result<bool, Failure> {
        self.turn()?;
        let now = Instant::now();
        if joins.next_look.is_some_and(|next| now < next) {
            return Ok(false);
        }
        joins.next_look = Some(now + LOOK_INTERVAL);
        self.crew.for_each(|participant| {
            participant.handle_progress(now);
            Ok(())
        });
        for (slot, reason) in self.crew.take_ended() {
            self.present.retain(|present| *present != slot);
            let during = if joins.started.remove(&slot) { "" } else { "later: " };
            joins.failed.push(format!("{during}{reason}"));
        }
        joins.handle_progress(&self.crew);
        let connecting = |slot: &&usize| self.crew.participant(**slot).is_some_and(|who| who.connected().is_none());
        let under_way = joins.started.iter().filter(connecting).count();
        if !may_start || under_way >= MAX_UNDER_WAY {
            return Ok(false);
        }
        let Some(spec) = joins.waiting.pop_front() else { return Ok(false) };
        self.start(&spec, joins);
        Ok(true)
    }

    fn start(&mut self, spec: &Rc<Spec>, joins: &mut Joins) {
        let now = Instant::now();
        let (slot, number) = (self.crew.free_slot(), self.next_number);
        self.next_number += 1;
        joins.first.get_or_insert(now);
        joins.last = Some(now);
        let room = self.rooms.entry(spec.claims.room.clone()).or_default();
        match Participant::start(now, spec, number, slot, room, &self.crew.shared) {
            Ok(participant) => {
                self.crew.insert(slot, participant);
                self.present.push_back(slot);
                joins.started.insert(slot);
            }
            Err(reason) => joins.failed.push(reason),
        }
    }

    /// Why participants ended that nobody had told to leave.
    fn take_ended(&mut self) -> Vec<String> {
        let ended = self.crew.take_ended();
        self.present.retain(|present| ended.iter().all(|(slot, _)| slot != present));
        ended.into_iter().map(|(_, reason)| reason).collect()
    }
}

/// Joins that are under way, and what became of others.
#[derive(Default)]
pub(crate) struct Joins {
    waiting: VecDeque<Rc<Spec>>,
    /// Slots of those who do not have all yet that they want.
    started: BTreeSet<usize>,
    pub(crate) arrived: Vec<Arrived>,
    pub(crate) failed: Vec<String>,
    pub(crate) first: Option<Instant>,
    last: Option<Instant>,
    next_look: Option<Instant>,
    /// Everybody has what it wants, or has had the time for it.
    over: bool,
}

/// One who has all that it wants.
pub(crate) struct Arrived {
    /// When the first of it came.
    pub(crate) at: Instant,
    /// Since the start: until then, and until its connections were up.
    pub(crate) reached: Duration,
    pub(crate) connected: Duration,
}

impl Joins {
    /// Another one that is to join.
    fn push(&mut self, spec: &Rc<Spec>) {
        self.waiting.push_back(Rc::clone(spec));
        self.over = false;
    }

    fn handle_progress(&mut self, crew: &Crew) {
        self.started.retain(|slot| {
            let arrived = crew.participant(*slot).filter(|who| who.is_settled()).and_then(Arrived::of);
            let is_waited_for = arrived.is_none();
            self.arrived.extend(arrived);
            is_waited_for
        });
        // Others may want something of the new ones.
        let settled =
            self.waiting.is_empty() && self.started.is_empty() && crew.participants().all(Participant::is_settled);
        let late = self.last.is_some_and(|last| last.elapsed() > JOIN_TIMEOUT);
        self.over = settled || (self.waiting.is_empty() && late);
    }

    /// One was told to leave.
    fn handle_left(&mut self, slot: usize, participant: &Participant) {
        if self.started.remove(&slot) {
            self.failed.push(format!("{}, when it was to leave", describe(participant)));
        }
    }

    fn report(mut self, crew: &Crew) -> JoinReport {
        let unsettled = crew.participants().filter(|participant| !participant.is_settled());
        self.failed.extend(unsettled.map(describe));
        JoinReport::new(self, crew)
    }
}

impl Arrived {
    fn of(participant: &Participant) -> Option<Self> {
        let (reached, connected) = (participant.reached()?, participant.connected()?);
        Some(Self { at: participant.started() + reached, reached, connected })
    }
}

fn describe(participant: &Participant) -> String {
    let [audio, video] = participant.progress();
    let state = if participant.connected().is_some() { "connected" } else { "not connected" };
    let identity = &participant.spec.claims.identity;
    format!("{identity}: {state}, {} of {} microphones and {} of {} cameras arrive", audio.1, audio.0, video.1, video.0)
}

fn full_every() -> usize {
    20
}

fn simulcast() -> bool {
    true
}

const MAX_UNDER_WAY: usize = 32;
const LOOK_INTERVAL: Duration = Duration::from_micros(500);
/// After the last one was started.
const JOIN_TIMEOUT: Duration = Duration::from_secs(20);
const MIN_RATE: f64 = 0.001;

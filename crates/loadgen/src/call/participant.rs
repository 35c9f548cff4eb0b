//! One participant of a call: its signalling, its publisher connection if it sends anything, and its subscriber connection.

use std::rc::Rc;
use std::time::{Duration, Instant};

use mio::{Interest, Registry, Token};
use netio::{Datagram, UdpSocket};
use serde::Deserialize;

use super::data::{self, Channel};
use super::endpoint::Endpoint;
use super::full::Full;
use super::messages::{Join, Leave, ParticipantInfo, Request, Response, SessionDescription, Target, Trickle};
use super::meter::Meter;
use super::offering::Media;
use super::peer;
use super::publisher::Publisher;
use super::roster::{Room, Roster};
use super::sdp::Kind;
use super::signal::{Server, Signal};
use super::sink::Sink;
use super::subscriber::Subscriber;
use super::token::Claims;
use super::wishes::Subscribe;

/// Who joins, and what it does in the call.
pub(crate) struct Spec {
    pub(crate) server: Rc<Server>,
    pub(crate) token: String,
    pub(crate) claims: Claims,
    pub(crate) media: Media,
    pub(crate) subscribe: Option<Subscribe>,
    /// Subscribes like a browser, and not like a sink.
    pub(crate) full: bool,
}

/// What all participants share.
pub(crate) struct Shared {
    pub(crate) registry: Registry,
    pub(crate) identity: peer::Identity,
    pub(crate) meter: Meter,
}

/// A participant's sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Signal,
    Publisher,
    Subscriber,
}

impl Part {
    /// Of the participant in this slot.
    pub(crate) fn token(self, slot: usize) -> Token {
        Token(slot * PARTS.len() + self as usize)
    }

    pub(crate) fn of_token(token: Token) -> (usize, Self) {
        (token.0 / PARTS.len(), PARTS[token.0 % PARTS.len()])
    }
}

/// One participant.
pub(crate) struct Participant {
    pub(crate) spec: Rc<Spec>,
    /// Different for every join; the name of its flows.
    pub(crate) number: u32,
    slot: usize,
    started: Instant,
    signal: Signal,
    publisher: Option<Box<Publisher>>,
    /// Tracks that the server has not acknowledged yet.
    unannounced: usize,
    subscriber: Option<Subscriber>,
    roster: Roster,
    ping: Option<(Duration, Instant)>,
    data_sequence: data::Sequence,
    /// When its connections were up, and when the first of what it wants came; since the start.
    connected: Option<Duration>,
    reached: Option<Duration>,
}

impl Participant {
    /// Starts joining.
    pub(crate) fn start(
        now: Instant,
        spec: &Rc<Spec>,
        number: u32,
        slot: usize,
        room: &Room,
        shared: &Shared,
    ) -> Result<Self, String> {
        let mut signal = Signal::connect(&spec.server, &spec.token)?;
        if let Some(stream) = signal.stream() {
            let interest = Interest::READABLE | Interest::WRITABLE;
            let registered = shared.registry.register(stream, Part::Signal.token(slot), interest);
            registered.map_err(|error| error.to_string())?;
        }
        let mut participant = Self {
            spec: Rc::clone(spec),
            number,
            slot,
            started: now,
            signal,
            publisher: None,
            unannounced: 0,
            subscriber: None,
            roster: Roster::default(),
            ping: None,
            data_sequence: data::Sequence::default(),
            connected: None,
            reached: None,
        };
        participant.set_room(room)?;
        Ok(participant)
    }

    // ---- commands

    /// The room's publishers are others now.
    pub(crate) fn set_room(&mut self, room: &Room) -> Result<(), String> {
        if let Some(subscribe) = &self.spec.subscribe {
            self.roster.set_wishes(&self.spec.claims.identity, room, subscribe);
        }
        self.ask()
    }

    /// Opens its publisher connection if it has none: data goes out there.
    pub(crate) fn prepare_data(&mut self, now: Instant, shared: &Shared) -> Result<(), String> {
        if self.publisher.is_some() { Ok(()) } else { self.publish(now, shared) }
    }

    /// What numbers its data.
    pub(crate) fn data_sequence(&mut self) -> &mut data::Sequence {
        &mut self.data_sequence
    }

    /// False when the channel takes nothing for now.
    pub(crate) fn send_data(
        &mut self,
        now: Instant,
        channel: Channel,
        message: &[u8],
        meter: &mut Meter,
    ) -> Result<bool, String> {
        match &mut self.publisher {
            Some(publisher) => publisher.send_data(now, channel, message, meter),
            None => Ok(false),
        }
    }

    /// Leaves the call.
    pub(crate) fn leave(&mut self, now: Instant) {
        // The server may be gone already.
        let _ = self.signal.send(Request::Leave(Leave { reason: CLIENT_INITIATED, action: 0 }));
        self.signal.close();
        if let Some(publisher) = &mut self.publisher {
            publisher.peer().close();
        }
        if let Some(subscriber) = &mut self.subscriber {
            subscriber.close(now);
        }
    }

    // ---- in; an error is the end of this participant, and says why

    /// Its signalling socket is ready.
    pub(crate) fn handle_signal(&mut self, now: Instant, shared: &mut Shared) -> Result<(), String> {
        self.signal.handle_ready()?;
        while let Some(message) = self.signal.poll_message() {
            self.handle_message(now, message, shared)?;
        }
        Ok(())
    }

    /// A datagram on one of its other sockets; `now` is when it counts as received.
    #[inline]
    pub(crate) fn handle_datagram(
        &mut self,
        now: Instant,
        part: Part,
        datagram: &mut Datagram<'_>,
        meter: &mut Meter,
    ) -> Result<(), String> {
        match (part, &mut self.publisher, &mut self.subscriber) {
            (Part::Publisher, Some(publisher), _) => publisher.handle_datagram(now, datagram, meter),
            (Part::Subscriber, _, Some(subscriber)) => subscriber.handle_datagram(now, datagram, meter),
            _ => Ok(()),
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, meter: &mut Meter) -> Result<(), String> {
        if let Some((interval, due)) = &mut self.ping
            && *due <= now
        {
            *due = now + *interval;
            self.signal.ping()?;
        }
        if let Some(publisher) = &mut self.publisher {
            publisher.handle_timeout(now, meter)?;
        }
        if let Some(subscriber) = self.subscriber.as_mut().filter(|subscriber| subscriber.poll_timeout() <= now) {
            subscriber.handle_timeout(now, meter)?;
        }
        Ok(())
    }

    /// Looks how far the join has come.
    pub(crate) fn handle_progress(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.started);
        if self.connected.is_none() && self.is_connected() {
            self.connected = Some(since);
        }
        if self.reached.is_none() && self.connected.is_some() {
            let anything = self.subscriber.as_ref().is_some_and(|subscriber| subscriber.inbound().flowing() > 0);
            if !self.roster.has_wishes() || anything {
                self.reached = Some(since);
            }
        }
    }

    // ---- out

    pub(crate) fn poll_timeout(&self) -> Instant {
        let never = self.started + NEVER;
        let ping = self.ping.map(|(_, due)| due);
        let publisher = self.publisher.as_ref().map(|publisher| publisher.poll_timeout());
        let subscriber = self.subscriber.as_ref().map(Subscriber::poll_timeout);
        ping.into_iter().chain(publisher).chain(subscriber).fold(never, Instant::min)
    }

    // ---- getters

    pub(crate) fn socket(&self, part: Part) -> Option<&UdpSocket> {
        match part {
            Part::Signal => None,
            Part::Publisher => Some(self.publisher.as_ref()?.endpoint().socket()),
            Part::Subscriber => Some(self.subscriber.as_ref()?.endpoint().socket()),
        }
    }

    /// Wanted and arriving: of microphones, of cameras.
    pub(crate) fn progress(&self) -> [(usize, usize); 2] {
        let inbound = self.subscriber.as_ref().map(Subscriber::inbound);
        let flows = |track: &str| inbound.is_some_and(|inbound| inbound.is_flowing(track));
        [Kind::Audio, Kind::Video].map(|kind| self.roster.progress(kind, flows))
    }

    /// Everything that it wants arrives, and its connections are up.
    pub(crate) fn is_settled(&self) -> bool {
        self.reached.is_some() && self.progress().iter().all(|(wanted, arriving)| wanted == arriving)
    }

    /// Time from the start until its connections were up.
    pub(crate) fn connected(&self) -> Option<Duration> {
        self.connected
    }

    /// Time from the start until the first packet of what it wants; of one who wants nothing, until its connections were up.
    pub(crate) fn reached(&self) -> Option<Duration> {
        self.reached
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    pub(crate) fn can_send_data(&self, channel: Channel) -> bool {
        self.publisher.as_ref().is_some_and(|publisher| publisher.is_open(channel))
    }

    /// Bytes of data streams that it has received.
    pub(crate) fn stream_bytes(&self) -> usize {
        self.subscriber.as_ref().map_or(0, |subscriber| subscriber.inbound().stream_bytes())
    }

    /// Datagrams that the kernel dropped for lack of room in its sockets.
    pub(crate) fn drops(&self) -> u64 {
        let publisher = self.publisher.as_ref().map_or(0, |publisher| publisher.endpoint().drops());
        publisher + self.subscriber.as_ref().map_or(0, |subscriber| subscriber.endpoint().drops())
    }

    // ---- details

    fn is_connected(&self) -> bool {
        let silent = self.spec.media.is_empty();
        let sends = self.publisher.as_ref().map_or(silent, |publisher| publisher.is_connected());
        let blind = self.spec.subscribe.is_none() && !silent;
        sends && self.subscriber.as_ref().map_or(blind, Subscriber::is_connected)
    }

    fn handle_message(&mut self, now: Instant, message: Response, shared: &mut Shared) -> Result<(), String> {
        match message {
            Response::Join(join) => self.handle_join(now, &join, shared),
            Response::Update(update) => self.handle_participants(&update.participants),
            Response::TrackPublished(_) => self.handle_track_published(),
            Response::Offer(offer) => self.handle_offer(now, &offer, shared),
            Response::Answer(answer) => match &mut self.publisher {
                Some(publisher) => publisher.handle_answer(now, &answer.sdp, &mut shared.meter),
                None => Ok(()),
            },
            Response::Trickle(trickle) => self.handle_trickle(now, &trickle, &mut shared.meter),
            Response::Leave(leave) => Err(format!("the server ended the session (reason {})", leave.reason)),
            Response::TrackUnpublished(track) => Err(format!("the server took {} back", track.track_sid)),
            // Its owner left while it was asked for; of that another message tells.
            Response::Subscription(response) if response.err == TRACK_NOT_FOUND => Ok(()),
            Response::Subscription(response) => {
                Err(format!("the server cannot send {} ({})", response.track_sid, response.err))
            }
            Response::Request(response) if response.reason != 0 => {
                Err(format!("a request was refused: {}", response.message))
            }
            Response::Request(_) => Ok(()),
        }
    }

    fn handle_join(&mut self, now: Instant, join: &Join, shared: &Shared) -> Result<(), String> {
        let interval =
            Duration::from_secs(u64::try_from(join.ping_interval).unwrap_or_default()).max(MIN_PING_INTERVAL);
        self.ping = Some((interval, now));
        if !self.spec.media.is_empty() {
            self.publish(now, shared)?;
        }
        self.handle_participants(&join.other_participants)
    }

    fn publish(&mut self, now: Instant, shared: &Shared) -> Result<(), String> {
        let endpoint = self.open(Part::Publisher, shared)?;
        let publisher =
            Publisher::new(now, shared.meter.epoch(), endpoint, &shared.identity, &self.spec.media, self.number)?;
        for track in publisher.tracks() {
            self.unannounced += 1;
            self.signal.send(Request::AddTrack(track))?;
        }
        self.publisher = Some(Box::new(publisher));
        self.offer_if_announced()
    }

    fn handle_participants(&mut self, participants: &[ParticipantInfo]) -> Result<(), String> {
        for participant in participants {
            self.roster.handle_participant(participant);
        }
        self.ask()
    }

    fn ask(&mut self) -> Result<(), String> {
        // Before the join there is nobody to ask, and nothing is known.
        if self.ping.is_some() {
            for request in self.roster.poll_requests() {
                self.signal.send(request)?;
            }
        }
        Ok(())
    }

    fn handle_track_published(&mut self) -> Result<(), String> {
        self.unannounced = self.unannounced.saturating_sub(1);
        self.offer_if_announced()
    }

    fn offer_if_announced(&mut self) -> Result<(), String> {
        match &self.publisher {
            Some(publisher) if self.unannounced == 0 => {
                let (r#type, sdp) = ("offer".to_owned(), publisher.offer().to_owned());
                self.signal.send(Request::Offer(SessionDescription {
                    r#type,
                    sdp,
                    id: 1,
                    ..SessionDescription::default()
                }))
            }
            _ => Ok(()),
        }
    }

    fn handle_offer(&mut self, now: Instant, offer: &SessionDescription, shared: &mut Shared) -> Result<(), String> {
        let mut subscriber = match self.subscriber.take() {
            Some(subscriber) => subscriber,
            None => self.new_subscriber(now, shared)?,
        };
        let answer = subscriber.handle_offer(now, &offer.sdp, &offer.mid_to_track_id, &mut shared.meter);
        self.subscriber = Some(subscriber);
        let (r#type, sdp) = ("answer".to_owned(), answer?);
        self.signal.send(Request::Answer(SessionDescription {
            r#type,
            sdp,
            id: offer.id,
            ..SessionDescription::default()
        }))
    }

    fn new_subscriber(&self, now: Instant, shared: &Shared) -> Result<Subscriber, String> {
        let endpoint = self.open(Part::Subscriber, shared)?;
        Ok(if self.spec.full {
            Subscriber::Full(Box::new(Full::new(now, endpoint, &shared.identity)?))
        } else {
            Subscriber::Sink(Box::new(Sink::new(now, endpoint, self.number.into())))
        })
    }

    fn open(&self, part: Part, shared: &Shared) -> Result<Endpoint, String> {
        let endpoint = Endpoint::open(self.spec.server.address(), &shared.registry, part.token(self.slot));
        endpoint.map_err(|error| error.to_string())
    }

    fn handle_trickle(&mut self, now: Instant, trickle: &Trickle, meter: &mut Meter) -> Result<(), String> {
        let Ok(init) = serde_json::from_str::<CandidateInit>(&trickle.candidate_init) else { return Ok(()) };
        match (trickle.target(), &mut self.publisher, &mut self.subscriber) {
            (Target::Publisher, Some(publisher), _) => publisher.handle_candidate(now, &init.candidate, meter),
            (Target::Subscriber, _, Some(subscriber)) => subscriber.handle_candidate(now, &init.candidate, meter),
            _ => Ok(()),
        }
    }
}

/// As browsers write a candidate.
#[derive(Deserialize)]
struct CandidateInit {
    candidate: String,
}

const PARTS: [Part; 3] = [Part::Signal, Part::Publisher, Part::Subscriber];
const CLIENT_INITIATED: i32 = 1;
/// `SE_TRACK_NOTFOUND`.
const TRACK_NOT_FOUND: i32 = 2;
const MIN_PING_INTERVAL: Duration = Duration::from_secs(1);
const NEVER: Duration = Duration::from_secs(365 * 86_400);

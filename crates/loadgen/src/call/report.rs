//! What a reply says of joins, and of a window of time.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::crew::Crew;
use super::latency::{Latencies, Quantiles};
use super::load::{Joins, MeasureRequest};
use super::meter::Sums;
use super::participant::Participant;
use crate::Failure;
use crate::usage::{Spent, Usage};

/// How joins went.
#[derive(Debug, Serialize)]
pub(crate) struct JoinReport {
    joined: usize,
    failed: Vec<String>,
    /// Until the first packet of what a participant wants; of one who wants nothing, as below.
    join_ms: Spread,
    /// Until its connections were up.
    connect_ms: Spread,
    joins_per_s: f64,
    /// That arrive, of all participants who are present. In a reply that tells of a window, too, they are told there.
    #[serde(skip_serializing_if = "Option::is_none")]
    subscriptions: Option<Subscriptions>,
}

#[derive(Debug, Default, Serialize)]
struct Spread {
    p50: f64,
    p95: f64,
    max: f64,
}

#[derive(Debug, Default, Serialize)]
struct Subscriptions {
    audio: usize,
    video: usize,
}

impl JoinReport {
    pub(crate) fn new(joins: Joins, crew: &Crew) -> Self {
        let end = joins.arrived.iter().map(|arrived| arrived.at).max();
        let took = joins.first.zip(end).map(|(first, end)| end.saturating_duration_since(first).as_secs_f64());
        let joined = joins.arrived.len();
        Self {
            joined,
            join_ms: Spread::of(joins.arrived.iter().map(|arrived| arrived.reached)),
            connect_ms: Spread::of(joins.arrived.iter().map(|arrived| arrived.connected)),
            joins_per_s: took.map_or(0.0, |took| joined as f64 / took.max(1e-9)),
            subscriptions: Some(Subscriptions::of(crew)),
            failed: joins.failed,
        }
    }

    pub(crate) fn without_subscriptions(self) -> Self {
        Self { subscriptions: None, ..self }
    }
}

impl Spread {
    fn of(times: impl Iterator<Item = Duration>) -> Self {
        let mut millis: Vec<f64> = times.map(|time| time.as_secs_f64() * 1e3).collect();
        millis.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| millis.get((share * millis.len().saturating_sub(1) as f64).round() as usize).copied();
        let at = |share| at(share).unwrap_or_default();
        Self { p50: at(0.5), p95: at(0.95), max: at(1.0) }
    }
}

impl Subscriptions {
    fn of(crew: &Crew) -> Self {
        crew.participants().map(Participant::progress).fold(Self::default(), |sum, [audio, video]| Self {
            audio: sum.audio + audio.1,
            video: sum.video + video.1,
        })
    }
}

/// A window that is open.
pub(crate) struct Window {
    request: MeasureRequest,
    opened: Instant,
    sums: Sums,
    drops: u64,
    usage: Usage,
}

/// What happened in a window.
#[derive(Debug, Serialize)]
pub(crate) struct WindowReport {
    participants: usize,
    /// Why some ended that were not told to.
    ended: Vec<String>,
    subscriptions: Subscriptions,
    /// RTP packets of publishers.
    sent: u64,
    /// RTP packets of all subscribers, each once.
    received: u64,
    /// That the server sent, by its sequence numbers.
    expected: u64,
    lost: u64,
    reordered: u64,
    duplicated: u64,
    rtx: u64,
    unknown: u64,
    astray: u64,
    unauthentic: u64,
    bytes: u64,
    latency_us: Quantiles,
    spent: Spent,
    /// Share of the window that this process had something to do; it never sleeps.
    own_busy: f64,
    own_drops: u64,
    streams: Streams,
}

#[derive(Debug, Serialize)]
struct Streams {
    /// Received bits per second, by what their publisher sent.
    audio_bps: f64,
    low_bps: f64,
    medium_bps: f64,
    high_bps: f64,
    keyframe_requests_sent: u64,
    keyframe_requests_received: u64,
}

impl Window {
    pub(crate) fn open(crew: &mut Crew, request: MeasureRequest) -> Result<Self, Failure> {
        crew.shared.meter.latencies = Latencies::open();
        let usage = Usage::read(request.pid, request.cores)?;
        Ok(Self { request, opened: Instant::now(), sums: crew.shared.meter.sums, drops: crew.drops(), usage })
    }

    pub(crate) fn close(self, crew: &mut Crew, ended: Vec<String>) -> Result<WindowReport, Failure> {
        let spent = Usage::read(self.request.pid, self.request.cores)?.since(&self.usage);
        let seconds = self.opened.elapsed().as_secs_f64();
        let (before, now) = (&self.sums, crew.shared.meter.sums);
        let layers: [f64; 4] =
            std::array::from_fn(|layer| (now.layers[layer] - before.layers[layer]) as f64 * 8.0 / seconds);
        let [audio_bps, low_bps, medium_bps, high_bps] = layers;
        let received = now.counts.received - before.counts.received;
        let expected = now.counts.expected - before.counts.expected;
        Ok(WindowReport {
            participants: crew.participants().count(),
            ended,
            subscriptions: Subscriptions::of(crew),
            sent: now.sent - before.sent,
            received,
            expected,
            lost: expected.saturating_sub(received),
            reordered: now.counts.reordered - before.counts.reordered,
            duplicated: now.counts.duplicated - before.counts.duplicated,
            rtx: now.rtx - before.rtx,
            unknown: now.unknown - before.unknown,
            astray: now.astray - before.astray,
            unauthentic: now.unauthentic - before.unauthentic,
            bytes: now.bytes - before.bytes,
            latency_us: crew.shared.meter.latencies.close(),
            spent,
            own_busy: now.worked.saturating_sub(before.worked).as_secs_f64() / seconds,
            own_drops: crew.drops().saturating_sub(self.drops),
            streams: Streams {
                audio_bps,
                low_bps,
                medium_bps,
                high_bps,
                keyframe_requests_sent: now.keyframe_requests_sent - before.keyframe_requests_sent,
                keyframe_requests_received: now.keyframe_requests_received - before.keyframe_requests_received,
            },
        })
    }
}

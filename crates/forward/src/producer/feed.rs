//! Where a producer's packets come from, and to which other shards they go.

use std::time::{Duration, Instant};

use crate::pipe::{Demand, PipeId, bit, encodings_of};
use crate::report::NtpOrigin;
use slots::Index;

/// Where packets come from.
#[derive(Debug)]
pub(crate) enum Feed {
    /// A client of this shard.
    Client { transport: Index },
    /// Another shard, which has the client.
    Pipe(Mirror),
}

/// The destination's end of a pipe.
#[derive(Debug)]
pub(crate) struct Mirror {
    pub(crate) pipe: PipeId,
    /// The shard that has the client.
    pub(crate) from: u32,
    /// The source knows of it.
    pub(crate) linked: bool,
    /// The publisher's clock, as its own shard measured it.
    pub(crate) origin: NtpOrigin,
    /// It may have something to tell its source.
    pub(crate) restless: bool,
    /// Nothing is said before, so that a flood of requests ends here.
    quiet_until: Option<Instant>,
    /// When to ask again for keyframes that did not come: the source saw them, but they may be lost on the way.
    ask_again_at: Option<Instant>,
    /// Keyframes to ask for.
    asked: Demand,
    /// What the source believes is wanted and awaited; `None` when that may be wrong.
    told: Option<(u8, u8)>,
    /// News of encodings that came alive.
    heard: u8,
}

impl Mirror {
    pub(crate) fn new(pipe: PipeId, from: u32) -> Self {
        Self {
            pipe,
            from,
            linked: false,
            origin: NtpOrigin::default(),
            restless: false,
            quiet_until: None,
            ask_again_at: None,
            asked: Demand::default(),
            told: Some((0, 0)),
            heard: 0,
        }
    }

    /// An older keyframe is enough only if it is for everybody who asks at this time.
    pub(crate) fn ask(&mut self, encoding: u8, urgent: bool, dark: bool) {
        let bit = bit(encoding);
        let is_first = self.asked.requested & bit == 0;
        self.asked.requested |= bit;
        self.asked.urgent |= if urgent { bit } else { 0 };
        if !dark {
            self.asked.dark &= !bit;
        } else if is_first {
            self.asked.dark |= bit;
        }
    }

    /// An encoding came alive, and is sent without being asked for: the source is told again what is wanted.
    pub(crate) fn handle_alive(&mut self) {
        self.heard = self.heard.wrapping_add(1);
        self.told = None;
    }

    /// What to tell the source now, given what is wanted and awaited.
    pub(crate) fn demand(&mut self, now: Instant, wanted: u8, awaited: u8) -> Option<Demand> {
        if self.ask_again_at.is_some_and(|at| at <= now) {
            self.ask_again_at = None;
            encodings_of(awaited).for_each(|encoding| self.ask(encoding, true, false));
        }
        if !self.has_news(wanted, awaited) || self.quiet_until.is_some_and(|until| now < until) {
            return None;
        }
        self.told = Some((wanted, awaited));
        self.quiet_until = Some(now + SPACING);
        Some(Demand { wanted, awaited, heard: self.heard, ..std::mem::take(&mut self.asked) })
    }

    /// When to look again, after `demand`; `None` while nothing is to be expected.
    pub(crate) fn poll_timeout(&mut self, now: Instant, wanted: u8, awaited: u8) -> Option<Instant> {
        self.ask_again_at = (awaited != 0).then(|| self.ask_again_at.unwrap_or(now + PATIENCE));
        let news = self.quiet_until.filter(|_| self.has_news(wanted, awaited));
        [news, self.ask_again_at].into_iter().flatten().min()
    }

    fn has_news(&self, wanted: u8, awaited: u8) -> bool {
        self.asked.requested != 0 || self.told != Some((wanted, awaited))
    }
}

/// The source's end of a pipe.
#[derive(Debug)]
pub(crate) struct Tap {
    pub(crate) pipe: PipeId,
    pub(crate) to: u32,
    /// Encodings that consumers there are sent or wait for, and those whose keyframe they wait for. Bits.
    wanted: u8,
    awaited: u8,
    /// Of each encoding: everything from this dense number on went through.
    since: [u64; 8],
    /// Of what is before this one, some went through earlier: it cannot go again.
    floor: [u64; 8],
    /// How often the destination was told of an encoding that came alive; wraps.
    told: u8,
}

impl Tap {
    pub(crate) fn new(pipe: PipeId, to: u32) -> Self {
        Self { pipe, to, wanted: 0, awaited: 0, since: [0; 8], floor: [0; 8], told: 0 }
    }

    #[inline]
    pub(crate) fn wants(&self, encoding: u8) -> bool {
        self.wanted & bit(encoding) != 0
    }

    pub(crate) fn awaits(&self, encoding: u8) -> bool {
        self.awaited & bit(encoding) != 0
    }

    /// The destination said what it wants; `next` gives the dense number that an encoding's next packet will have.
    pub(crate) fn handle_demand(&mut self, demand: Demand, next: impl Fn(u8) -> u64) {
        for encoding in encodings_of(demand.wanted & !self.wanted) {
            self.since[usize::from(encoding)] = next(encoding);
        }
        // One that does not know of an encoding yet does not say that nobody there wants it.
        let keeps = if demand.heard == self.told { 0 } else { self.wanted };
        let wanted = demand.wanted | keeps;
        for encoding in encodings_of(self.wanted & !wanted) {
            self.floor[usize::from(encoding)] = next(encoding);
        }
        self.wanted = wanted;
        self.awaited = demand.awaited;
    }

    /// The destination is told that an encoding is alive.
    pub(crate) fn note_alive(&mut self) {
        self.told = self.told.wrapping_add(1);
    }

    /// This encoding goes through from this dense number on, until the destination says otherwise.
    pub(crate) fn offer(&mut self, encoding: u8, next: u64) {
        self.note_alive();
        if !self.wants(encoding) {
            self.wanted |= bit(encoding);
            self.since[usize::from(encoding)] = next;
        }
    }

    /// Whether this packet was before everything that went through; what must follow it up to there then does.
    pub(crate) fn reach_back(&mut self, encoding: u8, dense: u64) -> Option<u64> {
        let (since, floor) = (&mut self.since[usize::from(encoding)], self.floor[usize::from(encoding)]);
        (floor <= dense && dense < *since).then(|| std::mem::replace(since, dense))
    }
}

// Nothing beside the time that a keyframe takes, and a flood of requests becomes 50 messages a second.
const SPACING: Duration = Duration::from_millis(20);
// As long as a source waits before it asks its publisher again.
const PATIENCE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_told_what_changed_and_what_it_may_have_wrong() {
        let (mut now, mut mirror) = (Instant::now(), Mirror::new(PipeId(1), 0));
        assert_eq!((mirror.demand(now, 0, 0), mirror.poll_timeout(now, 0, 0)), (None, None));
        mirror.ask(2, true, false);
        mirror.ask(0, false, false);
        let expected = Demand { wanted: 5, awaited: 4, requested: 5, urgent: 4, ..Demand::default() };
        assert_eq!((mirror.demand(now, 5, 4), mirror.demand(now, 5, 4)), (Some(expected), None));
        mirror.handle_alive();
        assert_eq!((mirror.demand(now, 5, 0), mirror.poll_timeout(now, 5, 0)), (None, Some(now + SPACING)));
        now += SPACING;
        assert_eq!(mirror.demand(now, 5, 0), Some(Demand { wanted: 5, heard: 1, ..Demand::default() }));
        assert_eq!(mirror.poll_timeout(now, 5, 0), None);
    }

    #[test]
    fn a_keyframe_that_does_not_come_is_asked_for_again_and_again() {
        let (mut now, mut mirror) = (Instant::now(), Mirror::new(PipeId(1), 0));
        mirror.ask(0, true, true);
        let mut asked = 0;
        for _ in 0..4 {
            asked += u32::from(mirror.demand(now, 1, 1).is_some_and(|demand| demand.requested == 1));
            assert_eq!(mirror.demand(now + SPACING, 1, 1), None);
            now = mirror.poll_timeout(now, 1, 1).expect("a time to ask again");
        }
        assert_eq!(asked, 4);
        assert!(mirror.demand(now, 1, 0).is_some());
        assert_eq!(mirror.poll_timeout(now, 1, 0), None);
    }

    #[test]
    fn an_older_keyframe_is_asked_for_only_if_it_is_enough_for_all() {
        let now = Instant::now();
        for (asking, dark) in [(&[true, true][..], 1), (&[true, false], 0), (&[false, true], 0)] {
            let mut mirror = Mirror::new(PipeId(1), 0);
            for dark in asking {
                mirror.ask(0, true, *dark);
            }
            assert_eq!(mirror.demand(now, 1, 1).map(|demand| demand.dark), Some(dark), "{asking:?}");
        }
    }

    #[test]
    fn what_was_said_before_the_news_came_does_not_end_an_offer() {
        let mut tap = Tap::new(PipeId(1), 0);
        tap.offer(1, 100);
        tap.handle_demand(Demand { wanted: 1, heard: 0, ..Demand::default() }, |_| 200);
        assert!(tap.wants(0) && tap.wants(1));
        tap.handle_demand(Demand { wanted: 1, heard: 1, ..Demand::default() }, |_| 300);
        assert!(tap.wants(0) && !tap.wants(1));
    }

    #[test]
    fn a_tap_reaches_back_once_to_what_did_not_go_through() {
        let mut tap = Tap::new(PipeId(1), 0);
        tap.handle_demand(Demand { wanted: 1, ..Demand::default() }, |_| 100);
        assert!(tap.wants(0) && !tap.wants(1));
        assert_eq!((tap.reach_back(0, 90), tap.reach_back(0, 90)), (Some(100), None));
        tap.handle_demand(Demand { wanted: 1, awaited: 1, ..Demand::default() }, |_| 200);
        assert!(tap.awaits(0));
        assert_eq!(tap.reach_back(0, 150), None);
    }

    #[test]
    fn a_tap_does_not_reach_back_to_what_went_through_before_a_pause() {
        let mut tap = Tap::new(PipeId(1), 0);
        for (wanted, next) in [(1, 100), (0, 200), (1, 300)] {
            tap.handle_demand(Demand { wanted, ..Demand::default() }, |_| next);
        }
        assert_eq!((tap.reach_back(0, 190), tap.reach_back(0, 200)), (None, Some(300)));
    }
}

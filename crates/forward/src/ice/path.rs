//! The table of a transport's paths: which are validated, what each may be sent, which is selected.
//!
//! Two questions, kept apart: which path does the client *want* (the rules about nominations), and may media go there yet
//! (the proof that whoever sends from there also receives there).

use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use wire::stun::TransactionId;

use crate::{Path, PathProtocol};

/// One path that a verified check came over.
pub(super) struct PathState {
    pub(super) path: Path,
    /// It answered our own check: whoever sends from there also receives there. A TCP handshake shows the same.
    pub(super) validated: bool,
    pub(super) last_verified: Instant,
    pub(super) check: Option<Check>,
    /// Which of our credentials, counted by restarts, its newest check used.
    pub(super) generation: u32,
    /// What the client's checks say its side of the path is worth.
    pub(super) priority: u32,
    /// Order of the newest nomination; 0 when never nominated.
    nomination: u64,
    first_nominated: Option<Instant>,
    last_nominated: Option<Instant>,
    received: u64,
    sent: u64,
}

/// Our own connectivity check on a path.
pub(super) struct Check {
    pub(super) transaction: TransactionId,
    pub(super) retry: Instant,
    pub(super) pause: Duration,
    pub(super) attempts: u8,
}

impl PathState {
    fn new(now: Instant, path: Path) -> Self {
        Self {
            path,
            validated: path.protocol == PathProtocol::Tcp,
            last_verified: now,
            check: None,
            generation: 0,
            priority: 0,
            nomination: 0,
            first_nominated: None,
            last_nominated: None,
            received: 0,
            sent: 0,
        }
    }

    /// Whether `len` more bytes may go there now, with room left for `spare`; if so, they count as sent.
    #[inline]
    pub(super) fn charge(&mut self, len: usize, spare: usize) -> bool {
        let may = self.validated || self.sent + (len + spare) as u64 <= AMPLIFICATION * self.received;
        if may {
            self.sent += len as u64;
        }
        may
    }

    pub(super) fn note_received(&mut self, len: usize) {
        self.received += len as u64;
    }

    fn is_silent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last_verified) > SILENCE
    }

    /// UDP before the relay before TCP, as the candidates say; then the client's own word.
    fn rank(&self) -> (u8, u32) {
        let protocol = match self.path.protocol {
            PathProtocol::Udp => 2,
            PathProtocol::Relay => 1,
            PathProtocol::Tcp => 0,
        };
        (protocol, self.priority)
    }
}

/// At most eight paths, one of them selected.
#[derive(Default)]
pub(super) struct PathTable {
    paths: ArrayVec<PathState, MAX_PATHS>,
    selected: Option<Path>,
    /// The one that the client nominated last, as far as we believe it: selected as soon as it has proven itself.
    wanted: Option<Path>,
    nominations: u64,
    /// Nominations of two paths in turn: how often we followed them, and when one came last.
    followed: u8,
    contested_at: Option<Instant>,
}

impl PathTable {
    #[inline]
    pub(super) fn get(&mut self, path: Path) -> Option<&mut PathState> {
        self.paths.iter_mut().find(|state| state.path == path)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &PathState> {
        self.paths.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut PathState> {
        self.paths.iter_mut()
    }

    pub(super) fn selected(&self) -> Option<Path> {
        self.selected
    }

    /// Adds a path if it is new, in place of the one that was silent for longest; gives the one that had to go.
    pub(super) fn add(&mut self, now: Instant, path: Path) -> Option<Path> {
        let selected = self.selected;
        let mut forgotten = None;
        if self.paths.is_full() {
            let others = (0..self.paths.len()).filter(|at| Some(self.paths[*at].path) != selected);
            if let Some(oldest) = others.min_by_key(|at| self.paths[*at].last_verified) {
                forgotten = Some(self.paths.swap_remove(oldest).path);
            }
        }
        if forgotten == self.wanted {
            self.wanted = selected;
        }
        self.paths.push(PathState::new(now, path));
        forgotten
    }

    /// A path is gone for good. Gives the one that is selected in its stead, if it was selected and there is another.
    pub(super) fn remove(&mut self, now: Instant, path: Path) -> Option<Path> {
        self.paths.retain(|state| state.path != path);
        if self.wanted == Some(path) {
            self.wanted = self.selected;
        }
        if self.selected != Some(path) {
            return None;
        }
        let worth =
            |state: &&PathState| (state.validated && !state.is_silent(now), state.nomination, state.last_verified);
        self.selected = self.paths.iter().max_by_key(worth).map(|state| state.path);
        self.wanted = self.selected;
        self.selected
    }

    /// A check with USE-CANDIDATE came over `path`.
    pub(super) fn nominate(&mut self, now: Instant, path: Path) {
        let is_believed = self.believes(now, path);
        self.nominations += 1;
        let nomination = self.nominations;
        if let Some(state) = self.get(path) {
            state.nomination = nomination;
            state.first_nominated.get_or_insert(now);
            state.last_nominated = Some(now);
        }
        if is_believed {
            self.wanted = Some(path);
        }
    }

    /// After a verified message over `path`: selects it when the client wants it and it has proven itself, or when nothing
    /// speaks for the one selected now. One that was nominated and proven does not wait for one that is not proven. Gives it
    /// if that changed anything.
    pub(super) fn reconsider(&mut self, now: Instant, path: Path) -> Option<Path> {
        let candidate = self.paths.iter().find(|state| state.path == path)?;
        let current = self.paths.iter().find(|state| Some(state.path) == self.selected);
        let is_wanted = current.is_none_or(|current| {
            let proven = candidate.validated || !current.validated;
            current.is_silent(now) || (self.wanted == Some(path) && proven)
        });
        let serves_meanwhile =
            candidate.validated && candidate.nomination > 0 && current.is_some_and(|current| !current.validated);
        if self.selected == Some(path) || !(is_wanted || serves_meanwhile) {
            return None;
        }
        self.selected = Some(path);
        if is_wanted {
            self.wanted = Some(path);
        }
        Some(path)
    }

    /// Whether a nomination of `path` says that the client means to use it and not the one that it wanted before.
    ///
    /// The newest nomination wins, except with clients that nominate every pair (RFC 5245 section 8.1.1.2): there the one with
    /// the highest priority counts.
    fn believes(&mut self, now: Instant, path: Path) -> bool {
        let find = |wanted: Option<Path>| self.paths.iter().find(|state| Some(state.path) == wanted);
        let (Some(next), Some(wanted)) = (find(Some(path)), find(self.wanted)) else {
            return true;
        };
        if next.path == wanted.path || next.generation > wanted.generation || wanted.is_silent(now) {
            return true;
        }
        if next.rank() > wanted.rank() {
            return true;
        }
        let within = |at: Option<Instant>, time| at.is_some_and(|at| now < at + time);
        let is_lower = next.rank() < wanted.rank();
        let is_contested = wanted.nomination > next.nomination && within(next.last_nominated, CALM);
        if is_lower || next.path.remote == wanted.path.remote {
            let checklist_runs = within(wanted.first_nominated, CHECKLIST) || within(wanted.last_nominated, AT_ONCE);
            if checklist_runs || (is_lower && is_contested) {
                return false;
            }
        }
        !is_contested || self.follows(now)
    }

    /// The client nominates several paths of one worth in turn. It may have changed its mind once or twice, but not for ever.
    fn follows(&mut self, now: Instant) -> bool {
        if self.contested_at.replace(now).is_none_or(|at| now > at + CALM) {
            self.followed = 0;
        }
        self.followed = self.followed.saturating_add(1);
        self.followed <= MAX_FOLLOWED
    }
}

const MAX_PATHS: usize = 8;
// RFC 9000 section 8.1 has the same problem and the same number.
const AMPLIFICATION: u64 = 3;
// Longer than the longest pause between two checks of a client that is well: 2.5 s with libwebrtc, 6 s with Firefox.
const SILENCE: Duration = Duration::from_secs(7);
// A client that nominates every pair has done so after some seconds.
const CHECKLIST: Duration = Duration::from_secs(3);
const AT_ONCE: Duration = Duration::from_millis(100);
// Who nominated another path for so long, and comes back, means it.
const CALM: Duration = Duration::from_secs(30);
const MAX_FOLLOWED: u8 = 2;

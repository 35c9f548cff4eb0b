//! The table of a transport's paths: which are validated, what each may be sent, which is selected.

use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use wire::stun::TransactionId;

use crate::Path;

/// One path that a verified check came over.
pub(super) struct PathState {
    pub(super) path: Path,
    /// It answered our own check: whoever sends from there also receives there.
    pub(super) validated: bool,
    pub(super) last_verified: Instant,
    /// Order of the newest nomination; 0 when never nominated.
    pub(super) nomination: u64,
    pub(super) check: Option<Check>,
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
        Self { path, validated: false, last_verified: now, nomination: 0, check: None, received: 0, sent: 0 }
    }

    /// Whether `len` more bytes may go there now.
    pub(super) fn may_send(&self, len: usize) -> bool {
        self.validated || self.sent + len as u64 <= AMPLIFICATION * self.received
    }

    pub(super) fn note_sent(&mut self, len: usize) {
        self.sent += len as u64;
    }

    pub(super) fn note_received(&mut self, len: usize) {
        self.received += len as u64;
    }
}

/// At most eight paths, one of them selected.
#[derive(Default)]
pub(super) struct PathTable {
    paths: ArrayVec<PathState, MAX_PATHS>,
    selected: Option<Path>,
    nominations: u64,
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
        self.paths.push(PathState::new(now, path));
        forgotten
    }

    /// A check with USE-CANDIDATE: gives the path when that makes it the selected one.
    pub(super) fn nominate(&mut self, now: Instant, path: Path) -> Option<Path> {
        self.nominations += 1;
        let nomination = self.nominations;
        if let Some(state) = self.get(path) {
            state.nomination = nomination;
        }
        self.reconsider(now, path)
    }

    /// Selects `path` when nothing speaks for the one selected now.
    ///
    /// Media moves to a nominated path as soon as it has answered our check; until then the old one, if it is any good, carries on.
    pub(super) fn reconsider(&mut self, now: Instant, path: Path) -> Option<Path> {
        let candidate = self.paths.iter().find(|state| state.path == path)?;
        let current = self.paths.iter().find(|state| Some(state.path) == self.selected);
        let better = current.is_none_or(|current| {
            let silent = now.saturating_duration_since(current.last_verified) > SILENCE;
            candidate.nomination > current.nomination && (candidate.validated || !current.validated || silent)
        });
        if !better || self.selected == Some(path) {
            return None;
        }
        self.selected = Some(path);
        Some(path)
    }
}

const MAX_PATHS: usize = 8;
// RFC 9000 section 8.1 has the same problem and the same number.
const AMPLIFICATION: u64 = 3;
// Two of libwebrtc's check intervals on a working connection (2.5 s).
const SILENCE: Duration = Duration::from_secs(5);

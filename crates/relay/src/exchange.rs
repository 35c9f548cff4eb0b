//! Requests that the driver has not answered yet, and the answers that a client may need to see again (RFC 8489 section 6.3.1).
//!
//! Bounded in every direction; nothing is remembered of who did not show good credentials.

use std::collections::{HashMap, VecDeque};

use wire::stun::{Method, TransactionId};

use crate::bucket::Nanos;
use crate::hash::HashKey;
use crate::{ClientId, RequestId};
use slots::Index;

/// One request of a client.
pub(crate) struct Exchange {
    pub(crate) transaction: TransactionId,
    pub(crate) request: RequestId,
    pub(crate) state: State,
}

pub(crate) enum State {
    Waiting(Asked),
    /// The whole message.
    Answered(Box<[u8]>),
}

/// How to answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) sha256: bool,
    pub(crate) fingerprint: bool,
    /// Counted against the client's network until it turns out to be no stranger.
    pub(crate) charged: bool,
}

/// Something that ends at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Due {
    at: Nanos,
    pub(crate) client: ClientId,
    pub(crate) request: RequestId,
}

/// Of all clients: what waits, and when what is forgotten.
pub(crate) struct Ledger {
    waiting: HashMap<RequestId, Index, HashKey>,
    /// Of what waits or waited, in order of time.
    waits: VecDeque<Due>,
    /// Of what is, or was, remembered; in order of time.
    answers: VecDeque<Due>,
    answers_bytes: usize,
    next: u64,
}

impl Exchange {
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting(_))
    }
}

impl Ledger {
    pub(crate) fn new(hash: HashKey) -> Self {
        Self {
            waiting: HashMap::with_hasher(hash),
            waits: VecDeque::new(),
            answers: VecDeque::new(),
            answers_bytes: 0,
            next: 1,
        }
    }

    /// Whether no more request may wait.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() >= WAITING_MAX
    }

    pub(crate) fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn answers_bytes(&self) -> usize {
        self.answers_bytes
    }

    /// One more request waits.
    pub(crate) fn wait(&mut self, now: Nanos, at: Index, client: ClientId) -> RequestId {
        let request = RequestId(self.next);
        self.next += 1;
        self.waiting.insert(request, at);
        self.waits.push_back(Due { at: now + KEPT, client, request });
        if self.waits.len() > 2 * WAITING_MAX {
            // Most were answered long ago.
            let waiting = &self.waiting;
            self.waits.retain(|due| waiting.contains_key(&due.request));
        }
        request
    }

    /// It waits no longer; whose it was.
    pub(crate) fn answer(&mut self, request: RequestId) -> Option<Index> {
        self.waiting.remove(&request)
    }

    /// Its answer is kept from now on.
    pub(crate) fn remember(&mut self, now: Nanos, client: ClientId, request: RequestId, bytes: usize) {
        self.answers_bytes += bytes + ANSWER_OVERHEAD;
        self.answers.push_back(Due { at: now + KEPT, client, request });
    }

    /// An answer of so many bytes was forgotten.
    pub(crate) fn forget(&mut self, bytes: usize) {
        self.answers_bytes -= bytes + ANSWER_OVERHEAD;
    }

    /// An answer to forget: its time is over, or there are too many.
    pub(crate) fn poll_old_answer(&mut self, now: Nanos) -> Option<Due> {
        let many = self.answers_bytes > ANSWERS_BYTES_MAX || self.answers.len() > ANSWERS_MAX;
        let due = self.answers.front().is_some_and(|due| many || due.at <= now);
        due.then(|| self.answers.pop_front())?
    }

    /// A request to give up, if it still waits.
    pub(crate) fn poll_old_wait(&mut self, now: Nanos) -> Option<RequestId> {
        let due = self.waits.front().is_some_and(|due| due.at <= now);
        due.then(|| self.waits.pop_front())?.map(|due| due.request)
    }

    pub(crate) fn next_timeout(&self) -> Option<Nanos> {
        [&self.waits, &self.answers].into_iter().filter_map(|queue| queue.front()).map(|due| due.at).min()
    }
}

/// What one client may have waiting: with many candidates on both sides a browser asks for all permissions at once.
pub(crate) const CLIENT_WAITING_MAX: usize = 32;
/// What is remembered for one client: the last answers, since answers are lost in twos and threes.
pub(crate) const CLIENT_ANSWERS_MAX: usize = 8;
/// What may wait in all: some seconds of Python's work, and far from the memory of anything.
pub(crate) const WAITING_MAX: usize = 4096;
/// 40 s: a client asks for 39.5 s (RFC 8489 section 6.2.1).
const KEPT: Nanos = 40_000_000_000;
/// 4 MiB, the overhead of each counted: some 20,000.
const ANSWERS_BYTES_MAX: usize = 4 << 20;
const ANSWERS_MAX: usize = 1 << 15;
/// Of one answer, beside its bytes: its exchange, its due time, what the allocator adds.
const ANSWER_OVERHEAD: usize = size_of::<Exchange>() + size_of::<Due>() + 16;

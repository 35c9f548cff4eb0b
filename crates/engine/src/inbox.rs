//! One shard's inbox: what its driver wants of it, and the signal that wakes it up.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use forward::Command;
use netio::EventFd;

use crate::lock;

/// Locked for the length of a move, never while a command is carried out.
pub(crate) struct Inbox {
    waiting: Mutex<Orders>,
    signal: EventFd,
    failed: AtomicBool,
}

/// Everything that waits for a shard.
#[derive(Default)]
pub(crate) struct Orders {
    pub(crate) commands: Vec<Command>,
    /// End at this time at the latest.
    pub(crate) stop: Option<Instant>,
    pub(crate) crash: bool,
}

impl Inbox {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { waiting: Mutex::default(), signal: EventFd::new()?, failed: AtomicBool::new(false) })
    }

    // ---- the driver's side

    pub(crate) fn push(&self, mut commands: Vec<Command>) {
        lock(&self.waiting).commands.append(&mut commands);
        self.signal.signal();
    }

    pub(crate) fn stop(&self, within: Duration) {
        lock(&self.waiting).stop = Some(Instant::now() + within);
        self.signal.signal();
    }

    pub(crate) fn crash(&self) {
        lock(&self.waiting).crash = true;
        self.signal.signal();
    }

    /// Nobody will read this inbox any more.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    // ---- the shard's side

    pub(crate) fn take(&self) -> Orders {
        // Cleared before the look, so that whatever is pushed after it signals again.
        self.signal.clear();
        std::mem::take(&mut *lock(&self.waiting))
    }

    pub(crate) fn set_failed(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signal.as_fd()
    }
}

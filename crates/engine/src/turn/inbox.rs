//! What waits for TURN's thread: commands of the driver, and packets of the shards to clients on connections.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use netio::EventFd;

use super::{Done, TurnCommand};
use crate::lock;

/// Locked for the length of a move.
pub(crate) struct TurnInbox {
    waiting: Mutex<Waiting>,
    signal: EventFd,
    stop: AtomicBool,
    /// Nobody reads it any more.
    ended: AtomicBool,
    /// Packets that found no room.
    dropped: AtomicU64,
}

/// Everything that waits.
#[derive(Default)]
pub(crate) struct Waiting {
    pub(crate) commands: Vec<TurnCommand>,
    pub(crate) done: Vec<Done>,
    pub(crate) answers: Answer,
    pub(crate) crash: bool,
}

/// Datagrams of media sockets to relayed addresses, by value.
#[derive(Default)]
pub(crate) struct Answer {
    bytes: Vec<u8>,
    /// Media address, relayed address, and where the payload ends.
    packets: Vec<(SocketAddr, SocketAddr, usize)>,
}

impl Answer {
    pub(crate) fn push(&mut self, media: SocketAddr, relayed: SocketAddr, payload: &[u8]) {
        self.bytes.extend_from_slice(payload);
        self.packets.push((media, relayed, self.bytes.len()));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// (media address, relayed address, payload) in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SocketAddr, SocketAddr, &[u8])> {
        let mut start = 0;
        self.packets.iter().map(move |(media, relayed, end)| {
            let payload = &self.bytes[start..*end];
            start = *end;
            (*media, *relayed, payload)
        })
    }

    fn append(&mut self, other: &mut Self) {
        let base = self.bytes.len();
        self.bytes.append(&mut other.bytes);
        self.packets.extend(other.packets.drain(..).map(|(media, relayed, end)| (media, relayed, base + end)));
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.packets.clear();
    }
}

impl TurnInbox {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            waiting: Mutex::default(),
            signal: EventFd::new()?,
            stop: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
        })
    }

    /// Without a thread to carry them out, commands are forgotten and `done` with them.
    pub(crate) fn push(&self, mut commands: Vec<TurnCommand>, done: Option<Done>) {
        let mut waiting = lock(&self.waiting);
        if self.ended.load(Ordering::Relaxed) {
            return;
        }
        waiting.commands.append(&mut commands);
        waiting.done.extend(done);
        drop(waiting);
        self.signal.signal();
    }

    /// From a shard; never waits. What finds no room is dropped.
    pub(crate) fn push_answers(&self, answers: &mut Answer) {
        let mut waiting = lock(&self.waiting);
        let fits = waiting.answers.bytes.len() + answers.bytes.len() <= MAX_ANSWER_BYTES;
        if fits && !self.ended.load(Ordering::Relaxed) {
            waiting.answers.append(answers);
        } else {
            self.dropped.fetch_add(answers.packets.len() as u64, Ordering::Relaxed);
            answers.clear();
        }
        drop(waiting);
        self.signal.signal();
    }

    pub(crate) fn crash(&self) {
        lock(&self.waiting).crash = true;
        self.signal.signal();
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.signal.signal();
    }

    // ---- the thread's side

    pub(crate) fn take(&self) -> Waiting {
        // Cleared before the look, so that whatever is pushed after it signals again.
        self.signal.clear();
        std::mem::take(&mut *lock(&self.waiting))
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// What waits is let go, and so is whatever comes.
    pub(crate) fn set_ended(&self) {
        let mut waiting = lock(&self.waiting);
        self.ended.store(true, Ordering::Relaxed);
        *waiting = Waiting::default();
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl AsFd for TurnInbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signal.as_fd()
    }
}

/// 20 ms of 1.6 Gbit/s.
const MAX_ANSWER_BYTES: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn answer(port: u16, payloads: &[&[u8]]) -> Answer {
        let mut answer = Answer::default();
        for payload in payloads {
            answer.push(address(1), address(port), payload);
        }
        answer
    }

    #[test]
    fn what_several_shards_say_keeps_its_bytes_and_its_order() {
        let inbox = TurnInbox::new().expect("an eventfd");
        for mut each in [answer(2, &[b"one", b"", b"three"]), answer(3, &[b"four"])] {
            inbox.push_answers(&mut each);
            assert!(each.is_empty(), "to be used again");
        }
        let waiting = inbox.take();
        let taken: Vec<_> = waiting.answers.iter().collect();
        let expected: [(u16, &[u8]); 4] = [(2, b"one"), (2, b""), (2, b"three"), (3, b"four")];
        assert_eq!(taken, expected.map(|(port, payload)| (address(1), address(port), payload)));
        assert!(inbox.take().answers.is_empty());
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_counted() {
        let inbox = TurnInbox::new().expect("an eventfd");
        let full = vec![0; MAX_ANSWER_BYTES - 1];
        inbox.push_answers(&mut answer(2, &[&full]));
        let mut late = answer(3, &[b"too", b"late"]);
        inbox.push_answers(&mut late);
        assert_eq!((inbox.dropped(), late.is_empty()), (2, true));
        inbox.push_answers(&mut answer(4, &[b"!"]));
        assert_eq!(inbox.take().answers.iter().count(), 2);
    }

    #[test]
    fn nothing_waits_for_a_thread_that_has_ended() {
        let inbox = TurnInbox::new().expect("an eventfd");
        let (done, wait) = std::sync::mpsc::channel();
        inbox.push(Vec::new(), Some(done.clone()));
        inbox.set_ended();
        inbox.push(Vec::new(), Some(done));
        assert!(wait.recv().is_err(), "whoever waits learns that nobody is there");
        inbox.push_answers(&mut answer(2, &[b"more"]));
        assert!(inbox.take().answers.is_empty());
        assert_eq!(inbox.dropped(), 1);
    }
}

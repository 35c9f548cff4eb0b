//! One shard's inbox: what its driver wants of it, what other shards pipe to it, and the signal that wakes it up.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use forward::{Command, PipeBatch, PipeCommand};
use netio::EventFd;

use crate::lock;
use crate::tcp::Accepted;
use crate::turn::{MediaBatch, ShardOrder};

/// Locked for the length of a move, never while a command is carried out.
pub(crate) struct Inbox {
    waiting: Mutex<Waiting>,
    signal: EventFd,
    failed: AtomicBool,
}

/// What the driver, or the router in its name, wants of a shard.
#[derive(Debug, Clone)]
pub(crate) enum Order {
    Command(Command),
    Pipe(PipeCommand),
}

/// Everything that waits for a shard. Orders come first: a pipe's mirror is there before anything comes out of it.
#[derive(Default)]
pub(crate) struct Waiting {
    pub(crate) orders: Vec<Order>,
    pub(crate) pipes: Vec<PipeBatch>,
    /// Of those, in bytes.
    piped: usize,
    /// Batches that were emptied, for whoever pushes next.
    spent: Vec<PipeBatch>,
    pub(crate) connections: Vec<Accepted>,
    /// Of TURN's thread, in order.
    pub(crate) turn: Vec<ShardOrder>,
    /// Bytes of packets among that.
    relayed: usize,
    /// End at this time at the latest.
    pub(crate) stop: Option<Instant>,
    pub(crate) crash: bool,
}

impl Inbox {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { waiting: Mutex::default(), signal: EventFd::new()?, failed: AtomicBool::new(false) })
    }

    // ---- the driver's side

    pub(crate) fn push(&self, mut orders: Vec<Order>) {
        lock(&self.waiting).orders.append(&mut orders);
        self.signal.signal();
    }

    /// False, and the connection closed, when the shard is gone.
    pub(crate) fn push_connection(&self, accepted: Accepted) -> bool {
        let mut waiting = lock(&self.waiting);
        if self.has_failed() {
            return false;
        }
        waiting.connections.push(accepted);
        drop(waiting);
        self.signal.signal();
        true
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

    // ---- the side of other shards

    /// Hands over what was piped; never waits. Gives the number of packets dropped because the shard is behind, and an
    /// emptied batch to use again.
    pub(crate) fn push_pipe(&self, mut batch: PipeBatch) -> (usize, Option<PipeBatch>) {
        if self.has_failed() {
            return (batch.packets(), None);
        }
        let mut waiting = lock(&self.waiting);
        let fits = waiting.piped + batch.weight() <= MAX_PIPED_BYTES;
        let dropped = if fits { 0 } else { batch.shed() };
        if batch.is_empty() {
            return (dropped, Some(batch));
        }
        waiting.piped += batch.weight();
        waiting.pipes.push(batch);
        let spent = waiting.spent.pop();
        drop(waiting);
        self.signal.signal();
        (dropped, spent)
    }

    // ---- the side of TURN's thread

    /// What is no packet is never lost.
    pub(crate) fn push_turn(&self, order: ShardOrder) {
        let mut waiting = lock(&self.waiting);
        if self.has_failed() {
            return;
        }
        waiting.turn.push(order);
        drop(waiting);
        self.signal.signal();
    }

    /// Hands over packets; never waits. Gives the number dropped because the shard is behind, or gone.
    pub(crate) fn push_media(&self, batch: MediaBatch) -> usize {
        let mut waiting = lock(&self.waiting);
        if self.has_failed() || waiting.relayed + batch.byte_count() > MAX_PIPED_BYTES {
            return batch.len();
        }
        waiting.relayed += batch.byte_count();
        waiting.turn.push(ShardOrder::Packets(batch));
        drop(waiting);
        self.signal.signal();
        0
    }

    // ---- the shard's side

    /// Takes all that waits, and gives back the batches that were taken before.
    pub(crate) fn take(&self, spent: &mut Vec<PipeBatch>) -> Waiting {
        // Cleared before the look, so that whatever is pushed after it signals again.
        self.signal.clear();
        let mut waiting = lock(&self.waiting);
        let mut taken = std::mem::take(&mut *waiting);
        waiting.spent = std::mem::take(&mut taken.spent);
        waiting.spent.append(spent);
        waiting.spent.truncate(MAX_SPENT);
        taken
    }

    /// Nobody reads it any more: what waits is let go, and connections are closed.
    pub(crate) fn set_failed(&self) {
        let mut waiting = lock(&self.waiting);
        self.failed.store(true, Ordering::Relaxed);
        *waiting = Waiting::default();
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signal.as_fd()
    }
}

/// 20 ms of 1.6 Gbit/s. A shard that is further behind than that sends pictures that nobody wants any more.
const MAX_PIPED_BYTES: usize = 4 << 20;
const MAX_SPENT: usize = 8;

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use forward::Path;

    use super::*;

    #[test]
    fn a_shard_that_is_behind_loses_packets_and_nothing_else() {
        let inbox = Inbox::new().expect("an eventfd");
        let packets = || PipeBatch::of_packets(1_000, 1_200);
        let dropped: Vec<usize> = (0..4).map(|_| inbox.push_pipe(packets()).0).collect();
        assert_eq!(dropped, [0, 0, 0, 1_000]);
        let (dropped, back) = inbox.push_pipe(PipeBatch::of_packets_only(1_000, 1_200));
        assert!(dropped == 1_000 && back.is_some(), "a batch without news does not even wait");
        let taken = inbox.take(&mut Vec::new());
        assert_eq!(taken.pipes.iter().map(PipeBatch::packets).collect::<Vec<_>>(), [1_000, 1_000, 1_000, 0]);
        assert!(taken.pipes[3].weight() > 0, "its news came");
        assert_eq!(inbox.push_pipe(packets()).0, 0, "it has caught up");
    }

    #[test]
    fn emptied_batches_go_back_to_those_who_push() {
        let inbox = Inbox::new().expect("an eventfd");
        assert!(inbox.push_pipe(PipeBatch::of_packets(1, 100)).1.is_none());
        let mut spent = inbox.take(&mut Vec::new()).pipes;
        inbox.take(&mut spent);
        assert!(spent.is_empty());
        assert!(inbox.push_pipe(PipeBatch::of_packets(1, 100)).1.is_some());
        assert!(inbox.push_pipe(PipeBatch::of_packets(1, 100)).1.is_none());
    }

    #[test]
    fn nothing_waits_for_a_shard_that_is_gone() {
        let inbox = Inbox::new().expect("an eventfd");
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback can be bound");
        let address = listener.local_addr().expect("bound");
        let connect = || {
            let client = TcpStream::connect(address).expect("loopback");
            let (stream, remote) = listener.accept().expect("a connection");
            (client, Accepted { stream, path: Path::tcp(address, remote), first: Vec::new() })
        };
        let (mut before, accepted) = connect();
        assert!(inbox.push_connection(accepted));
        inbox.set_failed();
        let (mut after, accepted) = connect();
        assert!(!inbox.push_connection(accepted));
        for client in [&mut before, &mut after] {
            assert_eq!(client.read(&mut [0; 1]).expect("no error"), 0, "it is closed");
        }
        assert_eq!(inbox.push_pipe(PipeBatch::of_packets(7, 100)).0, 7);
        assert!(inbox.take(&mut Vec::new()).pipes.is_empty());
    }
}

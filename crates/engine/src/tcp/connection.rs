//! One client's connection, as its shard keeps it.

use std::io::{self, Read};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use forward::Path;

use super::frames::Deframer;
use super::write_queue::WriteQueue;

pub(super) struct Connection {
    pub(super) path: Path,
    stream: TcpStream,
    inbound: Deframer,
    outbound: WriteQueue,
    /// Something came, or it was told to end.
    pub(super) active_at: Instant,
    /// The poller watches for room to write.
    pub(super) awaits_room: bool,
    /// It is in the list of those with something to write.
    pub(super) is_dirty: bool,
    /// It belongs to nobody any more, and ends when all is written.
    pub(super) is_ending: bool,
}

/// Where one reading stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadEnd {
    /// Nothing is left for now, or this turn's share was used up.
    Later,
    /// The client closed it, or it broke.
    Closed,
}

impl Connection {
    pub(super) fn new(now: Instant, stream: TcpStream, path: Path) -> Self {
        Self {
            path,
            stream,
            inbound: Deframer::default(),
            outbound: WriteQueue::default(),
            active_at: now,
            awaits_room: false,
            is_dirty: false,
            is_ending: false,
        }
    }

    /// Reads once, `buffer` at most, and gives the number of bytes and of useless frames with where it stopped.
    pub(super) fn read(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        handle: impl FnMut(&mut [u8]),
    ) -> (usize, u64, ReadEnd) {
        let count = match self.stream.read(buffer) {
            Ok(0) => return (0, 0, ReadEnd::Closed),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return (0, 0, ReadEnd::Later);
            }
            Err(_) => return (0, 0, ReadEnd::Closed),
        };
        self.active_at = now;
        self.inbound.push(&mut buffer[..count], handle);
        (count, self.inbound.take_oversize(), ReadEnd::Later)
    }

    pub(super) fn push(&mut self, datagram: &[u8]) -> bool {
        self.outbound.push(datagram)
    }

    /// True when all is written.
    pub(super) fn write(&mut self) -> io::Result<bool> {
        self.outbound.write_to(&mut self.stream)
    }

    pub(super) fn is_written(&self) -> bool {
        self.outbound.is_empty()
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

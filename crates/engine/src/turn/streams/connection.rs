//! One client's connection.

use std::io::{self, Read};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use relay::ClientAddress;

use super::End;
use super::splitter::{NotTurn, Splitter};
use super::tls::Tls;
use crate::byte_queue::ByteQueue;

pub(super) struct Connection {
    pub(super) client: ClientAddress,
    stream: TcpStream,
    tls: Option<Tls>,
    inbound: Splitter,
    outbound: ByteQueue,
    /// Its client has shown who it is.
    pub(super) is_kept: bool,
    /// It is in the list of those with something to write.
    pub(super) is_dirty: bool,
    /// The poller watches for room to write.
    pub(super) awaits_room: bool,
    /// Since when it has taken nothing of what waits, as far as was looked.
    pub(super) stalled_since: Option<Instant>,
}

impl Connection {
    pub(super) fn new(client: ClientAddress, stream: TcpStream, tls: Option<Tls>) -> Self {
        Self {
            client,
            stream,
            tls,
            inbound: Splitter::default(),
            outbound: ByteQueue::default(),
            is_kept: false,
            is_dirty: false,
            awaits_room: false,
            stalled_since: None,
        }
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(Tls::is_handshaking)
    }

    /// A part of the handshake found no room.
    pub(super) fn wants_write(&self) -> bool {
        self.tls.as_ref().is_some_and(Tls::wants_write)
    }

    /// Goes one step on with the handshake. Messages that come right behind it wait for `read`.
    pub(super) fn shake_hands(&mut self, buffer: &mut [u8]) -> Result<(), End> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        let len = buffer.len().min(tls.read_len());
        let count = read(&mut self.stream, &mut buffer[..len])?;
        tls.push(&buffer[..count], &mut &self.stream, None)?;
        self.write().map(drop).map_err(|_| End::Closed)
    }

    /// Reads once, `buffer` at most, and gives the number of bytes.
    pub(super) fn read(&mut self, buffer: &mut [u8], handle: &mut dyn FnMut(&[u8])) -> Result<usize, End> {
        let max_len = if self.is_kept { usize::MAX } else { FIRST_LEN };
        let count = read(&mut self.stream, buffer)?;
        let mut split = |bytes: &[u8]| self.inbound.push(bytes, max_len, handle).map_err(|NotTurn| End::NotTurn);
        match &mut self.tls {
            Some(tls) => tls.push(&buffer[..count], &mut &self.stream, Some(&mut split))?,
            None => split(&buffer[..count])?,
        }
        Ok(count)
    }

    /// Room for one message; `None` when it is to be dropped.
    pub(super) fn reserve(&mut self, len: usize) -> Option<&mut [u8]> {
        (self.outbound.len() + len <= MAX_QUEUED).then(|| self.outbound.room(len))
    }

    /// True when all is written.
    pub(super) fn write(&mut self) -> io::Result<bool> {
        let before = self.untaken();
        let all_written = match &mut self.tls {
            Some(tls) => tls.write(&mut self.outbound, &mut &self.stream)?,
            None => self.outbound.write_to(&mut &self.stream)?,
        };
        if all_written || self.untaken() != before {
            self.stalled_since = None;
        }
        Ok(all_written)
    }

    /// Writes what can be written at once, before it is dropped.
    pub(super) fn close(&mut self) {
        if self.write().is_ok()
            && let Some(tls) = &mut self.tls
        {
            tls.close(&mut &self.stream);
        }
    }

    /// Changes whenever the socket takes something.
    fn untaken(&self) -> (usize, u64) {
        (self.outbound.len(), self.tls.as_ref().map_or(0, Tls::written_bytes))
    }

    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.inbound.capacity() + self.outbound.capacity()
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// 0: nothing for now.
fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<usize, End> {
    match stream.read(buffer) {
        Ok(0) => Err(End::Closed),
        Ok(count) => Ok(count),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(0),
        Err(_) => Err(End::Closed),
    }
}

/// What a client that is not authenticated may make us hold: requests with long tokens are shorter.
const FIRST_LEN: usize = 4 << 10;
/// Half a second of 4 Mbit/s, on top of what the kernel holds. Media that is older is of no use to a call.
const MAX_QUEUED: usize = 256 << 10;

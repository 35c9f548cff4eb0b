//! Bytes on their way into a connection: partial writes are continued, and a burst's memory is given back.

use std::io::{self, Write};

/// Bytes that were not taken yet. Whoever fills it bounds it.
#[derive(Default)]
pub(crate) struct ByteQueue {
    bytes: Vec<u8>,
    /// Taken already.
    start: usize,
}

impl ByteQueue {
    /// Adds so many bytes, for the caller to write.
    pub(crate) fn room(&mut self, len: usize) -> &mut [u8] {
        let end = self.bytes.len();
        self.bytes.resize(end + len, 0);
        &mut self.bytes[end..]
    }

    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// What waits, oldest first.
    pub(crate) fn waiting(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// So many of the oldest were taken.
    pub(crate) fn take(&mut self, count: usize) {
        self.start += count;
        self.tidy();
    }

    /// Writes as much as `stream` takes, which is true when that was all. An error ends the connection.
    pub(crate) fn write_to(&mut self, stream: &mut impl Write) -> io::Result<bool> {
        while !self.is_empty() {
            match stream.write(self.waiting()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.start += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.tidy();
        Ok(self.is_empty())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Moves what waits to the front once that is less than what was taken, and lets go of what a burst has needed.
    fn tidy(&mut self) {
        if self.start > self.len() {
            self.bytes.drain(..self.start);
            self.start = 0;
            if self.bytes.is_empty() && self.bytes.capacity() > KEPT_BYTES {
                self.bytes = Vec::new();
            }
        }
    }
}

/// Of an idle connection: there may be thousands.
pub(crate) const KEPT_BYTES: usize = 4 << 10;

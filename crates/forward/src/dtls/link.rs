//! The memory pipe between OpenSSL and us: one datagram in, written bytes out.

use std::io::{self, Read, Write};

/// What OpenSSL believes to be its socket.
#[derive(Default)]
pub(super) struct Link {
    inbound: Option<Vec<u8>>,
    outbound: Vec<u8>,
}

impl Link {
    /// The datagram that the next read gives.
    pub(super) fn put(&mut self, datagram: &[u8]) {
        self.inbound = Some(datagram.to_vec());
    }

    /// The records written since the last call, back to back.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outbound)
    }
}

impl Read for Link {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let datagram = self.inbound.take().ok_or(io::ErrorKind::WouldBlock)?;
        let len = datagram.len().min(buf.len());
        buf[..len].copy_from_slice(&datagram[..len]);
        Ok(len)
    }
}

impl Write for Link {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.outbound.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

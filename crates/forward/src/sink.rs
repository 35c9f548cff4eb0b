//! Where datagrams go: the send queue of the I/O layer, or a vector in tests.

use crate::Path;

/// Takes outgoing datagrams without a copy: the caller writes into the room that the sink owns.
pub trait DatagramSink {
    /// Room for one datagram of at most `max_len` bytes. The caller writes it and calls `commit`, or forgets about it.
    fn reserve(&mut self, path: Path, max_len: usize) -> &mut [u8];

    /// The datagram in the last reserved room is `len` bytes long and may go.
    fn commit(&mut self, len: usize);
}

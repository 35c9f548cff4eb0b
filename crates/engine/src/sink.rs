//! The forwarder's sink is the I/O layer's send queue.

use forward::{DatagramSink, Path};
use netio::SendQueue;

pub(crate) struct Sink<'a>(pub(crate) &'a mut SendQueue);

impl DatagramSink for Sink<'_> {
    fn reserve(&mut self, path: Path, max_len: usize) -> &mut [u8] {
        self.0.reserve(path.local, path.remote, max_len)
    }

    fn commit(&mut self, len: usize) {
        self.0.commit(len);
    }
}

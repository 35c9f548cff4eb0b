//! The forwarder's sink: the I/O layer's send queue, the connection that a path is, or the way to a client behind the relay.

use forward::{DatagramSink, Path, PathProtocol};
use netio::SendQueue;

use crate::tcp::Connections;
use crate::turn::Way;

pub(crate) struct Sink<'a> {
    queue: &'a mut SendQueue,
    tcp: &'a mut Connections,
    way: &'a mut Way,
    /// What the last `reserve` was for.
    reserved: PathProtocol,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(queue: &'a mut SendQueue, tcp: &'a mut Connections, way: &'a mut Way) -> Self {
        Self { queue, tcp, way, reserved: PathProtocol::Udp }
    }
}

impl DatagramSink for Sink<'_> {
    fn reserve(&mut self, path: Path, max_len: usize) -> &mut [u8] {
        self.reserved = path.protocol;
        match path.protocol {
            PathProtocol::Udp => self.queue.reserve(path.local, path.remote, max_len),
            PathProtocol::Tcp => self.tcp.reserve(path, max_len),
            PathProtocol::Relay => self.way.reserve(path.local, path.remote, max_len),
        }
    }

    fn commit(&mut self, len: usize) {
        match self.reserved {
            PathProtocol::Udp => self.queue.commit(len),
            PathProtocol::Tcp => self.tcp.commit(len),
            PathProtocol::Relay => self.way.commit(len),
        }
    }
}

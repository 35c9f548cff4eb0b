//! What TURN's thread hands to the shards: clients' packets to media sockets, by value, and the way back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use netio::UdpSocket;
use relay::Route;

/// In order.
pub(crate) enum ShardOrder {
    /// TURN's UDP listeners, by which frames to clients leave.
    Listeners(Arc<[Arc<UdpSocket>]>),
    /// How packets to a relayed address reach its client; `None`: no longer.
    Route(SocketAddr, Option<Box<Route>>),
    /// Packets.
    Packets(MediaBatch),
}

/// Packets of clients to a shard's media sockets.
#[derive(Default)]
pub(crate) struct MediaBatch {
    bytes: Vec<u8>,
    packets: Vec<Packet>,
}

struct Packet {
    relayed: SocketAddr,
    media: SocketAddr,
    received: Instant,
    end: usize,
}

impl MediaBatch {
    pub(crate) fn push(&mut self, relayed: SocketAddr, media: SocketAddr, received: Instant, payload: &[u8]) {
        self.bytes.extend_from_slice(payload);
        self.packets.push(Packet { relayed, media, received, end: self.bytes.len() });
    }

    pub(crate) fn len(&self) -> usize {
        self.packets.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    pub(crate) fn byte_count(&self) -> usize {
        self.bytes.len()
    }

    /// Calls `f` with (relayed address, media address, receive time, payload) of each, in order.
    pub(crate) fn for_each(&mut self, mut f: impl FnMut(SocketAddr, SocketAddr, Instant, &mut [u8])) {
        let mut start = 0;
        for packet in &self.packets {
            f(packet.relayed, packet.media, packet.received, &mut self.bytes[start..packet.end]);
            start = packet.end;
        }
    }
}

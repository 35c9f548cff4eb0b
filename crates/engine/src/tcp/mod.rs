//! ICE-TCP (RFC 6544), passive: clients connect, and what would be datagrams comes in frames (RFC 4571).
//!
//! One thread accepts for all shards. It reads one frame of each connection, a connectivity check whose ufrag names the shard,
//! and hands the connection over to it. The shard closes it unless the check verifies, so it owns authenticated ones only.

mod acceptor;
mod connection;
mod connections;
mod frames;
mod pending;
mod write_queue;

use std::net::TcpStream;

use forward::Path;

pub(crate) use acceptor::{ACCEPTS_PER_TURN, Acceptor, REST, is_exhausted};
pub(crate) use connections::{Connections, FIRST_TOKEN};
pub(crate) use pending::source;

/// A connection on its way to its shard.
pub(crate) struct Accepted {
    pub(crate) stream: TcpStream,
    pub(crate) path: Path,
    /// The check that it began with.
    pub(crate) first: Vec<u8>,
}

/// The longest frame that is of use: no datagram that crosses the internet in one piece is longer.
const MAX_FRAME: usize = 2_048;
/// A 16-bit length, in network order.
const FRAME_HEADER: usize = 2;

//! What the relay wants of its surroundings, at once and in order.

use std::io;
use std::net::SocketAddr;

use crate::{ClientAddress, ConnectionId, RelayEvent, Route};

/// A relay socket, named by the relay. Names are small and reused after `close`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SocketId(pub u32);

/// Implemented by the I/O thread, and by tests.
pub trait Outputs {
    /// Room for one message of exactly `len` bytes to a client; it is queued once it is written. A slice that leads nowhere when
    /// there is no room or no such connection.
    fn to_client(&mut self, client: &ClientAddress, len: usize) -> &mut [u8];

    /// One datagram from a relay socket to a peer.
    fn to_peer(&mut self, socket: SocketId, peer: SocketAddr, payload: &[u8]);

    /// One datagram to a media socket of this process, as if it came from `relayed`.
    fn to_media(&mut self, shard: u32, relayed: SocketAddr, media: SocketAddr, payload: &[u8]);

    /// How datagrams of media sockets to `relayed` reach its client. None: no longer.
    fn set_route(&mut self, relayed: SocketAddr, route: Option<Route>);

    /// Binds a relay socket. The error is what the system says.
    fn bind(&mut self, socket: SocketId, address: SocketAddr, dont_fragment: bool) -> io::Result<()>;

    /// Closes it. What is queued on it may be lost.
    fn close(&mut self, socket: SocketId);

    /// The connection has an allocation: its deadline to show who it is no longer counts.
    fn keep_connection(&mut self, connection: ConnectionId);

    /// Ends a connection: what it sends is no TURN.
    fn close_connection(&mut self, connection: ConnectionId);

    /// Tells the driver.
    fn event(&mut self, event: RelayEvent);
}

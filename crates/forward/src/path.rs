//! A network path as this side sees it: our own address and the client's.

use std::net::SocketAddr;

/// A pair of local and remote address. Replies leave from the address that was contacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Path {
    /// The address of ours that the datagram was sent to.
    pub local: SocketAddr,
    /// The client's address.
    pub remote: SocketAddr,
}

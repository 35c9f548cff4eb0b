//! A network path as this side sees it: our own address, the client's, and what carries it.

use std::net::SocketAddr;

/// What carries a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PathProtocol {
    /// Datagrams.
    Udp,
    /// Frames on a TCP connection that the client opened (RFC 4571, RFC 6544).
    Tcp,
    /// Our own TURN relay, in memory: the remote address is the relayed one.
    Relay,
}

impl PathProtocol {
    /// The name as the seam spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Relay => "relay",
        }
    }
}

/// A pair of local and remote address. Replies leave from the address that was contacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Path {
    /// What carries it: the same pair of addresses may be two paths.
    pub protocol: PathProtocol,
    /// The address of ours that the datagram was sent to.
    pub local: SocketAddr,
    /// The client's address.
    pub remote: SocketAddr,
}

impl Path {
    /// A pair of UDP addresses.
    #[inline]
    pub fn udp(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { protocol: PathProtocol::Udp, local, remote }
    }

    /// A TCP connection's addresses. It is one path as long as it is open.
    #[inline]
    pub fn tcp(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { protocol: PathProtocol::Tcp, local, remote }
    }

    /// From a media address of ours to a relayed address of ours.
    #[inline]
    pub fn relay(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { protocol: PathProtocol::Relay, local, remote }
    }
}

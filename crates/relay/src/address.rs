//! How clients are told apart.

use std::net::SocketAddr;

/// What carries a client's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientTransport {
    /// A datagram is a message.
    Udp,
    /// A connection; messages are padded to four bytes.
    Tcp,
    /// The same within TLS.
    Tls,
}

impl ClientTransport {
    /// As the driver calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// Whether messages follow one another in a stream: `ChannelData` is padded there.
    pub fn is_stream(self) -> bool {
        self != Self::Udp
    }
}

/// One TCP or TLS connection, never reused. 0 stands for UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// A client's 5-tuple.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddress {
    /// What carries it.
    pub transport: ClientTransport,
    /// Of a connection; 0 for UDP.
    pub connection: ConnectionId,
    /// The address of ours that it sends to, and that answers leave from.
    pub local: SocketAddr,
    /// Where it is.
    pub remote: SocketAddr,
}
